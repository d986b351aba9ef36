//! The loop around [`Elector::handle`]: sends the requests, waits until the wake-up, publishes the
//! notices.

use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::active_term::ActiveTerm;
use super::decisions::loss::LossReason;
use super::decisions::time::Nanos;
use super::decisions::{Answer, Elector, ElectorEvent, Ending, LeaseRequest, Notice, Now, Reaction};
use super::events::EventRecorder;
use super::inbox::Input;
use super::jitter::Jitter;
use super::lease_client::{Failure, LeaseClient, Reply, read_record};
use super::term_keeper::TermKeeper;

/// Called with every [`Notice`], in order.
pub(super) type Observer = Box<dyn FnMut(&Notice) + Send>;

pub(super) struct Driver {
    pub(super) core: Elector,
    pub(super) lease: LeaseClient,
    pub(super) keeper: Arc<TermKeeper>,
    pub(super) inbox: UnboundedReceiver<Input>,
    pub(super) terms: UnboundedSender<ActiveTerm>,
    pub(super) events: EventRecorder,
    pub(super) observer: Option<Observer>,
    pub(super) jitter: Jitter,
    /// The time spent in suspend, as of the last renewal: by how much the clock that counts suspend
    /// is ahead of the other.
    pub(super) suspended_before: Nanos,
    /// Why no nomination can come, as it was told last.
    pub(super) no_nomination: Option<&'static str>,
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
        let mut reaction = self.core.handle(ElectorEvent::Wake, now);
        loop {
            if let Some((request, until)) = reaction.send.take() {
                flight = Some(self.send(request, until));
            }
            self.show(&reaction);
            if let Some(ending) = reaction.ended {
                self.events.flush().await;
                return ending;
            }
            let event = self.next_event(&mut flight, reaction.wake_at).await;
            let now = self.now();
            let looked = matches!(event, Some(ElectorEvent::Answered(Answer::Found(_))));
            reaction = event.map_or_else(
                || Reaction { wake_at: reaction.wake_at, ..Reaction::default() },
                |event| self.core.handle(event, now),
            );
            // A read worked, and there is nothing to write: the request that was refused is no
            // longer needed.
            if looked && reaction.send.is_none() && self.core.deadlines().is_none() && !self.core.is_refused()
            {
                self.clear_trouble();
            }
        }
    }

    fn now(&mut self) -> Now {
        let clock = &self.keeper.clock;
        Now { boot: clock.boot(), wall: clock.wall(), jitter: self.jitter.next() }
    }

    fn send(&self, request: LeaseRequest, until: Nanos) -> InFlight {
        let (reply, clock) = (self.lease.send(&request), self.keeper.clock.clone());
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
            input = self.inbox.recv() => self.event_of(input?),
            reply = answered => {
                let flight = flight.take()?;
                Some(ElectorEvent::Answered(self.answer_of(&flight, reply)))
            }
            () = self.keeper.clock.sleep_until(wake_at) => Some(ElectorEvent::Wake),
        }
    }

    fn event_of(&mut self, input: Input) -> Option<ElectorEvent> {
        match input {
            Input::Event(event) => Some(event),
            Input::Expired(state) => {
                let current = self.keeper.state().is_some_and(|now| Arc::ptr_eq(&now, &state));
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

    fn answer_of(&mut self, flight: &InFlight, reply: Result<Reply, Failure>) -> Answer {
        let (answer, failure) = self.lease.take(&flight.request, reply);
        let (name, metrics) = (&self.keeper.config.name, &self.keeper.metrics);
        if let Some(failure) = &failure {
            metrics.failed(name, failure.class);
        }
        self.report_refusal(&answer, failure.as_ref());
        let (clock, state) = (&self.keeper.clock, self.keeper.state());
        if let (Some(state), LeaseRequest::Update { .. }) = (state, &flight.request) {
            let result = failure.map_or("ok", |failure| failure.class);
            let now = clock.boot();
            let left = state.claim_until().map_or(Nanos(0), |until| until.since(now));
            metrics.renewed(name, result, seconds(now.since(flight.sent_at)), seconds(left));
        }
        answer
    }

    /// Reports a problem that only a person can resolve once, and not at every try.
    fn report_refusal(&self, answer: &Answer, failure: Option<&Failure>) {
        let lease = &self.lease;
        match (answer, failure) {
            (Answer::Refused, Some(Failure { class, message })) => {
                let news = self.keeper.view.send_if_modified(|view| view.set_trouble(Some(*class)));
                if news {
                    tracing::error!(
                        %lease, answer = %message, "the API server refuses requests about the Lease"
                    );
                    self.events.warning("LeaseRefused", "", message);
                }
            }
            (Answer::Written(_), _) => self.clear_trouble(),
            (_, Some(Failure { class, message })) => {
                tracing::debug!(%lease, class, answer = %message, "a request about the Lease failed");
            }
            _ => {}
        }
    }

    /// Reports once that the Lease is none that an operator nominates in.
    fn report_no_nomination(&mut self) {
        let observed = self.core.observed();
        if !self.core.rules().by_nominee() || !observed.looked {
            return;
        }
        let why = match &observed.record {
            None => Some("it does not exist"),
            Some(record) if record.nomination.is_none() => Some("it has no nominee"),
            Some(_) => None,
        };
        if why != self.no_nomination
            && let Some(why) = why
        {
            let lease = &self.lease;
            tracing::warn!(
                "the Lease {lease} is not one of mode Nominated: {why}; \
                 waiting until the operator makes it one"
            );
        }
        self.no_nomination = why;
    }

    fn clear_trouble(&self) {
        self.keeper.view.send_if_modified(|view| view.set_trouble(None));
    }

    fn show(&mut self, reaction: &Reaction) {
        if let Some(deadlines) = self.core.deadlines() {
            let before = self.keeper.state().map(|state| state.since());
            self.keeper.set(deadlines);
            if before.is_some_and(|before| before != deadlines.since) {
                self.suspended_before = self.suspend_so_far();
            }
        }
        self.report_no_nomination();
        let (observed, own) = (self.core.observed(), self.core.shows_own_write());
        self.keeper.view.send_if_modified(|view| view.see(observed, own));
        for notice in &reaction.notices {
            self.report(notice);
            if let Some(observer) = &mut self.observer {
                observer(notice);
            }
        }
    }

    fn report(&mut self, notice: &Notice) {
        let lease = &self.lease;
        let uid = self.keeper.state().map(|state| state.term.uid.clone());
        let uid = uid.or_else(|| self.core.observed().record.as_ref().map(|record| record.uid.clone()));
        let uid = uid.unwrap_or_default();
        let (config, metrics) = (&self.keeper.config, &self.keeper.metrics);
        let identity = &config.identity;
        match notice {
            Notice::NewHolder(holder) => {
                metrics.new_holder(&config.name);
                tracing::info!(%lease, holder, "new holder");
            }
            Notice::Started(token) => {
                let Some(deadlines) = self.core.deadlines() else { return };
                self.suspended_before = self.suspend_so_far();
                let state = self.keeper.open(token.clone(), deadlines);
                let active_term = ActiveTerm {
                    state,
                    identity: identity.as_str().into(),
                    namespace: config.namespace.as_str().into(),
                    name: config.name.as_str().into(),
                    number: token.nomination,
                };
                let _ = self.terms.send(active_term);
                tracing::info!(%lease, identity, transitions = token.transitions, "became leader");
                self.events.normal(&uid, &format!("{identity} became leader"));
            }
            Notice::Lost(reason) => {
                metrics.lost(&config.name, reason.as_str());
                let suspended_seconds = seconds(self.suspend_so_far().since(self.suspended_before));
                tracing::info!(%lease, reason = reason.as_str(), suspended_seconds, "leads no more");
                if *reason == LossReason::Usurped && self.core.rules().by_nominee() {
                    tracing::warn!(
                        "the Lease {lease} was cleared although it had been renewed in time: a user edited it, or \
                         the clock here, or that of the operator, runs more than 1 % too fast or too slow"
                    );
                }
                if reason.is_problem() {
                    let text = format!("{identity} lost leadership: {}", reason.as_str());
                    self.events.warning("LeadershipLost", &uid, &text);
                }
            }
            Notice::WorkEnded => self.keeper.end_term(),
            Notice::Released => tracing::info!(%lease, "released"),
            Notice::Stopped => self.events.normal(&uid, &format!("{identity} stopped leading")),
            Notice::SlowPath => metrics.slow_path(&config.name),
        }
    }

    fn suspend_so_far(&self) -> Nanos {
        self.keeper.clock.boot().since(self.keeper.clock.monotonic())
    }
}

fn seconds(span: Nanos) -> f64 {
    std::time::Duration::from(span).as_secs_f64()
}
