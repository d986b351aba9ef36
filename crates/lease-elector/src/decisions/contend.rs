//! Decisions about a Lease that is not held: waiting, taking it, standing back.

use super::held_lease::{HeldLease, Sent, WorkState, later};
use super::record::{ElectionRecord, RecordWrite};
use super::requests::Purpose;
use super::rules::ElectorRules;
use super::time::Nanos;
use super::{Answer, Elector, LeaseRequest, Notice, Now};

impl Elector {
    /// Takes in a read. If the read shows the result of an unanswered write, it is the answer to
    /// that write.
    pub(super) fn read_found(&mut self, record: &ElectionRecord, now: Now) {
        // Where the operator nominates, a take without an answer is given up: the clock of an
        // earlier process of this pod may have begun before.
        let mine = record.holder == self.rules.me && !self.rules.by_nominee();
        let acknowledged = self.sent.iter().find(|sent| mine && sent.made(record)).cloned();
        let fresh = self.note_record(Some(record.clone()), now);
        if let Some(sent) = acknowledged {
            self.own = Some((record.uid.clone(), sent.renew_time));
            if sent.acquires && now.boot < sent.at + self.rules.renew_deadline {
                return self.lead(&sent, record, now);
            }
        }
        self.contend(fresh, now);
    }

    /// Decides on what was seen. `fresh`: the record has changed since the last read, so its holder
    /// is alive.
    pub(super) fn contend(&mut self, fresh: bool, now: Now) {
        if let Some(on) = self.to_vacate() {
            return self.vacate(on, now);
        }
        if self.stopping {
            // The read has shown what became of the unanswered write.
            self.settle_until = Some(now.boot);
            return;
        }
        let valid = fresh || now.boot < self.observed.valid_until();
        let record = self.observed.record.clone();
        let take = match &record {
            None => !self.rules.by_nominee(),
            Some(record) => self.rules.may_take(record, self.wrote(record), !valid),
        };
        if take {
            self.acquire(record.as_ref(), now);
        } else {
            self.refusals = 0;
            self.wait_for_holder(now);
        }
    }

    pub(super) fn wrote(&self, record: &ElectionRecord) -> bool {
        self.own.as_ref().is_some_and(|(uid, time)| *uid == record.uid && Some(*time) == record.renew_time)
    }

    fn acquire(&mut self, record: Option<&ElectionRecord>, now: Now) {
        let kept = record.filter(|r| r.holder == self.rules.me && self.rules.goes_on());
        let next = || self.observed.transitions.map_or(0, |seen| seen.saturating_add(1));
        let last = kept.and_then(|record| record.renew_time);
        let nomination = record.and_then(|record| record.nomination.as_ref());
        let seconds = nomination.filter(|_| self.rules.by_nominee()).map(|nomination| nomination.seconds);
        let write = RecordWrite {
            holder: self.rules.me.clone(),
            seconds: seconds.unwrap_or(self.rules.lease_seconds),
            acquire_time: kept.and_then(|record| record.acquire_time).unwrap_or(now.wall),
            renew_time: last.map_or(now.wall, |last| later(now.wall, last, self.rules.renewal_step())),
            transitions: kept.map_or_else(next, |record| record.transitions),
        };
        if let Some(seconds) = seconds {
            self.rules = self.rules.clone().lasting(seconds);
        }
        self.note_sent(&write, now);
        let request = match record {
            Some(record) if seconds.is_some() => LeaseRequest::Take { on: record.version.clone(), write },
            Some(record) => LeaseRequest::Update { on: record.version.clone(), write },
            None => LeaseRequest::Create(write),
        };
        self.send(Purpose::Acquire, request, now);
    }

    pub(super) fn acquired(&mut self, record: &ElectionRecord, now: Now) {
        let Some(sent) = self.sent.pop() else { return };
        self.own = Some((record.uid.clone(), sent.renew_time));
        self.note_record(Some(record.clone()), now);
        if now.boot < sent.at + self.rules.renew_deadline {
            self.lead(&sent, record, now);
        } else {
            self.next_try = now.boot;
        }
    }

    fn lead(&mut self, sent: &Sent, record: &ElectionRecord, now: Now) {
        let mut held = HeldLease::new(sent, record, self.rules.renewal_step());
        self.refusals = 0;
        self.next_try = held.next_renewal(&self.rules, now);
        if self.stopping {
            // The Lease was acquired by a write that was under way when the stop came. It is
            // released without work.
            held.work = WorkState::NeverStarted;
        } else {
            self.out.notices.push(Notice::Started(held.term.clone()));
        }
        self.held = Some(held);
    }

    pub(super) fn contend_failed(&mut self, answer: &Answer, now: Now) {
        let usual =
            if self.stopping { self.rules.release_pause() } else { self.rules.retry_pause(now.jitter) };
        let pause = match answer {
            Answer::Refused => {
                self.refusals = self.refusals.saturating_add(1);
                self.rules.refused_pause(self.refusals, now.jitter)
            }
            Answer::Busy(Some(pause)) => usual.max((*pause).min(ElectorRules::LONGEST_PAUSE)),
            _ => usual,
        };
        self.next_try = now.boot + pause;
    }

    fn wait_for_holder(&mut self, now: Now) {
        if self.rules.by_nominee() {
            return self.wait_for_nomination(now);
        }
        let poll = now.boot + Nanos(self.rules.lease_duration.0 / 3);
        self.next_try = if self.watching {
            poll.min(self.observed.valid_until().max(now.boot))
        } else {
            now.boot + self.rules.retry_pause(now.jitter)
        };
    }

    pub(super) fn watched_as_candidate(&mut self, record: ElectionRecord, deleted: bool, now: Now) {
        if self.sent.iter().any(|sent| record.holder == self.rules.me && sent.made(&record)) {
            // A watch event may be a replay: only a read counts as the answer that was lost.
            self.next_try = now.boot;
            return;
        }
        let fresh = self.note_record((!deleted).then_some(record), now);
        if self.refusals > 0 {
            return;
        }
        if self.observed.holder().is_empty() || self.to_vacate().is_some() {
            self.conflicts = 0;
            self.contend(fresh, now);
        } else if fresh {
            self.wait_for_holder(now);
        }
    }

    pub(super) fn watch_down(&mut self, now: Now) {
        self.watching = false;
        if self.held.is_none() && self.refusals == 0 {
            self.next_try = self.next_try.min(now.boot + self.rules.retry_pause(now.jitter));
        }
    }
}
