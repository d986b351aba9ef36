//! All reads: the watches that keep the [`Store`] current, and the few questions that a plan asks the API server.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Debug;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, utils::Backoff};
use kube::{Client, ResourceExt};

use super::FIELD_MANAGER;
use super::error::Error;
use super::health::{Health, Part};
use super::request::Requests;
use super::store::{GroupRef, Kind, Store};
use super::translate;
use crate::api::{Budget, ElectionGroup, Lease, NodeLease, Pod, Service};
use crate::election::{Identity, Term, Version, heartbeat};

/// How long the parts of a list may be apart.
const LIST_PATIENCE: Duration = Duration::from_secs(20);

/// A resumed watch says nothing until something happens: without a failure for so long, it works.
const RECOVERY: Duration = Duration::from_secs(10);

/// For how long a watch is asked for. It then goes on from where it was; a server that vanished without a word is noticed
/// 5 s later (kube waits so long for the end).
const WATCH_SECONDS: u32 = 30;

/// How long a connection of the watching client may bring nothing: longer than any watch.
pub const SILENCE: Duration = Duration::from_secs(45);

/// Where nodes renew their Leases.
const NODE_LEASES: &str = "kube-node-lease";

/// Watches everything in `namespace`, or in all, until dropped.
pub async fn watch(client: Client, namespace: Option<String>, store: Arc<Store>, health: Arc<Health>) {
    let scope = namespace.as_deref();
    let everything = || watcher::Config::default().timeout(WATCH_SECONDS);
    let mut group_list = Listing::new(Kind::Group, scope);
    let mut pod_list = Listing::new(Kind::Pod, scope);
    let mut lease_list = Listing::new(Kind::Lease, scope);
    // Heartbeats of nodes are by far the most frequent change of Leases, and nobody's election.
    let others = everything().fields(&format!("metadata.namespace!={NODE_LEASES}"));
    let leases = if scope.is_some() { everything() } else { others };
    let groups = follow(
        || watcher(api::<DeserializeGuard<ElectionGroup>>(&client, scope), everything()),
        Watched::new(Part::Groups, scope, &health),
        |event| see_groups(&store, &mut group_list, event),
    );
    let pods = follow(
        || watcher(api::<Pod>(&client, scope), everything()),
        Watched::new(Part::Pods, scope, &health),
        |event| see_pods(&store, &mut pod_list, event),
    );
    let mut service_list = Listing::new(Kind::Service, scope);
    let services = follow(
        || watcher(api::<Service>(&client, scope), everything()),
        Watched::new(Part::Services, scope, &health),
        |event| see_services(&store, &mut service_list, event),
    );
    let leases = follow(
        || watcher(api::<Lease>(&client, scope), leases.clone()),
        Watched::new(Part::Leases, scope, &health),
        |event| see_leases(&store, &mut lease_list, event),
    );
    let mut budget_list = Listing::new(Kind::Budget, scope);
    let budgets = follow(
        || watcher(api::<Budget>(&client, scope), everything()),
        Watched::new(Part::Budgets, scope, &health),
        |event| see_budgets(&store, &mut budget_list, event),
    );
    futures::join!(groups, pods, leases, services, budgets);
}

/// Watches the heartbeats of all nodes until dropped.
pub async fn watch_nodes(client: Client, store: Arc<Store>, health: Arc<Health>) {
    let api: Api<NodeLease> = Api::namespaced(client, NODE_LEASES);
    let mut listed = BTreeSet::new();
    let see = |event: Event<NodeLease>| match event {
        Event::Init => listed.clear(),
        Event::InitApply(lease) => {
            hear_node(&store, &lease);
            listed.insert(lease.name_any());
        }
        Event::Apply(lease) => {
            hear_node(&store, &lease);
        }
        Event::InitDone => store.keep_nodes(&std::mem::take(&mut listed)),
        Event::Delete(lease) => store.forget_node(&lease.name_any()),
    };
    follow(
        || {
            let leases = watcher(api.clone(), watcher::Config::default().timeout(WATCH_SECONDS));
            leases.inspect_err(|_| store.lose_nodes())
        },
        Watched::new(Part::Nodes, None, &health),
        see,
    )
    .await;
}

