//! The Service as it is watched: whom it selects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::pod::metadata;

/// A Service of the core API, reduced.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Deserialize)]
#[resource(inherit = k8s_openapi::api::core::v1::Service)]
pub struct Service {
    /// Name, namespace, UID and version.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What was asked for.
    #[serde(default)]
    pub spec: ServiceSpec,
}

/// The part of a Service's spec that matters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// The labels that its pods have.
    pub selector: Option<BTreeMap<String, String>>,
    /// Its endpoints count as ready even if they are not.
    pub publish_not_ready_addresses: bool,
}
