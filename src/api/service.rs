//! The Service as it is watched: the pods that it selects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::read::{Keep, METADATA, Slim, metadata, slim};

/// A Service of the core API, reduced.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq)]
#[resource(inherit = k8s_openapi::api::core::v1::Service)]
pub struct Service {
    /// Name, namespace, UID and version.
    pub metadata: ObjectMeta,
    /// The desired state.
    pub spec: ServiceSpec,
}

/// The part of a Service's spec that is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// The labels of its pods.
    pub selector: Option<BTreeMap<String, String>>,
    /// Whether its endpoints count as ready even if they are not.
    pub publish_not_ready_addresses: bool,
}

#[derive(Deserialize)]
struct WireService {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ServiceSpec,
}

impl Slim for Service {
    const KEEP: Keep = Keep::Fields(&[
        ("metadata", METADATA),
        ("spec", Keep::Fields(&[("selector", Keep::Whole), ("publishNotReadyAddresses", Keep::Whole)])),
    ]);
    const MAX_BYTES: usize = 64 * 1024;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireService { metadata, spec } = serde_json::from_value(kept)?;
        Ok(Self { metadata, spec })
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
    }
}
