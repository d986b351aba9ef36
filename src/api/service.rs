//! The Service as it is watched: the pods that it selects, and its ports.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
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
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    #[serde(rename = "type")]
    pub type_: Option<String>,
    /// Its address in the cluster. `None` for a headless Service.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// Its address families: `IPv4`, `IPv6`.
    pub ip_families: Option<Vec<String>>,
    /// Its ports.
    pub ports: Option<Vec<ServicePort>>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Its name. Absent, if the Service has one port alone.
    pub name: Option<String>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Option<String>,
    /// The protocol of the application.
    pub app_protocol: Option<String>,
    /// Its number.
    pub port: i32,
    /// The port of the pod, by number or by name.
    pub target_port: Option<IntOrString>,
}

const PORT: Keep = Keep::Fields(&[
    ("name", Keep::Whole),
    ("protocol", Keep::Whole),
    ("appProtocol", Keep::Whole),
    ("port", Keep::Whole),
    ("targetPort", Keep::Whole),
]);

const SPEC: Keep = Keep::Fields(&[
    ("selector", Keep::Whole),
    ("publishNotReadyAddresses", Keep::Whole),
    ("type", Keep::Whole),
    ("clusterIP", Keep::Whole),
    ("ipFamilies", Keep::Whole),
    ("ports", Keep::Each(&PORT)),
]);

#[derive(Deserialize)]
struct WireService {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: ServiceSpec,
}

impl Slim for Service {
    const KEEP: Keep = Keep::Fields(&[("metadata", METADATA), ("spec", SPEC)]);
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
