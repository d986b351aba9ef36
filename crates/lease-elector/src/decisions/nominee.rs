//! Decisions in `mode: Nominated`: the operator names who may take the Lease. Its holder takes,
//! renews and releases it.
//!
//! The whole rule set, with `me` as `<pod>_<pod UID>` and the own nomination as `<pod>/<pod UID>`:
//!
//! * **Take** a Lease that is free and names the own pod as its nominee. The take is based on the
//!   version seen and empties the nominee. A Lease that is held, expired or missing is never
//!   taken.
//! * **Run** only on an acknowledged take. The deadlines count from before it was sent.
//! * **Renew** with a later `renewTime` each time. A renewal that left the version as it was does
//!   not count.
//! * **End the term** when the held Lease names a nominee, the own pod included. Renewals go on
//!   while work drains.
//! * **Release** when work has ended: the holder becomes empty, and nothing else changes.
//! * **Vacate** a Lease in the name of the own pod that no term of this process stands for. Its
//!   take had no answer, or another process of the pod took it. The caller lets one process of the
//!   pod run at a time, and only once the work of the one before has ended.
//! * **Leave** a Lease whose own work may have gone on past its end: the operator clears it.

use super::record::ElectionRecord;
use super::rules::ElectorRules;
use super::time::Nanos;
use super::{Answer, CONFLICTS, Elector, LeaseRequest, Notice, Now, Purpose};

/// Who picks the next holder of the Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Picked {
    /// The candidates do: each takes a Lease that is free, missing or expired.
    #[default]
    ByCandidates,
    /// The operator does, in `mode: Nominated`. The Lease then brings its duration, too.
    ///
    /// A Lease in the name of this identity that this process did not take is released. So run one
    /// such elector in a pod at a time, and only once the work of the one before has ended.
    ByNominee {
        /// The nominee that this process is: `<pod>/<pod UID>`.
        nominee: String,
    },
}

impl ElectorRules {
    /// The longest pause between two tries of a term that the Lease brings the duration of.
    const LONGEST_RETRY: Nanos = Nanos::from_seconds(2);

    /// Whether the operator picks the holder.
    #[must_use]
    pub fn by_nominee(&self) -> bool {
        self.picked != Picked::ByCandidates
    }

    /// Whether `record` is free and nominates this process.
    #[must_use]
    pub fn is_nominated(&self, record: &ElectionRecord) -> bool {
        let Picked::ByNominee { nominee } = &self.picked else { return false };
        let named =
            |nomination: &super::record::Nomination| nomination.nominee == *nominee && nomination.seconds > 0;
        record.holder.is_empty() && record.nomination.as_ref().is_some_and(named)
    }

    /// Whether `record` asks its holder to end the term.
    #[must_use]
    pub fn asks_to_end(&self, record: &ElectionRecord) -> bool {
        let named = record.nomination.as_ref().is_some_and(|nomination| !nomination.nominee.is_empty());
        self.by_nominee() && named
    }

    /// The same rules for a Lease of `seconds`, in the proportions of client-go's customary
    /// settings.
    #[must_use]
    pub fn lasting(self, seconds: i32) -> Self {
        let lease = Nanos::from_seconds(u64::try_from(seconds).unwrap_or_default());
        Self {
            lease_seconds: seconds,
            lease_duration: lease,
            work_limit: lease.times(1.0 - self.clock_skew) - self.overrun_margin,
            renew_deadline: lease.times(0.63),
            renew_period: lease.times(1.0 / 3.0),
            retry_period: lease.times(2.0 / 15.0).min(Self::LONGEST_RETRY),
            request_timeout: lease.times(0.145),
            ..self
        }
    }
}

impl Elector {
    /// The version of a record to vacate: it has the name of this pod, and no term of this process
    /// stands for it.
    pub(super) fn to_vacate(&self) -> Option<String> {
        let mine = |record: &&ElectionRecord| self.rules.by_nominee() && record.holder == self.rules.me;
        let record = self.observed.record.as_ref().filter(mine)?;
        let abandoned = self
            .abandoned
            .as_ref()
            .is_some_and(|(uid, transitions)| *uid == record.uid && *transitions == record.transitions);
        (!abandoned).then(|| record.version.clone())
    }

    pub(super) fn vacate(&mut self, on: String, now: Now) {
        self.send(Purpose::Vacate, LeaseRequest::Vacate { on }, now);
    }

    pub(super) fn answered_vacate(&mut self, answer: Answer, now: Now) {
        match answer {
            Answer::Written(record) => {
                self.out.notices.push(Notice::Released);
                let fresh = self.note_record(Some(record), now);
                self.contend(fresh, now);
            }
            Answer::Conflict if self.conflicts < CONFLICTS => {
                self.conflicts += 1;
                self.send(Purpose::Contend, LeaseRequest::Get, now);
            }
            other => self.contend_failed(&other, now),
        }
    }

    /// Waits for a nomination. The watch shows it, so nothing is polled. A holder that was silent
    /// for its whole duration may be a watch that is dead: one read tells.
    pub(super) fn wait_for_nomination(&mut self, now: Now) {
        self.next_try = if self.watching {
            let silent = self.observed.valid_until();
            if silent > now.boot { silent } else { Nanos::MAX }
        } else {
            now.boot + self.rules.retry_pause(now.jitter)
        };
    }
}
