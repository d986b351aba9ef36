//! The book of one run: what happened, which faults were met, and which promise was broken.
//!
//! The judge sees every commit. The book itself finds what only requests show: writes that change
//! nothing (S4) and writes of a pod or a slice by its name alone (S5, R5).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::api_server::{Call, Commit, Hooks, Refusal, Verb};
use testkit::feed::Change;
use testkit::json::At;
use testkit::judge::{Group, Judge, Lease, Object, Pod, Revision, Slice};
use testkit::kind::Kind;
use testkit::random::Random;

use lease_elector::FencingToken;

use super::api_server::State;
use super::commands::Commands;

/// More writes than operators need once the faults have stopped.
const MANY_WRITES: usize = 3_000;

/// The operators. All other instances are companions of pods.
pub const OPERATORS: usize = 2;

/// Changes a call of an instance that is wrong on purpose, before it is carried out on this object.
pub type Mangle = fn(usize, &mut Call, Option<&Value>);

pub struct Book {
    pub random: Random,
    /// No more faults, and short latencies.
    pub calm: bool,
    /// The instances for which nothing moves.
    pub stalled: BTreeSet<usize>,
    /// The API server answers nobody.
    pub outage: bool,
    start: tokio::time::Instant,
    /// What each instance knows of each kind: up to which version it was told.
    told: BTreeMap<(usize, Kind), u64>,
    deleted: Vec<(u64, Kind)>,
    /// How often each kind of fault really happened.
    pub met: BTreeMap<&'static str, u64>,
    pub judge: Judge,
    pub violations: Vec<String>,
    pub log: Vec<String>,
    /// What operators wrote.
    pub writes: Vec<String>,
    /// How often each instance asked for what, watches left out.
    pub calls: BTreeMap<(usize, String), u64>,
    pub commands: Commands,
    pub mangle: Option<Mangle>,
    /// How long the group took to come to rest after faults, at most.
    pub settled_in_seconds: u64,
    pub events: Vec<Value>,
    /// Observed mode: no operator may write the Lease.
    pub pods_hold_the_lease: bool,
    /// A pod that an admission rule lets no client change.
    pub untouchable: Option<&'static str>,
}

impl Book {
    pub fn new(random: Random) -> Self {
        Self {
            random,
            calm: false,
            stalled: BTreeSet::new(),
            outage: false,
            start: tokio::time::Instant::now(),
            told: BTreeMap::new(),
            deleted: Vec::new(),
            met: BTreeMap::new(),
            judge: Judge::of_moves(),
            violations: Vec::new(),
            log: Vec::new(),
            writes: Vec::new(),
            calls: BTreeMap::new(),
            commands: Commands::default(),
            mangle: None,
            settled_in_seconds: 0,
            events: Vec::new(),
            pods_hold_the_lease: false,
            untouchable: None,
        }
    }

    pub fn note(&mut self, line: &str) {
        let at = self.start.elapsed().as_millis();
        self.log.push(format!("{at:>7} ms {line}"));
    }

    pub fn meet(&mut self, fault: &'static str) {
        *self.met.entry(fault).or_default() += 1;
    }

