//! What the elector's loop, the deadline's thread and the program share: the present claim, and what is shown of it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::active_term::{Stage, TermState};
use super::clock::{Alarm, Time};
use super::config::{ElectorConfig, Overrun};
use super::decisions::loss::Deadlines;
use super::decisions::record::FencingToken;
use super::driver::Input;
use super::leader_view::LeaderView;
use super::metrics::ElectorMetrics;

#[derive(Debug)]
pub(super) struct TermKeeper {
    pub(super) clock: Arc<dyn Time>,
    pub(super) config: ElectorConfig,
    pub(super) state: watch::Sender<LeaderView>,
    pub(super) metrics: ElectorMetrics,
    pub(super) inbox: UnboundedSender<Input>,
    slot: Mutex<Slot>,
    alarm: OnceLock<Box<dyn Alarm>>,
}

#[derive(Debug, Default)]
struct Slot {
    claim: Option<Arc<TermState>>,
    closed: bool,
}

impl TermKeeper {
    pub(super) fn new(
        clock: Arc<dyn Time>,
        config: ElectorConfig,
        state: watch::Sender<LeaderView>,
        metrics: ElectorMetrics,
        inbox: UnboundedSender<Input>,
    ) -> Self {
        Self { clock, config, state, metrics, inbox, slot: Mutex::default(), alarm: OnceLock::new() }
    }

    /// Starts the enforcer: it judges by its own alarm, whatever the elector's loop is doing.
    pub(super) fn arm(self: &Arc<Self>) -> std::io::Result<()> {
        let shared = Arc::downgrade(self);
        let alarm = self.clock.alarm(Arc::new(move || {
            if let Some(shared) = shared.upgrade() {
                shared.ring();
            }
        }))?;
        let _ = self.alarm.set(alarm);
        Ok(())
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn claim(&self) -> Option<Arc<TermState>> {
        self.slot().claim.clone()
    }

    fn ring(&self) {
        let Some(claim) = self.claim() else { return };
        if claim.stage() >= Stage::Lost {
            self.show_lost();
            let _ = self.inbox.send(Input::Expired(claim.clone()));
        }
        if claim.overruns() {
            self.overrun();
        }
        self.set_alarm(&claim);
    }

    fn set_alarm(&self, claim: &TermState) {
        if let Some(alarm) = self.alarm.get() {
            alarm.set(claim.next_moment());
        }
    }

    /// The term has begun.
    pub(super) fn open(&self, term: FencingToken, limits: Deadlines) -> Arc<TermState> {
        let claim = Arc::new(TermState::new(self.clock.clone(), term, limits));
        let mut slot = self.slot();
        if slot.closed {
            claim.end(Stage::Over);
        }
        slot.claim = Some(claim.clone());
        drop(slot);
        self.count_leading();
        self.state.send_modify(|state| state.set_claim(Some(claim.clone())));
        self.set_alarm(&claim);
        claim
    }

    /// The elector has new limits; what the clock has ended stays ended.
    pub(super) fn set(&self, limits: Deadlines) {
        let Some(claim) = self.claim() else { return };
        claim.set(limits);
        if claim.stage() >= Stage::Lost {
            self.show_lost();
            if limits.claim_until.is_some() {
                let _ = self.inbox.send(Input::Expired(claim.clone()));
            }
        }
        self.set_alarm(&claim);
    }

    fn show_lost(&self) {
        self.count_leading();
        self.state.send_modify(|_| {});
    }

    /// The gauge shows the present claim, whatever another thread has seen of an older one.
    fn count_leading(&self) {
        let slot = self.slot();
        self.metrics.leads(&self.config.name, slot.claim.as_ref().is_some_and(|claim| claim.is_held()));
    }

    /// Work has ended, or nobody runs it any more.
    pub(super) fn end_claim(&self) {
        let claim = self.slot().claim.take();
        self.count_leading();
        if let Some(claim) = claim {
            claim.end(Stage::Over);
            self.state.send_modify(|state| state.set_claim(None));
        }
    }

    /// No term begins any more.
    pub(super) fn close(&self) {
        self.slot().closed = true;
        self.end_claim();
    }

    fn overrun(&self) {
        let lease = format!("{}/{}", self.config.namespace, self.config.name);
        if self.config.on_overrun == Overrun::Abort {
            tracing::error!(%lease, "work goes on though another may lead by now: aborting the process");
            std::process::abort();
        }
        tracing::error!(%lease, "work goes on though another may lead by now: it blocks, and ignores that it was dropped");
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::elector::clock::ManualClock;
    use crate::elector::decisions::time::Nanos;

    fn gauge(metrics: &ElectorMetrics) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("leader_election_master_status{"));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    }

    #[test]
    fn an_alarm_that_is_late_does_not_count_the_next_term_as_lost() {
        let clock = Arc::new(ManualClock::default());
        let config = ElectorConfig::new("shop", "orders", "me");
        let state = watch::Sender::new(LeaderView::new(clock.clone(), "me".into()));
        let metrics = ElectorMetrics::default();
        let (inbox, _news) = tokio::sync::mpsc::unbounded_channel();
        let shared = TermKeeper::new(clock.clone(), config, state, metrics.clone(), inbox);
        let term =
            |transitions| FencingToken { uid: String::new(), transitions, acquired_version: String::new() };
        let limits = |since| Deadlines {
            since: Nanos(since),
            claim_until: Some(Nanos(since + 10)),
            work_until: Nanos(since + 15),
            held_until: Nanos(since + 15),
        };
        let old = shared.open(term(1), limits(0));
        clock.set(Nanos(10));
        // The alarm's thread has seen that, and is held up before it tells.
        assert!(!old.is_held());
        shared.end_claim();
        assert_eq!(gauge(&metrics), "0");
        shared.open(term(2), limits(10));
        shared.show_lost();
        assert_eq!(gauge(&metrics), "1");
        clock.set(Nanos(20));
        shared.show_lost();
        assert_eq!(gauge(&metrics), "0");
    }
}
