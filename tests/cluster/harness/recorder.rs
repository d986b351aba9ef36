//! The independent checker: sees every revision of the pods, groups and Leases of a namespace, and judges them.
//!
//! It knows the protocol's invariants and nothing of the operator. Each watch delivers every single revision of its
//! objects in order, and all of them count on the same counter: so what was true at one moment can be told exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kube::api::{ListParams, WatchParams};
use kube::core::{DynamicObject, WatchEvent};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::json::At;
use super::wait::{PATIENCE, eventually};
use super::world::Kind;

pub(crate) const TERM: &str = "election-operator.io/term";
pub(crate) const GROUP: &str = "election-operator.io/group";

/// What the checker takes for the sign of a leader.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) role_key: &'static str,
    pub(crate) leader: &'static str,
    /// One leader for each value of this pod label, which must not change. Without: one leader in the namespace.
    pub(crate) one_per: Option<&'static str>,
    /// Pods may be created with the leader label: then that is what the operator has to repair.
    pub(crate) labelled_by_template: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { role_key: "role", leader: "leader", one_per: None, labelled_by_template: false }
    }
}

/// One revision of one object.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    pub(crate) change: Change,
    pub(crate) object: Value,
    pub(crate) seen: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

impl Revision {
    pub(crate) fn name(&self) -> &str {
        self.object.text("/metadata/name")
    }

    pub(crate) fn uid(&self) -> &str {
        self.object.text("/metadata/uid")
    }

    pub(crate) fn label(&self, key: &str) -> &str {
        self.object.at("/metadata/labels")[key].as_str().unwrap_or_default()
    }

    pub(crate) fn annotation(&self, key: &str) -> &str {
        self.object.at("/metadata/annotations")[key].as_str().unwrap_or_default()
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.change == Change::Deleted
    }

    pub(crate) fn is_terminating(&self) -> bool {
        !self.object.text("/metadata/deletionTimestamp").is_empty()
    }

    /// Whether this is a pod that is Ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.kind == Kind::Pod && self.object.has("Ready", "True")
    }
}

/// One pod begins or ends to carry the leader label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) number: u64,
    pub(crate) pod: String,
    pub(crate) uid: String,
    /// The term on the pod at this revision.
    pub(crate) term: String,
    pub(crate) what: What,
    pub(crate) seen: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It carries the label from here on.
    Gained,
    /// The label was taken from it.
    Lost,
    /// It was deleted, and the label with it.
    Vanished,
}

/// Everything seen so far, in the order of its revisions.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    start: Instant,
    rules: Rules,
    /// Revisions written by the test itself that break a rule on purpose.
    forgiven: BTreeSet<u64>,
    revisions: BTreeMap<u64, Revision>,
    /// A watch that could not go on: what came in between is not known.
    fault: Option<String>,
}

