//! One client's decisions in an election on a Lease, client-go's wire format: an event and the time in, the next request
//! out.
//!
//! [`Elector::handle`] is all there is to it. It sends nothing, waits for nothing and starts nothing: it says what to
//! send, when to wake it, and what has become of the term. What it keeps, among electors with unique identities and
//! clocks whose rates differ by no more than the tolerance:
//!
//! * leadership is claimed for no longer than the renew deadline, and work runs for no longer than the lease duration
//!   less the tolerance, counted from before the newest acknowledged write was *sent*; no rival starts within the lease
//!   duration of it;
//! * every write but the creation is based on one version of one object, and one request is under way at a time;
//! * the Lease is released only when work has ended, and only as this term left it.

pub mod held_lease;
pub mod record;
pub mod rules;
pub mod time;

mod contend;
mod lead;

use held_lease::{Deadlines, HeldLease, LossReason, Sent};
use record::{ElectionRecord, FencingToken, ObservedRecord, RecordWrite};
use rules::ElectorRules;
use time::{Nanos, WallMicros};

/// What time it is, and a random number.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On this process's own clock, one that counts suspend.
    pub boot: Nanos,
    /// On the wall: only written, never compared with what another clock wrote.
    pub wall: WallMicros,
    /// Evenly spread over [0, 1).
    pub chance: f64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum ElectorEvent {
    /// The moment asked for has come.
    Wake,
    /// The request asked for has been answered.
    Answered(Answer),
    /// The watch shows the Lease.
    Watched {
        /// As it is, or was when it was deleted.
        record: ElectionRecord,
        /// It is gone.
        deleted: bool,
    },
    /// The watch works.
    WatchUp,
    /// The watch does not.
    WatchDown,
    /// Lead no more, and end.
    Stop,
    /// The enforcer has ended the claim to lead.
    Expired,
    /// Work has ended, or was aborted.
    WorkEnded,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A read found this.
    Found(ElectionRecord),
    /// A read found that there is no such Lease.
    Missing,
    /// A write was carried out and made this.
    Written(ElectionRecord),
    /// The object is not the one the write was based on: a race, or an own write whose answer got lost.
    Conflict,
    /// Rights or configuration: only people can help.
    Refused,
    /// Come back later.
    Busy(Option<Nanos>),
    /// No answer in time: carried out, or not, or not yet.
    TimedOut,
    /// A failure half-way: carried out, or not.
    Unknown,
}

/// One request about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRequest {
    /// Read it, the newest version.
    Get,
    /// Create it.
    Create(RecordWrite),
    /// Replace it, as it was at this version, with this UID.
    Update {
        /// The version that the write is based on.
        on: String,
        /// What to write.
        write: RecordWrite,
    },
}

/// What has become of the term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The Lease names somebody else than before; empty: nobody.
    NewHolder(String),
    /// This process leads: start work.
    Started(FencingToken),
    /// It does not any more: work is to drain.
    Lost(LossReason),
    /// Work has ended.
    WorkEnded,
    /// The Lease was given back.
    Released,
    /// The term is over.
    Stopped,
    /// A renewal needed a read.
    SlowPath,
}

/// Why an elector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to.
    Stopped,
    /// Work ended by itself.
    WorkEnded,
    /// The term was lost, and only one was asked for.
    Lost(LossReason),
}

/// What to do now.
#[derive(Clone, Debug, Default)]
pub struct Reaction {
    /// Send this, and wait no longer for the answer than until that moment.
    pub send: Option<(LeaseRequest, Nanos)>,
    /// What has happened, in order.
    pub notes: Vec<Notice>,
    /// When to come back, unless something happens before.
    pub wake_at: Nanos,
    /// Nothing more will happen.
    pub ended: Option<Ending>,
}

/// What the request under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Contend,
    Acquire,
    Renew { fast: bool },
    Inspect { then_renew: bool },
    Verify,
    Release,
}

/// Conflicts in one try before it waits for the next.
const CONFLICTS: u32 = 3;

/// The state of one elector.
#[derive(Clone, Debug)]
pub struct Elector {
    policy: ElectorRules,
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
    /// How long to wait for an answer where no deadline says so.
    patience: Nanos,
    watching: bool,
    stopping: bool,
    /// Until when a stop waits to learn what became of an acquiring write without an answer.
    settle_until: Option<Nanos>,
    out: Reaction,
}

impl Elector {
    /// Knows nothing yet; its first step is a look.
    #[must_use]
    pub fn new(policy: ElectorRules) -> Self {
        Self::with_observed(policy, ObservedRecord::default())
    }

    /// Knows what `sight` says.
    #[must_use]
    pub fn with_observed(policy: ElectorRules, sight: ObservedRecord) -> Self {
        Self {
            patience: policy.request_timeout,
            policy,
            reported: sight.holder().to_owned(),
            observed: sight,
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
            settle_until: None,
            out: Reaction::default(),
        }
    }

    /// The Lease as seen from here.
    #[must_use]
    pub const fn observed(&self) -> &ObservedRecord {
        &self.observed
    }

    /// The Lease is as this process wrote it.
    #[must_use]
    pub fn shows_own_write(&self) -> bool {
        self.observed.record.as_ref().is_some_and(|record| self.wrote(record))
    }

    /// As a candidate it was refused what it tried last.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        self.refusals > 0
    }

    /// Until when what holds in the present term, while work has not ended.
    #[must_use]
    pub fn deadlines(&self) -> Option<Deadlines> {
        let open = self.held.as_ref().filter(|tenure| tenure.is_open())?;
        Some(open.limits(&self.policy))
    }

    /// The one step: what `event` makes of the state, and what follows.
    pub fn handle(&mut self, event: ElectorEvent, now: Now) -> Reaction {
        if self.deadlines().and_then(|limits| limits.claim_until).is_some_and(|until| now.boot >= until) {
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
            self.patience = self.policy.patience(now.boot.since(self.asked_at));
        }
        match purpose {
            Purpose::Contend => match answer {
                Answer::Found(record) => self.looked(&record, now),
                Answer::Missing => {
                    self.observe(None, now);
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
            purpose => self.answered_leader(purpose, answer, now),
        }
    }

    fn note_sent(&mut self, write: &RecordWrite, now: Now) {
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

    /// What follows once no request is under way.
    fn proceed(&mut self, now: Now) {
        if self.pending.is_some() || self.out.ended.is_some() {
            return;
        }
        if self.held.as_ref().is_some_and(|tenure| !tenure.is_open()) {
            self.wind_up(now);
        } else if self.held.is_none() && self.stopping {
            // A write without an answer may have made this process the holder: nobody else would give that back.
            let unanswered = self.sent.iter().any(|sent| sent.acquires);
            let until = *self.settle_until.get_or_insert(now.boot + self.release_patience());
            if !unanswered || !self.policy.release_on_stop || now.boot >= until {
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

    /// For how long a stop tries to give the Lease back: one failed request, or slow one, must not cost the others a whole
    /// lease duration.
    fn release_patience(&self) -> Nanos {
        // A read and a write, also where each is slow.
        self.policy.request_timeout.times(3.0).max(self.patience.times(2.0))
    }

    fn observe(&mut self, record: Option<ElectionRecord>, now: Now) -> bool {
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

    fn send(&mut self, purpose: Purpose, request: LeaseRequest, now: Now) {
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
}
