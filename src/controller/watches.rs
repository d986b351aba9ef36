//! The watches that keep the [`Cache`] current.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};

use super::backoff::Backoff;
use super::checks::{self, Check, Health, ScopedCheck};
use super::watched_kind::WatchedKind;
use crate::api::{
    Budget, EndpointSlice, Lease, MANAGED_BY, MANAGED_BY_LABEL, NodeLease, Pod, ReadObject, Service,
    SlimGroup,
};
use crate::cache::{Cache, Scope};
use crate::convert;
use crate::planner::{Identity, Millis, nodes};

/// The longest wait for the next part of a list.
const LIST_TIMEOUT: Duration = Duration::from_secs(20);

/// A resumed watch is silent until something changes. Without a failure for this long, it works.
const RECOVERY: Duration = Duration::from_secs(10);

/// The duration that one watch request asks for; the next one continues from there. A server that
/// vanished without a word is noticed 5 s later: kube waits so long for the end.
const WATCH_SECONDS: u32 = 30;

/// How long a connection of the watching client may be silent: longer than any watch.
pub const SILENCE: Duration = Duration::from_secs(45);

/// Objects in one page of a list. Each object may have 1.5 MB before it is read, and one namespace
/// may be full of such objects: a page must fit into the memory.
pub(super) const PAGE: u32 = 100;

/// The namespace in which nodes renew their Leases.
pub(super) const NODE_LEASES: &str = "kube-node-lease";

/// Watches everything in `scope` until dropped.
pub async fn watch(client: Client, scope: Scope, cache: Arc<Cache>, health: Arc<Health>) {
    // Node heartbeats are by far the most frequent changes of Leases, and no election uses them.
    let leases = match scope {
        Scope::Cluster => everything().fields(&format!("metadata.namespace!={NODE_LEASES}")),
        Scope::Namespace(_) => everything(),
    };
    let context = WatchContext { client, scope, cache, health };
    futures::join!(
        context.watch::<SlimGroup>(everything()),
        context.watch::<Pod>(everything()),
        context.watch::<Lease>(leases),
        context.watch::<Service>(everything()),
        context.watch::<Budget>(everything()),
        context.watch::<EndpointSlice>(everything().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"))),
    );
}

fn everything() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// What the watches of one scope share.
struct WatchContext {
    client: Client,
    scope: Scope,
    cache: Arc<Cache>,
    health: Arc<Health>,
}

impl WatchContext {
    /// Watches the objects of one kind, for ever.
    async fn watch<K: WatchedKind>(&self, config: watcher::Config) {
        let api: Api<ReadObject<K>> = match self.scope.namespace() {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let status = WatchStatus::new(K::CHECK, self.scope.clone(), &self.health);
        let mut listing = Listing::<K>::new(status.clone(), &self.cache);
        let start = || watcher(api.clone(), config.clone());
        let synced = || self.cache.mark_synced(self.scope.clone());
        drive_watch(start, status, |event| listing.take(event), synced).await;
    }
}

/// Watches the heartbeats of all nodes until dropped.
pub async fn watch_nodes(client: Client, cache: Arc<Cache>, health: Arc<Health>) {
    let api: Api<ReadObject<NodeLease>> = Api::namespaced(client, NODE_LEASES);
    let mut listed = BTreeSet::new();
    let take = |event: Event<ReadObject<NodeLease>>| match event {
        Event::Init => listed.clear(),
        Event::InitApply(lease) => {
            hear_any_node(&cache, &lease);
            listed.insert(lease.name_any());
        }
        Event::Apply(lease) => hear_any_node(&cache, &lease),
        Event::InitDone => cache.keep_nodes(&std::mem::take(&mut listed)),
        Event::Delete(lease) => cache.remove_node(&lease.name_any()),
    };
    let start = || watcher(api.clone(), everything()).inspect_err(|_| cache.lose_nodes());
    let status = WatchStatus::new(Check::Nodes, Scope::Cluster, &health);
    drive_watch(start, status, take, || {}).await;
}

/// A Lease that cannot be read is a sign of life, too, if it has a version.
fn hear_any_node(cache: &Cache, lease: &ReadObject<NodeLease>) {
    match lease {
        ReadObject::Object(lease) => {
            hear_node(cache, lease);
        }
        ReadObject::Unreadable(_) => {
            let interval = nodes::renew_interval(None);
            cache.hear_node(&lease.name_any(), convert::version(lease), interval);
        }
    }
}

/// Enters a node's Lease into the cache. True if it is a sign of life.
pub(super) fn hear_node(cache: &Cache, lease: &NodeLease) -> bool {
    let interval = nodes::renew_interval(lease.spec.lease_duration_seconds);
    cache.hear_node(&lease.name_any(), convert::version(lease), interval)
}

/// One watch, as [`Health`] knows it.
#[derive(Clone)]
struct WatchStatus {
    at: ScopedCheck,
    health: Arc<Health>,
}

impl WatchStatus {
    fn new(check: Check, scope: Scope, health: &Arc<Health>) -> Self {
        Self { at: ScopedCheck { check, scope }, health: health.clone() }
    }
}

/// Feeds the events of a watch to `take`, for ever, and calls `synced` when its scope is.
///
/// A list without an answer is given up and begun anew: nothing else bounds a list. Kube bounds a
/// watch.
async fn drive_watch<K: Debug + Send, S: Stream<Item = watcher::Result<Event<K>>> + Send>(
    start: impl Fn() -> S,
    status: WatchStatus,
    mut take: impl FnMut(Event<K>),
    synced: impl Fn(),
) {
    let mut pace = WatchPace::new(&status.at);
    loop {
        let stream = pin!(start());
        drive_watch_once(stream, &status, &mut pace, &mut take, &synced).await;
    }
}

/// Until the stream ends or a list stalls. Failures are reported; the stream retries by itself.
async fn drive_watch_once<K>(
    mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<K>>>>,
    WatchStatus { at, health }: &WatchStatus,
    pace: &mut WatchPace,
    take: &mut impl FnMut(Event<K>),
    synced: &impl Fn(),
) {
    let (mut lists, mut fails) = (true, false);
    loop {
        let patience = match (lists, fails) {
            (true, _) => LIST_TIMEOUT,
            (false, true) => RECOVERY,
            (false, false) => Duration::MAX,
        };
        let event = match tokio::time::timeout(patience, stream.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(error))) => {
                health.report_error(at, &error);
                fails = true;
                tokio::time::sleep(pace.pause_after(&error)).await;
                continue;
            }
            Ok(None) => return,
            Err(_) if !lists => {
                health.report_ok(at);
                pace.reset();
                fails = false;
                continue;
            }
            Err(_) => {
                let seconds = LIST_TIMEOUT.as_secs();
                return health.report_problem(at, format!("no answer to a list within {seconds} s"));
            }
        };
        let is_complete = matches!(event, Event::InitDone);
        let begins = matches!(event, Event::Init);
        lists = (lists && !is_complete) || begins;
        // The begin of a list is no success: the API server has not answered yet.
        if !begins {
            health.report_event(at);
            pace.reset();
        }
        take(event);
        if is_complete && health.mark_synced(at) {
            synced();
        }
        if !lists {
            health.report_ok(at);
            fails = false;
        }
    }
}

