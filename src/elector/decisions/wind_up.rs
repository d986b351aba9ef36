//! The end of a term: work has ended, and the Lease is given back where that is allowed.

use super::held_lease::WorkState;
use super::loss::LossReason;
use super::record::{ElectionRecord, RecordWrite};
use super::requests::Purpose;
use super::time::Nanos;
use super::{Answer, Elector, Ending, LeaseRequest, Notice, Now};

impl Elector {
    pub(super) fn work_ended(&mut self, now: Now) {
        let Some(tenure) = self.held.as_mut().filter(|tenure| tenure.is_open()) else { return };
        tenure.work = if tenure.loss.is_none() { WorkState::EndedByItself } else { WorkState::Drained };
        self.lose(LossReason::WorkEnded, now);
        self.out.notes.push(Notice::WorkEnded);
    }

    /// Work has ended: give the Lease back where that is allowed, then end the term.
    pub(super) fn wind_up(&mut self, now: Now) {
        let patience = self.release_patience();
        let Some(tenure) = &mut self.held else { return };
        let may = tenure.may_release(&self.policy, now.boot);
        match tenure.release_at {
            Some(at) if may && now.boot >= at => {
                tenure.release_at = None;
                tenure.release_until.get_or_insert(now.boot + patience);
                self.next_try = now.boot;
                self.send(Purpose::Verify, LeaseRequest::Get, now);
            }
            Some(at) if may => self.next_try = at,
            _ => self.end_term(now),
        }
    }

    pub(super) fn verify(&mut self, record: ElectionRecord, now: Now) {
        let Some(tenure) = &mut self.held else { return };
        let owned = tenure.owns(&record, &self.policy.me) && tenure.may_release(&self.policy, now.boot);
        let unanswered = tenure.release_sent.is_some_and(|sent| record.renew_time == Some(sent));
        let given_back = unanswered && record.uid == tenure.term.uid && record.holder.is_empty();
        let write = RecordWrite {
            holder: String::new(),
            seconds: 1,
            acquire_time: now.wall,
            renew_time: now.wall,
            transitions: record.transitions,
        };
        if owned {
            tenure.release_sent = Some(write.renew_time);
        }
        self.observe(Some(record), now);
        if owned {
            self.update(Purpose::Release, write, now);
        } else if given_back {
            self.released(now);
        }
    }

    pub(super) fn released(&mut self, now: Now) {
        self.out.notes.push(Notice::Released);
        self.next_try = now.boot + self.policy.retry_pause(now.chance);
    }

    /// Who goes on standing for election may take its own record back, and does not wait. Who ends tries again, also after
    /// a refusal: who has led had the rights, and new credentials may be on their way.
    pub(super) fn release_failed(&mut self, answer: &Answer, now: Now) {
        let Some(tenure) = &mut self.held else { return };
        let pause = match answer {
            Answer::Busy(Some(pause)) => self.policy.release_pause().max(*pause),
            _ => self.policy.release_pause(),
        };
        let ends = self.stopping || tenure.work == WorkState::EndedByItself;
        let in_time = |at: &Nanos| tenure.release_until.is_none_or(|until| *at < until);
        tenure.release_at = Some(now.boot + pause).filter(|at| ends && in_time(at));
    }

    fn end_term(&mut self, now: Now) {
        let Some(tenure) = self.held.take() else { return };
        if tenure.started() {
            self.out.notes.push(Notice::Stopped);
        }
        let released = self.out.notes.contains(&Notice::Released);
        if !released {
            self.next_try = now.boot;
        }
        self.out.ended = match tenure.loss.map(|loss| loss.reason) {
            _ if tenure.work == WorkState::EndedByItself => Some(Ending::WorkEnded),
            _ if self.stopping => Some(Ending::Stopped),
            Some(reason) if self.policy.once => Some(Ending::Lost(reason)),
            _ => None,
        };
    }
}
