//! What is stored: every object, every version, and who watches.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::call::{Call, Verb};
use super::refusal::Refusal;
use super::selection::Selection;
use super::watch::{Watch, Watcher};
use crate::feed::Change;
use crate::json::{At, merged};
use crate::kind::Kind;

/// A test's part in the server.
pub trait Hooks: Send + 'static {
    /// Validation and admission: a client's write, after its conditions and before it is stored.
    ///
    /// # Errors
    /// What the client is told instead.
    fn admit(&mut self, kind: Kind, object: &mut Value) -> Result<(), Refusal> {
        let _ = (kind, object);
        Ok(())
    }

    /// Each version of each object, as it is stored.
    fn see(&mut self, commit: &Commit) {
        let _ = commit;
    }
}

impl Hooks for () {}

/// A new version of an object.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The version: one counter for all kinds.
    pub number: u64,
    /// The kind of the object.
    pub kind: Kind,
    /// What became of the object.
    pub change: Change,
    /// The object as it is from here on; a deleted one as it was.
    pub object: Value,
    /// The object as it was before; a new one was not.
    pub before: Option<Value>,
    /// A client asked for it, not the test itself.
    pub by_client: bool,
}

/// Kind, namespace and name.
pub(super) type Key = (Kind, String, String);

/// The objects, and what the test keeps beside them.
pub struct Store<T> {
    /// The test's own.
    pub test: T,
    namespace: String,
    version: u64,
    objects: BTreeMap<Key, Value>,
    /// How many objects there ever were.
    created: u64,
    /// The latest commits, for watches to start from.
    history: VecDeque<Commit>,
    remembers: usize,
    watchers: Vec<Watcher>,
    /// What lists in pages have still to tell, by the token to go on with.
    pages: BTreeMap<String, (u64, Vec<Value>)>,
    /// How many tokens there ever were.
    tokens: u64,
}

impl<T> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("version", &self.version).finish_non_exhaustive()
    }
}

impl<T: Hooks> Store<T> {
    /// An empty store. Objects that a test names without a namespace are in this one.
    pub fn new(namespace: &str, test: T) -> Self {
        Self {
            test,
            namespace: namespace.to_owned(),
            version: 100,
            objects: BTreeMap::new(),
            created: 0,
            history: VecDeque::new(),
            remembers: usize::MAX,
            watchers: Vec::new(),
            pages: BTreeMap::new(),
            tokens: 0,
        }
    }

    /// It remembers so many commits. A watch from an earlier version is answered with 410.
    #[must_use]
    pub fn remembering(self, commits: usize) -> Self {
        Self { remembers: commits, ..self }
    }

