//! An API server in the process: compare-and-swap objects, watches, and faults from a seed.
//!
//! It shares no code with the operator. The judge sees every commit; the server itself finds what
//! only requests show: writes that change nothing (S4) and writes of a pod by its name alone (S5).

use std::collections::{BTreeMap, BTreeSet};
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
use testkit::json::merge;
use testkit::judge::{Group, Judge, Lease, Object, Pod, Revision};
use testkit::random::Random;
use tokio::sync::mpsc;

pub const NAMESPACE: &str = "sim";
/// Versions kept for watches to start from; older ones are answered with 410.
const HISTORY: usize = 60;

type Key = (&'static str, String);
type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

#[derive(Clone)]
pub struct Server(Arc<Mutex<State>>);

pub struct State {
    pub random: Random,
    /// No more faults, and short latencies.
    pub calm: bool,
    start: tokio::time::Instant,
    version: u64,
    serial: u64,
    objects: BTreeMap<Key, Value>,
    history: Vec<(u64, &'static str, Value)>,
    watchers: Vec<(&'static str, mpsc::UnboundedSender<Value>)>,
    stalled: BTreeSet<usize>,
    /// What each instance knows of each kind: up to which version it was told.
    told: BTreeMap<(usize, &'static str), u64>,
    deleted: Vec<(u64, &'static str)>,
    /// How often each kind of fault really happened.
    pub met: BTreeMap<&'static str, u64>,
    pub judge: Judge,
    /// The present write is a user's.
    by_user: bool,
    pub violations: Vec<String>,
    pub log: Vec<String>,
    pub writes: Vec<String>,
    pub events: Vec<Value>,
    /// Observed mode: no operator may write the Lease.
    pub pods_hold_the_lease: bool,
    /// A pod that an admission rule lets no client change.
    pub untouchable: Option<&'static str>,
}

enum Fault {
    None,
    /// Answered with this code, not carried out.
    Refuse(u16),
    /// Carried out, answered with this code.
    CommitThen(u16),
    /// Carried out or not, never answered.
    Silence(bool),
}

/// What happens to a watch at one of its events.
enum Fate {
    Goes,
    /// Nothing comes any more, and it does not end for a while.
    Stalls,
    /// It ends in the middle of an event.
    BreaksOff,
    /// It ends with 410: the client must list again.
    Forgets,
}

impl Server {
    pub fn new(random: Random) -> Self {
        Self(Arc::new(Mutex::new(State {
            random,
            calm: false,
            start: tokio::time::Instant::now(),
            version: 100,
            serial: 0,
            objects: BTreeMap::new(),
            history: Vec::new(),
            watchers: Vec::new(),
            stalled: BTreeSet::new(),
            told: BTreeMap::new(),
            deleted: Vec::new(),
            met: BTreeMap::new(),
            judge: Judge::of_moves(),
            by_user: false,
            violations: Vec::new(),
            log: Vec::new(),
            writes: Vec::new(),
            events: Vec::new(),
            pods_hold_the_lease: false,
            untouchable: None,
        })))
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }

    /// A client for one operator. What it sends is carried out even if it stops waiting for the
    /// answer.
    pub fn client(&self, instance: usize) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move {
                let task = tokio::spawn(async move { server.answer(instance, request).await });
                Ok::<_, Infallible>(task.await.unwrap())
            }
        });
        Client::new(service, NAMESPACE)
    }

    /// Nothing that this instance sends or watches moves until it is woken.
    pub fn stall(&self, instance: usize, stalled: bool) {
        self.with(|state| {
            if stalled {
                state.stalled.insert(instance)
            } else {
                state.stalled.remove(&instance)
            };
        });
    }

    async fn delay(&self, instance: usize) {
        let millis = self.with(|state| match state.random.below(20) {
            _ if state.calm => 1,
            0 => state.random.below(8000),
            1..4 => state.random.below(400),
            _ => state.random.below(12),
        });
        if millis > 3000 {
            self.with(|state| state.meet("a reply slower than the shortest Lease"));
        }
        tokio::time::sleep(Duration::from_millis(millis)).await;
        while self.with(|state| state.stalled.contains(&instance)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answer(&self, instance: usize, request: Request<Body>) -> Answer {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        self.delay(instance).await;
        let fault = self.with(State::fault);
        if query.contains("watch=true") {
            return match fault {
                Fault::None => self.watch(instance, parts.uri.path(), &query),
                _ => failure(503, "unavailable"),
            };
        }
        let carry_out = || {
            self.with(|state| {
                // Events are named after the time.
                if parts.method != Method::GET && !parts.uri.path().contains("/events") {
                    let sent = String::from_utf8_lossy(&body).into_owned();
                    state.note(&format!(
                        "    operator {instance}: {} {} {sent}",
                        parts.method,
                        parts.uri.path()
                    ));
                }
                if parts.method == Method::GET {
                    state.note_list(instance, parts.uri.path());
                }
                state.carry_out(&parts.method, parts.uri.path(), &query, &body)
            })
        };
        let answer = match fault {
            Fault::None => carry_out(),
            Fault::Refuse(code) => failure(code, "injected"),
            Fault::CommitThen(code) => {
                carry_out();
                failure(code, "injected after the commit")
            }
            Fault::Silence(commits) => {
                if commits {
                    carry_out();
                }
                tokio::time::sleep(Duration::from_secs(3600)).await;
                failure(504, "too late")
            }
        };
        self.delay(instance).await;
        answer
    }

    fn watch(&self, instance: usize, path: &str, query: &str) -> Answer {
        let kind = kind_of(path).0;
        let (sender, receiver) = mpsc::unbounded_channel();
        let from = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        let from: u64 = from.and_then(|version| version.parse().ok()).unwrap_or_default();
        let lifetime = self.with(|state| {
            let oldest = state.history.first().map_or(0, |(version, ..)| *version);
            if from + 1 < oldest && path.contains(NAMESPACE) {
                state.meet("a watch from a version that is forgotten");
                let _ = sender.send(forgotten());
            } else if path.contains("kube-node-lease") {
                state.watchers.push(("node leases", sender));
            } else {
                for (_, _, event) in state.history.iter().filter(|(v, k, _)| *v > from && *k == kind) {
                    let _ = sender.send(event.clone());
                }
                state.watchers.push((kind, sender));
            }
            if state.calm { 290_000 } else { 500 + state.random.below(60_000) }
        });
        let end = tokio::time::Instant::now() + Duration::from_millis(lifetime);
        let server = self.clone();
        let events = stream::unfold(Some(receiver), move |receiver| {
            let server = server.clone();
            async move {
                let mut receiver = receiver?;
                let event = tokio::time::timeout_at(end, receiver.recv()).await.ok()??;
                let slow = server.with(|state| !state.calm && state.random.below(15) == 0);
                if slow {
                    server.delay(instance).await;
                }
                while server.with(|state| state.stalled.contains(&instance)) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let line = format!("{event}\n");
                let (line, next) = match server.with(State::fate) {
                    Fate::Goes => (line, Some(receiver)),
                    Fate::Stalls => {
                        while tokio::time::Instant::now() < end && !server.with(|state| state.calm) {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        return None;
                    }
                    Fate::BreaksOff => (line.chars().take(40).collect(), None),
                    Fate::Forgets => (format!("{}\n", forgotten()), None),
                };
                if next.is_some() {
                    server.with(|state| state.note_told(instance, kind, &event));
                }
                Some((Ok::<_, Infallible>(http_body::Frame::data(Bytes::from(line))), next))
            }
        });
        Response::new(StreamBody::new(events.boxed()).boxed_unsync())
    }
}

impl State {
    fn fault(&mut self) -> Fault {
        if self.calm {
            return Fault::None;
        }
        let (name, fault) = match self.random.below(60) {
            0 => ("500", Fault::Refuse(500)),
            1 => ("503", Fault::Refuse(503)),
            2 => ("429", Fault::Refuse(429)),
            3 => ("409", Fault::Refuse(409)),
            4 => ("409 after the commit", Fault::CommitThen(409)),
            5 => ("500 after the commit", Fault::CommitThen(500)),
            6 => ("no answer after the commit", Fault::Silence(true)),
            7 => ("no answer and no commit", Fault::Silence(false)),
            _ => return Fault::None,
        };
        self.meet(name);
        fault
    }

    fn fate(&mut self) -> Fate {
        if self.calm {
            return Fate::Goes;
        }
        let (name, fate) = match self.random.below(120) {
            0 => ("a watch that stalls", Fate::Stalls),
            1 => ("a watch that breaks off", Fate::BreaksOff),
            2 => ("a watch that ends with 410", Fate::Forgets),
            _ => return Fate::Goes,
        };
        self.meet(name);
        fate
    }

    fn note(&mut self, line: &str) {
        let at = self.start.elapsed().as_millis();
        self.log.push(format!("{at:>7} ms {line}"));
    }

    fn meet(&mut self, fault: &'static str) {
        *self.met.entry(fault).or_default() += 1;
    }

    fn note_told(&mut self, instance: usize, kind: &'static str, event: &Value) {
        let version = event["object"]["metadata"]["resourceVersion"].as_str();
        let version: u64 = version.and_then(|version| version.parse().ok()).unwrap_or_default();
        let told = self.told.entry((instance, kind)).or_default();
        *told = version.max(*told);
    }

    /// A new process knows nothing.
    pub fn forget_told(&mut self, instance: usize) {
        self.told.retain(|(of, _), _| *of != instance);
    }

    fn note_list(&mut self, instance: usize, path: &str) {
        let (kind, name, _) = kind_of(path);
        if !name.is_empty() || path.contains("kube-node-lease") {
            return;
        }
        if let Some(told) = self.told.insert((instance, kind), self.version)
            && self.deleted.iter().any(|(version, deleted)| *deleted == kind && *version > told)
        {
            self.meet("a list after a deletion that no watch told");
        }
    }

    fn carry_out(&mut self, method: &Method, path: &str, query: &str, body: &[u8]) -> Answer {
        let (kind, name, sub) = kind_of(path);
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        if *method != Method::GET {
            if kind == "leases" && self.pods_hold_the_lease {
                self.violate(format!("{method} of a Lease that the pods hold"));
            }
            self.writes.push(format!("{method} {kind}{}", if sub.is_empty() { "" } else { "/status" }));
        }
        match (method.as_str(), name) {
            ("GET", "") => self.list(kind, path, query),
            ("GET", _) => self.object(kind, name).map_or_else(|| missing(name), |found| ok(&found)),
            ("POST", _) if kind == "events" => {
                self.events.push(body.clone());
                ok(&body)
            }
            ("POST", _) => self.insert(kind, body),
            ("PUT", _) => self.replace(kind, name, sub, &body),
            ("PATCH", _) => self.patch(kind, name, body),
            _ => failure(405, "not served"),
        }
    }

    fn list(&self, kind: &'static str, path: &str, query: &str) -> Answer {
        let selected =
            |object: &&Value| !query.contains("labelSelector") || object["metadata"]["labels"]["app"] == "db";
        let all = self.objects.iter().filter(|((k, _), _)| *k == kind).map(|(_, object)| object);
        let items: Vec<_> =
            if path.contains("kube-node-lease") { Vec::new() } else { all.filter(selected).collect() };
        let version = self.version.to_string();
        ok(
            &json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": version }, "items": items }),
        )
    }

    pub fn object(&self, kind: &'static str, name: &str) -> Option<Value> {
        self.objects.get(&(kind, name.to_owned())).cloned()
    }

    pub fn all(&self, kind: &'static str) -> Vec<Value> {
        self.objects.iter().filter(|((k, _), _)| *k == kind).map(|(_, object)| object.clone()).collect()
    }

    /// A user, or a controller, creates an object.
    pub fn create(&mut self, kind: &'static str, object: Value) {
        self.by_user = true;
        self.insert(kind, object);
        self.by_user = false;
    }

    fn insert(&mut self, kind: &'static str, mut object: Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if self.object(kind, &name).is_some() {
            let mut refusal = status(409, "already exists");
            refusal["reason"] = json!("AlreadyExists");
            return respond(409, &refusal);
        }
        self.serial += 1;
        object["metadata"]["uid"] = json!(format!("{name}-{}", self.serial));
        object["metadata"]["namespace"] = json!(NAMESPACE);
        let created = 1_700_000_000 + i64::try_from(self.serial).unwrap();
        let created = jiff::Timestamp::from_second(created).unwrap().to_string();
        object["metadata"]["creationTimestamp"] = json!(created);
        self.commit(kind, &name, object, "ADDED")
    }

    fn replace(&mut self, kind: &'static str, name: &str, sub: &str, body: &Value) -> Answer {
        let Some(mut object) = self.object(kind, name) else {
            return if sub.is_empty() { failure(409, "not there") } else { missing(name) };
        };
        let (old, new) = (&object["metadata"], &body["metadata"]);
        if old["resourceVersion"] != new["resourceVersion"] || old["uid"] != new["uid"] {
            return failure(409, "the object has been modified");
        }
        if sub == "status" {
            object["status"] = body["status"].clone();
        } else {
            object = body.clone();
        }
        let before = self.object(kind, name).unwrap_or_default();
        self.judge_need(kind, &before, &object);
        self.commit(kind, name, object, "MODIFIED")
    }

    fn patch(&mut self, kind: &'static str, name: &str, mut patch: Value) -> Answer {
        let Some(mut object) = self.object(kind, name) else { return missing(name) };
        if kind == "pods" && self.untouchable == Some(name) {
            return failure(403, "admission webhook denied the request");
        }
        let conditions = patch["metadata"].as_object_mut().unwrap();
        let (version, uid) = (conditions.remove("resourceVersion"), conditions.remove("uid"));
        if kind == "pods" && (version.is_none() || uid.is_none()) {
            self.violate(format!("S5: {name} is written whichever pod it is"));
        }
        if version.is_some_and(|version| version != object["metadata"]["resourceVersion"]) {
            return failure(409, "the object has been modified");
        }
        if uid.is_some_and(|uid| uid != object["metadata"]["uid"]) {
            let mut refusal = status(422, "field is immutable");
            refusal["details"] =
                json!({ "causes": [{ "field": "metadata.uid", "reason": "FieldValueInvalid" }] });
            return respond(422, &refusal);
        }
        let before = object.clone();
        merge(&mut object, &patch);
        self.judge_need(kind, &before, &object);
        if let Some(labels) = patch["metadata"]["labels"].as_object() {
            let given = labels.iter().filter(|(_, value)| !value.is_null());
            let owned: Value = given.map(|(key, _)| (format!("f:{key}"), json!({}))).collect();
            object["metadata"]["managedFields"] = json!([{
                "manager": "election-operator",
                "operation": "Update",
                "fieldsType": "FieldsV1",
                "fieldsV1": { "f:metadata": { "f:labels": owned } },
            }]);
        }
        self.commit(kind, name, object, "MODIFIED")
    }

    /// What users, kubelets and controllers do: unconditional.
    pub fn edit(&mut self, kind: &'static str, name: &str, change: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.object(kind, name) else { return };
        change(&mut object);
        self.by_user = true;
        self.commit(kind, name, object, "MODIFIED");
        self.by_user = false;
    }

    pub fn delete(&mut self, kind: &'static str, name: &str) {
        let Some(mut object) = self.objects.remove(&(kind, name.to_owned())) else { return };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.deleted.push((self.version, kind));
        self.judge(kind, &object, true);
        self.publish(kind, "DELETED", &object);
        if kind == "electiongroups" {
            self.delete("leases", name);
        }
    }

    /// A Lease whose owner is gone goes, too, also one that a late request made.
    pub fn collect_garbage(&mut self) {
        let group = self.object("electiongroups", "db").unwrap_or_default();
        let owned = |lease: &Value| {
            let owners = lease["metadata"]["ownerReferences"].as_array().into_iter().flatten();
            owners.into_iter().any(|owner| owner["uid"] == group["metadata"]["uid"])
        };
        if self.object("leases", "db").is_some_and(|lease| !owned(&lease)) {
            self.delete("leases", "db");
        }
    }

    fn commit(&mut self, kind: &'static str, name: &str, mut object: Value, event: &str) -> Answer {
        let before = self.object(kind, name);
        if before.as_ref() == Some(&object) {
            return ok(&object);
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert((kind, name.to_owned()), object.clone());
        self.judge(kind, &object, false);
        self.publish(kind, event, &object);
        ok(&object)
    }

    fn publish(&mut self, kind: &'static str, event: &str, object: &Value) {
        self.note(&format!("{} {event} {kind} {}", self.version, brief(kind, object)));
        let event = json!({ "type": event, "object": object });
        self.history.push((self.version, kind, event.clone()));
        if self.history.len() > HISTORY {
            self.history.remove(0);
        }
        self.watchers.retain(|(watched, sender)| *watched != kind || sender.send(event.clone()).is_ok());
    }

    /// The data are those of a backup: every object is there, at an older version.
    pub fn restore(&mut self) {
        for object in self.objects.values_mut() {
            let version: u64 = text(&object["metadata"]["resourceVersion"]).parse().unwrap();
            object["metadata"]["resourceVersion"] = json!((version - 90).to_string());
        }
        self.version -= 90;
        self.history.clear();
        self.judge = Judge::of_moves();
    }

    /// S4: no write that changes nothing.
    fn judge_need(&mut self, kind: &str, before: &Value, after: &Value) {
        let content = |object: &Value| {
            let mut object = object.clone();
            object["metadata"]["managedFields"] = Value::Null;
            object
        };
        if kind != "events" && content(before) == content(after) {
            self.violate(format!("S4: a write of {kind} changes nothing"));
        }
    }

    /// Hands a commit to the judge.
    fn judge(&mut self, kind: &'static str, object: &Value, gone: bool) {
        let object = match kind {
            "electiongroups" => Object::Group(Box::new(Group::read(object))),
            "leases" => Object::Lease(Lease::read(object)),
            "pods" => Object::Pod(Pod::read(object)),
            _ => return,
        };
        let revision = Revision { number: self.version, object, gone, at: self.start.elapsed() };
        let before = self.judge.violations().len();
        self.judge.see(&revision, self.by_user);
        let found: Vec<_> = self.judge.violations().skip(before).map(str::to_owned).collect();
        for what in found {
            self.violate(what);
        }
    }

    fn violate(&mut self, what: String) {
        self.note(&format!("{} VIOLATION {what}", self.version));
        self.violations.push(what);
    }
}

fn brief(kind: &str, object: &Value) -> String {
    let metadata = &object["metadata"];
    let detail = match kind {
        "pods" => json!([
            metadata["labels"],
            metadata["annotations"],
            metadata["deletionTimestamp"],
            object["status"]["phase"],
            object["status"]["conditions"][0]["status"],
        ]),
        "leases" => json!([object["spec"]["holderIdentity"], metadata["annotations"]]),
        _ => json!([
            object["status"]["term"],
            object["status"]["leader"]["uid"],
            object["status"]["unfenced"],
            object["spec"]["paused"],
        ]),
    };
    format!("{} {detail}", text(&metadata["uid"]))
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Kind, name and subresource of a path.
fn kind_of(path: &str) -> (&'static str, &str, &str) {
    let parts: Vec<_> = path.split('/').collect();
    let kinds = ["electiongroups", "pods", "leases", "events", "services", "poddisruptionbudgets"];
    for kind in kinds {
        if let Some(at) = parts.iter().position(|part| *part == kind) {
            let part = |offset: usize| parts.get(at + offset).copied().unwrap_or_default();
            return (kind, part(1), part(2));
        }
    }
    panic!("nobody serves {path}");
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        _ => "InternalError",
    };
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code })
}

/// The event of a watch that cannot go on.
fn forgotten() -> Value {
    json!({ "type": "ERROR", "object": status(410, "too old resource version") })
}

fn failure(code: u16, message: &str) -> Answer {
    respond(code, &status(code, message))
}

fn missing(name: &str) -> Answer {
    let mut refusal = status(404, "not found");
    refusal["details"] = json!({ "name": name });
    respond(404, &refusal)
}

fn ok(object: &Value) -> Answer {
    respond(200, object)
}

fn respond(code: u16, object: &Value) -> Answer {
    let body = Full::new(Bytes::from(object.to_string())).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}