/// Whether it is a sign of life.
fn hear_node(store: &Store, lease: &NodeLease) -> bool {
    let interval = heartbeat::renew_interval(lease.spec.lease_duration_seconds);
    store.hear_node(&lease.name_any(), translate::version(lease), interval)
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// A watch, as far as health is concerned.
struct Watched {
    part: Part,
    place: String,
    health: Arc<Health>,
}

impl Watched {
    fn new(part: Part, namespace: Option<&str>, health: &Arc<Health>) -> Self {
        let place = namespace.unwrap_or_default().to_owned();
        Self { part, place, health: health.clone() }
    }
}

/// Feeds a watch to `see`, for ever. A list that is not answered is given up and begun anew: nothing else bounds it
/// (a watch is bounded by kube).
async fn follow<K: Debug + Send, S: Stream<Item = watcher::Result<Event<K>>> + Send>(
    start: impl Fn() -> S,
    watched: Watched,
    mut see: impl FnMut(Event<K>),
) {
    loop {
        let stream = pin!(start().backoff(Pause::default()));
        follow_once(stream, &watched, &mut see).await;
    }
}

/// Until the stream ends or a list stalls. Failures are told; the stream tries again by itself.
async fn follow_once<K>(
    mut stream: Pin<&mut impl Stream<Item = watcher::Result<Event<K>>>>,
    Watched { part, place, health }: &Watched,
    see: &mut impl FnMut(Event<K>),
) {
    let (mut lists, mut fails) = (true, false);
    loop {
        let patience = match (lists, fails) {
            (true, _) => LIST_PATIENCE,
            (false, true) => RECOVERY,
            (false, false) => Duration::MAX,
        };
        let event = match tokio::time::timeout(patience, stream.next()).await {
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(error))) => {
                health.fails(*part, place, &error);
                fails = true;
                continue;
            }
            Ok(None) => return,
            Err(_) if !lists => {
                health.works(*part, place);
                fails = false;
                continue;
            }
            Err(_) => {
                let seconds = LIST_PATIENCE.as_secs();
                return health.has(*part, place, format!("no answer to a list within {seconds} s"));
            }
        };
        let complete = matches!(event, Event::InitDone);
        lists = (lists && !complete) || matches!(event, Event::Init);
        see(event);
        if complete {
            health.is_full(*part, place);
        }
        if !lists {
            health.works(*part, place);
            fails = false;
        }
    }
}

/// From 0.2 s, doubling, to 5 s: a permission or a CRD that comes late is found soon.
#[derive(Default)]
struct Pause {
    tries: u32,
    /// Nothing has come since the last failure.
    failed: bool,
}

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = Duration::from_millis(200 << self.tries.min(5));
        self.tries = self.tries.saturating_add(1);
        self.failed = true;
        Some(pause.min(Duration::from_secs(5)))
    }
}

impl Backoff for Pause {
    /// What comes first after a failure only says that a list begins: that is no success.
    fn reset(&mut self) {
        if !std::mem::take(&mut self.failed) {
            self.tries = 0;
        }
    }
}

/// Remembers which objects the present list has brought.
struct Listing {
    kind: Kind,
    scope: Option<String>,
    seen: HashSet<(String, String)>,
}

impl Listing {
    fn new(kind: Kind, scope: Option<&str>) -> Self {
        Self { kind, scope: scope.map(str::to_owned), seen: HashSet::new() }
    }

    /// Tells what is `here` and what is `gone`, and of the latter whether its deletion was seen: what a fresh list has
    /// not has gone unseen.
    fn take<K: kube::Resource>(
        &mut self,
        event: Event<K>,
        store: &Store,
        here: impl FnOnce(K),
        gone: impl Fn(&str, &Identity, bool),
    ) where
        K::DynamicType: Default,
    {
        match event {
            Event::Init => self.seen.clear(),
            Event::InitApply(object) => {
                self.seen.insert((object.namespace().unwrap_or_default(), object.name_any()));
                here(object);
            }
            Event::Apply(object) => here(object),
            Event::InitDone => {
                for (namespace, object) in self.missing(store) {
                    gone(&namespace, &object, false);
                }
            }
            Event::Delete(object) => {
                gone(&object.namespace().unwrap_or_default(), &translate::identity(&object), true);
            }
        }
    }

    /// What the store has and the list had not.
    fn missing(&mut self, store: &Store) -> Vec<(String, Identity)> {
        let seen = std::mem::take(&mut self.seen);
        let known = store.known(self.kind, self.scope.as_deref()).into_iter();
        known.filter(|(space, id)| !seen.contains(&(space.clone(), id.name.clone()))).collect()
    }
}

