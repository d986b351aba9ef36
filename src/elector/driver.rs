//! The loop around [`Elector::handle`]: sends what it asks for, waits as long as it says, tells what it notes.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::active_term::{ActiveTerm, TermState};
use super::decisions::time::Nanos;
use super::decisions::{Answer, Elector, ElectorEvent, Ending, LeaseRequest, Notice, Now, Reaction};
use super::events::LeaseEvents;
use super::lease_client::{Failure, LeaseClient, Reply, read_record};
use super::term_keeper::TermKeeper;

/// What comes to the loop from outside.
#[derive(Debug)]
pub(super) enum Input {
    Event(ElectorEvent),
    Watched { lease: Value, deleted: bool },
    Expired(Arc<TermState>),
}

/// Called with every [`Note`], in order.
pub(super) type Observer = Box<dyn FnMut(&Notice) + Send>;

pub(super) struct Driver {
    pub(super) core: Elector,
    pub(super) lease: LeaseClient,
    pub(super) shared: Arc<TermKeeper>,
    pub(super) inbox: UnboundedReceiver<Input>,
    pub(super) terms: UnboundedSender<ActiveTerm>,
    pub(super) events: LeaseEvents,
    pub(super) observer: Option<Observer>,
    pub(super) chance: Jitter,
    /// How far the clock that counts suspend was ahead of the other when the Lease was last renewed.
    pub(super) ahead: Nanos,
}

struct InFlight {
    request: LeaseRequest,
    sent_at: Nanos,
    reply: Pin<Box<dyn Future<Output = Result<Reply, Failure>> + Send>>,
}

impl Driver {
    pub(super) async fn run(mut self) -> Ending {
        let mut flight: Option<InFlight> = None;
        let now = self.now();
        let mut step = self.core.handle(ElectorEvent::Wake, now);
        loop {
            if let Some((request, until)) = step.send.take() {
                flight = Some(self.launch(request, until));
            }
            self.tell(&step);
            if let Some(ending) = step.ended {
                self.events.flush().await;
                return ending;
            }
            let event = self.next_event(&mut flight, step.wake_at).await;
            let now = self.now();
            let looked = matches!(event, Some(ElectorEvent::Answered(Answer::Found(_))));
            step = event.map_or_else(
                || Reaction { wake_at: step.wake_at, ..Reaction::default() },
                |event| self.core.handle(event, now),
            );
            // A read worked, and there is nothing to write: what was refused before is not wanted any more.
            if looked && step.send.is_none() && self.core.deadlines().is_none() && !self.core.is_refused() {
                self.trouble_is_over();
            }
        }
    }

    fn now(&mut self) -> Now {
        let clock = &self.shared.clock;
        Now { boot: clock.boot(), wall: clock.wall(), chance: self.chance.next() }
    }

    fn launch(&self, request: LeaseRequest, until: Nanos) -> InFlight {
        let (reply, clock) = (self.lease.send(&request), self.shared.clock.clone());
        let sent_at = clock.boot();
        let reply = async move {
            tokio::select! {
                biased;
                reply = reply => reply,
                () = clock.sleep_until(until) => Err(Failure::no_answer()),
            }
        };
        InFlight { request, sent_at, reply: Box::pin(reply) }
    }

