//! The judgement of `follow`: whether this pod leads, until when, and when to read again. Pure: the
//! time is an argument.
//!
//! A claim counts from the moment just before a read was *sent* that the API server answered from
//! its store. A watch event never begins or prolongs a claim: it may be late. It ends one.

use super::role::{LeaseRead, OnDoubt, PodRole, Progress, WhyLost};
use super::sight::{FollowedPod, LeaseSight};
use crate::elector::Nanos;
use crate::elector::decisions::record::ObservedRecord;

#[derive(Clone, Debug)]
struct Claim {
    lease: String,
    term: i64,
    /// The version that confirmed it first.
    version: String,
    sent_at: Nanos,
    duration: Nanos,
}

/// See the module.
#[derive(Debug)]
pub struct Follower {
    pod: FollowedPod,
    on_doubt: OnDoubt,
    observed: ObservedRecord,
    sight: Option<LeaseSight>,
    claim: Option<Claim>,
    until: Nanos,
    tenure: u64,
    loss: WhyLost,
    stage: Progress,
    /// A read is wanted at once.
    is_wanted: bool,
    /// When the last read was sent.
    sent_at: Nanos,
    /// When a read may be tried again after one that failed.
    again_at: Nanos,
}

/// The duration of a Lease that names none.
const USUAL_DURATION: Nanos = Nanos::from_seconds(15);

/// The longest time that a read may take.
const LONGEST_READ: Nanos = Nanos::from_seconds(5);

impl Follower {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(pod: FollowedPod, on_doubt: OnDoubt) -> Self {
        Self {
            pod,
            on_doubt,
            observed: ObservedRecord::default(),
            sight: None,
            claim: None,
            until: Nanos(0),
            tenure: 0,
            loss: WhyLost::default(),
            stage: Progress::Unknown,
            is_wanted: true,
            sent_at: Nanos(0),
            again_at: Nanos(0),
        }
    }

    /// A watch has begun: what happened before it may have been missed.
    pub fn watch_began(&mut self) {
        self.is_wanted = true;
    }

    /// Takes in what the watch shows.
    pub fn watched(&mut self, sight: LeaseSight, is_deleted: bool, now: Nanos) {
        if self.observed.is_newer(&sight.record.version) {
            self.see(Some(sight).filter(|_| !is_deleted), now);
            self.is_wanted |= self.is_named() && self.claim.is_none();
        }
    }

    /// Takes note that a read is sent.
    pub fn sent(&mut self, now: Nanos) {
        (self.is_wanted, self.sent_at) = (false, now);
    }

    /// Takes in the answer to the read that was sent at `sent_at`.
    pub fn answered(&mut self, sent_at: Nanos, answer: LeaseRead, now: Nanos) {
        let found = match answer {
            LeaseRead::Failed => {
                self.again_at = now + Nanos(self.duration().0 / 15);
                self.is_wanted = true;
                return;
            }
            LeaseRead::Missing => None,
            LeaseRead::Found(sight) => Some(*sight),
        };
        if self.stage == Progress::Unknown {
            self.stage = Progress::Known;
        }
        if found.as_ref().is_some_and(|sight| self.is_outdated(sight)) {
            self.is_wanted = true;
            return;
        }
        self.see(found, now);
        if self.is_named() && !self.has_expired(now) {
            self.confirm(sent_at);
        } else {
            self.lose(WhyLost::Moved);
        }
    }

    /// Takes note of the time.
    pub fn wake(&mut self, now: Nanos) {
        if self.on_doubt == OnDoubt::Stop && self.claim.is_some() && self.doubt_at() <= now {
            self.lose(WhyLost::Unconfirmed);
            self.is_wanted = true;
        }
    }

    /// This process ends: it speaks for the pod no longer.
    pub fn stop(&mut self) {
        self.lose(WhyLost::Stopped);
        self.stage = Progress::Last;
    }

    /// What is known now.
    #[must_use]
    pub fn role(&self, now: Nanos) -> PodRole {
        let leads = self.claim.is_some();
        let shown = self.sight.as_ref().filter(|sight| !sight.leader().is_empty());
        let shown = shown.filter(|_| leads || !self.has_expired(now));
        PodRole {
            stage: self.stage,
            leads,
            is_confirmed: leads && now < self.until,
            until: self.until,
            leader: shown.map(|sight| sight.leader().to_owned()).unwrap_or_default(),
            term: shown.map(LeaseSight::term),
            holder: shown.map(|sight| sight.record.holder.clone()).unwrap_or_default(),
            version: self.claim.as_ref().map(|claim| claim.version.clone()).unwrap_or_default(),
            tenure: self.tenure,
            loss: self.loss,
        }
    }

