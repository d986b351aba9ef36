//! The end of a term: work has ended, and the Lease is released if that is allowed.

use super::held_lease::WorkState;
use super::loss::LossReason;
use super::record::{ElectionRecord, RecordWrite};
use super::requests::Purpose;
use super::time::Nanos;
use super::{Answer, Elector, Ending, LeaseRequest, Notice, Now};

impl Elector {
    pub(super) fn work_ended(&mut self, now: Now) {
        let Some(held) = self.held.as_mut().filter(|held| held.is_open()) else { return };
        held.work = if held.loss.is_none() { WorkState::EndedByItself } else { WorkState::Drained };
        self.lose(LossReason::WorkEnded, now);
        self.out.notices.push(Notice::WorkEnded);
    }

    /// Work has ended: releases the Lease where that is allowed, then ends the term.
    pub(super) fn wind_up(&mut self, now: Now) {
        let patience = self.release_patience();
        let Some(held) = &mut self.held else { return };
        let may = held.may_release(&self.rules, now.boot);
        match held.release_at {
            Some(at) if may && now.boot >= at => {
                held.release_at = None;
                held.release_until.get_or_insert(now.boot + patience);
                self.next_try = now.boot;
                self.send(Purpose::Verify, LeaseRequest::Get, now);
            }
            Some(at) if may => self.next_try = at,
            _ => self.end_term(now),
        }
    }

    pub(super) fn verify(&mut self, record: ElectionRecord, now: Now) {
        let by_nominee = self.rules.by_nominee();
        let Some(held) = &mut self.held else { return };
        let owned = held.owns(&record, &self.rules.me) && held.may_release(&self.rules, now.boot);
        let unanswered = held.release_sent.is_some_and(|sent| record.renew_time == Some(sent));
        let given_back = unanswered && record.uid == held.term.uid && record.holder.is_empty();
        let write = RecordWrite {
            holder: String::new(),
            seconds: 1,
            acquire_time: now.wall,
            renew_time: now.wall,
            transitions: record.transitions,
        };
        if owned {
            // The operator's holder leaves all but the name as it was.
            held.release_sent = if by_nominee { record.renew_time } else { Some(write.renew_time) };
        }
        self.note_record(Some(record), now);
        if owned && by_nominee {
            let on = self.observed.record.as_ref().map(|record| record.version.clone());
            self.send(Purpose::Release, LeaseRequest::Vacate { on: on.unwrap_or_default() }, now);
        } else if owned {
            self.update(Purpose::Release, write, now);
        } else if given_back {
            self.released(now);
        }
    }

    pub(super) fn released(&mut self, now: Now) {
        self.out.notices.push(Notice::Released);
        // The Lease may name this pod as its next holder already.
        let pause = if self.rules.by_nominee() { Nanos(0) } else { self.rules.retry_pause(now.jitter) };
        self.next_try = now.boot + pause;
    }

    /// An elector that stays a candidate may retake its own record, and does not wait.
    ///
    /// An elector that ends tries again, also after a refusal. It had the rights while it led, and
    /// new credentials may be on their way.
    pub(super) fn release_failed(&mut self, answer: &Answer, now: Now) {
        let Some(held) = &mut self.held else { return };
        let pause = match answer {
            Answer::Busy(Some(pause)) => self.rules.release_pause().max(*pause),
            _ => self.rules.release_pause(),
        };
        let ends = self.stopping || held.work == WorkState::EndedByItself;
        let in_time = |at: &Nanos| held.release_until.is_none_or(|until| *at < until);
        held.release_at = Some(now.boot + pause).filter(|at| ends && in_time(at));
    }

    fn end_term(&mut self, now: Now) {
        let Some(held) = self.held.take() else { return };
        if held.started() {
            self.out.notices.push(Notice::Stopped);
        }
        if now.boot >= held.deadlines(&self.rules).held_until {
            self.abandoned = Some((held.term.uid.clone(), held.term.transitions));
        }
        let released = self.out.notices.contains(&Notice::Released);
        if !released {
            self.next_try = now.boot;
        }
        self.out.ended = match held.loss.map(|loss| loss.reason) {
            _ if held.work == WorkState::EndedByItself => Some(Ending::WorkEnded),
            _ if self.stopping => Some(Ending::Stopped),
            Some(reason) if self.rules.once => Some(Ending::Lost(reason)),
            _ => None,
        };
    }
}
