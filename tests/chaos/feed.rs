//! Sees every revision of the pods, groups and Leases of a namespace, from the first one on, and puts them into one order.
//!
//! A watch delivers each revision of its kind, and is taken up again where it was left. An API server that has just been
//! started does not know what was before: then each single revision in between is read from the store, by lists at
//! exactly that revision. So none is ever missed; if one were, the run would fail.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::core::{DynamicObject, WatchEvent};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::revision::{Group, Lease, Object, Pod, Revision};
use crate::world::{self, PATIENCE};

/// The kinds that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Pod,
    Group,
    Lease,
}

/// What has arrived.
#[derive(Default)]
pub(crate) struct Log {
    /// Not handed over yet.
    revisions: BTreeMap<u64, Revision>,
    /// Up to here everything of a kind is there.
    complete: BTreeMap<Kind, u64>,
    /// What exists, by UID.
    pods: BTreeMap<String, Pod>,
    groups: BTreeMap<String, Group>,
    leases: BTreeMap<String, Lease>,
    /// A watch could not go on: what came in between is not known.
    lost: Option<String>,
    filled: usize,
}

impl Log {
    fn push(&mut self, revision: Revision) {
        let (uid, gone) = (revision.uid().to_owned(), revision.gone);
        match &revision.object {
            _ if gone => {
                self.pods.remove(&uid);
                self.groups.remove(&uid);
                self.leases.remove(&uid);
            }
            Object::Pod(pod) => {
                self.pods.insert(uid, pod.clone());
            }
            Object::Group(group) => {
                self.groups.insert(uid, group.clone());
            }
            Object::Lease(lease) => {
                self.leases.insert(uid, lease.clone());
            }
        }
        self.revisions.insert(revision.number, revision);
    }

    /// The pods of a group that exist.
    pub(crate) fn pods_of(&self, group: &str) -> Vec<&Pod> {
        self.pods.values().filter(|pod| pod.app == group).collect()
    }

    /// Those of them that carry the leader label.
    pub(crate) fn leaders_of(&self, group: &str) -> Vec<&Pod> {
        self.pods_of(group).into_iter().filter(|pod| pod.leads()).collect()
    }

    /// The group as last seen, if it exists.
    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.values().find(|group| group.name == name)
    }

    pub(crate) fn lease(&self, name: &str) -> Option<&Lease> {
        self.leases.values().find(|lease| lease.name == name)
    }

    /// L1: exactly one pod of the group carries the label, the one that the record names, and status says so.
    pub(crate) fn is_settled(&self, name: &str) -> bool {
        let Some(group) = self.group(name) else { return false };
        let leaders = self.leaders_of(name);
        let recorded = |pod: &Pod| pod.uid == group.leader && pod.marks.term.parse().ok() == group.term;
        leaders.len() == 1 && recorded(leaders[0]) && group.ready
    }

    /// L1 where the pods elect: exactly the pod that holds the Lease leads, and this is `pod`.
    pub(crate) fn follows(&self, name: &str, pod: &str) -> bool {
        let holder = self.lease(name).and_then(|lease| lease.names(&self.pods_of(name)));
        let leader = self.leaders_of(name).first().map(|leader| &leader.uid);
        let held = holder.is_some_and(|holder| holder.name == pod && Some(&holder.uid) == leader);
        held && self.is_settled(name)
    }

    /// L1 where the pods elect and nobody holds the Lease: no pod of the group carries the label, and none is recorded.
    pub(crate) fn leads_nobody(&self, name: &str) -> bool {
        let says_so = self.group(name).is_some_and(|group| group.leader.is_empty() && !group.ready);
        says_so && self.leaders_of(name).is_empty()
    }

    /// How many revisions had to be read one by one.
    pub(crate) fn filled(&self) -> usize {
        self.filled
    }
}

/// Follows a namespace.
pub(crate) struct Feed {
    log: Arc<Mutex<Log>>,
    changed: watch::Receiver<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Feed {
    /// Begins with an empty namespace.
    pub(crate) async fn start(client: &Client, namespace: &str) -> Self {
        let (notify, changed) = watch::channel(());
        let (log, notify, start) = (Arc::<Mutex<Log>>::default(), Arc::new(notify), Instant::now());
        let mut tasks = Vec::new();
        for (kind, api) in [
            (Kind::Pod, world::pods(client, namespace)),
            (Kind::Group, world::groups(client, namespace)),
            (Kind::Lease, world::leases(client, namespace)),
        ] {
            let found = api.list(&ListParams::default()).await.expect("the namespace can be listed");
            assert!(found.items.is_empty(), "the feed begins before there is anything to see");
            let last = number(found.metadata.resource_version.as_deref()).expect("a list has a version");
            let reader = Reader {
                kind,
                api,
                log: log.clone(),
                notify: notify.clone(),
                start,
                last,
                known: BTreeMap::new(),
            };
            tasks.push(tokio::spawn(reader.follow()));
        }
        Self { log, changed, tasks }
    }

    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("nobody panicked over the log")
    }

    /// The names of the pods that exist.
    pub(crate) fn names_of_pods(&self) -> Vec<String> {
        self.log().pods.values().map(|pod| pod.name.clone()).collect()
    }