    /// When to read next. A pod that does not lead reads when the watch shows something, and when a
    /// held Lease has not been renewed for its duration.
    #[must_use]
    pub fn read_at(&self) -> Nanos {
        let due = if self.is_wanted {
            Nanos(0)
        } else if let Some(claim) = &self.claim {
            self.sent_at + Nanos(claim.duration.0 / 3)
        } else if self.observed.holder().is_empty() {
            Nanos::MAX
        } else {
            self.observed.valid_until().max(self.sent_at + self.duration())
        };
        due.max(self.again_at)
    }

    /// How long the next read may take.
    #[must_use]
    pub fn read_timeout(&self) -> Nanos {
        Nanos(self.duration().0 / 8).min(LONGEST_READ)
    }

    /// When what is known changes although nothing happens.
    #[must_use]
    pub fn wake_at(&self, now: Nanos) -> Nanos {
        let moment = match (&self.claim, self.on_doubt) {
            (Some(_), OnDoubt::Stop) => self.doubt_at(),
            (Some(_), OnDoubt::Continue) => self.until,
            (None, _) if self.expires() => self.observed.valid_until(),
            (None, _) => Nanos::MAX,
        };
        if moment > now { moment } else { Nanos::MAX }
    }

    fn see(&mut self, sight: Option<LeaseSight>, now: Nanos) {
        self.observed.note(sight.as_ref().map(|sight| sight.record.clone()), now);
        self.sight = sight;
        let term = self.sight.as_ref().map(|sight| (&sight.record.uid, sight.term()));
        let claimed = self.claim.as_ref().map(|claim| (&claim.lease, claim.term));
        if !self.is_named() || claimed.is_some_and(|claimed| term != Some(claimed)) {
            self.lose(WhyLost::Moved);
        }
    }

    fn is_named(&self) -> bool {
        self.sight.as_ref().is_some_and(|sight| sight.names(&self.pod))
    }

    /// The watch has shown something newer already.
    fn is_outdated(&self, sight: &LeaseSight) -> bool {
        let version = &sight.record.version;
        let is_last = self.observed.record.as_ref().is_some_and(|record| record.version == *version);
        !is_last && !self.observed.is_newer(version)
    }

    /// It has a holder that must renew it. The operator renews in mode Managed.
    fn expires(&self) -> bool {
        self.sight.as_ref().is_some_and(|sight| sight.expires() && !sight.record.holder.is_empty())
    }

    fn has_expired(&self, now: Nanos) -> bool {
        self.expires() && self.observed.valid_until() <= now
    }

    fn confirm(&mut self, sent_at: Nanos) {
        let Some(sight) = self.sight.as_ref().filter(|_| self.stage != Progress::Last) else { return };
        let (lease, term, duration) = (sight.record.uid.clone(), sight.term(), self.duration());
        self.tenure += u64::from(self.claim.is_none());
        let version = self.claim.take().map_or_else(|| sight.record.version.clone(), |claim| claim.version);
        let until = sent_at + duration - Nanos(duration.0 / 50);
        self.until = if self.expires() { until.min(self.observed.valid_until()) } else { until };
        self.claim = Some(Claim { lease, term, version, sent_at, duration });
    }

    fn lose(&mut self, loss: WhyLost) {
        if self.claim.take().is_some() {
            self.loss = loss;
        }
    }

    /// When a claim that is not confirmed again ends: so early that the work has time to drain.
    fn doubt_at(&self) -> Nanos {
        let Some(Claim { sent_at, duration, .. }) = self.claim else { return Nanos::MAX };
        let unconfirmed = sent_at + duration.times(0.63);
        let unrenewed = self.observed.valid_until() - duration.times(0.15);
        if self.expires() { unconfirmed.min(unrenewed) } else { unconfirmed }
    }

    fn duration(&self) -> Nanos {
        let duration = self.observed.record.as_ref().map(|record| record.duration);
        duration.filter(|duration| *duration > Nanos(0)).unwrap_or(USUAL_DURATION)
    }
}

#[cfg(test)]
mod tests;
