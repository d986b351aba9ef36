//! The decisions of one client in an election on a Lease with client-go's wire format. An event and
//! the time go in, the next request comes out.
//!
//! [`Elector::handle`] is the only entry. It sends nothing, waits for nothing and starts nothing.
//! It says which request to send, when to call it again, and what has become of the term.
//!
//! It keeps three promises. They hold among electors with unique identities, whose clocks differ in
//! rate by no more than the tolerance:
//!
//! * Leadership is claimed for no longer than the renew deadline. Work runs for no longer than the
//!   lease duration less the tolerance. Both count from before the newest acknowledged write was
//!   *sent*, and no rival starts within the lease duration of it.
//! * Every write except the creation is based on one version of one object. One request is under
//!   way at a time.
//! * The Lease is released only when work has ended, and only if it is as this term left it.

pub mod held_lease;
pub mod loss;
pub mod nominee;
pub mod record;
pub mod rules;
pub mod time;

mod contend;
mod lead;
mod messages;
mod requests;
mod wind_up;

pub use messages::{Answer, ElectorEvent, Ending, LeaseRequest, Notice, Now, Reaction};

use held_lease::{HeldLease, Sent};
use loss::{Deadlines, LossReason};
use record::{ElectionRecord, ObservedRecord};
use requests::Purpose;
use rules::ElectorRules;
use time::{Nanos, WallMicros};

/// How many conflicts one try may meet before the elector waits for the next try.
const CONFLICTS: u32 = 3;

/// The state of one elector.
#[derive(Clone, Debug)]
pub struct Elector {
    rules: ElectorRules,
    observed: ObservedRecord,
    held: Option<HeldLease>,
    sent: Vec<Sent>,
    /// UID and `renewTime` of the newest acknowledged write of this process.
    own: Option<(String, WallMicros)>,
    pending: Option<Purpose>,
    deferred: Option<(ElectionRecord, bool)>,
    reported: String,
    conflicts: u32,
    refusals: u32,
    try_started: Nanos,
    next_try: Nanos,
    asked_at: Nanos,
    /// How long to wait for an answer when no deadline bounds the wait.
    patience: Nanos,
    watching: bool,
    stopping: bool,
    /// UID and transitions of a term whose work may have gone on past the end of the Lease.
    abandoned: Option<(String, i32)>,
    /// A stop waits until then to learn the fate of an acquiring write that has no answer.
    settle_until: Option<Nanos>,
    out: Reaction,
}

impl Elector {
    /// An elector that knows nothing yet: its first request reads the Lease.
    #[must_use]
    pub fn new(rules: ElectorRules) -> Self {
        Self::with_observed(rules, ObservedRecord::default())
    }

    /// An elector that starts from what `observed` says.
    #[must_use]
    pub fn with_observed(rules: ElectorRules, observed: ObservedRecord) -> Self {
        Self {
            patience: rules.request_timeout,
            rules,
            reported: observed.holder().to_owned(),
            observed,
            held: None,
            sent: Vec::new(),
            own: None,
            pending: None,
            deferred: None,
            conflicts: 0,
            refusals: 0,
            try_started: Nanos(0),
            next_try: Nanos(0),
            asked_at: Nanos(0),
            watching: false,
            stopping: false,
            abandoned: None,
            settle_until: None,
            out: Reaction::default(),
        }
    }

    /// The Lease as this process last saw it.
    #[must_use]
    pub const fn observed(&self) -> &ObservedRecord {
        &self.observed
    }

    /// Whether the Lease is as this process wrote it.
    #[must_use]
    pub fn shows_own_write(&self) -> bool {
        self.observed.record.as_ref().is_some_and(|record| self.wrote(record))
    }

