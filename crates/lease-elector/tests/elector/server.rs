//! The testkit's API server with one Lease: a fault for each call, and watches that fall silent. It
//! shares no code with the elector.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures::stream;
use kube::Client;
use serde_json::{Value, json};
use testkit::api_server::{Answer, ApiServer, Call, Commit, Hooks, Refusal, Store, Verb};
use testkit::api_server::{answer_of, answer_of_lines, line};
use testkit::feed::Change;
use testkit::json::At;
use testkit::kind::Kind;

pub use testkit::api_server::{Fault, Reply};

use crate::clock::TestClock;

pub const NAMESPACE: &str = "foo";
pub const LEASE: &str = "bar";

/// Is shown every state of the Lease that an elector wrote.
pub type Witness = Box<dyn FnMut(&Value) + Send>;

/// Decides over every call: who sends it, and its verb.
pub type Judge = Box<dyn FnMut(usize, &'static str) -> Fault + Send>;

/// What the tests ask for, and what they learn.
#[derive(Default)]
pub struct State {
    faults: BTreeMap<(&'static str, usize), Fault>,
    always: BTreeMap<&'static str, Fault>,
    pub judge: Option<Judge>,
    pub on_commit: Option<Witness>,
    counts: BTreeMap<&'static str, usize>,
    /// Verbs of the calls about Leases, without watches.
    pub calls: Vec<&'static str>,
    /// When they came, since the start.
    pub times: Vec<Duration>,
    /// Every state of the Lease, newest last; null: none.
    pub history: Vec<Value>,
    pub events: Vec<Value>,
    /// Events are never answered.
    pub keeps_no_events: bool,
    /// The feature `CoordinatedLeaderElection`: without it `strategy` and `preferredHolder` are not
    /// stored.
    pub coordinated: bool,
    pub watch_stalled: bool,
    pub watch_refused: bool,
    pub watches: usize,
    started: Option<tokio::time::Instant>,
}

#[derive(Clone)]
pub struct Server(ApiServer<State>);

impl Server {
    pub fn new() -> Self {
        let state = State { started: Some(tokio::time::Instant::now()), ..State::default() };
        Self(ApiServer::new(Store::new(NAMESPACE, state)))
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.0.with(|store| f(&mut store.test))
    }

    /// The `nth` call (from 1) with this verb has this fault.
    pub fn fault(&self, verb: &'static str, nth: usize, fault: Fault) -> &Self {
        self.with(|state| state.faults.insert((verb, nth), fault));
        self
    }

    /// Every call with this verb has this fault, unless it has its own; none: not any more.
    pub fn always(&self, verb: &'static str, fault: Option<Fault>) -> &Self {
        self.with(|state| match fault {
            Some(fault) => state.always.insert(verb, fault),
            None => state.always.remove(verb),
        });
        self
    }

    /// Nothing gets through, or everything does again.
    pub fn outage(&self, outage: bool) {
        for verb in ["get", "create", "update"] {
            self.always(verb, outage.then(Fault::swallowed));
        }
        self.with(|state| state.watch_stalled = outage);
    }

    pub fn calls(&self) -> Vec<&'static str> {
        self.with(|state| state.calls.clone())
    }

    pub fn forget_calls(&self) {
        self.with(|state| {
            state.calls.clear();
            state.times.clear();
        });
    }

    pub fn lease(&self) -> Value {
        self.0.with(|store| store.object(Kind::Lease, LEASE)).unwrap_or_default()
    }

    pub fn holder(&self) -> String {
        self.lease().text("/spec/holderIdentity").to_owned()
    }

    pub fn transitions(&self) -> i64 {
        self.lease().number("/spec/leaseTransitions")
    }

    /// A user creates the Lease, or writes its spec, without conditions.
    pub fn put(&self, spec: Value) {
        self.0.with(|store| {
            if store.object(Kind::Lease, LEASE).is_none() {
                store.create(Kind::Lease, json!({ "metadata": { "name": LEASE }, "spec": spec }));
            } else {
                store.edit(Kind::Lease, LEASE, |lease| lease["spec"] = spec);
            }
        });
    }

    /// A user edits the Lease.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        self.0.with(|store| store.edit(Kind::Lease, LEASE, change));
    }

    pub fn delete(&self) {
        self.0.with(|store| store.delete(Kind::Lease, LEASE));
    }

    pub fn events(&self) -> Vec<String> {
        let text = |event: &Value| {
            format!("{} {} {}", event.text("/type"), event.text("/reason"), event.text("/note"))
        };
        self.with(|state| state.events.iter().map(text).collect())
    }

    /// A client. Nothing reaches it while `clock` is frozen.
    pub fn client(&self, instance: usize, clock: &TestClock) -> Client {
        let (server, clock) = (self.clone(), clock.clone());
        self.0.client_through(move |call| server.clone().answer(instance, clock.clone(), call))
    }

    async fn answer(self, instance: usize, clock: TestClock, call: Call) -> io::Result<Answer> {
        if call.kind == Kind::Event {
            if self.with(|state| state.keeps_no_events) {
                std::future::pending::<()>().await;
            }
            self.with(|state| state.events.push(call.body.clone()));
            return Ok(answer_of(http::StatusCode::CREATED, &call.body));
        }
        assert_eq!(call.kind, Kind::Lease);
        if call.verb == Verb::Watch {
            return Ok(self.watch(clock, &call).await);
        }
        assert!(["get", "create", "update"].contains(&call.verb.name()), "the elector sends {call}");
        assert_eq!((call.namespace.as_deref(), call.name.as_str()), (Some(NAMESPACE), LEASE));
        let fault = self.with(|state| state.called(instance, call.verb.name()));
        let answer = fault.reach(|| self.0.answer(&call)).await;
        clock.thawed().await;
        fault.reply(answer).await
    }

    async fn watch(&self, clock: TestClock, call: &Call) -> Answer {
        clock.thawed().await;
        let opened = self.0.with(|store| {
            store.test.watches += 1;
            if store.test.watch_refused {
                return Err(Refusal::new(503, "no watches"));
            }
            Ok(store.watch(call))
        });
        let watch = match opened {
            Ok(watch) => watch,
            Err(refusal) => return refusal.into(),
        };
        let server = self.clone();
        answer_of_lines(stream::unfold(watch, move |mut watch| {
            let (server, clock) = (server.clone(), clock.clone());
            async move {
                let event = watch.next().await?;
                while server.with(|state| state.watch_stalled) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                clock.thawed().await;
                Some((Ok(line(&event)), watch))
            }
        }))
    }

    /// An event as a watch would send it, true or not.
    pub fn publish(&self, kind: &str, object: &Value) {
        self.0.with(|store| store.publish(Kind::Lease, &json!({ "type": kind, "object": object })));
    }

    pub fn drop_watches(&self) {
        self.0.with(Store::end_watches);
    }
}

