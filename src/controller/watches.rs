//! The watches that keep the [`Cache`] current.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::api::Api;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};

use super::checks::{self, Check, Health};
pub use super::live_reads::LiveReader;
use crate::api::{Budget, Lease, NodeLease, Pod, ReadObject, Service, Slim, SlimGroup};
use crate::cache::{Cache, Kind};
use crate::convert;
use crate::planner::{Identity, Millis, Version, nodes};

/// How long the parts of a list may be apart.
const LIST_TIMEOUT: Duration = Duration::from_secs(20);

/// A resumed watch says nothing until something happens: without a failure for so long, it works.
const RECOVERY: Duration = Duration::from_secs(10);

/// For how long a watch is asked for. It then goes on from where it was; a server that vanished without a word is noticed
/// 5 s later (kube waits so long for the end).
const WATCH_SECONDS: u32 = 30;

/// How long a connection of the watching client may bring nothing: longer than any watch.
pub const SILENCE: Duration = Duration::from_secs(45);

/// How many objects a page of a list has. Each of them may be 1.5 MB large before it is read, and one namespace may be full
/// of such: a page must fit into the memory.
pub(super) const PAGE: u32 = 100;

/// Where nodes renew their Leases.
pub(super) const NODE_LEASES: &str = "kube-node-lease";

/// Watches everything in `namespace`, or in all, until dropped.
pub async fn watch(client: Client, namespace: Option<String>, store: Arc<Cache>, health: Arc<Health>) {
    let scope = namespace.as_deref();
    // Heartbeats of nodes are by far the most frequent change of Leases, and nobody's election.
    let others = everything().fields(&format!("metadata.namespace!={NODE_LEASES}"));
    let leases = if scope.is_some() { everything() } else { others };
    let watched = |part| WatchStatus::new(part, scope, &health);
    let listing = |kind, part| Listing::new(kind, watched(part), &store);

    let mut group_list = listing(Kind::Group, Check::Groups);
    let groups = drive_watch(
        || watcher(api::<ReadObject<SlimGroup>>(&client, scope), everything()),
        watched(Check::Groups),
        |event| {
            group_list.take(event, |seen| match seen {
                Listed::Here(SlimGroup(group)) => store.upsert_group(group),
                Listed::Unreadable(namespace, group, version) => {
                    store.upsert_unreadable_group(namespace, group, version);
                }
                Listed::Gone(namespace, group, proved) => store.remove_group(namespace, group, proved),
            });
        },
    );
    let mut pod_list = listing(Kind::Pod, Check::Pods);
    let pods = drive_watch(
        || watcher(api::<ReadObject<Pod>>(&client, scope), everything()),
        watched(Check::Pods),
        |event| {
            pod_list.take(event, |seen| match seen {
                Listed::Here(pod) => store.upsert_pod(pod),
                Listed::Unreadable(..) => {}
                Listed::Gone(namespace, pod, proved) => store.remove_pod(namespace, pod, proved),
            });
        },
    );
    let mut service_list = listing(Kind::Service, Check::Services);
    let services = drive_watch(
        || watcher(api::<ReadObject<Service>>(&client, scope), everything()),
        watched(Check::Services),
        |event| {
            service_list.take(event, |seen| match seen {
                Listed::Here(service) => store.upsert_service(service),
                Listed::Unreadable(..) => {}
                Listed::Gone(namespace, service, _) => store.remove_service(namespace, service),
            });
        },
    );
    let mut lease_list = listing(Kind::Lease, Check::Leases);
    let leases = drive_watch(
        || watcher(api::<ReadObject<Lease>>(&client, scope), leases.clone()),
        watched(Check::Leases),
        |event| {
            lease_list.take(event, |seen| match seen {
                Listed::Here(lease) => store.upsert_lease(lease.into(), false),
                Listed::Unreadable(..) => {}
                Listed::Gone(namespace, lease, _) => store.remove_lease(namespace, lease),
            });
        },
    );
    let mut budget_list = listing(Kind::Budget, Check::Budgets);
    let budgets = drive_watch(
        || watcher(api::<ReadObject<Budget>>(&client, scope), everything()),
        watched(Check::Budgets),
        |event| {
            budget_list.take(event, |seen| match seen {
                Listed::Here(budget) => store.upsert_budget(budget),
                Listed::Unreadable(..) => {}
                Listed::Gone(namespace, budget, _) => store.remove_budget(namespace, budget),
            });
        },
    );
    futures::join!(groups, pods, leases, services, budgets);
}