    /// Whether the API server refused the last try of this candidate.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.refusals > 0
    }

    /// The deadlines of the present term; none once work has ended.
    #[must_use]
    pub fn deadlines(&self) -> Option<Deadlines> {
        let open = self.held.as_ref().filter(|held| held.is_open())?;
        Some(open.deadlines(&self.rules))
    }

    /// The `renewTime` of the newest acknowledged write of the present term, for tests and logs.
    #[must_use]
    pub fn confirmed(&self) -> Option<WallMicros> {
        self.held.as_ref().map(|held| held.confirmed)
    }

    /// The rules that it decides by.
    #[must_use]
    pub const fn rules(&self) -> &ElectorRules {
        &self.rules
    }

    /// The one step: takes `event` into the state, and returns what to do next.
    pub fn handle(&mut self, event: ElectorEvent, now: Now) -> Reaction {
        if self.deadlines().and_then(|deadlines| deadlines.claim_until).is_some_and(|until| now.boot >= until)
        {
            self.lose(LossReason::Deadline, now);
        }
        match event {
            ElectorEvent::Wake => self.wake(now),
            ElectorEvent::Answered(answer) => self.answered(answer, now),
            ElectorEvent::Watched { record, deleted } => self.watched(record, deleted, now),
            ElectorEvent::WatchUp => self.watching = true,
            ElectorEvent::WatchDown => self.watch_down(now),
            ElectorEvent::Stop => self.stop(now),
            ElectorEvent::Expired => self.lose(LossReason::Deadline, now),
            ElectorEvent::WorkEnded => self.work_ended(now),
        }
        self.proceed(now);
        let wake_at = if self.pending.is_some() { Nanos::MAX } else { self.next_try };
        Reaction { wake_at, ..std::mem::take(&mut self.out) }
    }

    fn wake(&mut self, now: Now) {
        if self.pending.is_some() || now.boot < self.next_try || self.stopping && self.held.is_none() {
            return;
        }
        self.try_started = now.boot;
        self.conflicts = 0;
        if self.held.is_some() {
            self.renew(true, now);
        } else {
            self.send(Purpose::Contend, LeaseRequest::Get, now);
        }
    }

    fn answered(&mut self, answer: Answer, now: Now) {
        let Some(purpose) = self.pending.take() else { return };
        if answer != Answer::Unknown {
            self.patience = self.rules.patience(now.boot.since(self.asked_at));
        }
        match purpose {
            Purpose::Contend => match answer {
                Answer::Found(record) => self.read_found(&record, now),
                Answer::Missing => {
                    self.note_record(None, now);
                    self.contend(true, now);
                }
                other => self.contend_failed(&other, now),
            },
            Purpose::Acquire => match answer {
                Answer::Written(record) => self.acquired(&record, now),
                Answer::Conflict if self.conflicts < CONFLICTS => {
                    self.conflicts += 1;
                    self.send(Purpose::Contend, LeaseRequest::Get, now);
                }
                other => self.contend_failed(&other, now),
            },
            Purpose::Vacate => self.answered_vacate(answer, now),
            purpose => self.answered_leader(purpose, answer, now),
        }
    }

    fn watched(&mut self, record: ElectionRecord, deleted: bool, now: Now) {
        self.watching = true;
        if self.pending.is_some() {
            self.deferred = Some((record, deleted));
            return;
        }
        if self.stopping && self.held.is_none() || !self.observed.is_newer(&record.version) {
            return;
        }
        if self.held.is_some() {
            self.watched_as_leader(&record, deleted, now);
        } else {
            self.watched_as_candidate(record, deleted, now);
        }
    }

    fn stop(&mut self, now: Now) {
        self.stopping = true;
        if self.held.is_none() {
            self.next_try = now.boot;
        }
        self.lose(LossReason::Stopped, now);
    }

    /// What follows when no request is under way.
    fn proceed(&mut self, now: Now) {
        if self.pending.is_some() || self.out.ended.is_some() {
            return;
        }
        if self.held.as_ref().is_some_and(|held| !held.is_open()) {
            self.wind_up(now);
        } else if self.held.is_none() && self.stopping {
            // An acquiring write without an answer may have been carried out. Only this process
            // would then give the Lease back.
            let unanswered = self.sent.iter().any(|sent| sent.acquires) || self.to_vacate().is_some();
            let until = *self.settle_until.get_or_insert(now.boot + self.release_patience());
            if !unanswered || !self.rules.release_on_stop || now.boot >= until {
                self.out.ended = Some(Ending::Stopped);
            } else if now.boot >= self.next_try {
                self.send(Purpose::Contend, LeaseRequest::Get, now);
            } else {
                self.next_try = self.next_try.min(until);
            }
        } else if let Some((record, deleted)) = self.deferred.take() {
            self.watched(record, deleted, now);
        }
    }
}
