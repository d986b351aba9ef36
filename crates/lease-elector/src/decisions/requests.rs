//! The one request under way: its purpose, how long it may take, and what each answer means.

use super::held_lease::Sent;
use super::loss::Deadlines;
use super::record::{ElectionRecord, RecordWrite};
use super::time::Nanos;
use super::{Elector, LeaseRequest, Notice, Now};

/// The purpose of the request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Contend,
    Acquire,
    Renew { fast: bool },
    Inspect { then_renew: bool },
    Verify,
    Release,
    Vacate,
}

impl Elector {
    pub(super) fn send(&mut self, purpose: Purpose, request: LeaseRequest, now: Now) {
        let patient = now.boot + self.patience;
        let until = match self.held.as_ref().map(|held| held.deadlines(&self.rules)) {
            None if self.stopping => patient.min(self.settle_until.unwrap_or(patient)),
            None => patient,
            Some(Deadlines { claim_until: Some(deadline), .. }) => {
                self.rules.answer_by(now.boot, deadline, self.patience)
            }
            Some(deadlines) => {
                let given_up = self.held.as_ref().and_then(|held| held.release_until);
                patient.min(deadlines.held_until).min(given_up.unwrap_or(patient))
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

    pub(super) fn note_record(&mut self, record: Option<ElectionRecord>, now: Now) -> bool {
        // A write that was based on another version can no longer be carried out.
        let version = record.as_ref().map(|record| record.version.clone());
        self.sent.retain(|sent| sent.based_on == version);
        let fresh = self.observed.note(record, now.boot);
        if self.observed.holder() != self.reported {
            self.observed.holder().clone_into(&mut self.reported);
            self.out.notices.push(Notice::NewHolder(self.reported.clone()));
        }
        fresh
    }

    /// How long a stop tries to release the Lease. One failed or slow request must not make the
    /// other candidates wait for a whole lease duration.
    pub(super) fn release_patience(&self) -> Nanos {
        // Enough for a read and a write, also where each is slow.
        self.rules.request_timeout.times(3.0).max(self.patience.times(2.0))
    }
}