fn everything() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE)
}

/// Watches the heartbeats of all nodes until dropped.
pub async fn watch_nodes(client: Client, store: Arc<Cache>, health: Arc<Health>) {
    let api: Api<ReadObject<NodeLease>> = Api::namespaced(client, NODE_LEASES);
    let mut listed = BTreeSet::new();
    let see = |event: Event<ReadObject<NodeLease>>| match event {
        Event::Init => listed.clear(),
        Event::InitApply(lease) => {
            hear_any_node(&store, &lease);
            listed.insert(lease.name_any());
        }
        Event::Apply(lease) => hear_any_node(&store, &lease),
        Event::InitDone => store.keep_nodes(&std::mem::take(&mut listed)),
        Event::Delete(lease) => store.remove_node(&lease.name_any()),
    };
    drive_watch(
        || watcher(api.clone(), everything()).inspect_err(|_| store.lose_nodes()),
        WatchStatus::new(Check::Nodes, None, &health),
        see,
    )
    .await;
}

/// Also a Lease that cannot be read is a sign of life, if it only has a version.
fn hear_any_node(store: &Cache, lease: &ReadObject<NodeLease>) {
    match lease {
        ReadObject::Object(lease) => {
            hear_node(store, lease);
        }
        ReadObject::Unreadable(_) => {
            store.hear_node(&lease.name_any(), convert::version(lease), nodes::renew_interval(None));
        }
    }
}

/// Whether it is a sign of life.
pub(super) fn hear_node(store: &Cache, lease: &NodeLease) -> bool {
    let interval = nodes::renew_interval(lease.spec.lease_duration_seconds);
    store.hear_node(&lease.name_any(), convert::version(lease), interval)
}

pub(super) fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// A watch, as far as health is concerned.
#[derive(Clone)]
struct WatchStatus {
    part: Check,
    place: String,
    health: Arc<Health>,
}

impl WatchStatus {
    pub(super) fn new(part: Check, namespace: Option<&str>, health: &Arc<Health>) -> Self {
        let place = namespace.unwrap_or_default().to_owned();
        Self { part, place, health: health.clone() }
    }
}

/// Feeds a watch to `see`, for ever. A list that is not answered is given up and begun anew: nothing else bounds it
/// (a watch is bounded by kube).
async fn drive_watch<K: Debug + Send, S: Stream<Item = watcher::Result<Event<K>>> + Send>(
    start: impl Fn() -> S,
    watched: WatchStatus,
    mut see: impl FnMut(Event<K>),
) {
    let mut pause = WatchBackoff::new(&watched);
    loop {
        let stream = pin!(start());
        drive_watch_once(stream, &watched, &mut pause, &mut see).await;
    }
}

/// Until the stream ends or a list stalls. Failures are told; the stream tries again by itself.
async fn drive_watch_once<K>(
    mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<K>>>>,
    WatchStatus { part, place, health }: &WatchStatus,
    pause: &mut WatchBackoff,
    see: &mut impl FnMut(Event<K>),
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
                health.report_error(*part, place, &error);
                fails = true;
                tokio::time::sleep(pause.after(&error)).await;
                continue;
            }
            Ok(None) => return,
            Err(_) if !lists => {
                health.report_ok(*part, place);
                pause.reset();
                fails = false;
                continue;
            }
            Err(_) => {
                let seconds = LIST_TIMEOUT.as_secs();
                return health.report_problem(
                    *part,
                    place,
                    format!("no answer to a list within {seconds} s"),
                );
            }
        };
        let complete = matches!(event, Event::InitDone);
        let begins = matches!(event, Event::Init);
        lists = (lists && !complete) || begins;
        // That a list begins is no success: nothing has been answered yet.
        if !begins {
            health.report_event(*part, place);
            pause.reset();
        }
        see(event);
        if complete {
            health.mark_synced(*part, place);
        }
        if !lists {
            health.report_ok(*part, place);
            fails = false;
        }
    }
}

/// How long to wait before a watch that failed is tried again: from 0.2 s on twice as long each time, to 5 s where the API
/// server refuses (a permission or a CRD that comes late is found soon), and to 1 s where it does not answer or cannot: all
/// failovers wait for its return. Each pause is shortened by up to a half, for each watch by another fraction.
struct WatchBackoff {
    tries: u32,
    salt: DefaultHasher,
}

