//! The Lease of a node as it is watched: its name, its version, and how often the kubelet renews
//! it.

use k8s_openapi::api::coordination::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::lenient;
use super::read::{Keep, METADATA, Slim, metadata, slim};

/// The Lease of a node, reduced.
#[derive(kube::Resource, Clone, Debug, Default)]
#[resource(inherit = v1::Lease)]
pub struct NodeLease {
    /// Name, namespace, UID and version.
    pub metadata: ObjectMeta,
    /// How long it is valid.
    pub spec: NodeLeaseSpec,
}

/// The part of the spec that is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeLeaseSpec {
    /// How many seconds it is valid after a renewal. The kubelet renews it four times as often.
    #[serde(deserialize_with = "lenient::field")]
    pub lease_duration_seconds: Option<i32>,
}

#[derive(Deserialize)]
struct WireNodeLease {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: NodeLeaseSpec,
}

impl Slim for NodeLease {
    const KEEP: Keep = Keep::Fields(&[
        ("metadata", METADATA),
        ("spec", Keep::Fields(&[("leaseDurationSeconds", Keep::Whole)])),
    ]);
    const MAX_BYTES: usize = 8 * 1024;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireNodeLease { metadata, spec } = serde_json::from_value(kept)?;
        Ok(Self { metadata, spec })
    }
}

impl<'de> Deserialize<'de> for NodeLease {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
    }
}
