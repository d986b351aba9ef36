//! The rules of one elector, checked before they come here.

use super::record::{Nanos, Record};
use crate::election::Micros;

/// What to do with a held record that names this identity but was not written by this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameIdentity {
    /// Treat it like any other holder: two processes with one identity cannot alternate.
    #[default]
    Wait,
    /// Take it over at once and keep its transitions, as client-go does.
    Reclaim,
}

/// Who decides which candidate holds the Lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Picked {
    /// The candidates: whoever writes first.
    #[default]
    ByCandidates,
    /// The API server, by its own clock. A candidate creates no Lease and takes none over: it writes only where it is
    /// named.
    ByServer,
}

/// The rules of one elector.
#[derive(Clone, Debug)]
pub struct Policy {
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
    /// How long one request may take.
    pub request_timeout: Nanos,
    /// How long work may drain.
    pub drain_timeout: Nanos,
    /// Release when work has ended.
    pub release_on_stop: bool,
    /// One term only.
    pub once: bool,
    /// What the own name in a record of another process means.
    pub same_identity: SameIdentity,
    /// Who decides which candidate holds the Lease.
    pub picked: Picked,
    /// By how much the wall clocks of two machines may differ, where they are believed at all.
    pub trusted_walls: Option<Nanos>,
}

impl Policy {
    /// The longest pause after a refusal that only people can end.
    pub const LONGEST_PAUSE: Nanos = Nanos::from_seconds(60);
    /// How long work has to end after another holder was seen.
    pub const SIGHT_LIMIT: Nanos = Nanos::from_seconds(1);

    /// Whether `record`, which is not held by a term of this process, is its to write. `wrote`: it is as this process left
    /// it; `expired`: for how long it has not been valid any more.
    ///
    /// A server that picks leaves no `acquireTime`: a record that has one is some process's. It does not touch an expired
    /// Lease that names its choice already, marked for another or not: unless its holder does, nobody leads for ever.
    #[must_use]
    pub fn may_take(&self, record: &Record, wrote: bool, expired: Option<Nanos>) -> bool {
        let mine = record.holder == self.me;
        let retake = mine && (wrote || self.same_identity == SameIdentity::Reclaim) || expired.is_some();
        match self.picked {
            Picked::ByCandidates => record.holder.is_empty() || retake,
            Picked::ByServer if self.ends_term(record) => mine && expired >= Some(self.lease_duration),
            Picked::ByServer => mine && (retake || record.acquire_time.is_none()),
        }
    }

    /// Whether the first look at `record` needs no wait: by the wall clock, and if that may be believed, it expired long
    /// enough ago.
    #[must_use]
    pub fn is_long_expired(&self, record: &Record, wall: Micros) -> bool {
        let (Some(tolerance), Some(renewed)) = (self.trusted_walls, record.renew_time) else { return false };
        let age = u64::try_from(wall.0.saturating_sub(renewed.0)).unwrap_or_default();
        self.picked == Picked::ByCandidates && Nanos(age.saturating_mul(1000)) > record.duration + tolerance
    }

    /// A record with the own name is gone on with: it keeps its `acquireTime` and transitions.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.picked == Picked::ByServer || self.same_identity == SameIdentity::Reclaim
    }

    /// The server wants another holder: this one is to make room.
    #[must_use]
    pub fn ends_term(&self, record: &Record) -> bool {
        self.picked == Picked::ByServer && !record.preferred.is_empty()
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