impl WatchBackoff {
    const FIRST: Duration = Duration::from_millis(200);

    const REFUSED: Duration = Duration::from_secs(5);

    const AWAY: Duration = Duration::from_secs(1);

    pub(super) fn new(watched: &WatchStatus) -> Self {
        let mut salt = DefaultHasher::new();
        (watched.part, &watched.place).hash(&mut salt);
        Self { tries: 0, salt }
    }

    fn after(&mut self, error: &watcher::Error) -> Duration {
        let is_refused = checks::api_status(error).is_some_and(|status| {
            (400..500).contains(&status.code) && ![408, 410, 429].contains(&status.code)
        });
        let longest = if is_refused { Self::REFUSED } else { Self::AWAY };
        let full = Self::FIRST.saturating_mul(1 << self.tries.min(5)).min(longest);
        self.tries = self.tries.saturating_add(1);
        self.salt.write_u32(self.tries);
        let fraction = u32::try_from(self.salt.finish() % 512).unwrap_or_default();
        full.mul_f64(1.0 - f64::from(fraction) / 1024.0)
    }

    /// The API server has answered.
    const fn reset(&mut self) {
        self.tries = 0;
    }
}

/// What a watch tells of an object.
enum Listed<'a, K> {
    Here(K),
    /// Namespace, identity and version: it is there, and cannot be read.
    Unreadable(&'a str, &'a Identity, Version),
    /// Namespace and identity; whether its deletion was seen: what a fresh list has not has gone unseen.
    Gone(&'a str, &'a Identity, bool),
}

fn place_of<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_default()
}

/// Remembers which objects the present list has brought.
struct Listing<'a> {
    kind: Kind,
    watched: WatchStatus,
    store: &'a Cache,
    seen: HashSet<(String, String)>,
    begun: Millis,
}

impl<'a> Listing<'a> {
    pub(super) fn new(kind: Kind, watched: WatchStatus, store: &'a Cache) -> Self {
        Self { kind, watched, store, seen: HashSet::new(), begun: Millis::default() }
    }

    /// Tells what is here and what is gone.
    pub(super) fn take<K: Slim>(&mut self, event: Event<ReadObject<K>>, mut tell: impl FnMut(Listed<'_, K>)) {
        match event {
            Event::Init => {
                self.seen.clear();
                self.begun = self.store.now();
            }
            Event::InitApply(object) => {
                self.seen.insert((place_of(&object), object.name_any()));
                if let ReadObject::Object(object) = &object {
                    self.store.check_listed(self.kind, object, self.begun);
                }
                self.read(object, &mut tell);
            }
            Event::Apply(object) => self.read(object, &mut tell),
            Event::InitDone => {
                for (namespace, object) in self.missing() {
                    tell(Listed::Gone(&namespace, &object, false));
                }
            }
            Event::Delete(object) => {
                let WatchStatus { part, place, health } = &self.watched;
                health.report_readable(*part, place, &(place_of(&object), object.name_any()));
                tell(Listed::Gone(&place_of(&object), &convert::identity(&object), true));
            }
        }
    }

    pub(super) fn read<K: Slim>(&self, object: ReadObject<K>, tell: &mut impl FnMut(Listed<'_, K>)) {
        let WatchStatus { part, place, health } = &self.watched;
        let namespace = place_of(&object);
        let (id, version) = (convert::identity(&object), convert::version(&object));
        let name = (namespace.clone(), id.name.clone());
        match object {
            ReadObject::Object(object) => {
                health.report_readable(*part, place, &name);
                tell(Listed::Here(object));
            }
            ReadObject::Unreadable(unreadable) => {
                health.report_unreadable(*part, place, name, &unreadable.why);
                tell(Listed::Unreadable(&namespace, &id, version));
            }
        }
    }

    /// What the store has and the list had not.
    fn missing(&mut self) -> Vec<(String, Identity)> {
        let WatchStatus { part, place, health } = &self.watched;
        let seen = std::mem::take(&mut self.seen);
        health.keep_unreadable(*part, place, |name| seen.contains(name));
        let scope = Some(place.as_str()).filter(|place| !place.is_empty());
        let known = self.store.known(self.kind, scope).into_iter();
        known.filter(|(space, id)| !seen.contains(&(space.clone(), id.name.clone()))).collect()
    }
}