    fn violate(&mut self, what: String) {
        self.note(&format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    /// An instance got an event of this version.
    pub fn told(&mut self, instance: usize, kind: Kind, version: u64) {
        let told = self.told.entry((instance, kind)).or_default();
        *told = version.max(*told);
    }

    /// A new process knows nothing.
    pub fn forget_told(&mut self, instance: usize) {
        self.told.retain(|(of, _), _| *of != instance);
    }

    /// A call that is about to be carried out, at this version of the store.
    pub fn sees_call(&mut self, instance: usize, call: &Call, version: u64, before: Option<&Value>) {
        let asked = format!("{} {}", call.verb.name(), call.kind.row().plural);
        *self.calls.entry((instance, asked)).or_default() += 1;
        if call.verb.writes() {
            // Events are named after the time.
            if call.kind != Kind::Event {
                let who = if instance < OPERATORS { "operator" } else { "companion" };
                self.note(&format!("    {who} {instance}: {call}"));
            }
            if instance < OPERATORS {
                self.judge_call(call, before);
            }
        } else if call.verb == Verb::List && call.namespace.as_deref() != Some("kube-node-lease") {
            self.listed(instance, call.kind, version);
        }
    }

    fn listed(&mut self, instance: usize, kind: Kind, version: u64) {
        if let Some(told) = self.told.insert((instance, kind), version)
            && self.deleted.iter().any(|(version, deleted)| *deleted == kind && *version > told)
        {
            self.meet("a list after a deletion that no watch told");
        }
    }

    fn judge_call(&mut self, call: &Call, before: Option<&Value>) {
        let (verb, kind) = (call.verb.name(), call.kind.row().plural);
        if call.kind == Kind::Lease && call.name == "db" && self.pods_hold_the_lease {
            self.violate(format!("{verb} of a Lease that the pods hold"));
        }
        self.writes.push(format!("{verb} {kind}{}", if call.is_status { "/status" } else { "" }));
        // Until a watch that was stalled goes on, two operators report against each other, once a
        // second at most.
        if self.calm && self.writes.len() == MANY_WRITES {
            self.violate("S4: writes without end".to_owned());
        }
        let conditions = &call.body["metadata"];
        let is_conditional = !conditions["resourceVersion"].is_null() && !conditions["uid"].is_null();
        if call.kind == Kind::Pod && call.verb == Verb::Patch && before.is_some() && !is_conditional {
            self.violate(format!("S5: {} is written whichever pod it is", call.name));
        }
        let conditions = if call.verb == Verb::Delete { &call.body["preconditions"] } else { conditions };
        let is_conditional = !conditions["resourceVersion"].is_null() && !conditions["uid"].is_null();
        if call.kind == Kind::EndpointSlice && call.verb != Verb::Create && !is_conditional {
            self.violate(format!("R5: {} is written whichever slice it is", call.name));
        }
    }

    /// The command of a pod starts. Returns its number.
    pub fn command_starts(&mut self, pod: &str, token: &FencingToken) -> u64 {
        let (number, broken) = self.commands.start(pod, token);
        self.note(&format!("command {number} of {pod} starts: {token:?}"));
        if let Some(what) = broken {
            self.violate(what);
        }
        number
    }

    pub fn command_ends(&mut self, pod: &str, number: u64) {
        self.commands.end(number);
        self.note(&format!("command {number} of {pod} has ended"));
    }

    /// A companion has written the Lease.
    pub fn judge_companion(&mut self, before: Option<&Value>, after: Option<&Value>) {
        let broken = self.commands.see_write(before, after);
        if let Some(what) = broken {
            self.violate(what);
        }
    }

    /// S4: no write that changes nothing.
    pub fn judge_need(&mut self, kind: Kind, before: Option<&Value>, after: Option<&Value>) {
        let content = |object: &Value| {
            let mut object = object.clone();
            object["metadata"]["managedFields"] = Value::Null;
            object["metadata"]["resourceVersion"] = Value::Null;
            object
        };
        if before.map(content) == after.map(content) {
            self.violate(format!("S4: a write of {} changes nothing", kind.row().plural));
        }
    }

    /// Hands a commit to the judge.
    fn judge(&mut self, commit: &Commit) {
        let object = match commit.kind {
            Kind::Group => Object::Group(Box::new(Group::read(&commit.object))),
            Kind::Lease => Object::Lease(Lease::read(&commit.object)),
            Kind::Pod => Object::Pod(Pod::read(&commit.object)),
            Kind::EndpointSlice => Object::Slice(Slice::read(&commit.object)),
            _ => return,
        };
        let (number, gone) = (commit.number, commit.change == Change::Deleted);
        let revision = Revision { number, object, gone, at: self.start.elapsed() };
        let before = self.judge.violations().len();
        self.judge.see(&revision, !commit.by_client);
        let found: Vec<_> = self.judge.violations().skip(before).map(str::to_owned).collect();
        for what in found {
            self.violate(what);
        }
    }
}

impl Hooks for Book {
    fn admit(&mut self, kind: Kind, object: &mut Value) -> Result<(), Refusal> {
        let name = object.text("/metadata/name");
        if kind == Kind::Pod && self.untouchable == Some(name) {
            return Err(Refusal::new(403, "admission webhook denied the request"));
        }
        Ok(())
    }

    fn see(&mut self, commit: &Commit) {
        if commit.change == Change::Deleted {
            self.deleted.push((commit.number, commit.kind));
        }
        self.judge(commit);
        let broken = self.commands.see(commit);
        if let Some(what) = broken {
            self.violate(what);
        }
        self.note(&brief(commit));
    }
}

/// A user deletes the group, and its Lease goes with it.
pub fn delete_group(state: &mut State) {
    state.delete(Kind::Group, "db");
    state.delete(Kind::Lease, "db");
}

/// A Lease or slice whose owner is gone goes, too, also one that a late request made.
pub fn collect_garbage(state: &mut State) {
    for lease in state.all(Kind::Lease) {
        if !lease.list("/metadata/ownerReferences").is_empty() && !is_owned(state, &lease) {
            state.delete(Kind::Lease, lease.text("/metadata/name"));
        }
    }
    collect_slices(state);
}

/// The garbage collector deletes the slices of groups that are gone.
pub fn collect_slices(state: &mut State) {
    let slices = state.all(Kind::EndpointSlice).into_iter();
    let orphans =
        slices.filter(|slice| slice["metadata"]["ownerReferences"].is_array() && !is_owned(state, slice));
    for orphan in orphans.collect::<Vec<_>>() {
        state.delete(Kind::EndpointSlice, orphan.text("/metadata/name"));
    }
}

/// A group that exists owns it.
fn is_owned(state: &State, object: &Value) -> bool {
    let groups = state.all(Kind::Group);
    let mut owners = object.list("/metadata/ownerReferences").iter();
    owners.any(|owner| groups.iter().any(|group| group.at("/metadata/uid") == &owner["uid"]))
}

/// The data are those of a backup.
pub fn restore(state: &mut State) {
    state.turn_back(90);
    state.test.judge = Judge::of_moves();
}

/// A commit in one line.
fn brief(commit: &Commit) -> String {
    let (metadata, object) = (&commit.object["metadata"], &commit.object);
    let detail = match commit.kind {
        Kind::Pod => json!([
            metadata["labels"],
            metadata["annotations"],
            metadata["deletionTimestamp"],
            object["status"]["phase"],
            object["status"]["conditions"][0]["status"],
        ]),
        Kind::Lease => json!([object["spec"]["holderIdentity"], metadata["annotations"]]),
        Kind::EndpointSlice => {
            json!([metadata["labels"], metadata["annotations"], object["endpoints"], object["ports"]])
        }
        Kind::Service => json!([object["spec"]["selector"]]),
        _ => json!([
            object["status"]["term"],
            object["status"]["leader"]["uid"],
            object["status"]["unfenced"],
            object["spec"]["paused"],
        ]),
    };
    let change = match commit.change {
        Change::Added => "ADDED",
        Change::Modified => "MODIFIED",
        Change::Deleted => "DELETED",
    };
    let (number, kind, uid) = (commit.number, commit.kind.row().plural, object.text("/metadata/uid"));
    format!("{number} {change} {kind} {uid} {detail}")
}
