//! One term: how long it may last, and what the work of the term gets of it.
//!
//! A term ends once and for all. It ends at its deadline, which every question compares with the
//! clock, or because the elector ends it. An expired term cannot be extended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::clock::Time;
use super::config::OVERRUN_MARGIN;
use super::decisions::loss::Deadlines;
use super::decisions::record::FencingToken;
use super::decisions::time::Nanos;
use super::jitter::Jitter;

/// How far a term has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Held,
    /// Work must drain.
    Lost,
    /// Work must be dropped.
    Aborted,
    /// Work has ended.
    Over,
}

#[derive(Debug)]
pub(super) struct TermState {
    clock: Arc<dyn Time>,
    pub(super) term: FencingToken,
    deadlines: Mutex<Deadlines>,
    stage: watch::Sender<Stage>,
    overran: Mutex<bool>,
}

impl TermState {
    pub(super) fn new(clock: Arc<dyn Time>, term: FencingToken, deadlines: Deadlines) -> Self {
        Self {
            clock,
            term,
            deadlines: Mutex::new(deadlines),
            stage: watch::Sender::new(Stage::Held),
            overran: Mutex::new(false),
        }
    }

    fn deadlines(&self) -> MutexGuard<'_, Deadlines> {
        self.deadlines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self, stage: Stage) -> bool {
        self.stage.send_if_modified(|now| {
            let further = *now < stage;
            if further {
                *now = stage;
            }
            further
        })
    }

    /// The stage, after a comparison with the clock.
    pub(super) fn stage(&self) -> Stage {
        let deadlines = self.deadlines();
        let now = self.clock.boot();
        if now >= deadlines.work_until {
            self.reach(Stage::Aborted);
        } else if deadlines.claim_until.is_none_or(|until| now >= until) {
            self.reach(Stage::Lost);
        }
        drop(deadlines);
        *self.stage.borrow()
    }

    /// Takes new deadlines. A stage that was reached before stays reached.
    pub(super) fn set(&self, deadlines: Deadlines) {
        self.stage();
        *self.deadlines() = deadlines;
        self.stage();
    }

    /// Moves the term at once to `stage`.
    pub(super) fn end(&self, stage: Stage) {
        self.reach(stage);
    }

    pub(super) fn is_held(&self) -> bool {
        self.stage() == Stage::Held
    }

    pub(super) fn since(&self) -> Nanos {
        self.deadlines().since
    }

    pub(super) fn expires_at(&self) -> Nanos {
        self.deadlines().expires_at
    }

    pub(super) fn claim_until(&self) -> Option<Nanos> {
        self.deadlines().claim_until
    }

    pub(super) fn work_until(&self) -> Nanos {
        self.deadlines().work_until
    }

    /// When the next stage comes by itself.
    pub(super) fn next_moment(&self) -> Nanos {
        let stage = self.stage();
        let deadlines = *self.deadlines();
        match stage {
            Stage::Held => deadlines.claim_until.unwrap_or(deadlines.work_until),
            Stage::Lost => deadlines.work_until,
            Stage::Aborted if !self.overran() => deadlines.held_until + OVERRUN_MARGIN.into(),
            Stage::Aborted | Stage::Over => Nanos::MAX,
        }
    }

    fn overran(&self) -> bool {
        *self.overran.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True once, when work has not ended although another process may hold the Lease.
    pub(super) fn overruns(&self) -> bool {
        let late = self.clock.boot() >= self.deadlines().held_until + OVERRUN_MARGIN.into();
        let overruns = late && self.stage() == Stage::Aborted;
        let mut before = self.overran.lock().unwrap_or_else(PoisonError::into_inner);
        overruns && !std::mem::replace(&mut *before, true)
    }

    pub(super) async fn reached(&self, stage: Stage) {
        let mut stages = self.stage.subscribe();
        // The sender is a field of `self`, so it still exists.
        let _ = stages.wait_for(|now| *now >= stage).await;
    }
}

/// The term that work works for. Clones are the same term.
#[derive(Clone, Debug)]
pub struct ActiveTerm {
    pub(super) state: Arc<TermState>,
    pub(super) identity: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) number: Option<u64>,
}

impl ActiveTerm {
    /// The fencing token of the term. Send it along with every effect whose receiver can check it.
    #[must_use]
    pub fn token(&self) -> &FencingToken {
        &self.state.term
    }

    /// The number that the [`TermSource`](super::TermSource) gave to this term, or the term of the
    /// nomination. None: there is no source, and the candidates picked the holder.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        self.number
    }

    /// The identity of the leader: this process.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The namespace and name of the Lease.
    #[must_use]
    pub fn lease(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }

    /// Whether this term holds at this moment: reads the clock. Once false, it stays false.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.state.is_held()
    }

    /// How long leadership may still be claimed if no further renewal succeeds. Zero once it is
    /// lost.
    #[must_use]
    pub fn valid_for(&self) -> Duration {
        let until = if self.is_leader() { self.state.claim_until() } else { None };
        until.map_or(Duration::ZERO, |until| until.since(self.state.clock.boot()).into())
    }

    /// The moment until which leadership may be claimed, on `CLOCK_BOOTTIME`. None once it is lost.
    #[must_use]
    pub fn valid_until(&self) -> Option<Nanos> {
        self.is_leader().then(|| self.state.claim_until()).flatten()
    }

    /// How long work may still run before it is dropped. A later renewal can only make this longer,
    /// unless the term is lost.
    #[must_use]
    pub fn abort_in(&self) -> Duration {
        self.state.work_until().since(self.state.clock.boot()).into()
    }

    /// Ends when leadership is lost or must be given up. Drain now: work is dropped after
    /// [`Self::abort_in`].
    pub async fn lost(&self) {
        self.state.reached(Stage::Lost).await;
    }

    /// Runs `work` again and again until leadership is lost. It runs at once, and then `period` to
    /// `period × (1 + jitter)` after each end. A run that is under way at the loss is finished, as
    /// far as [`Self::abort_in`] allows.
    pub async fn repeat<F: Future>(&self, period: Duration, jitter: f64, mut work: impl FnMut() -> F) {
        let mut random = Jitter::new(&(&self.identity, &self.namespace, &self.name));
        let clock = &self.state.clock;
        while self.is_leader() {
            work().await;
            let pause = Nanos::from(period).times(1.0 + jitter * random.next());
            tokio::select! {
                () = self.lost() => return,
                () = clock.sleep_until(clock.boot() + pause) => {}
            }
        }
    }

    /// Ends when work must be dropped at once, for code that must know before it is dropped.
    pub async fn aborted(&self) {
        self.state.reached(Stage::Aborted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn deadlines(claim: u64, work: u64) -> Deadlines {
        let end = Nanos(work);
        let claim_until = Some(Nanos(claim));
        Deadlines { since: Nanos(0), claim_until, work_until: end, held_until: end, expires_at: end }
    }

    #[test]
    fn what_has_expired_cannot_be_extended() {
        let clock = Arc::new(ManualClock::default());
        let term = FencingToken {
            uid: String::new(),
            transitions: 0,
            acquired_version: String::new(),
            nomination: None,
        };
        let state = TermState::new(clock.clone(), term, deadlines(10, 15));
        clock.set(Nanos(9));
        state.set(deadlines(19, 24));
        assert!(state.is_held());
        clock.set(Nanos(19));
        state.set(deadlines(29, 34));
        assert_eq!(state.stage(), Stage::Lost, "nobody asked in between, and yet");
        clock.set(Nanos(34));
        state.set(deadlines(39, 44));
        assert_eq!(state.stage(), Stage::Aborted);
    }
}
