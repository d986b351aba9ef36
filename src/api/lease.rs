//! The Lease as it is watched. A write is a patch of single fields.
//!
//! Users can write Leases. The API server stores times after 9999-12-30, which Rust's libraries
//! cannot hold. Such a time must not hide the Lease or stop the watch of all others. Foreign
//! content must take no memory.

use k8s_openapi::api::coordination::v1::{self, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::lenient;
use super::read::{Keep, METADATA_AND_OWNERS, Slim, metadata, slim};

/// A Lease, read leniently: a malformed time is absent.
#[derive(kube::Resource, Clone, Debug, Default, Serialize)]
#[resource(inherit = v1::Lease)]
#[serde(into = "v1::Lease")]
pub struct Lease {
    /// Name, namespace, UID, version, owners, and the annotations of this project.
    pub metadata: ObjectMeta,
    /// Its holder and its duration.
    pub spec: Option<LeaseSpec>,
}

impl From<Lease> for v1::Lease {
    fn from(Lease { metadata, spec }: Lease) -> Self {
        Self { metadata, spec }
    }
}

#[derive(Deserialize)]
struct WireLease {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    spec: Option<WireSpec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i32>,
    lease_transitions: Option<i32>,
    #[serde(default, deserialize_with = "lenient::field")]
    acquire_time: Option<MicroTime>,
    #[serde(default, deserialize_with = "lenient::field")]
    renew_time: Option<MicroTime>,
}

/// Longer than any pod name with the suffixes that programs add.
const LONGEST_IDENTITY: usize = 1024;

const SPEC: Keep = Keep::Fields(&[
    ("holderIdentity", Keep::Text(LONGEST_IDENTITY)),
    ("leaseDurationSeconds", Keep::Whole),
    ("leaseTransitions", Keep::Whole),
    ("acquireTime", Keep::Whole),
    ("renewTime", Keep::Whole),
]);

impl Slim for Lease {
    const KEEP: Keep = Keep::Fields(&[("metadata", METADATA_AND_OWNERS), ("spec", SPEC)]);
    const MAX_BYTES: usize = 8 * 1024;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireLease { metadata, spec } = serde_json::from_value(kept)?;
        let spec = spec.map(|spec| LeaseSpec {
            holder_identity: spec.holder_identity,
            lease_duration_seconds: spec.lease_duration_seconds,
            lease_transitions: spec.lease_transitions,
            acquire_time: spec.acquire_time,
            renew_time: spec.renew_time,
            ..LeaseSpec::default()
        });
        Ok(Self { metadata, spec })
    }
}

impl<'de> Deserialize<'de> for Lease {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
    }
}
