//! An API server for Leases in the process: compare-and-swap on version and UID, create-on-update, the refusals of the
//! real one, watches, and a fault for each call. It shares no code with the elector.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::clock::TestClock;

pub const NAMESPACE: &str = "foo";
pub const LEASE: &str = "bar";

pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What becomes of one call.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Before it is carried out.
    pub before: Duration,
    /// Before it is answered.
    pub after: Duration,
    pub carry_out: bool,
    pub reply: Reply,
    /// Not carried out before this is notified.
    pub gate: Option<Arc<Notify>>,
}

#[derive(Clone, Debug)]
pub enum Reply {
    True,
    Status(u16),
    /// With `Retry-After` in seconds.
    Busy(u16, u64),
    Reset,
    Never,
    /// The headers come, the body does not.
    NoBody,
}

impl Default for Fault {
    fn default() -> Self {
        Self {
            before: Duration::ZERO,
            after: Duration::ZERO,
            carry_out: true,
            reply: Reply::True,
            gate: None,
        }
    }
}

impl Fault {
    pub fn refuse(code: u16) -> Self {
        Self { carry_out: false, reply: Reply::Status(code), ..Self::default() }
    }

    pub fn busy(code: u16, seconds: u64) -> Self {
        Self { carry_out: false, reply: Reply::Busy(code, seconds), ..Self::default() }
    }

    pub fn commit_then(code: u16) -> Self {
        Self { reply: Reply::Status(code), ..Self::default() }
    }

    pub fn lost_answer() -> Self {
        Self { reply: Reply::Never, ..Self::default() }
    }

    pub fn swallowed() -> Self {
        Self { carry_out: false, reply: Reply::Never, ..Self::default() }
    }

    pub fn reset() -> Self {
        Self { carry_out: false, reply: Reply::Reset, ..Self::default() }
    }

    pub fn slow_reply(after: Duration) -> Self {
        Self { after, ..Self::default() }
    }

    pub fn slow_request(before: Duration) -> Self {
        Self { before, ..Self::default() }
    }

    pub fn gated(gate: &Arc<Notify>) -> Self {
        Self { gate: Some(gate.clone()), ..Self::default() }
    }

    pub fn gated_reset(gate: &Arc<Notify>) -> Self {
        Self { gate: Some(gate.clone()), ..Self::reset() }
    }
}

/// Is shown every state of the Lease that an elector wrote.
pub type Witness = Box<dyn FnMut(&Value) + Send>;

/// Decides over every call: who sends it, and its verb.
pub type Judge = Box<dyn FnMut(usize, &'static str) -> Fault + Send>;

#[derive(Default)]
pub struct State {
    version: u64,
    serial: u64,
    lease: Option<Value>,
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
    /// The feature `CoordinatedLeaderElection`: without it `strategy` and `preferredHolder` are not stored.
    pub coordinated: bool,
    watchers: Vec<mpsc::UnboundedSender<Value>>,
    pub watch_stalled: bool,
    pub watch_refused: bool,
    pub watches: usize,
    started: Option<tokio::time::Instant>,
}

#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<State>>);

impl Server {
    pub fn new() -> Self {
        let server = Self::default();
        server.with(|state| {
            state.version = 100;
            state.started = Some(tokio::time::Instant::now());
        });
        server
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap())
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
        self.with(|state| state.lease.clone().unwrap_or_default())
    }

    pub fn holder(&self) -> String {
        self.lease()["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    pub fn transitions(&self) -> i64 {
        self.lease()["spec"]["leaseTransitions"].as_i64().unwrap_or_default()
    }

    /// Somebody creates the Lease, or writes its spec, without conditions.
    pub fn put(&self, spec: Value) {
        self.with(|state| {
            let mut lease = state.lease.clone().unwrap_or_else(|| json!({ "metadata": { "name": LEASE } }));
            lease["spec"] = spec;
            state.commit(lease);
        });
    }

    /// Somebody edits the Lease.
    pub fn edit(&self, change: impl FnOnce(&mut Value)) {
        self.with(|state| {
            if let Some(mut lease) = state.lease.clone() {
                change(&mut lease);
                state.commit(lease);
            }
        });
    }

    pub fn delete(&self) {
        self.with(State::delete);
    }

    pub fn events(&self) -> Vec<String> {
        let text = |event: &Value| {
            let part = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", part("type"), part("reason"), part("note"))
        };
        self.with(|state| state.events.iter().map(text).collect())
    }

    /// A client; what it sends is carried out even if it stops waiting. Nothing reaches it while `clock` is frozen.
    pub fn client(&self, instance: usize, clock: &TestClock) -> Client {
        let (server, clock) = (self.clone(), clock.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, clock) = (server.clone(), clock.clone());
            async move { tokio::spawn(server.answer(instance, clock, request)).await.unwrap() }
        });
        Client::new(service, NAMESPACE)
    }

    async fn answer(
        self,
        instance: usize,
        clock: TestClock,
        request: Request<Body>,
    ) -> Result<Answer, std::io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path();
        if path.contains("/events") {
            if self.with(|state| state.keeps_no_events) {
                std::future::pending::<()>().await;
            }
            let event = serde_json::from_slice(&body).unwrap();
            self.with(|state| state.events.push(event));
            return Ok(respond(201, &json!({})));
        }
        let query = parts.uri.query().unwrap_or_default();
        if query.contains("watch=true") {
            return self.watch(clock).await;
        }
        let verb = match parts.method {
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            _ => panic!("the elector sends {}", parts.method),
        };
        let fault = self.with(|state| state.called(instance, verb));
        if let Some(gate) = &fault.gate {
            gate.notified().await;
        }
        pause(fault.before).await;
        let answer = if fault.carry_out {
            self.with(|state| state.carry_out(verb, path, &body))
        } else {
            respond(200, &json!({}))
        };
        pause(fault.after).await;
        clock.thawed().await;
        match fault.reply {
            Reply::True => Ok(answer),
            Reply::Status(code) => Ok(failure(code, "injected")),
            Reply::Busy(code, seconds) => {
                let mut answer = failure(code, "injected");
                answer.headers_mut().insert("retry-after", seconds.into());
                Ok(answer)
            }
            Reply::Reset => Err(std::io::ErrorKind::ConnectionReset.into()),
            Reply::Never => std::future::pending().await,
            Reply::NoBody => Ok(Response::new(StreamBody::new(stream::pending().boxed()).boxed_unsync())),
        }
    }

    async fn watch(&self, clock: TestClock) -> Result<Answer, std::io::Error> {
        clock.thawed().await;
        let (sender, receiver) = mpsc::unbounded_channel();
        let refused = self.with(|state| {
            state.watches += 1;
            if let Some(lease) = &state.lease {
                let _ = sender.send(json!({ "type": "ADDED", "object": lease }));
            }
            if !state.watch_refused {
                state.watchers.push(sender);
            }
            state.watch_refused
        });
        if refused {
            return Ok(failure(503, "no watches"));
        }
        Ok(self.stream(clock, receiver))
    }

    fn stream(&self, clock: TestClock, receiver: mpsc::UnboundedReceiver<Value>) -> Answer {
        let server = self.clone();
        let events = stream::unfold(receiver, move |mut receiver| {
            let (server, clock) = (server.clone(), clock.clone());
            async move {
                let event = receiver.recv().await?;
                while server.with(|state| state.watch_stalled) {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                clock.thawed().await;
                Some((
                    Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(format!("{event}\n")))),
                    receiver,
                ))
            }
        });
        Response::new(StreamBody::new(events.boxed()).boxed_unsync())
    }

    /// An event as a watch would send it, true or not.
    pub fn publish(&self, kind: &str, object: &Value) {
        let event = json!({ "type": kind, "object": object });
        self.with(|state| state.watchers.retain(|watcher| watcher.send(event.clone()).is_ok()));
    }

    pub fn drop_watches(&self) {
        self.with(|state| state.watchers.clear());
    }
}