    async fn next_event(&mut self, flight: &mut Option<InFlight>, wake_at: Nanos) -> Option<ElectorEvent> {
        let answered = async {
            match flight.as_mut() {
                Some(flight) => flight.reply.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            input = self.inbox.recv() => self.came_in(input?),
            reply = answered => {
                let flight = flight.take()?;
                Some(ElectorEvent::Answered(self.landed(&flight, reply)))
            }
            () = self.shared.clock.sleep_until(wake_at) => Some(ElectorEvent::Wake),
        }
    }

    fn came_in(&mut self, input: Input) -> Option<ElectorEvent> {
        match input {
            Input::Event(event) => Some(event),
            Input::Expired(claim) => {
                let current = self.shared.claim().is_some_and(|now| Arc::ptr_eq(&now, &claim));
                current.then_some(ElectorEvent::Expired)
            }
            Input::Watched { lease, deleted } => {
                let record = read_record(&lease)?;
                if self.core.observed().is_newer(&record.version) {
                    self.lease.watched(lease);
                }
                Some(ElectorEvent::Watched { record, deleted })
            }
        }
    }

    fn landed(&mut self, flight: &InFlight, reply: Result<Reply, Failure>) -> Answer {
        let (answer, failure) = self.lease.take(&flight.request, reply);
        let (name, metrics) = (&self.shared.config.name, &self.shared.metrics);
        if let Some(failure) = &failure {
            metrics.failed(name, failure.class);
        }
        self.surface(&answer, failure.as_ref());
        let (clock, claim) = (&self.shared.clock, self.shared.claim());
        if let (Some(claim), LeaseRequest::Update { .. }) = (claim, &flight.request) {
            let result = failure.map_or("ok", |failure| failure.class);
            let now = clock.boot();
            let left = claim.claim_until().map_or(Nanos(0), |until| until.since(now));
            metrics.renewed(name, result, seconds(now.since(flight.sent_at)), seconds(left));
        }
        answer
    }

    /// What only people can help with is told once, not at every try.
    fn surface(&self, answer: &Answer, failure: Option<&Failure>) {
        let lease = &self.lease;
        match (answer, failure) {
            (Answer::Refused, Some(Failure { class, message })) => {
                let news = self.shared.state.send_if_modified(|state| state.set_trouble(Some(*class)));
                if news {
                    tracing::error!(%lease, answer = %message, "the API server refuses requests about the Lease");
                    self.events.warning("LeaseRefused", "", message);
                }
            }
            (Answer::Written(_), _) => self.trouble_is_over(),
            (_, Some(Failure { class, message })) => {
                tracing::debug!(%lease, class, answer = %message, "a request about the Lease failed");
            }
            _ => {}
        }
    }

    fn trouble_is_over(&self) {
        self.shared.state.send_if_modified(|state| state.set_trouble(None));
    }

    fn tell(&mut self, step: &Reaction) {
        if let Some(limits) = self.core.deadlines() {
            let before = self.shared.claim().map(|claim| claim.since());
            self.shared.set(limits);
            if before.is_some_and(|before| before != limits.since) {
                self.ahead = self.ahead_now();
            }
        }
        let (sight, own) = (self.core.observed(), self.core.shows_own_write());
        self.shared.state.send_if_modified(|state| state.see(sight, own));
        for note in &step.notes {
            self.note(note);
            if let Some(observer) = &mut self.observer {
                observer(note);
            }
        }
    }

    fn note(&mut self, note: &Notice) {
        let lease = &self.lease;
        let uid = self.shared.claim().map(|claim| claim.term.uid.clone());
        let uid = uid.or_else(|| self.core.observed().record.as_ref().map(|record| record.uid.clone()));
        let uid = uid.unwrap_or_default();
        let (config, metrics) = (&self.shared.config, &self.shared.metrics);
        let identity = &config.identity;
        match note {
            Notice::NewHolder(holder) => {
                metrics.new_holder(&config.name);
                tracing::info!(%lease, holder, "new holder");
            }
            Notice::Started(term) => {
                let Some(limits) = self.core.deadlines() else { return };
                self.ahead = self.ahead_now();
                let claim = self.shared.open(term.clone(), limits);
                let guard = ActiveTerm {
                    state: claim,
                    identity: identity.as_str().into(),
                    namespace: config.namespace.as_str().into(),
                    name: config.name.as_str().into(),
                    number: None,
                };
                let _ = self.terms.send(guard);
                tracing::info!(%lease, identity, transitions = term.transitions, "became leader");
                self.events.normal(&uid, &format!("{identity} became leader"));
            }
            Notice::Lost(reason) => {
                metrics.lost(&config.name, reason.as_str());
                let suspended_seconds = seconds(self.ahead_now().since(self.ahead));
                tracing::info!(%lease, reason = reason.as_str(), suspended_seconds, "leads no more");
                if reason.is_trouble() {
                    let text = format!("{identity} lost leadership: {}", reason.as_str());
                    self.events.warning("LeadershipLost", &uid, &text);
                }
            }
            Notice::WorkEnded => self.shared.end_claim(),
            Notice::Released => tracing::info!(%lease, "released"),
            Notice::Stopped => self.events.normal(&uid, &format!("{identity} stopped leading")),
            Notice::SlowPath => metrics.slow_path(&config.name),
        }
    }

    fn ahead_now(&self) -> Nanos {
        self.shared.clock.boot().since(self.shared.clock.monotonic())
    }
}

fn seconds(span: Nanos) -> f64 {
    std::time::Duration::from(span).as_secs_f64()
}

/// Numbers that differ between electors, so that those that failed together do not come back together.
#[derive(Debug)]
pub(super) struct Jitter {
    salt: DefaultHasher,
    count: u64,
}

impl Jitter {
    pub(super) fn new(whom: &impl Hash) -> Self {
        let mut salt = DefaultHasher::new();
        whom.hash(&mut salt);
        Self { salt, count: 0 }
    }

    /// In [0, 1).
    pub(super) fn next(&mut self) -> f64 {
        self.count = self.count.wrapping_add(1);
        self.salt.write_u64(self.count);
        let fraction = u32::try_from(self.salt.finish() >> 32).unwrap_or_default();
        f64::from(fraction) / (f64::from(u32::MAX) + 1.0)
    }
}