/// The pace at which a watch that failed is tried again.
struct WatchPace(Backoff);

impl WatchPace {
    const FIRST: Duration = Duration::from_millis(200);
    /// A missing permission or CRD that comes late is found this soon.
    const LONGEST_IF_REFUSED: Duration = Duration::from_secs(5);
    /// All failovers wait for the return of an API server that does not answer.
    const LONGEST_IF_AWAY: Duration = Duration::from_secs(1);

    fn new(watch: &ScopedCheck) -> Self {
        Self(Backoff::new(&(watch.check, watch.scope.log_field()), Self::FIRST))
    }

    fn pause_after(&mut self, error: &watcher::Error) -> Duration {
        let is_refused = checks::api_status(error).is_some_and(|status| {
            (400..500).contains(&status.code) && ![408, 410, 429].contains(&status.code)
        });
        self.0.pause(if is_refused { Self::LONGEST_IF_REFUSED } else { Self::LONGEST_IF_AWAY })
    }

    /// The API server has answered.
    const fn reset(&mut self) {
        self.0.reset();
    }
}

fn namespace_of<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_default()
}

/// Takes the events of one watch into the cache, and remembers the objects of the present list.
struct Listing<'a, K> {
    status: WatchStatus,
    cache: &'a Cache,
    /// Namespace and name of each object.
    listed: HashSet<(String, String)>,
    begun: Millis,
    kind: PhantomData<fn(K)>,
}

impl<'a, K: WatchedKind> Listing<'a, K> {
    fn new(status: WatchStatus, cache: &'a Cache) -> Self {
        Self { status, cache, listed: HashSet::new(), begun: Millis::default(), kind: PhantomData }
    }

    fn take(&mut self, event: Event<ReadObject<K>>) {
        match event {
            Event::Init => {
                self.listed.clear();
                self.begun = self.cache.now();
            }
            Event::InitApply(object) => {
                self.listed.insert((namespace_of(&object), object.name_any()));
                if let ReadObject::Object(object) = &object {
                    self.cache.check_listed(K::KIND, object, self.begun);
                }
                self.upsert(object);
            }
            Event::Apply(object) => self.upsert(object),
            Event::InitDone => {
                for (namespace, object) in self.missing() {
                    K::remove(self.cache, &namespace, &object, false);
                }
                K::listed(self.cache, &self.status.at.scope);
            }
            Event::Delete(object) => {
                let WatchStatus { at, health } = &self.status;
                health.report_readable(at, &(namespace_of(&object), object.name_any()));
                K::remove(self.cache, &namespace_of(&object), &convert::identity(&object), true);
            }
        }
    }

    fn upsert(&self, object: ReadObject<K>) {
        let WatchStatus { at, health } = &self.status;
        let namespace = namespace_of(&object);
        let (id, version) = (convert::identity(&object), convert::version(&object));
        let name = (namespace.clone(), id.name.clone());
        match object {
            ReadObject::Object(object) => {
                health.report_readable(at, &name);
                object.upsert(self.cache);
            }
            ReadObject::Unreadable(unreadable) => {
                health.report_unreadable(at, name, &unreadable.why);
                K::upsert_unreadable(self.cache, &namespace, &id, version);
            }
        }
    }

    /// The objects that the cache has and the list had not.
    fn missing(&mut self) -> Vec<(String, Identity)> {
        let WatchStatus { at, health } = &self.status;
        let listed = std::mem::take(&mut self.listed);
        health.keep_unreadable(at, |name| listed.contains(name));
        let known = self.cache.known(K::KIND, at.scope.namespace()).into_iter();
        known.filter(|(space, id)| !listed.contains(&(space.clone(), id.name.clone()))).collect()
    }
}