fn see_group(store: &Store, group: DeserializeGuard<ElectionGroup>) {
    let (namespace, name) = (group.namespace().unwrap_or_default(), group.name_any());
    match group.0 {
        Ok(group) => store.see_group(group),
        Err(error) => {
            tracing::error!(%namespace, %name, %error, "an ElectionGroup cannot be read: it is left alone");
        }
    }
}

fn see_groups(store: &Store, listing: &mut Listing, event: Event<DeserializeGuard<ElectionGroup>>) {
    let gone = |namespace: &str, group: &Identity, seen| store.forget_group(namespace, group, seen);
    listing.take(event, store, |group| see_group(store, group), gone);
}

fn see_pods(store: &Store, listing: &mut Listing, event: Event<Pod>) {
    let gone = |namespace: &str, pod: &Identity, seen| store.forget_pod(namespace, pod, seen);
    listing.take(event, store, |pod| store.see_pod(pod), gone);
}

fn see_services(store: &Store, listing: &mut Listing, event: Event<Service>) {
    let gone = |namespace: &str, service: &Identity, _| store.forget_service(namespace, service);
    listing.take(event, store, |service| store.see_service(service), gone);
}

fn see_budgets(store: &Store, listing: &mut Listing, event: Event<Budget>) {
    let gone = |namespace: &str, budget: &Identity, _| store.forget_budget(namespace, budget);
    listing.take(event, store, |budget| store.see_budget(budget), gone);
}

fn see_leases(store: &Store, listing: &mut Listing, event: Event<Lease>) {
    let gone = |namespace: &str, lease: &Identity, _| store.forget_lease(namespace, lease);
    listing.take(event, store, |lease| store.see_lease(lease.into(), false), gone);
}

/// The questions that a plan may ask. Every answer goes into the store, too.
#[derive(Clone, Debug)]
pub struct Asker {
    requests: Requests,
    store: Arc<Store>,
}

impl Asker {
    /// Asks through `requests`.
    #[must_use]
    pub const fn new(requests: Requests, store: Arc<Store>) -> Self {
        Self { requests, store }
    }

    /// Makes sure that a pod is gone.
    ///
    /// # Errors
    /// If it is there, or the request failed.
    pub async fn confirm_pod_gone(&self, namespace: &str, pod: &Identity) -> Result<(), Error> {
        match self.pod(namespace, &pod.name).await? {
            Some(found) if found.uid().as_deref() == Some(&pod.uid) => {
                Err(Error::StillThere { object: format!("pod {namespace}/{}", pod.name) })
            }
            _ => {
                self.store.forget_pod(namespace, pod, true);
                Ok(())
            }
        }
    }

