//! The pod as the API server sends it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Controller, Phase, Pod, PodSpec, PodStatus, ReadyCondition};
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

const STATUS: Keep =
    Keep::Fields(&[("phase", Keep::Whole), ("podIP", Keep::Whole), ("conditions", Keep::Each(&CONDITION))]);

impl Slim for Pod {
    const KEEP: Keep = Keep::Fields(&[
        ("metadata", METADATA_AND_LABELS),
        ("spec", Keep::Fields(&[("nodeName", Keep::Whole), ("hostNetwork", Keep::Whole)])),
        ("status", STATUS),
    ]);
    /// Labels are the only part without a bound of its own.
    const MAX_BYTES: usize = 64 * 1024;

    fn build(mut kept: Value) -> Result<Self, serde_json::Error> {
        let metadata = kept.get_mut("metadata").and_then(Value::as_object_mut);
        let owners = metadata.and_then(|metadata| metadata.remove("ownerReferences"));
        let WirePod { metadata, spec, status } = serde_json::from_value(kept)?;
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WirePodStatus {
    #[serde(default)]
    phase: Phase,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    conditions: Option<Vec<WireCondition>>,
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
        let mut status = Self { phase: wire.phase, pod_ip: wire.pod_ip, ..Self::default() };
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
