//! Decisions about a held Lease: renewing it, and losing it.

use super::held_lease::Verdict;
use super::loss::{Loss, LossReason};
use super::record::{ElectionRecord, RecordWrite};
use super::requests::Purpose;
use super::time::Nanos;
use super::{Answer, CONFLICTS, Elector, LeaseRequest, Notice, Now};

impl Elector {
    pub(super) fn answered_leader(&mut self, purpose: Purpose, answer: Answer, now: Now) {
        match (purpose, answer) {
            (Purpose::Renew { .. }, Answer::Written(record)) => self.renewed(record, now),
            (Purpose::Renew { fast }, answer) => self.not_renewed(fast, &answer, now),
            (Purpose::Inspect { then_renew }, Answer::Found(record)) => {
                self.inspect(record, then_renew, now);
            }
            (Purpose::Inspect { .. }, Answer::Missing) => {
                self.note_record(None, now);
                self.lose_by_read(LossReason::Deleted, now);
            }
            (Purpose::Inspect { then_renew: true }, answer) => self.renew_failed(&answer, now),
            (Purpose::Verify, Answer::Found(record)) => self.verify(record, now),
            (Purpose::Verify, Answer::Missing) => {
                self.note_record(None, now);
            }
            (Purpose::Release, Answer::Written(record)) => {
                self.note_record(Some(record), now);
                self.released(now);
            }
            (Purpose::Release, Answer::Conflict) => self.send(Purpose::Verify, LeaseRequest::Get, now),
            (Purpose::Verify | Purpose::Release, answer) => self.release_failed(&answer, now),
            _ => {}
        }
    }

    /// The fast path relies on the version seen last. The slow path comes after a read.
    pub(super) fn renew(&mut self, fast: bool, now: Now) {
        let Some(held) = self.held.as_ref().filter(|held| held.may_renew(&self.rules, now.boot)) else {
            self.next_try = Nanos::MAX;
            return;
        };
        let write = RecordWrite {
            holder: self.rules.me.clone(),
            seconds: self.rules.lease_seconds,
            acquire_time: held.acquire_time,
            renew_time: held.next_renew_time(now.wall, &self.sent),
            transitions: held.term.transitions,
        };
        self.note_sent(&write, now);
        self.update(Purpose::Renew { fast }, write, now);
    }

    pub(super) fn update(&mut self, purpose: Purpose, write: RecordWrite, now: Now) {
        let on = self.observed.record.as_ref().map(|record| record.version.clone()).unwrap_or_default();
        self.send(purpose, LeaseRequest::Update { on, write }, now);
    }

    fn renewed(&mut self, record: ElectionRecord, now: Now) {
        let sent = self.sent.pop();
        if sent.as_ref().is_some_and(|sent| sent.based_on.as_ref() == Some(&record.version)) {
            // The write changed nothing, so no other process saw it.
            return self.renew_failed(&Answer::Unknown, now);
        }
        if let Some(sent) = sent {
            self.own = Some((record.uid.clone(), sent.renew_time));
            if let Some(held) = &mut self.held {
                held.acknowledge(&sent);
                self.next_try = held.next_renewal(&self.rules, now);
            }
        }
        self.heed(&record, now);
        self.note_record(Some(record), now);
    }

    /// A nominee in a held Lease asks its holder to end the term.
    fn heed(&mut self, record: &ElectionRecord, now: Now) {
        if self.rules.asks_to_end(record) {
            self.lose(LossReason::Revoked, now);
        }
    }

    fn not_renewed(&mut self, fast: bool, answer: &Answer, now: Now) {
        let look = match answer {
            Answer::TimedOut | Answer::Busy(_) => false,
            Answer::Conflict => self.conflicts < CONFLICTS,
            _ => fast,
        };
        if look && self.may_renew(now) {
            self.conflicts += u32::from(*answer == Answer::Conflict);
            self.send(Purpose::Inspect { then_renew: true }, LeaseRequest::Get, now);
        } else {
            self.renew_failed(answer, now);
        }
    }

    fn may_renew(&self, now: Now) -> bool {
        self.held.as_ref().is_some_and(|held| held.may_renew(&self.rules, now.boot))
    }

    /// The next try starts one retry period after the last one started. The last try before the
    /// deadline still leaves a request some time.
    fn renew_failed(&mut self, answer: &Answer, now: Now) {
        let Some(held) = &self.held else { return };
        let tick = self.try_started + self.rules.retry_period;
        let Some(deadline) = held.deadlines(&self.rules).claim_until else {
            self.next_try = tick.max(now.boot);
            return;
        };
        let last = deadline - self.rules.shortest_try();
        let asked = match answer {
            Answer::Busy(Some(pause)) => Some(now.boot + *pause).filter(|end| *end <= last),
            _ => None,
        };
        // A timer that fires a little late must not cost the last try.
        let in_time = self.try_started < last && now.boot <= last + Nanos(self.rules.request_timeout.0 / 8);
        let next = asked.unwrap_or(tick.min(last)).max(now.boot);
        self.next_try = if in_time { next } else { Nanos::MAX };
    }

    fn inspect(&mut self, record: ElectionRecord, then_renew: bool, now: Now) {
        let verdict = self.held.as_ref().map(|held| held.judge(&record, &self.rules.me, &self.sent));
        if !matches!(verdict, Some(Verdict::Lost(_))) {
            self.heed(&record, now);
        }
        self.note_record(Some(record), now);
        match verdict {
            Some(Verdict::Lost(reason)) => return self.lose_by_read(reason, now),
            Some(Verdict::Acknowledges(sent)) => {
                let uid = self.held.as_mut().map(|held| {
                    held.acknowledge(&sent);
                    held.term.uid.clone()
                });
                self.own = uid.map(|uid| (uid, sent.renew_time));
            }
            _ => {}
        }
        if then_renew && self.may_renew(now) {
            self.out.notices.push(Notice::SlowPath);
            self.renew(false, now);
        }
    }

    /// A watch event may be out of date, so the elector reads the Lease before it decides.
    pub(super) fn watched_as_leader(&mut self, record: &ElectionRecord, deleted: bool, now: Now) {
        let Some(held) = &self.held else { return };
        let lost = matches!(held.judge(record, &self.rules.me, &self.sent), Verdict::Lost(_));
        let revoked = !lost && held.loss.is_none() && self.rules.asks_to_end(record);
        if (deleted || lost || revoked) && held.may_renew(&self.rules, now.boot) {
            self.send(Purpose::Inspect { then_renew: false }, LeaseRequest::Get, now);
        }
        if revoked && !deleted {
            // Even an event that is out of date is younger than the take, which emptied the nominee.
            self.lose(LossReason::Revoked, now);
        }
    }

    pub(super) fn lose(&mut self, reason: LossReason, now: Now) {
        let tick = (self.try_started + self.rules.retry_period).max(now.boot);
        if let Some(held) = self.held.as_mut().filter(|held| held.started() && held.loss.is_none()) {
            held.loss = Some(Loss { reason, at: now.boot, seen_at: None });
            self.out.notices.push(Notice::Lost(reason));
            if self.next_try == Nanos::MAX {
                self.next_try = tick;
            }
        }
    }

    fn lose_by_read(&mut self, reason: LossReason, now: Now) {
        self.lose(reason, now);
        self.next_try = Nanos::MAX;
        if let Some(loss) = self.held.as_mut().and_then(|held| held.loss.as_mut()) {
            loss.seen_at = loss.seen_at.or(Some(now.boot));
        }
    }
}
