//! A Lease that this process holds: from the acquiring write until work has ended.

use super::Now;
use super::loss::{Deadlines, Loss, LossReason};
use super::record::{ElectionRecord, FencingToken};
use super::rules::ElectorRules;
use super::time::{Nanos, WallMicros};

/// A write that was sent. While it is unanswered, it may still be carried out if the version that
/// it is based on stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The moment just before it was sent.
    pub at: Nanos,
    /// Whether it acquires the Lease; otherwise it renews.
    pub acquires: bool,
    /// The version that it is based on. None: it creates the Lease.
    pub based_on: Option<String>,
    /// Its `acquireTime`.
    pub acquire_time: WallMicros,
    /// Its `renewTime`.
    pub renew_time: WallMicros,
    /// Its `leaseTransitions`.
    pub transitions: i32,
}

impl Sent {
    /// Whether this write resulted in `record`, which names this identity.
    #[must_use]
    pub fn made(&self, record: &ElectionRecord) -> bool {
        record.renew_time == Some(self.renew_time)
            && record.acquire_time == Some(self.acquire_time)
            && record.transitions == self.transitions
    }
}

#[derive(Clone, Debug)]
pub(super) struct HeldLease {
    pub(super) term: FencingToken,
    pub(super) acquire_time: WallMicros,
    /// `renewTime` of the newest acknowledged write.
    pub(super) confirmed: WallMicros,
    /// When the write was sent that first gave `confirmed` its present step.
    pub(super) since: Nanos,
    /// The smallest change of `renewTime` that others notice.
    step: WallMicros,
    /// The whole steps of `renewTime` as of `since`. Others do not notice a smaller change.
    steps: i64,
    pub(super) loss: Option<Loss>,
    pub(super) work: WorkState,
    /// When to release the Lease once work has ended. None: a release was tried, and is not to be
    /// tried again.
    pub(super) release_at: Option<Nanos>,
    /// Until when a release is tried again.
    pub(super) release_until: Option<Nanos>,
    /// `renewTime` of the releasing write, once it was sent.
    pub(super) release_sent: Option<WallMicros>,
}

/// How far the work of this term has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkState {
    /// A stop came before the Lease was acquired.
    NeverStarted,
    Running,
    /// Work ended after it was asked to.
    Drained,
    /// Work ended before it was asked to.
    EndedByItself,
}

/// What a read of a held Lease shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ours,
    Acknowledges(Sent),
    Lost(LossReason),
}

impl HeldLease {
    pub(super) fn new(sent: &Sent, record: &ElectionRecord, step: WallMicros) -> Self {
        let term = FencingToken {
            uid: record.uid.clone(),
            transitions: record.transitions,
            acquired_version: record.version.clone(),
            nomination: record.nomination.as_ref().map(|nomination| nomination.term),
        };
        Self {
            term,
            acquire_time: sent.acquire_time,
            confirmed: sent.renew_time,
            since: sent.at,
            step,
            steps: whole_steps(sent.renew_time, step),
            loss: None,
            work: WorkState::Running,
            release_at: Some(Nanos(0)),
            release_until: None,
            release_sent: None,
        }
    }

    pub(super) fn started(&self) -> bool {
        self.work != WorkState::NeverStarted
    }

    /// Whether work may still be running.
    pub(super) fn is_open(&self) -> bool {
        self.work == WorkState::Running
    }

    /// Takes note that `sent` was carried out.
    pub(super) fn acknowledge(&mut self, sent: &Sent) {
        self.confirmed = sent.renew_time;
        let steps = whole_steps(sent.renew_time, self.step);
        if steps != self.steps {
            self.steps = steps;
            self.since = self.since.max(sent.at);
        }
    }

    /// When to renew next, after a write was acknowledged. Another renewal within the same step
    /// would prolong nothing.
    pub(super) fn next_renewal(&self, rules: &ElectorRules, now: Now) -> Nanos {
        let due = self.since + rules.renew_pause(now.jitter);
        if whole_steps(now.wall, self.step) != self.steps {
            return due;
        }
        let left = self.step.0 - now.wall.0.rem_euclid(self.step.0);
        let left = Nanos(u64::try_from(left).unwrap_or_default() * 1000);
        // Add a margin: clocks differ, and other electors write at the turn of the second, too.
        let margin = Nanos(10_000_000) + Nanos(40_000_000).times(now.jitter);
        due.max(now.boot + left + margin)
    }

    pub(super) fn judge(&self, record: &ElectionRecord, me: &str, sent: &[Sent]) -> Verdict {
        if record.uid != self.term.uid {
            Verdict::Lost(LossReason::Deleted)
        } else if record.holder != me {
            Verdict::Lost(LossReason::Usurped)
        } else if record.transitions != self.term.transitions {
            Verdict::Lost(LossReason::DuplicateIdentity)
        } else if record.renew_time == Some(self.confirmed) {
            Verdict::Ours
        } else if let Some(sent) = sent.iter().find(|sent| record.renew_time == Some(sent.renew_time)) {
            Verdict::Acknowledges(sent.clone())
        } else {
            Verdict::Lost(LossReason::DuplicateIdentity)
        }
    }

    /// Whether a read shows exactly what this term wrote: only then may it be released.
    pub(super) fn owns(&self, record: &ElectionRecord, me: &str) -> bool {
        record.uid == self.term.uid
            && record.holder == me
            && record.transitions == self.term.transitions
            && record.acquire_time == Some(self.acquire_time)
    }

    pub(super) fn deadlines(&self, rules: &ElectorRules) -> Deadlines {
        let held_until = self.since + rules.work_limit;
        let mut work_until = held_until;
        if let Some(loss) = &self.loss {
            work_until = work_until.min(loss.at + rules.drain_timeout);
            if let Some(seen_at) = loss.seen_at {
                work_until = work_until.min(seen_at + ElectorRules::DRAIN_AFTER_USURPED);
            }
        }
        let claim_until = self.loss.is_none().then(|| self.since + rules.renew_deadline);
        let expires_at = self.since + rules.lease_duration;
        Deadlines { since: self.since, claim_until, work_until, held_until, expires_at }
    }

    /// Renewals go on while work drains, to protect it. They end once the Lease belongs to another
    /// holder.
    pub(super) fn may_renew(&self, rules: &ElectorRules, now: Nanos) -> bool {
        let seen = self.loss.is_some_and(|loss| loss.seen_at.is_some());
        !seen && self.is_open() && now < self.deadlines(rules).work_until
    }

    /// An expired Lease is left to age out: a successor may be about to write its record.
    pub(super) fn may_release(&self, rules: &ElectorRules, now: Nanos) -> bool {
        let seen = self.loss.is_some_and(|loss| loss.seen_at.is_some());
        rules.release_on_stop && !seen && now < self.since + rules.work_limit
    }

    /// The next `renewTime`. A wall clock that stands still or was set back must not hide a
    /// renewal.
    pub(super) fn next_renew_time(&self, wall: WallMicros, sent: &[Sent]) -> WallMicros {
        let last = sent.iter().map(|sent| sent.renew_time).fold(self.confirmed, WallMicros::max);
        later(wall, last, self.step)
    }
}

/// `wall`, or a step after `last` if `wall` is not later than `last`.
pub(super) const fn later(wall: WallMicros, last: WallMicros, step: WallMicros) -> WallMicros {
    if wall.0 > last.0 { wall } else { WallMicros(last.0.saturating_add(step.0)) }
}

const fn whole_steps(time: WallMicros, step: WallMicros) -> i64 {
    time.0.div_euclid(step.0)
}
