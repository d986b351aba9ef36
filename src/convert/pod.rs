//! Pods, and what their annotations mean.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::{CompiledSpec, identity, version};
use crate::api::{
    self, ContainerPort, Controller, EXCLUDE_ANNOTATION, GROUP_ANNOTATION, IDENTITY_ANNOTATION,
    PRIORITY_ANNOTATION, Pod, TERM_ANNOTATION,
};
use crate::planner::seen::{Membership, NamedPort, Owner, PodNetwork, PodPhase, Role, SeenPod};
use crate::planner::{Identity, Millis, Term};

/// The group that owns a pod, by its annotation `<name>/<uid>`. Any other text names no owner.
#[must_use]
pub fn owner(pod: &Pod) -> Option<Identity> {
    Identity::parse(pod.annotations().get(GROUP_ANNOTATION)?)
}

/// Two versions of a pod do not differ in anything that matters to an election.
#[must_use]
pub fn same_but_version(a: &Pod, b: &Pod) -> bool {
    let (x, y) = (&a.metadata, &b.metadata);
    (x.uid.as_ref(), x.labels.as_ref(), x.annotations.as_ref(), x.deletion_timestamp.is_some())
        == (y.uid.as_ref(), y.labels.as_ref(), y.annotations.as_ref(), y.deletion_timestamp.is_some())
        && a.controller == b.controller
        && a.spec == b.spec
        && a.status == b.status
}

/// The facts beside readiness that make a pod ineligible: terminating, finished, excluded or of a
/// Job.
///
/// The cache compares them to know since when they hold.
#[must_use]
pub fn standing(pod: &Pod) -> (bool, bool, bool) {
    (pod.is_terminating(), pod.is_finished(), is_excluded(pod) || is_of_job(pod))
}

fn is_excluded(pod: &Pod) -> bool {
    pod.annotations().get(EXCLUDE_ANNOTATION).is_some_and(|value| value == "true")
}

/// A Job owns the pod, and no annotation includes the pod all the same.
fn is_of_job(pod: &Pod) -> bool {
    let is_included = pod.annotations().get(EXCLUDE_ANNOTATION).is_some_and(|value| value == "false");
    pod.controller == Some(Controller::Job) && !is_included
}

/// The labels by which controllers distinguish revisions of the pod template.
const REVISIONS: [&str; 3] = ["controller-revision-hash", "pod-template-hash", "rollouts-pod-template-hash"];

/// An annotation without effect: an `exclude` that is neither true nor false, or a `priority` that
/// is no integer.
fn ignored(pod: &Pod) -> Option<String> {
    let annotation = |key| pod.annotations().get(key).map(|value| (key, value));
    let exclude =
        annotation(EXCLUDE_ANNOTATION).filter(|(_, value)| !["true", "false"].contains(&value.as_str()));
    let priority = annotation(PRIORITY_ANNOTATION).filter(|(_, value)| value.parse::<i32>().is_err());
    let (key, value) = exclude.or(priority)?;
    Some(format!("{key}={value:.63}"))
}

impl CompiledSpec {
    /// The pod for the planner, without what only the cache knows: membership, owner, local times.
    #[must_use]
    pub fn pod(&self, pod: &Pod) -> SeenPod {
        self.pod_of_weight(pod, self.weight(pod))
    }

    /// The pod for the planner, with a weight that the cache has.
    #[must_use]
    pub fn pod_of_weight(&self, pod: &Pod, weight: i64) -> SeenPod {
        let labels = pod.labels();
        let revision = REVISIONS.iter().find_map(|key| labels.get(*key));
        SeenPod {
            id: identity(pod),
            version: version(pod),
            seen_at: Millis::default(),
            identity: pod.annotations().get(IDENTITY_ANNOTATION).cloned(),
            membership: Membership::Selected,
            role: self.role(labels),
            other_role: labels.get(&self.role.key).filter(|_| self.role(labels) == Role::Other).cloned(),
            released_by_controller: false,
            term: pod.annotations().get(TERM_ANNOTATION).and_then(|text| Term::parse(text)),
            owner: Owner::None,
            phase: match pod.phase() {
                api::Phase::Running => PodPhase::Running,
                _ if pod.is_finished() => PodPhase::Finished,
                _ => PodPhase::NotRunning,
            },
            ended: pod.has_ended(),
            ready: pod.is_ready(),
            ready_seen_at: Millis::default(),
            ready_since_seconds: pod.ready_since(),
            terminating: pod.is_terminating(),
            standing_changed_at: Millis::default(),
            disrupted: pod.status.disruption_target,
            excluded: is_excluded(pod),
            of_job: is_of_job(pod),
            ignored: ignored(pod),
            weight,
            revision: revision.cloned(),
            created_seconds: pod.creation_timestamp().map_or(0, |time| time.0.as_second()),
            node: pod.spec.node_name.clone(),
            host_network: pod.spec.host_network,
            node_silent_from: None,
            ip: pod.status.pod_ip.clone(),
            network: if self.routes() { network(pod) } else { PodNetwork::default() },
        }
    }
}

/// The label by which the API server tells the zone of a pod's node.
const ZONE_LABEL: &str = "topology.kubernetes.io/zone";

/// What an endpoint of the pod needs.
fn network(pod: &Pod) -> PodNetwork {
    let named_port = |port: &ContainerPort| {
        let ContainerPort { name, protocol, number } = port.clone();
        NamedPort { name, protocol, number }
    };
    PodNetwork {
        addresses: pod.status.pod_ips.to_vec(),
        named_ports: pod.spec.named_ports.iter().map(named_port).collect(),
        zone: pod.labels().get(ZONE_LABEL).cloned(),
        hostname: pod.spec.hostname.clone(),
        subdomain: pod.spec.subdomain.clone(),
    }
}

/// The keys of the labels that `manager` owns, by the `managedFields` of the object.
#[must_use]
pub fn labels_written_by(manager: &str, metadata: &ObjectMeta) -> Vec<String> {
    let entries = metadata.managed_fields.iter().flatten();
    let own =
        entries.filter(|entry| entry.manager.as_deref() == Some(manager) && entry.subresource.is_none());
    let labels =
        own.filter_map(|entry| entry.fields_v1.as_ref()?.0.pointer("/f:metadata/f:labels")?.as_object());
    labels
        .flat_map(|labels| labels.keys())
        .filter_map(|key| key.strip_prefix("f:").map(str::to_owned))
        .collect()
}
