//! The Lease that a node renews, as it is watched: its name, its version, and how often it is renewed.

use k8s_openapi::api::coordination::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::lenient;
use super::pod::metadata;

/// The Lease of a node, reduced.
#[derive(kube::Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = v1::Lease)]
pub struct NodeLease {
    /// Name, namespace, UID and version.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// For how long it is valid.
    #[serde(default)]
    pub spec: NodeLeaseSpec,
}

/// The part of the spec that matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeLeaseSpec {
    /// For how many seconds it is valid after a renewal; the kubelet renews it four times as often.
    #[serde(deserialize_with = "lenient::field")]
    pub lease_duration_seconds: Option<i32>,
}