impl Journal {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            start: Instant::now(),
            rules,
            forgiven: BTreeSet::new(),
            revisions: BTreeMap::new(),
            fault: None,
        }
    }

    pub(crate) fn push(&mut self, revision: Revision) {
        self.revisions.insert(revision.number, revision);
    }

    pub(crate) fn forgive(&mut self, number: u64) {
        self.forgiven.insert(number);
    }

    /// All revisions, oldest first.
    pub(crate) fn all(&self) -> impl DoubleEndedIterator<Item = &Revision> {
        self.revisions.values()
    }

    pub(crate) fn of(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Revision> {
        self.all().filter(move |revision| revision.kind == kind)
    }

    fn is_leader(&self, revision: &Revision) -> bool {
        !revision.is_deleted() && revision.label(self.rules.role_key) == self.rules.leader
    }

    fn scope<'a>(&self, revision: &'a Revision) -> &'a str {
        self.rules.one_per.map_or("", |key| revision.label(key))
    }

    /// Each gain and each loss of the leader label.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut leaders = BTreeSet::new();
        let mut steps = Vec::new();
        for revision in self.of(Kind::Pod) {
            let what = match (leaders.contains(revision.uid()), self.is_leader(revision)) {
                (false, true) => What::Gained,
                (true, false) if revision.is_deleted() => What::Vanished,
                (true, false) => What::Lost,
                _ => continue,
            };
            if what == What::Gained {
                leaders.insert(revision.uid());
            } else {
                leaders.remove(revision.uid());
            }
            steps.push(Step {
                number: revision.number,
                pod: revision.name().to_owned(),
                uid: revision.uid().to_owned(),
                term: revision.annotation(TERM).to_owned(),
                what,
                seen: revision.seen,
            });
        }
        steps
    }

    /// The names of the pods that gained the leader label, in that order.
    pub(crate) fn leaders(&self) -> Vec<String> {
        self.steps().into_iter().filter(|step| step.what == What::Gained).map(|step| step.pod).collect()
    }

    /// What broke an invariant, in words.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found: Vec<String> = self.fault.iter().cloned().collect();
        found.extend(self.two_leaders());
        found.extend(self.promotions_without_a_record());
        found.extend(self.falling_terms());
        found
    }

    /// S1: at every revision at most one pod carries the leader label.
    fn two_leaders(&self) -> Vec<String> {
        let mut leaders: BTreeMap<&str, &Revision> = BTreeMap::new();
        let mut tolerated: BTreeSet<&str> = BTreeSet::new();
        let mut found = Vec::new();
        for revision in self.of(Kind::Pod) {
            let uid = revision.uid();
            if !self.is_leader(revision) {
                leaders.remove(uid);
                tolerated.remove(uid);
                continue;
            }
            let by_test = self.forgiven.contains(&revision.number)
                || (self.rules.labelled_by_template && revision.change == Change::Added);
            if by_test && !leaders.contains_key(uid) {
                tolerated.insert(uid);
            }
            if tolerated.contains(uid) {
                continue;
            }
            let is_new = leaders.insert(uid, revision).is_none();
            let mut same: Vec<&str> = leaders
                .values()
                .filter(|leader| self.scope(leader) == self.scope(revision))
                .map(|leader| leader.name())
                .collect();
            same.sort_unstable();
            if is_new && same.len() > 1 {
                found.push(format!(
                    "S1: at revision {} these carry the leader label: {same:?}",
                    revision.number
                ));
            }
        }
        found
    }

    /// S2 and S3: a pod is promoted as the leader of a record that was there before, of the same term, when the Lease
    /// named it, and no two pods in the same term.
    fn promotions_without_a_record(&self) -> Vec<String> {
        let mut leaders = BTreeSet::new();
        let mut promoted: BTreeMap<(&str, &str), &str> = BTreeMap::new();
        let mut found = Vec::new();
        for revision in self.of(Kind::Pod) {
            if !self.is_leader(revision) {
                leaders.remove(revision.uid());
                continue;
            }
            if !leaders.insert(revision.uid())
                || self.forgiven.contains(&revision.number)
                || revision.change == Change::Added
            {
                continue;
            }
            let (group, term) = (revision.annotation(GROUP), revision.annotation(TERM));
            let other = promoted.insert((group, term), revision.uid());
            if other.is_some_and(|other| other != revision.uid()) {
                found.push(format!(
                    "S2: {} is the second promoted in term {term} of {group}",
                    revision.name()
                ));
            }
            if let Err(missing) = self.recorded(revision, group, term) {
                found.push(format!(
                    "S3: {} promoted at revision {}, but {missing}",
                    revision.name(),
                    revision.number
                ));
            }
        }
        found
    }

    fn recorded(&self, pod: &Revision, group: &str, term: &str) -> Result<(), String> {
        let Some((name, uid)) = group.split_once('/') else {
            return Err(format!("its annotation {GROUP} is {group:?}"));
        };
        let before = |kind| self.of(kind).filter(|revision| revision.number < pod.number);
        let Some(record) = before(Kind::Group).rfind(|group| group.uid() == uid) else {
            return Err(format!("there was no group {name} of this uid"));
        };
        let (leader, recorded_term) =
            (record.object.text("/status/leader/uid"), record.object.at("/status/term").to_string());
        if leader != pod.uid() || recorded_term != term {
            return Err(format!("with term {term}, the record was {leader} in term {recorded_term}"));
        }
        if record.object.text("/spec/mode") == "Observed" {
            return Ok(());
        }
        let lease_name = match record.object.text("/spec/lease/name") {
            "" => name,
            lease => lease,
        };
        let lease = before(Kind::Lease).rfind(|lease| lease.name() == lease_name);
        match lease.map(|lease| lease.object.text("/spec/holderIdentity")) {
            Some(holder) if holder == pod.name() => Ok(()),
            holder => Err(format!("the Lease named {holder:?}")),
        }
    }

    /// S2: the term of a group never falls, except by the test's own hand.
    fn falling_terms(&self) -> Vec<String> {
        let mut highest: BTreeMap<&str, i64> = BTreeMap::new();
        let mut found = Vec::new();
        for group in self.of(Kind::Group).filter(|group| !self.forgiven.contains(&group.number)) {
            let term = group.object.number("/status/term");
            let before = highest.entry(group.uid()).or_insert(term);
            // A status emptied by hand stays without a term until the operator has written it again.
            if term < *before && !group.object.at("/status/term").is_null() {
                found.push(format!("S2: the term of {} fell from {before} to {term}", group.name()));
            }
            *before = term.max(*before);
        }
        found
    }

    fn has_seen(&self, object: &DynamicObject) -> bool {
        let number = object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        self.all().any(|revision| revision.uid() == uid && Some(revision.number) >= number)
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for revision in self.all() {
            let at = revision.seen.saturating_duration_since(self.start).as_millis();
            let (number, change, name) = (revision.number, revision.change, revision.name());
            let object = &revision.object;
            write!(f, "{at:>6} ms  {number:>6}  {:<5} {change:<8?} {name:<16}", revision.kind.short())?;
            match revision.kind {
                Kind::Pod => writeln!(
                    f,
                    " {}={:<8} term={:<3} {}{}",
                    self.rules.role_key,
                    revision.label(self.rules.role_key),
                    revision.annotation(TERM),
                    if revision.is_ready() { "Ready " } else { "" },
                    if revision.is_terminating() { "terminating" } else { "" },
                )?,
                Kind::Lease => writeln!(f, " holder={}", object.text("/spec/holderIdentity"))?,
                _ => writeln!(
                    f,
                    " leader={} term={} unfenced={} Ready={}",
                    object.text("/status/leader/name"),
                    object.at("/status/term"),
                    object.at("/status/unfenced"),
                    object.condition("Ready").text("/reason"),
                )?,
            }
        }
        Ok(())
    }
}

