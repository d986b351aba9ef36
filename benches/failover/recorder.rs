//! The bench's own eyes: watches of pods, `EndpointSlice`s, groups and Leases, each event stamped
//! as it comes in.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::core::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use testkit::kind::Kind;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::world;

/// When something was seen: on the clock that measures, and on the one that the API server logs by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: Instant,
    pub(crate) wall: SystemTime,
}

/// What a watch said.
#[derive(Clone, Debug)]
pub(crate) enum Sight {
    Pod {
        pod: PodState,
        deleted: bool,
    },
    /// The addresses of the ready endpoints of a Service.
    Endpoints {
        service: String,
        ready: Vec<String>,
    },
    Group(GroupState),
    /// A write of a Lease; one without a name in it is free.
    Lease {
        name: String,
        holder: String,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct PodState {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) role: Option<String>,
    pub(crate) ip: Option<String>,
    pub(crate) ready: bool,
    pub(crate) terminating: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct GroupState {
    pub(crate) name: String,
    pub(crate) leader: Option<String>,
    pub(crate) ready: bool,
    pub(crate) asked_to_switch: bool,
}

/// Everything seen so far, and what is there now.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) sights: Vec<(Moment, Sight)>,
    /// By name.
    pub(crate) pods: HashMap<String, PodState>,
    groups: HashMap<String, GroupState>,
    endpoints: HashMap<String, Vec<String>>,
    /// Revisions at which a group had two leader labels.
    pub(crate) doubles: usize,
}

impl Journal {
    /// The first of `sights` from `start` on that `what` accepts.
    pub(crate) fn first(&self, start: usize, what: impl Fn(&Sight) -> bool) -> Option<Moment> {
        self.sights[start..].iter().find(|(_, sight)| what(sight)).map(|(moment, _)| *moment)
    }

    /// The last of all sights that `what` accepts.
    pub(crate) fn last(&self, what: impl Fn(&Sight) -> bool) -> Option<Moment> {
        self.sights.iter().rev().find(|(_, sight)| what(sight)).map(|(moment, _)| *moment)
    }

    /// The pods of a group.
    pub(crate) fn members(&self, group: &str) -> Vec<&PodState> {
        self.pods.values().filter(|pod| pod.group == group).collect()
    }

    /// The leader of a group with nothing left to do: labels, endpoints and status say the same.
    pub(crate) fn settled_leader(&self, group: &str) -> Option<&PodState> {
        let members = self.members(group);
        let leader = *members.iter().find(|pod| pod.role.as_deref() == Some("leader"))?;
        let followers = members.iter().filter(|pod| pod.role.as_deref() == Some("follower")).count();
        let well = members.iter().all(|pod| pod.ready && !pod.terminating);
        let status = self.groups.get(group)?;
        let told = status.ready && !status.asked_to_switch && status.leader.as_ref() == Some(&leader.name);
        let endpoints = self.endpoints.get(group)?;
        let reached = endpoints.len() == 1 && endpoints.first() == leader.ip.as_ref();
        (followers == world::PODS - 1 && well && told && reached).then_some(leader)
    }

    fn see(&mut self, sight: Sight) {
        match sight.clone() {
            Sight::Pod { pod, deleted: true } => {
                self.pods.remove(&pod.name);
            }
            Sight::Pod { pod, deleted: false } => {
                let group = pod.group.clone();
                self.pods.insert(pod.name.clone(), pod);
                let leads = |pod: &&PodState| pod.role.as_deref() == Some("leader");
                self.doubles += usize::from(self.members(&group).into_iter().filter(leads).count() > 1);
            }
            Sight::Endpoints { service, ready } => {
                self.endpoints.insert(service, ready);
            }
            Sight::Group(group) => {
                self.groups.insert(group.name.clone(), group);
            }
            Sight::Lease { .. } => {}
        }
        self.sights.push((Moment { at: Instant::now(), wall: SystemTime::now() }, sight));
    }
}

/// Watches one namespace until dropped.
#[derive(Debug)]
pub(crate) struct Recorder {
    journal: Arc<watch::Sender<Journal>>,
    watches: JoinSet<()>,
}

impl Recorder {
    pub(crate) fn start(client: &Client, namespace: &str) -> Self {
        let journal = Arc::new(watch::Sender::new(Journal::default()));
        let mut watches = JoinSet::new();
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let groups = Kind::Group.api(client, namespace);
        watches.spawn(follow(pods, journal.clone(), pod));
        watches.spawn(follow(slices, journal.clone(), endpoints));
        watches.spawn(follow(groups, journal.clone(), group));
        Self { journal, watches }
    }

    /// Watches the Leases, too.
    pub(crate) fn with_leases(mut self, client: &Client, namespace: &str) -> Self {
        let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
        self.watches.spawn(follow(leases, self.journal.clone(), lease));
        self
    }

    /// Reads what is there.
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Journal) -> T) -> T {
        read(&self.journal.borrow())
    }

    /// Waits until `read` finds something; none if that takes too long.
    pub(crate) async fn until<T>(
        &self,
        patience: Duration,
        mut read: impl FnMut(&Journal) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        let mut receiver = self.journal.subscribe();
        let wait = receiver.wait_for(|journal| {
            found = read(journal);
            found.is_some()
        });
        let _ = tokio::time::timeout(patience, wait).await.map(|seen| seen.map(drop));
        found
    }
}

async fn follow<K>(api: Api<K>, journal: Arc<watch::Sender<Journal>>, read: fn(K, bool) -> Option<Sight>)
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = pin!(watcher(api, watcher::Config::default()));
    while let Some(event) = events.next().await {
        let sight = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => read(object, false),
            Ok(Event::Delete(object)) => read(object, true),
            Ok(_) => None,
            Err(error) => {
                eprintln!("the bench's own watch: {error}");
                None
            }
        };
        if let Some(sight) = sight {
            journal.send_modify(|journal| journal.see(sight));
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "one signature for all kinds")]
fn pod(pod: Pod, deleted: bool) -> Option<Sight> {
    let labels = pod.labels();
    let group = labels.get(world::GROUP_LABEL)?.clone();
    let role = labels.get("role").cloned();
    let status = pod.status.clone().unwrap_or_default();
    let mut conditions = status.conditions.iter().flatten();
    let state = PodState {
        group,
        role,
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
        ip: status.pod_ip,
        ready: conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        terminating: pod.metadata.deletion_timestamp.is_some(),
    };
    Some(Sight::Pod { pod: state, deleted })
}

fn endpoints(slice: EndpointSlice, deleted: bool) -> Option<Sight> {
    let service = slice.labels().get("kubernetes.io/service-name")?.clone();
    let ready = slice.endpoints.into_iter().filter(|endpoint| {
        !deleted && endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
    });
    Some(Sight::Endpoints { service, ready: ready.flat_map(|endpoint| endpoint.addresses).collect() })
}

#[expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "one signature for all kinds")]
fn group(group: DynamicObject, _deleted: bool) -> Option<Sight> {
    let status = &group.data["status"];
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    Some(Sight::Group(GroupState {
        name: group.name_any(),
        leader: status["leader"]["name"].as_str().map(str::to_owned),
        ready: conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        asked_to_switch: group.annotations().contains_key(world::SWITCHOVER),
    }))
}

fn lease(lease: Lease, deleted: bool) -> Option<Sight> {
    let name = lease.name_any();
    let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    (!deleted).then_some(Sight::Lease { name, holder })
}
