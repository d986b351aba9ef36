//! The rules of one elector, checked before they come here.

use super::record::ElectionRecord;
use super::time::Nanos;

/// What to do with a held record that names this identity but was not written by this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// How long after the newest acknowledged write work may run: the lease duration less the clocks' tolerance.
    pub work_limit: Nanos,
    /// How long after the newest acknowledged write leadership is claimed.
    pub renew_deadline: Nanos,
    /// The pause between tries.
    pub retry_period: Nanos,
    /// The pause between good renewals.
    pub renew_period: Nanos,
    /// After how long a request may be given up, so that another can be tried.
    pub request_timeout: Nanos,
    /// How long work may drain.
    pub drain_timeout: Nanos,
    /// Release when work has ended.
    pub release_on_stop: bool,
    /// One term only.
    pub once: bool,
    /// What the own name in a record of another process means.
    pub same_identity: SameIdentity,
}

impl ElectorRules {
    /// The longest pause after a refusal that only people can end.
    pub const LONGEST_PAUSE: Nanos = Nanos::from_seconds(60);
    /// How long work has to end after another holder was seen.
    pub const SIGHT_LIMIT: Nanos = Nanos::from_seconds(1);

    /// Whether `record`, which is not held by a term of this process, is its to write. `wrote`: it is as this process left
    /// it.
    #[must_use]
    pub fn may_take(&self, record: &ElectionRecord, wrote: bool, expired: bool) -> bool {
        let retake = record.holder == self.me && (wrote || self.goes_on());
        record.holder.is_empty() || retake || expired
    }

    /// A record with the own name is gone on with: it keeps its `acquireTime` and transitions.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.same_identity == SameIdentity::Reclaim
    }

    /// How long to wait for the next answer where no deadline says so, after one that took so long: a slow API server is
    /// given more time, as much as client-go gives it. A request that is lost must not hold up a take-over for longer.
    #[must_use]
    pub fn patience(&self, took: Nanos) -> Nanos {
        took.times(2.0).min(Nanos(self.renew_deadline.0 / 2)).max(self.request_timeout)
    }

    /// Until when a leader waits for the answer to a request sent `now`: as long as another try could still help before
    /// the `deadline`, and up to it where the last answer took so long that another try could not.
    #[must_use]
    pub fn answer_by(&self, now: Nanos, deadline: Nanos, patience: Nanos) -> Nanos {
        if patience <= self.request_timeout {
            return (now + self.request_timeout).max(deadline - self.shortest_try()).min(deadline);
        }
        // Half as long again as the last one took, for each of two.
        let each = patience.times(0.75);
        if now + each + each <= deadline { deadline - each } else { deadline }
    }

    /// The least that the last try before the deadline gets.
    #[must_use]
    pub const fn shortest_try(&self) -> Nanos {
        Nanos(self.request_timeout.0 / 2)
    }

    /// The pause between two tries to give the Lease back.
    #[must_use]
    pub const fn release_pause(&self) -> Nanos {
        Nanos(self.retry_period.0 / 4)
    }

    /// The pause between a candidate's tries, client-go's: 1 to 2.2 retry periods. `chance` is in [0, 1).
    #[must_use]
    pub fn retry_pause(&self, chance: f64) -> Nanos {
        self.retry_period.times(1.0 + 1.2 * chance)
    }

    /// The pause after a good renewal: a process's electors must not write in step.
    #[must_use]
    pub fn renew_pause(&self, chance: f64) -> Nanos {
        self.renew_period.times(0.9 + 0.1 * chance)
    }

    /// The pause after `failures` refusals in a row.
    #[must_use]
    pub fn refused_pause(&self, failures: u32, chance: f64) -> Nanos {
        let doubled = f64::from(1_u32 << failures.saturating_sub(1).min(16));
        self.retry_pause(chance).times(doubled).min(Self::LONGEST_PAUSE.max(self.retry_period))
    }
}