    /// Looks at a pod again.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn look_at_pod(&self, namespace: &str, pod: &Identity) -> Result<(), Error> {
        match self.confirm_pod_gone(namespace, pod).await {
            Ok(()) | Err(Error::StillThere { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Pod>, Error> {
        let found: Option<Pod> = self.requests.find("pods", namespace, name).await?;
        if let Some(pod) = &found {
            self.store.see_pod(pod.clone());
        }
        Ok(found)
    }

    /// The labels of a pod that the API server attributes to this operator: for what the present spec does not tell.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn labels_written_on(&self, namespace: &str, pod: &Identity) -> Result<Vec<String>, Error> {
        let api: Api<k8s_openapi::api::core::v1::Pod> = self.requests.namespaced(namespace);
        let object = format!("pod {namespace}/{}", pod.name);
        let found =
            match self.requests.send("get", "pods", namespace, object, api.get_metadata(&pod.name)).await {
                Err(Error::Gone { .. }) => return Ok(Vec::new()),
                other => other?,
            };
        let same = found.metadata.uid.as_deref() == Some(&pod.uid);
        Ok(if same { translate::labels_written_by(FIELD_MANAGER, &found.metadata) } else { Vec::new() })
    }

    /// Makes sure that a group is gone.
    ///
    /// # Errors
    /// If it is there, or the request failed.
    pub async fn confirm_group_gone(&self, group: &GroupRef) -> Result<(), Error> {
        if self.find_group(group).await?.is_some() {
            return Err(Error::StillThere { object: group.to_string() });
        }
        self.store.forget_group(&group.namespace, &group.id, true);
        Ok(())
    }

    /// Makes sure that a pod is gone, or still at the version that was seen.
    ///
    /// # Errors
    /// If it has changed, or the request failed.
    pub async fn confirm_pod_same(
        &self,
        namespace: &str,
        pod: &Identity,
        seen: Version,
    ) -> Result<(), Error> {
        let found = self.pod(namespace, &pod.name).await?;
        match found.filter(|found| found.uid().as_deref() == Some(&pod.uid)) {
            None => self.store.forget_pod(namespace, pod, true),
            Some(found) if translate::version(&found) == seen => {}
            Some(_) => return Err(Error::Changed { object: format!("pod {namespace}/{}", pod.name) }),
        }
        Ok(())
    }

    /// Makes sure that a group exists.
    ///
    /// # Errors
    /// If it does not, or the request failed.
    pub async fn confirm_group_there(&self, group: &GroupRef) -> Result<(), Error> {
        self.existing_group(group).await.map(|_| ())
    }

    /// Makes sure that the group that a plan is for still exists, and that its record still names this leader in this
    /// term.
    ///
    /// # Errors
    /// If not, or the request failed.
    pub async fn confirm_record(
        &self,
        group: &GroupRef,
        leader: Option<&Identity>,
        term: Term,
    ) -> Result<(), Error> {
        let found = self.existing_group(group).await?;
        let record = translate::record(&found);
        let uid = |id: &Identity| id.uid.clone();
        let same = record
            .is_some_and(|record| record.term == term && record.leader_id().map(uid) == leader.map(uid));
        if same { Ok(()) } else { Err(Error::Changed { object: group.to_string() }) }
    }

    /// The group, if it is there; if not, it is buried.
    async fn existing_group(&self, group: &GroupRef) -> Result<ElectionGroup, Error> {
        if let Some(found) = self.find_group(group).await? {
            return Ok(found);
        }
        self.store.forget_group(&group.namespace, &group.id, true);
        Err(Error::Gone { object: group.to_string() })
    }

    async fn find_group(&self, group: &GroupRef) -> Result<Option<ElectionGroup>, Error> {
        let (namespace, name) = (&group.namespace, &group.id.name);
        let found: Option<ElectionGroup> = self.requests.find("electiongroups", namespace, name).await?;
        if let Some(found) = &found {
            self.store.see_group(found.clone());
        }
        Ok(found.filter(|found| found.uid().as_deref() == Some(&group.id.uid)))
    }

    /// Looks at a Lease again.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn look_at_lease(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let found: Option<Lease> = self.requests.find("leases", namespace, name).await?;
        match found {
            Some(lease) => self.store.see_lease(lease.into(), false),
            None => self.store.forget_lease_named(namespace, name),
        }
        Ok(())
    }

    /// Makes sure that a Lease is still as it was seen, or absent.
    ///
    /// # Errors
    /// If it is not, or the request failed.
    pub async fn confirm_lease(
        &self,
        namespace: &str,
        name: &str,
        seen: Option<&(String, Version)>,
    ) -> Result<(), Error> {
        self.look_at_lease(namespace, name).await?;
        let found = self.store.lease(namespace, name);
        let found = found.map(|lease| (lease.uid().unwrap_or_default(), translate::version(&lease)));
        if found.as_ref() == seen {
            Ok(())
        } else {
            Err(Error::Changed { object: format!("lease {namespace}/{name}") })
        }
    }

    /// Makes sure that a node has said nothing that this process has not heard.
    ///
    /// # Errors
    /// If it has, or the request failed.
    pub async fn confirm_node_silent(&self, node: &str) -> Result<(), Error> {
        let api: Api<NodeLease> = self.requests.namespaced(NODE_LEASES);
        let object = format!("lease {NODE_LEASES}/{node}");
        // A list, as the right to watch comes with that to list and not with that to get.
        let params = ListParams::default().fields(&format!("metadata.name={node}"));
        let list = api.list(&params);
        let found = self.requests.send("list", "leases", NODE_LEASES, object.clone(), list).await?;
        if found.iter().any(|lease| hear_node(&self.store, lease)) {
            Err(Error::Changed { object })
        } else {
            Ok(())
        }
    }

    /// Lists the pods that the group selects, for the record that its version `known` has.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn list_pods(&self, group: &GroupRef, known: Version) -> Result<(), Error> {
        let api: Api<Pod> = self.requests.namespaced(&group.namespace);
        let selector = self.store.selector(group).unwrap_or_default();
        let mut params = ListParams::default().labels_from(&selector).limit(500);
        loop {
            let page = self
                .requests
                .send("list", "pods", &group.namespace, format!("pods of {group}"), api.list(&params))
                .await?;
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            for pod in page.items {
                self.store.see_pod(pod);
            }
            if params.continue_token.is_none() {
                break;
            }
        }
        self.store.note_listed(group, known);
        Ok(())
    }
}
