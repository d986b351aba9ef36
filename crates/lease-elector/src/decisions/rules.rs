//! The rules of one elector. The caller has checked them.

use super::nominee::Picked;
use super::record::ElectionRecord;
use super::time::{Nanos, WallMicros};

/// What to do with a held record that names this identity but was written by another process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SameIdentity {
    /// Treat it like any other holder: two processes with one identity cannot alternate.
    #[default]
    Wait,
    /// Take it over at once and keep its transitions, as client-go does.
    Reclaim,
}

/// The rules of one elector.
#[derive(Clone, Debug)]
pub struct ElectorRules {
    /// Its identity.
    pub me: String,
    /// `leaseDurationSeconds` of its records.
    pub lease_seconds: i32,
    /// How long a rival waits without seeing a change.
    pub lease_duration: Nanos,
    /// How long work may run after the newest acknowledged write was sent: the lease duration less
    /// the tolerance for clocks.
    pub work_limit: Nanos,
    /// How long leadership is claimed after the newest acknowledged write was sent.
    pub renew_deadline: Nanos,
    /// The pause between tries.
    pub retry_period: Nanos,
    /// The pause after a successful renewal.
    pub renew_period: Nanos,
    /// How long to wait for an answer before the request is given up, so that another can be tried.
    pub request_timeout: Nanos,
    /// How long work may drain.
    pub drain_timeout: Nanos,
    /// Whether to release the Lease when work has ended.
    pub release_on_stop: bool,
    /// Whether to end after one term.
    pub once: bool,
    /// What its own identity means in a record of another process.
    pub same_identity: SameIdentity,
    /// Who picks the next holder.
    pub picked: Picked,
    /// By how much the rates of two clocks may differ, as a fraction.
    pub clock_skew: f64,
    /// How long before the end of the Lease, less the tolerance for clocks, work is dropped.
    pub overrun_margin: Nanos,
}

impl ElectorRules {
    /// The longest pause after a refusal that only a person can resolve.
    pub const LONGEST_PAUSE: Nanos = Nanos::from_seconds(60);
    /// How long work has to end after another holder was seen.
    pub const DRAIN_AFTER_USURPED: Nanos = Nanos::from_seconds(1);

    /// Whether this elector may write `record`, which no term of this process holds. `wrote`: the
    /// record is as this process left it.
    #[must_use]
    pub fn may_take(&self, record: &ElectionRecord, wrote: bool, expired: bool) -> bool {
        if self.by_nominee() {
            return self.is_nominated(record);
        }
        let retake = record.holder == self.me && (wrote || self.goes_on());
        record.holder.is_empty() || retake || expired
    }

    /// The smallest difference of two `renewTime`s that others notice. client-go compares whole
    /// seconds; the operator compares all of the time.
    #[must_use]
    pub fn renewal_step(&self) -> WallMicros {
        WallMicros(if self.by_nominee() { 1 } else { 1_000_000 })
    }

    /// Whether a record with its own identity is continued, with its `acquireTime` and transitions.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.same_identity == SameIdentity::Reclaim
    }

    /// How long to wait for the next answer when no deadline bounds the wait, after an answer that
    /// took `took`.
    ///
    /// A slow API server gets more time, as much as client-go gives it. A lost request must not
    /// delay a takeover for longer.
    #[must_use]
    pub fn patience(&self, took: Nanos) -> Nanos {
        took.times(2.0).min(Nanos(self.renew_deadline.0 / 2)).max(self.request_timeout)
    }

    /// Until when a leader waits for the answer to a request sent `now`. It waits as long as
    /// another try could still help before the `deadline`. If the last answer took so long that
    /// another try could not help, it waits until the deadline.
    #[must_use]
    pub fn answer_by(&self, now: Nanos, deadline: Nanos, patience: Nanos) -> Nanos {
        let is_usual = patience <= self.request_timeout;
        // A slow server gets half as long again as for its last answer.
        let each = if is_usual { self.shortest_try() } else { patience.times(0.75) };
        // This try and one more must fit.
        if now + each + each <= deadline { deadline - each } else { deadline }
    }

    /// The time that the last try before the deadline gets at least.
    #[must_use]
    pub const fn shortest_try(&self) -> Nanos {
        Nanos(self.request_timeout.0 / 2)
    }

    /// The pause between two tries to release the Lease.
    #[must_use]
    pub const fn release_pause(&self) -> Nanos {
        Nanos(self.retry_period.0 / 4)
    }

    /// The pause between two tries of a candidate, as in client-go: 1 to 2.2 retry periods.
    /// `jitter` is in [0, 1).
    #[must_use]
    pub fn retry_pause(&self, jitter: f64) -> Nanos {
        self.retry_period.times(1.0 + 1.2 * jitter)
    }

    /// The pause after a successful renewal. Jitter keeps the electors of a process from writing in
    /// step.
    #[must_use]
    pub fn renew_pause(&self, jitter: f64) -> Nanos {
        self.renew_period.times(0.9 + 0.1 * jitter)
    }

    /// The pause after `failures` refusals in a row.
    #[must_use]
    pub fn refused_pause(&self, failures: u32, jitter: f64) -> Nanos {
        let doubled = f64::from(1_u32 << failures.saturating_sub(1).min(16));
        self.retry_pause(jitter).times(doubled).min(Self::LONGEST_PAUSE.max(self.retry_period))
    }
}
