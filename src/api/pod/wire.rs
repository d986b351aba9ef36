//! The pod as the API server sends it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{ContainerPort, Controller, Phase, Pod, PodSpec, PodStatus, ReadyCondition};
use crate::api::lenient;
use crate::api::read::{Keep, METADATA_AND_LABELS, Slim, metadata, slim};

#[derive(Deserialize)]
struct WirePod {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

const CONDITION: Keep =
    Keep::Fields(&[("type", Keep::Whole), ("status", Keep::Whole), ("lastTransitionTime", Keep::Whole)]);

const STATUS: Keep = Keep::Fields(&[
    ("phase", Keep::Whole),
    ("podIP", Keep::Whole),
    ("podIPs", Keep::Each(&Keep::Fields(&[("ip", Keep::Whole)]))),
    ("conditions", Keep::Each(&CONDITION)),
    ("containerStatuses", Keep::Each(&CONTAINER_STATUS)),
    ("initContainerStatuses", Keep::Each(&CONTAINER_STATUS)),
]);

const TERMINATED: Keep = Keep::Fields(&[("reason", Keep::Whole)]);

const CONTAINER_STATUS: Keep =
    Keep::Fields(&[("name", Keep::Whole), ("state", Keep::Fields(&[("terminated", TERMINATED)]))]);

const PORT: Keep =
    Keep::Fields(&[("name", Keep::Whole), ("protocol", Keep::Whole), ("containerPort", Keep::Whole)]);

const CONTAINER: Keep =
    Keep::Fields(&[("name", Keep::Whole), ("restartPolicy", Keep::Whole), ("ports", Keep::Each(&PORT))]);

const SPEC: Keep = Keep::Fields(&[
    ("nodeName", Keep::Whole),
    ("hostNetwork", Keep::Whole),
    ("hostname", Keep::Whole),
    ("subdomain", Keep::Whole),
    ("containers", Keep::Each(&CONTAINER)),
    ("initContainers", Keep::Each(&CONTAINER)),
]);

impl Slim for Pod {
    const KEEP: Keep = Keep::Fields(&[("metadata", METADATA_AND_LABELS), ("spec", SPEC), ("status", STATUS)]);
    /// Labels are the only part without a bound of its own.
    const MAX_BYTES: usize = 64 * 1024;

    fn build(mut kept: Value) -> Result<Self, serde_json::Error> {
        let metadata = kept.get_mut("metadata").and_then(Value::as_object_mut);
        let owners = metadata.and_then(|metadata| metadata.remove("ownerReferences"));
        let ports = named_ports(kept.get("spec"));
        let containers_ended = containers_ended(&kept);
        let WirePod { metadata, mut spec, mut status } = serde_json::from_value(kept)?;
        spec.named_ports = ports;
        status.containers_ended = containers_ended;
        // The DNS knows the name of a pod under a subdomain alone.
        spec.hostname = spec.hostname.filter(|name| !name.is_empty() && spec.subdomain.is_some());
        Ok(Self { metadata, controller: owners.as_ref().and_then(controller), spec, status })
    }
}

impl<'de> Deserialize<'de> for Pod {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
    }
}

fn controller(owners: &Value) -> Option<Controller> {
    let text =
        |owner: &Value, field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut owners = owners.as_array()?.iter();
    let owner = owners.find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
    let is_job = text(owner, "kind") == "Job" && text(owner, "apiVersion").starts_with("batch/");
    Some(if is_job { Controller::Job } else { Controller::Other })
}

/// All containers that run beside each other: an init container does if it restarts always.
fn containers(spec: Option<&Value>) -> impl Iterator<Item = &Value> {
    let list = move |field: &str| spec.and_then(|spec| spec.get(field)?.as_array()).into_iter().flatten();
    let sidecars = list("initContainers")
        .filter(|container| container.get("restartPolicy").and_then(Value::as_str) == Some("Always"));
    list("containers").chain(sidecars)
}

/// The kubelet has seen every container end: each has a status that says so. It writes the reason
/// `ContainerStatusUnknown` for a container that it could not find.
fn containers_ended(pod: &Value) -> bool {
    let status = |field: &str| pod.get("status").and_then(|status| status.get(field)?.as_array());
    let has_ended = |container: &Value| {
        let name = container.get("name");
        let mut statuses =
            ["containerStatuses", "initContainerStatuses"].into_iter().filter_map(status).flatten();
        let found = statuses.find(|status| name.is_some() && status.get("name") == name);
        let ended = found.and_then(|status| status.get("state")?.get("terminated")?.get("reason")?.as_str());
        ended.is_some_and(|reason| reason != "ContainerStatusUnknown")
    };
    let mut all = containers(pod.get("spec")).peekable();
    all.peek().is_some() && all.all(has_ended)
}

/// The ports that have a name, of all containers that run beside each other.
fn named_ports(spec: Option<&Value>) -> Box<[ContainerPort]> {
    let ports = containers(spec).filter_map(|container| container.get("ports")?.as_array()).flatten();
    ports.filter_map(named_port).collect()
}

fn named_port(port: &Value) -> Option<ContainerPort> {
    let text = |field: &str| port.get(field).and_then(Value::as_str).map(str::to_owned);
    let number = port.get("containerPort").and_then(Value::as_u64)?;
    Some(ContainerPort {
        name: text("name").filter(|name| !name.is_empty())?,
        protocol: text("protocol").unwrap_or_else(|| "TCP".to_owned()),
        number: u16::try_from(number).ok()?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePodStatus {
    #[serde(default)]
    phase: Phase,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<WireAddress>>,
    conditions: Option<Vec<WireCondition>>,
}

#[derive(Deserialize)]
struct WireAddress {
    #[serde(default)]
    ip: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCondition {
    r#type: WireConditionType,
    #[serde(default)]
    status: WireConditionStatus,
    #[serde(default, deserialize_with = "lenient::field")]
    last_transition_time: Option<Time>,
}

#[derive(PartialEq, Deserialize)]
enum WireConditionType {
    Ready,
    DisruptionTarget,
    #[serde(other)]
    Other,
}

#[derive(Default, PartialEq, Deserialize)]
enum WireConditionStatus {
    True,
    #[default]
    #[serde(other)]
    NotTrue,
}

impl From<WirePodStatus> for PodStatus {
    fn from(wire: WirePodStatus) -> Self {
        let pod_ips = wire.pod_ips.into_iter().flatten().map(|address| address.ip).collect();
        let mut status = Self { phase: wire.phase, pod_ip: wire.pod_ip, pod_ips, ..Self::default() };
        for condition in wire.conditions.into_iter().flatten() {
            let holds = condition.status == WireConditionStatus::True;
            match condition.r#type {
                WireConditionType::Ready => {
                    let last_transition = condition.last_transition_time;
                    status.ready = Some(ReadyCondition { status: holds, last_transition });
                }
                WireConditionType::DisruptionTarget => status.disruption_target = holds,
                WireConditionType::Other => {}
            }
        }
        status
    }
}
