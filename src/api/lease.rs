//! The Lease as it is watched. Users write Leases, too: one time that Rust's libraries cannot hold (later than
//! 9999-12-30, which the API server stores) must not hide the Lease, or stop the watch of all others.

use k8s_openapi::api::coordination::v1::{self, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

/// A Lease, read with patience: a time that makes no sense is absent.
#[derive(kube::Resource, Clone, Debug, Default, Deserialize)]
#[resource(inherit = v1::Lease)]
pub struct Lease {
    /// All of it but who wrote what: a Lease is written back as a whole.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// Who holds it, and for how long.
    #[serde(default, deserialize_with = "spec")]
    pub spec: Option<LeaseSpec>,
}

impl From<Lease> for v1::Lease {
    fn from(Lease { metadata, spec }: Lease) -> Self {
        Self { metadata, spec }
    }
}

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let mut metadata = Value::deserialize(deserializer)?;
    if let Value::Object(fields) = &mut metadata {
        fields.remove("managedFields");
    }
    serde_json::from_value(metadata).map_err(Error::custom)
}

fn spec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LeaseSpec>, D::Error> {
    let mut spec = Value::deserialize(deserializer)?;
    if let Value::Object(fields) = &mut spec {
        for name in ["acquireTime", "renewTime"] {
            let readable = |time: &Value| MicroTime::deserialize(time).is_ok();
            if fields.get(name).is_some_and(|time| !readable(time)) {
                fields.remove(name);
            }
        }
    }
    serde_json::from_value(spec).map_err(Error::custom)
}
