//! The one request under way: what it is for, how long it may take, and what every answer tells.

use super::held_lease::Sent;
use super::loss::Deadlines;
use super::record::{ElectionRecord, RecordWrite};
use super::time::Nanos;
use super::{Elector, LeaseRequest, Notice, Now};

/// What the request under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Contend,
    Acquire,
    Renew { fast: bool },
    Inspect { then_renew: bool },
    Verify,
    Release,
}

impl Elector {
    pub(super) fn send(&mut self, purpose: Purpose, request: LeaseRequest, now: Now) {
        let patient = now.boot + self.patience;
        let until = match self.held.as_ref().map(|tenure| tenure.limits(&self.policy)) {
            None if self.stopping => patient.min(self.settle_until.unwrap_or(patient)),
            None => patient,
            Some(Deadlines { claim_until: Some(deadline), .. }) => {
                self.policy.answer_by(now.boot, deadline, self.patience)
            }
            Some(limits) => {
                let given_up = self.held.as_ref().and_then(|tenure| tenure.release_until);
                patient.min(limits.held_until).min(given_up.unwrap_or(patient))
            }
        };
        self.pending = Some(purpose);
        self.asked_at = now.boot;
        self.out.send = Some((request, until));
    }

    pub(super) fn note_sent(&mut self, write: &RecordWrite, now: Now) {
        self.settle_until = None;
        self.sent.push(Sent {
            at: now.boot,
            acquires: self.held.is_none(),
            based_on: self.observed.record.as_ref().map(|record| record.version.clone()),
            acquire_time: write.acquire_time,
            renew_time: write.renew_time,
            transitions: write.transitions,
        });
    }

    pub(super) fn observe(&mut self, record: Option<ElectionRecord>, now: Now) -> bool {
        // What was based on another version cannot be carried out any more.
        let version = record.as_ref().map(|record| record.version.clone());
        self.sent.retain(|sent| sent.based_on == version);
        let fresh = self.observed.note(record, now.boot);
        if self.observed.holder() != self.reported {
            self.observed.holder().clone_into(&mut self.reported);
            self.out.notes.push(Notice::NewHolder(self.reported.clone()));
        }
        fresh
    }

    /// For how long a stop tries to give the Lease back: one failed request, or slow one, must not cost the others a whole
    /// lease duration.
    pub(super) fn release_patience(&self) -> Nanos {
        // A read and a write, also where each is slow.
        self.policy.request_timeout.times(3.0).max(self.patience.times(2.0))
    }
}