impl State {
    pub fn started_ago(&self) -> Duration {
        self.started.map_or(Duration::ZERO, |started| started.elapsed())
    }

    fn called(&mut self, instance: usize, verb: &'static str) -> Fault {
        self.calls.push(verb);
        self.times.push(self.started_ago());
        let count = self.counts.entry(verb).or_default();
        *count += 1;
        if let Some(fault) = self.faults.remove(&(verb, *count)) {
            return fault;
        }
        match &mut self.judge {
            Some(judge) => judge(instance, verb),
            None => self.always.get(verb).cloned().unwrap_or_default(),
        }
    }
}

impl Hooks for State {
    fn admit(&mut self, _: Kind, lease: &mut Value) -> Result<(), Refusal> {
        if let Some((code, message)) = invalid(lease, self.coordinated) {
            return Err(Refusal::new(code, message));
        }
        if !self.coordinated
            && let Some(spec) = lease["spec"].as_object_mut()
        {
            spec.remove("strategy");
            spec.remove("preferredHolder");
        }
        Ok(())
    }

    fn see(&mut self, commit: &Commit) {
        let is_gone = commit.change == Change::Deleted;
        self.history.push(if is_gone { Value::Null } else { commit.object.clone() });
        if let Some(witness) = self.on_commit.as_mut().filter(|_| commit.by_client) {
            witness(&commit.object);
        }
    }
}

/// What the API server's validation says.
fn invalid(lease: &Value, coordinated: bool) -> Option<(u16, &'static str)> {
    let spec = &lease["spec"];
    for time in ["acquireTime", "renewTime"] {
        let text = spec[time].as_str().unwrap_or("2026-01-01T00:00:00.000000Z");
        if text.len() != 27 || !text.ends_with('Z') || text.as_bytes()[19] != b'.' {
            return Some((400, "a time must have six decimals"));
        }
    }
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
        return Some((422, "spec.leaseDurationSeconds: must be greater than 0"));
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|transitions| transitions < 0) {
        return Some((422, "spec.leaseTransitions: must be greater than or equal to 0"));
    }
    if coordinated {
        let strategy = spec["strategy"].as_str();
        if strategy.is_some_and(|name| name != "OldestEmulationVersion" && !name.contains('/')) {
            return Some((422, "spec.strategy: unknown"));
        }
        if strategy.is_none() && !spec["preferredHolder"].is_null() {
            return Some((422, "spec.preferredHolder: needs a strategy"));
        }
    }
    None
}
