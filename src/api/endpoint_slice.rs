//! The `EndpointSlice` as it is watched: only those that the operator made.

use k8s_openapi::api::discovery::v1::{self, Endpoint, EndpointPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::read::{Keep, METADATA_OF_SLICE, Slim, metadata, slim};

/// The label of a slice that names its Service.
pub const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// The label of a slice that names its writer.
pub const MANAGED_BY_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`] on the slices of this operator.
pub const MANAGED_BY: &str = "election-operator.io";
/// The label of a slice whose Service has no cluster address.
pub const HEADLESS_LABEL: &str = "service.kubernetes.io/headless";

/// An `EndpointSlice` of the discovery API, reduced.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq, Serialize)]
#[resource(inherit = v1::EndpointSlice)]
#[serde(into = "v1::EndpointSlice")]
pub struct EndpointSlice {
    /// Name, namespace, UID, version, labels, owners, and the annotations of this project.
    pub metadata: ObjectMeta,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
    /// The ports.
    pub ports: Vec<EndpointPort>,
}

impl From<EndpointSlice> for v1::EndpointSlice {
    fn from(EndpointSlice { metadata, address_type, endpoints, ports }: EndpointSlice) -> Self {
        Self { metadata, address_type, endpoints, ports: Some(ports) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSlice {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    address_type: String,
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
    #[serde(default)]
    ports: Option<Vec<EndpointPort>>,
}

impl Slim for EndpointSlice {
    const KEEP: Keep = Keep::Fields(&[
        ("metadata", METADATA_OF_SLICE),
        ("addressType", Keep::Whole),
        ("endpoints", Keep::Whole),
        ("ports", Keep::Whole),
    ]);
    const MAX_BYTES: usize = 64 * 1024;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireSlice { metadata, address_type, endpoints, ports } = serde_json::from_value(kept)?;
        let (endpoints, ports) = (endpoints.unwrap_or_default(), ports.unwrap_or_default());
        Ok(Self { metadata, address_type, endpoints, ports })
    }
}

impl<'de> Deserialize<'de> for EndpointSlice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
    }
}