    /// The namespace of objects that a test names without one.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The latest version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    pub fn object(&self, kind: Kind, name: &str) -> Option<Value> {
        self.at(&self.key(kind, name)).cloned()
    }

    /// All objects of a kind.
    pub fn all(&self, kind: Kind) -> Vec<Value> {
        self.of(kind).cloned().collect()
    }

    fn key(&self, kind: Kind, name: &str) -> Key {
        (kind, self.namespace.clone(), name.to_owned())
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((found, ..), _)| *found == kind).map(|(_, object)| object)
    }

    /// How many watches there are.
    pub fn watches(&self) -> usize {
        self.watchers.iter().filter(|watcher| !watcher.sender.is_closed()).count()
    }

    /// Whether no watch can go on from this version.
    pub fn has_forgotten(&self, version: u64) -> bool {
        self.history.front().is_some_and(|oldest| version + 1 < oldest.number)
    }

    /// The test creates an object, as users and controllers do. One that is there stays.
    pub fn create(&mut self, kind: Kind, object: Value) {
        let key = self.key(kind, object.text("/metadata/name"));
        if self.at(&key).is_none() {
            self.insert(key, object, false);
        }
    }

    /// The test changes an object, without conditions. One that is not there stays so.
    pub fn edit(&mut self, kind: Kind, name: &str, change: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.object(kind, name) else { return };
        change(&mut object);
        self.commit(self.key(kind, name), object, false);
    }

    /// The test deletes an object.
    pub fn delete(&mut self, kind: Kind, name: &str) {
        self.remove(&self.key(kind, name), false);
    }

    /// All watches end.
    pub fn end_watches(&mut self) {
        self.watchers.clear();
    }

    /// An event to all watches of a kind, true or not.
    pub fn publish(&mut self, kind: Kind, event: &Value) {
        for watcher in self.watchers.iter().filter(|watcher| watcher.kind == kind) {
            let _ = watcher.sender.send(event.clone());
        }
    }

    /// The data are those of a backup: every object is there, so many versions older.
    pub fn turn_back(&mut self, versions: u64) {
        for object in self.objects.values_mut() {
            let version: u64 = object.text("/metadata/resourceVersion").parse().expect("a version");
            object["metadata"]["resourceVersion"] = json!((version - versions).to_string());
        }
        self.version -= versions;
        self.history.clear();
    }

    /// Carries a call out that is no watch.
    ///
    /// # Errors
    /// What the API server says instead.
    pub fn carry_out(&mut self, call: &Call) -> Result<Value, Refusal> {
        match call.verb {
            Verb::List => self.list(call),
            Verb::Get => self.at(&key(call)).cloned().ok_or_else(|| Refusal::missing(call.kind, &call.name)),
            Verb::Watch => Err(Refusal::new(405, "a watch has many answers")),
            Verb::Create | Verb::Update | Verb::Patch | Verb::Delete => self.write(call),
        }
    }

    fn list(&mut self, call: &Call) -> Result<Value, Refusal> {
        let (version, mut items) = match call.parameter("continue") {
            "" => {
                let selection = Selection::of(call);
                let items = self.of(call.kind).filter(|object| selection.matches(object));
                (self.version, items.cloned().collect::<Vec<_>>())
            }
            token => self.pages.remove(token).ok_or_else(Refusal::expired)?,
        };
        let limit = call.parameter("limit").parse().unwrap_or(usize::MAX);
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if items.len() > limit {
            self.tokens += 1;
            let (rest, token) = (items.split_off(limit), self.tokens.to_string());
            metadata["continue"] = json!(token);
            metadata["remainingItemCount"] = json!(rest.len());
            self.pages.insert(token, (version, rest));
        }
        let row = call.kind.row();
        Ok(json!({
            "kind": format!("{}List", row.name), "apiVersion": row.api_version(),
            "metadata": metadata, "items": items,
        }))
    }

    /// Begins a watch: what happened since its version, and what happens from now on. A watch
    /// without a version is told first what is there.
    pub fn watch(&mut self, call: &Call) -> Watch {
        let (sender, receiver) = mpsc::unbounded_channel();
        let watcher = Watcher { kind: call.kind, selection: Selection::of(call), sender };
        match call.since() {
            Some(version) if self.has_forgotten(version) => {
                let _ = watcher.sender.send(Refusal::expired().event());
                return Watch(receiver);
            }
            Some(version) => {
                for commit in self.history.iter().filter(|commit| commit.number > version) {
                    watcher.tell(commit);
                }
            }
            None => {
                for object in self.of(call.kind).filter(|object| watcher.selection.matches(object)) {
                    let _ = watcher.sender.send(json!({ "type": "ADDED", "object": object }));
                }
            }
        }
        self.watchers.push(watcher);
        Watch(receiver)
    }

    pub(super) fn at(&self, key: &Key) -> Option<&Value> {
        self.objects.get(key)
    }

    pub(super) fn insert(&mut self, key: Key, object: Value, by_client: bool) -> Value {
        self.created += 1;
        let (kind, namespace, name) = &key;
        let created = 1_700_000_000 + i64::try_from(self.created).expect("few objects");
        let created = jiff::Timestamp::from_second(created).expect("a time").to_string();
        let given = json!({
            "apiVersion": kind.row().api_version(), "kind": kind.row().name,
            "metadata": {
                "namespace": namespace, "uid": format!("{name}-{}", self.created),
                "creationTimestamp": created,
            },
        });
        self.commit(key, merged(object, &given), by_client)
    }

    /// Stores a version, if it is one.
    pub(super) fn commit(&mut self, key: Key, mut object: Value, by_client: bool) -> Value {
        let before = self.objects.get(&key).cloned();
        if before.as_ref() == Some(&object) {
            return object;
        }
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let kind = key.0;
        self.objects.insert(key, object.clone());
        self.tell(Commit { number: self.version, kind, change, object: object.clone(), before, by_client });
        object
    }

    pub(super) fn remove(&mut self, key: &Key, by_client: bool) -> Option<Value> {
        let before = self.objects.remove(key)?;
        self.version += 1;
        let mut object = before.clone();
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let (number, kind, change) = (self.version, key.0, Change::Deleted);
        self.tell(Commit { number, kind, change, object: object.clone(), before: Some(before), by_client });
        Some(object)
    }

    fn tell(&mut self, commit: Commit) {
        self.test.see(&commit);
        self.watchers.retain(|watcher| watcher.tell(&commit));
        self.history.push_back(commit);
        if self.history.len() > self.remembers {
            self.history.pop_front();
        }
    }
}

/// The object that a call is about.
pub(super) fn key(call: &Call) -> Key {
    (call.kind, call.namespace.clone().unwrap_or_default(), call.name.clone())
}
