//! The pod as it is watched: only what an election needs.
//!
//! A full pod is about 10 kB, most of it `managedFields`, containers and foreign annotations.
//! Fields that are not named here are skipped while parsing and never take memory. [`Pod`] is only
//! for reading: a write is a patch of single fields.

mod wire;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;

use wire::WirePodStatus;

/// A pod of the core API, reduced.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq)]
#[resource(inherit = k8s_openapi::api::core::v1::Pod)]
pub struct Pod {
    /// Name, namespace, UID, version, labels, times of creation and deletion, and the annotations
    /// of this project.
    pub metadata: ObjectMeta,
    /// Its managing owner, of which there is one at most.
    pub controller: Option<Controller>,
    /// The desired state.
    pub spec: PodSpec,
    /// The actual state.
    pub status: PodStatus,
}

/// The controller of a pod, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Controller {
    /// A Job: the pod runs to its end.
    Job,
    /// Any other controller, such as a `ReplicaSet`.
    Other,
}

/// The part of a pod's spec that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// The node it is bound to.
    pub node_name: Option<String>,
    /// Whether it uses the network of its node, and the node's host name with it.
    #[serde(default)]
    pub host_network: bool,
    /// Its host name, if it has a subdomain.
    pub hostname: Option<String>,
    /// The headless Service under which the DNS has that name.
    pub subdomain: Option<String>,
    /// The ports of its containers that have a name.
    #[serde(skip)]
    pub named_ports: Box<[ContainerPort]>,
}

/// A port of a container that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPort {
    /// Its name.
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its number.
    pub number: u16,
}

/// The part of a pod's status that is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "WirePodStatus")]
pub struct PodStatus {
    /// Its phase.
    pub phase: Phase,
    /// Its IP address.
    pub pod_ip: Option<String>,
    /// Its addresses, one for each address family.
    pub pod_ips: Box<[String]>,
    /// The condition `Ready`, if the pod has it.
    pub ready: Option<ReadyCondition>,
    /// Whether the condition `DisruptionTarget` is true: the pod is about to be evicted.
    pub disruption_target: bool,
    /// Whether every container is known to have ended. The kubelet gives those that it could not
    /// find a reason of its own.
    pub containers_ended: bool,
}

/// The condition `Ready` of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyCondition {
    /// Whether it is true.
    pub status: bool,
    /// When it last changed, in whole seconds, by the clock of its writer.
    pub last_transition: Option<Time>,
}