/// Follows the namespace and keeps the journal.
#[derive(Debug)]
pub(crate) struct Recorder {
    journal: Arc<Mutex<Journal>>,
    changed: watch::Receiver<()>,
    apis: Vec<(Kind, Api<DynamicObject>)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Recorder {
    /// Begins to record. What is created in the namespace after this is seen from its first revision.
    pub(crate) async fn start(client: &Client, namespace: &str, rules: Rules) -> Self {
        let journal = Arc::new(Mutex::new(Journal::new(rules)));
        let (notify, changed) = watch::channel(());
        let notify = Arc::new(notify);
        let mut apis = Vec::new();
        let mut tasks = Vec::new();
        for kind in [Kind::Pod, Kind::Group, Kind::Lease] {
            let api = kind.api(client, namespace);
            let version = empty_at(&api).await.expect("a recorder starts before there is anything to record");
            tasks.push(tokio::spawn(follow(kind, api.clone(), version, journal.clone(), notify.clone())));
            apis.push((kind, api));
        }
        Self { journal, changed, apis, tasks }
    }

    /// What was seen so far.
    pub(crate) fn journal(&self) -> Journal {
        self.journal.lock().expect("no recorder panicked").clone()
    }

    /// Takes a write of the test itself for what it is. `version` is the `resourceVersion` it got.
    pub(crate) fn forgive(&self, version: Option<&str>) {
        let number =
            version.and_then(|version| version.parse().ok()).expect("a written object has a version");
        self.journal.lock().expect("no recorder panicked").forgive(number);
    }

    /// Waits until `find` finds something in the journal.
    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&Journal) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        let search = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = find(&self.journal.lock().expect("no recorder panicked")) {
                    return found;
                }
                changed.changed().await.expect("the recorder goes on");
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
    }

    /// Waits until everything that is stored now has been seen.
    pub(crate) async fn catch_up(&self) {
        for (kind, api) in &self.apis {
            let stored = api.list(&ListParams::default()).await.expect("the namespace can be listed").items;
            eventually("a recorder that has seen everything", async || {
                let journal = self.journal();
                let all_seen = stored.iter().all(|object| journal.has_seen(object));
                let uids: BTreeSet<&str> =
                    stored.iter().filter_map(|object| object.metadata.uid.as_deref()).collect();
                let mut newest: BTreeMap<&str, &Revision> = BTreeMap::new();
                newest.extend(journal.of(*kind).map(|revision| (revision.uid(), revision)));
                let all_gone =
                    newest.values().all(|revision| revision.is_deleted() || uids.contains(revision.uid()));
                // What came into being after the list is no news to wait for.
                let last = stored.iter().filter_map(|object| object.metadata.resource_version.as_deref());
                let last = last.filter_map(|version| version.parse::<u64>().ok()).max().unwrap_or(0);
                let younger = newest
                    .values()
                    .any(|revision| revision.change == Change::Added && revision.number > last);
                (all_seen && (all_gone || younger)).then_some(())
            })
            .await;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A version at which there was nothing.
async fn empty_at(api: &Api<DynamicObject>) -> Result<String, String> {
    let list = api.list(&ListParams::default().limit(1)).await.map_err(|error| error.to_string())?;
    if let Some(first) = list.items.first() {
        return Err(format!("revisions before {first:?} were missed"));
    }
    list.metadata.resource_version.ok_or_else(|| "a list without a version".to_owned())
}

/// One watch after the other, each from where the last one ended, so that nothing is missed.
async fn follow(
    kind: Kind,
    api: Api<DynamicObject>,
    mut version: String,
    journal: Arc<Mutex<Journal>>,
    notify: Arc<watch::Sender<()>>,
) {
    loop {
        if let Err(lost) = follow_once(kind, &api, &mut version, &journal, &notify).await {
            journal.lock().expect("no recorder panicked").fault = Some(lost);
            notify.send_replace(());
            return;
        }
    }
}

async fn follow_once(
    kind: Kind,
    api: &Api<DynamicObject>,
    version: &mut String,
    journal: &Mutex<Journal>,
    notify: &watch::Sender<()>,
) -> Result<(), String> {
    let stream = match api.watch(&WatchParams::default(), version).await {
        Ok(stream) => stream,
        // The API server began to keep this kind after the list was made: it is begun anew, from nothing.
        Err(kube::Error::Api(status)) if status.code == 410 => {
            *version = empty_at(api).await?;
            return Ok(());
        }
        Err(_) => {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Ok(());
        }
    };
    let mut stream = std::pin::pin!(stream);
    // An interrupted stream is taken up again where it was left.
    while let Ok(Some(event)) = stream.try_next().await {
        let (change, object) = match event {
            WatchEvent::Added(object) => (Change::Added, object),
            WatchEvent::Modified(object) => (Change::Modified, object),
            WatchEvent::Deleted(object) => (Change::Deleted, object),
            WatchEvent::Bookmark(bookmark) => {
                *version = bookmark.metadata.resource_version;
                continue;
            }
            WatchEvent::Error(error) => return Err(format!("the watch of {kind:?} lost its place: {error}")),
        };
        let seen = Instant::now();
        *version = object.metadata.resource_version.clone().unwrap_or_default();
        let number = version.parse().map_err(|_| format!("{version:?} is no revision"))?;
        let object = serde_json::to_value(object).map_err(|error| error.to_string())?;
        journal.lock().expect("no recorder panicked").push(Revision { number, kind, change, object, seen });
        notify.send_replace(());
    }
    Ok(())
}