async fn pause(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
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

    fn carry_out(&mut self, verb: &str, path: &str, body: &[u8]) -> Answer {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let collection = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
        let name = path.strip_prefix(&collection).unwrap_or_else(|| panic!("nobody serves {path}"));
        assert_eq!(name.trim_start_matches('/'), if verb == "create" { "" } else { LEASE });
        match verb {
            "get" => self.lease.as_ref().map_or_else(missing, |lease| respond(200, lease)),
            "create" => self.create(body),
            _ => self.replace(body),
        }
    }

    fn create(&mut self, lease: Value) -> Answer {
        if self.lease.is_some() {
            return failure(409, "leases.coordination.k8s.io \"bar\" already exists");
        }
        assert_eq!(lease["metadata"]["name"], LEASE);
        match invalid(&lease, self.coordinated) {
            Some((code, message)) => failure(code, message),
            None => respond(201, &self.commit_seen(lease)),
        }
    }

    fn replace(&mut self, lease: Value) -> Answer {
        let metadata = &lease["metadata"];
        let Some(old) = &self.lease else {
            return if metadata["uid"].is_null() {
                self.create(lease)
            } else {
                failure(409, "Precondition failed: UID in precondition")
            };
        };
        if metadata["resourceVersion"].is_null() {
            return failure(422, "metadata.resourceVersion: must be specified for an update");
        }
        if !metadata["uid"].is_null() && metadata["uid"] != old["metadata"]["uid"] {
            return failure(409, "Precondition failed: UID in precondition");
        }
        if metadata["resourceVersion"] != old["metadata"]["resourceVersion"] {
            return failure(409, "the object has been modified");
        }
        match invalid(&lease, self.coordinated) {
            Some((code, message)) => failure(code, message),
            None => respond(200, &self.commit_seen(lease)),
        }
    }

    /// A commit that an elector asked for.
    fn commit_seen(&mut self, lease: Value) -> Value {
        let lease = self.commit(lease);
        if let Some(witness) = &mut self.on_commit {
            witness(&lease);
        }
        lease
    }

    fn commit(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        if self.lease.is_none() {
            self.serial += 1;
            lease["metadata"]["uid"] = json!(format!("uid-{}", self.serial));
            lease["metadata"]["namespace"] = json!(NAMESPACE);
            lease["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        if !self.coordinated
            && let Some(spec) = lease["spec"].as_object_mut()
        {
            spec.remove("strategy");
            spec.remove("preferredHolder");
        }
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let kind = if self.lease.is_none() { "ADDED" } else { "MODIFIED" };
        self.lease = Some(lease.clone());
        self.history.push(lease.clone());
        self.tell(kind, &lease);
        lease
    }

    fn delete(&mut self) {
        let Some(mut lease) = self.lease.take() else { return };
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.history.push(Value::Null);
        self.tell("DELETED", &lease);
    }

    fn tell(&mut self, kind: &str, lease: &Value) {
        let event = json!({ "type": kind, "object": lease });
        self.watchers.retain(|watcher| watcher.send(event.clone()).is_ok());
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

fn missing() -> Answer {
    let mut refusal = status(404, "not found");
    refusal["details"] = json!({ "name": LEASE, "kind": "leases" });
    respond(404, &refusal)
}

fn status(code: u16, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code })
}

fn failure(code: u16, message: &str) -> Answer {
    respond(code, &status(code, message))
}

fn respond(code: u16, object: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(object.to_string())).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}