    /// Waits until `find` finds something in what exists.
    ///
    /// # Panics
    /// If it has found nothing after [`PATIENCE`], or a revision was missed.
    pub(crate) async fn until<T>(&self, what: &str, find: impl Fn(&Log) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        let search = async {
            loop {
                changed.mark_unchanged();
                {
                    let log = self.log();
                    assert_eq!(log.lost, None, "revisions were missed: nothing can be said");
                    if let Some(found) = find(&log) {
                        return found;
                    }
                }
                changed.changed().await.expect("the feed goes on");
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        found.unwrap_or_else(|_| {
            let log = self.log();
            let all = log.groups.values().map(|group| format!("{group:?}"));
            let all = all.chain(log.leases.values().map(|lease| format!("{lease:?}")));
            let all: Vec<_> = all.chain(log.pods.values().map(|pod| format!("{pod:?}"))).collect();
            panic!("not within {PATIENCE:?}: {what}; there are\n{}", all.join("\n"))
        })
    }

    /// Everything up to the oldest of some revisions that the test itself has just written, one of each kind.
    pub(crate) async fn take_until(&self, written: [(Kind, u64); 3]) -> Vec<Revision> {
        let complete = |log: &Log, (kind, number): (Kind, u64)| {
            log.complete.get(&kind).is_some_and(|seen| *seen >= number)
        };
        self.until("a feed that has seen everything", |log| {
            written.into_iter().all(|written| complete(log, written)).then_some(())
        })
        .await;
        let oldest = written.into_iter().map(|(_, number)| number).min().unwrap_or_default();
        let mut log = self.log();
        let rest = log.revisions.split_off(&(oldest + 1));
        std::mem::replace(&mut log.revisions, rest).into_values().collect()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Reads one kind.
struct Reader {
    kind: Kind,
    api: Api<DynamicObject>,
    log: Arc<Mutex<Log>>,
    notify: Arc<watch::Sender<()>>,
    start: Instant,
    /// Everything up to here has been seen.
    last: u64,
    /// What exists, by name.
    known: BTreeMap<String, DynamicObject>,
}

/// Why a watch did not go on.
enum Stop {
    /// It ended, or there was no answer.
    Ended,
    /// The API server does not know any more what came next.
    Forgotten,
    /// Something that must not be.
    Lost(String),
}

impl Reader {
    async fn follow(mut self) {
        loop {
            let stop = match self.watch().await {
                Stop::Forgotten => self.fill().await,
                other => other,
            };
            match stop {
                Stop::Lost(why) => {
                    self.log.lock().expect("nobody panicked over the log").lost = Some(why);
                    self.notify.send_replace(());
                    return;
                }
                // The API server is away.
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    async fn watch(&mut self) -> Stop {
        let stream = match self.api.watch(&WatchParams::default(), &self.last.to_string()).await {
            Ok(stream) => stream,
            Err(kube::Error::Api(status)) if status.code == 410 => return Stop::Forgotten,
            Err(_) => return Stop::Ended,
        };
        let mut stream = std::pin::pin!(stream);
        while let Ok(Some(event)) = stream.try_next().await {
            let (object, gone) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark(bookmark) => {
                    if let Some(version) = number(Some(&bookmark.metadata.resource_version)) {
                        self.saw_all_up_to(version);
                    }
                    continue;
                }
                WatchEvent::Error(status) if status.code == 410 => return Stop::Forgotten,
                WatchEvent::Error(_) => return Stop::Ended,
            };
            let Some(version) = number(object.metadata.resource_version.as_deref()) else {
                return Stop::Lost(format!("an object without a version: {object:?}"));
            };
            self.see(version, object, gone);
        }
        Stop::Ended
    }

    /// Reads what came after `last` revision by revision, up to now.
    async fn fill(&mut self) -> Stop {
        let Ok(now) = self.api.list(&ListParams::default()).await else { return Stop::Ended };
        let Some(now) = number(now.metadata.resource_version.as_deref()) else {
            return Stop::Lost("a list without a version".to_owned());
        };
        while self.last < now {
            let next = self.last + 1;
            let exactly = ListParams::default().at(&next.to_string()).matching(VersionMatch::Exact);
            let list = match self.api.list(&exactly).await {
                Ok(list) => list.items,
                Err(kube::Error::Api(status)) if status.code == 410 => {
                    return Stop::Lost(format!("the store does not know revision {next} any more"));
                }
                Err(_) => return Stop::Ended,
            };
            self.compare(next, list);
            self.log.lock().expect("nobody panicked over the log").filled += 1;
        }
        Stop::Ended
    }

    /// What the revision `number` changed: one object at most.
    fn compare(&mut self, version: u64, list: Vec<DynamicObject>) {
        let names: Vec<_> = list.iter().map(ResourceExt::name_any).collect();
        let gone = self.known.values().find(|known| !names.contains(&known.name_any())).cloned();
        let changed = list
            .into_iter()
            .find(|object| number(object.metadata.resource_version.as_deref()) == Some(version));
        match (changed, gone) {
            (Some(object), _) => self.see(version, object, false),
            (None, Some(object)) => self.see(version, object, true),
            (None, None) => self.saw_all_up_to(version),
        }
    }

    fn see(&mut self, version: u64, object: DynamicObject, gone: bool) {
        let name = object.name_any();
        let value = serde_json::to_value(&object).expect("an object is JSON");
        let seen = match self.kind {
            Kind::Pod => Object::Pod(Pod::read(&value)),
            Kind::Group => Object::Group(Group::read(&value)),
            Kind::Lease => Object::Lease(Lease::read(&value)),
        };
        if gone {
            self.known.remove(&name);
        } else {
            self.known.insert(name, object);
        }
        let revision = Revision { number: version, object: seen, gone, at: self.start.elapsed() };
        self.log.lock().expect("nobody panicked over the log").push(revision);
        self.saw_all_up_to(version);
    }

    fn saw_all_up_to(&mut self, version: u64) {
        self.last = version;
        self.log.lock().expect("nobody panicked over the log").complete.insert(self.kind, version);
        self.notify.send_replace(());
    }
}

fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}