/// The phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum Phase {
    /// Accepted, but not all containers have started.
    Pending,
    /// At least one container runs.
    Running,
    /// All containers succeeded.
    Succeeded,
    /// All containers have ended, and at least one failed.
    Failed,
    /// Not reported yet, or not known here.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Pod {
    /// Whether the condition `Ready` is true.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.status.ready.as_ref().is_some_and(|ready| ready.status)
    }

    /// Since when it is Ready, in seconds since the Unix epoch, by the clock of its node.
    #[must_use]
    pub fn ready_since(&self) -> Option<i64> {
        let ready = self.status.ready.as_ref().filter(|ready| ready.status)?;
        ready.last_transition.as_ref().map(|time| time.0.as_second())
    }

    /// Whether it has a deletion time.
    #[must_use]
    pub const fn is_terminating(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// Whether it has ended and never runs again.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        matches!(self.status.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Whether it has finished, and its kubelet has seen every container end.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.is_finished() && self.status.containers_ended
    }

    /// Its phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.status.phase
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource;
    use serde_json::json;

    use super::*;
    use crate::api::TERM_ANNOTATION;

    fn full() -> serde_json::Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "orders-0",
                "generateName": "orders-",
                "namespace": "shop",
                "uid": "8d1c7c3e-6a43-4c1e-9f6f-0a5a2f8a3f10",
                "resourceVersion": "4711",
                "generation": 1,
                "creationTimestamp": "2026-11-21T01:02:03Z",
                "labels": {
                    "app": "orders", "role": "leader", "controller-revision-hash": "orders-7d9c",
                    "statefulset.kubernetes.io/pod-name": "orders-0"
                },
                "annotations": {
                    "election-operator.io/term": "7",
                    "election-operator.io/group": "orders/1b2c",
                    "kubectl.kubernetes.io/last-applied-configuration": "{\"very\":\"long\"}",
                    "kubectl.kubernetes.io/restartedAt": "2026-11-20T00:00:00Z"
                },
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "orders", "uid": "aa",
                    "controller": true, "blockOwnerDeletion": true
                }],
                "managedFields": [{
                    "manager": "kubelet", "operation": "Update", "apiVersion": "v1",
                    "time": "2026-11-21T01:02:05Z", "fieldsType": "FieldsV1", "subresource": "status",
                    "fieldsV1": {"f:status": {"f:phase": {}}}
                }]
            },
            "spec": {
                "nodeName": "node-1",
                "hostname": "orders-0",
                "containers": [{"name": "app", "image": "orders:1", "resources": {}}],
                "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 300}]
            },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.7",
                "podIPs": [{"ip": "10.0.0.7"}],
                "startTime": "2026-11-21T01:02:03Z",
                "conditions": [
                    {"type": "Initialized", "status": "True", "lastProbeTime": null,
                     "lastTransitionTime": "2026-11-21T01:02:03Z"},
                    {"type": "Ready", "status": "True", "lastProbeTime": null, "observedGeneration": 1,
                     "lastTransitionTime": "2026-11-21T01:02:05Z"},
                    {"type": "PodScheduled", "status": "True", "lastTransitionTime": null}
                ],
                "containerStatuses": [{"name": "app", "ready": true, "restartCount": 0}]
            }
        })
    }

    fn parse(json: serde_json::Value) -> Pod {
        serde_json::from_value(json).unwrap()
    }

    /// Merges a JSON merge patch into the full pod.
    fn with(patch: serde_json::Value) -> Pod {
        fn merge(base: &mut serde_json::Value, patch: serde_json::Value) {
            match patch {
                serde_json::Value::Object(patch) => {
                    for (key, value) in patch {
                        merge(&mut base[key], value);
                    }
                }
                other => *base = other,
            }
        }
        let mut pod = full();
        merge(&mut pod, patch);
        parse(pod)
    }

    #[test]
    fn is_a_pod_of_the_core_api() {
        assert_eq!(Pod::url_path(&(), Some("shop")), "/api/v1/namespaces/shop/pods");
        assert_eq!((Pod::kind(&()), Pod::plural(&())), ("Pod".into(), "pods".into()));
    }

    #[test]
    fn a_running_pod_is_read_with_what_an_election_needs() {
        let pod = parse(full());
        assert_eq!(pod.metadata.name.as_deref(), Some("orders-0"));
        assert_eq!(pod.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(pod.metadata.uid.as_deref(), Some("8d1c7c3e-6a43-4c1e-9f6f-0a5a2f8a3f10"));
        assert_eq!(pod.metadata.resource_version.as_deref(), Some("4711"));
        assert_eq!(pod.metadata.labels.as_ref().unwrap().len(), 4);
        assert_eq!(pod.spec.node_name.as_deref(), Some("node-1"));
        assert_eq!(pod.status.pod_ip.as_deref(), Some("10.0.0.7"));
        assert_eq!(pod.phase(), Phase::Running);
        assert!(pod.is_ready() && !pod.is_terminating() && !pod.is_finished());
        assert_eq!(pod.ready_since(), Some(1_795_222_925));
        assert!(!pod.status.disruption_target);
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        let metadata = parse(full()).metadata;
        let annotations = metadata.annotations.unwrap();
        assert_eq!(annotations.get(TERM_ANNOTATION).map(String::as_str), Some("7"));
        assert_eq!(annotations.len(), 2);
        assert_eq!((metadata.managed_fields, metadata.owner_references), (None, None));
        assert_eq!((metadata.generate_name, metadata.generation), (None, None));
    }

    #[test]
    fn a_pod_is_managed_by_its_controller_and_by_no_other_owner() {
        let owner = |version: &str, kind: &str, controller: bool| json!({"apiVersion": version, "kind": kind, "controller": controller});
        let by =
            |owners: serde_json::Value| with(json!({"metadata": {"ownerReferences": owners}})).controller;
        assert_eq!(by(json!(null)), None);
        assert_eq!(by(json!([owner("batch/v1", "Job", false)])), None);
        let (other, set) = (owner("v1", "Node", false), owner("apps/v1", "ReplicaSet", true));
        assert_eq!(by(json!([other, set])), Some(Controller::Other));
        assert_eq!(by(json!([owner("batch/v1", "Job", true)])), Some(Controller::Job));
        assert_eq!(by(json!([owner("example.com/v1", "Job", true)])), Some(Controller::Other));
    }

    #[test]
    fn a_pod_is_the_same_whatever_others_write_on_it() {
        let other = json!({"metadata": {"managedFields": null, "annotations": {"example.com/beat": "9"}},
                           "status": {"containerStatuses": []}});
        assert_eq!(with(other), parse(full()));
    }

    #[test]
    fn a_pod_reads_the_same_from_text_as_from_a_watch_event() {
        use kube::core::WatchEvent;
        let event = json!({"type": "MODIFIED", "object": full()}).to_string();
        let Ok(WatchEvent::Modified(pod)) = serde_json::from_str::<WatchEvent<Pod>>(&event) else {
            panic!("not a modification");
        };
        assert_eq!(pod, parse(full()));
    }

    #[test]
    fn a_pod_with_nothing_but_a_name_is_pending_at_most() {
        for json in [
            json!({"metadata": {"name": "orders-0"}}),
            json!({"metadata": {"name": "orders-0", "annotations": null}, "spec": {}, "status": {}}),
            json!({"metadata": {"name": "orders-0", "annotations": {}}, "status": {"conditions": null}}),
        ] {
            let pod = parse(json);
            assert_eq!(pod.metadata.name.as_deref(), Some("orders-0"));
            assert_eq!((pod.phase(), pod.is_ready(), pod.ready_since()), (Phase::Unknown, false, None));
            assert_eq!((pod.spec.node_name, pod.metadata.annotations), (None, None));
        }
    }

    #[test]
    fn a_pod_is_ready_only_while_the_condition_is_true() {
        let since = "2026-11-21T01:02:05Z";
        for status in ["False", "Unknown", "Perhaps"] {
            let conditions = json!([{"type": "Ready", "status": status, "lastTransitionTime": since}]);
            let pod = with(json!({"status": {"conditions": conditions}}));
            assert_eq!((pod.is_ready(), pod.ready_since()), (false, None), "{status}");
            assert!(pod.status.ready.unwrap().last_transition.is_some());
        }
        let pod = with(json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
        assert_eq!((pod.is_ready(), pod.ready_since()), (true, None));
    }

    #[test]
    fn a_pod_about_to_be_evicted_is_known_by_its_condition() {
        for (status, expected) in [("True", true), ("False", false)] {
            let conditions =
                json!([{"type": "DisruptionTarget", "status": status, "reason": "EvictionByEvictionAPI"}]);
            let pod = with(json!({"status": {"conditions": conditions}}));
            assert_eq!(pod.status.disruption_target, expected);
        }
    }

    #[test]
    fn a_pod_with_a_time_of_deletion_is_terminating() {
        let pod = with(json!({"metadata": {"deletionTimestamp": "2026-11-21T02:00:00Z",
                                            "deletionGracePeriodSeconds": 30}}));
        assert!(pod.is_terminating());
    }

    #[test]
    fn a_pod_has_ended_once_its_kubelet_saw_each_container_end() {
        let ended =
            |name: &str, reason: &str| json!({"name": name, "state": {"terminated": {"reason": reason}}});
        let sidecar = json!([{"name": "sidecar", "restartPolicy": "Always"}, {"name": "setup"}]);
        let has_ended = |phase: &str, containers: serde_json::Value, sidecars: serde_json::Value| {
            let status = json!({
                "phase": phase, "containerStatuses": containers, "initContainerStatuses": sidecars
            });
            with(json!({"spec": {"initContainers": sidecar}, "status": status})).has_ended()
        };
        let (app, both) = (json!([ended("app", "Error")]), json!([ended("sidecar", "Completed")]));
        assert!(has_ended("Failed", app.clone(), both.clone()));
        assert!(!has_ended("Running", app.clone(), both.clone()), "it may start again");
        assert!(!has_ended("Failed", app.clone(), json!([])), "the sidecar runs");
        assert!(
            !has_ended("Failed", json!(null), both.clone()),
            "the garbage collector of pods wrote the phase"
        );
        let running = json!([{"name": "app", "state": {"running": {}}}]);
        assert!(!has_ended("Failed", running, both.clone()));
        assert!(!has_ended("Failed", json!([ended("app", "ContainerStatusUnknown")]), both));
    }

    #[test]
    fn a_phase_of_the_future_is_unknown_and_an_ended_one_is_finished() {
        for (text, phase, finished) in [
            ("Pending", Phase::Pending, false),
            ("Succeeded", Phase::Succeeded, true),
            ("Failed", Phase::Failed, true),
            ("Hibernating", Phase::Unknown, false),
        ] {
            let pod = with(json!({"status": {"phase": text}}));
            assert_eq!((pod.phase(), pod.is_finished()), (phase, finished), "{text}");
        }
    }
}
