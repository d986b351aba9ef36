//! The Lease as it is watched. Users write Leases, too: one time that Rust's libraries cannot hold (later than
//! 9999-12-30, which the API server stores) must not hide the Lease, or stop the watch of all others; and what a user puts
//! into one takes no memory here. A write is a patch of single fields.

use k8s_openapi::api::coordination::v1::{self, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, MicroTime, ObjectMeta};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::lenient;
use super::read::{Keep, METADATA, METADATA_AND_OWNERS, Slim, metadata, slim};

/// A Lease, read with patience: a time that makes no sense is absent.
#[derive(kube::Resource, Clone, Debug, Default, Serialize)]
#[resource(inherit = v1::Lease)]
#[serde(into = "v1::Lease")]
pub struct Lease {
    /// Name, namespace, UID, version, owners, and the annotations of this project.
    pub metadata: ObjectMeta,
    /// Who holds it, and for how long.
    pub spec: Option<LeaseSpec>,
}

impl From<Lease> for v1::Lease {
    fn from(Lease { metadata, spec }: Lease) -> Self {
        Self { metadata, spec }
    }
}

#[derive(Deserialize)]
struct Wire {
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

/// Longer than any name of a pod with whatever programs add to it.
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
        let Wire { metadata, spec } = serde_json::from_value(kept)?;
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

/// The Lease that a node renews: that it has changed is all that matters.
#[derive(Clone, Debug, Default)]
pub struct NodeLease {
    /// Name, UID and version.
    pub metadata: ObjectMeta,
}

/// Which manager wrote which fields of a pod.
#[derive(Clone, Debug, Default)]
pub struct FieldOwners {
    /// UID, and of `managedFields` manager, subresource and fields.
    pub metadata: ObjectMeta,
}

/// A kind of which the API server is asked for the metadata only.
macro_rules! metadata_only {
    ($name:ident, $kind:ty) => {
        impl kube::Resource for $name {
            type DynamicType = ();
            type Scope = <$kind as kube::Resource>::Scope;

            fn metadata_api() -> bool {
                true
            }

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::kind(&())
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::group(&())
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::version(&())
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                slim(deserializer)
            }
        }
    };
}

metadata_only!(NodeLease, v1::Lease);
metadata_only!(FieldOwners, k8s_openapi::api::core::v1::Pod);

#[derive(Deserialize)]
struct WireNodeLease {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
}

impl Slim for NodeLease {
    const KEEP: Keep = Keep::Fields(&[("metadata", METADATA)]);
    const MAX_BYTES: usize = 8 * 1024;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireNodeLease { metadata } = serde_json::from_value(kept)?;
        Ok(Self { metadata })
    }
}

#[derive(Deserialize)]
struct WireOwners {
    metadata: WireOwnersMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOwnersMetadata {
    uid: Option<String>,
    managed_fields: Option<Vec<ManagedFieldsEntry>>,
}

impl Slim for FieldOwners {
    const KEEP: Keep = Keep::Fields(&[(
        "metadata",
        Keep::Fields(&[
            ("uid", Keep::Whole),
            (
                "managedFields",
                // Not the time: users write it, and may write one that cannot be held.
                Keep::Each(&Keep::Fields(&[
                    ("manager", Keep::Whole),
                    ("subresource", Keep::Whole),
                    ("fieldsV1", Keep::Whole),
                ])),
            ),
        ]),
    )]);
    /// It is read once, and not kept.
    const MAX_BYTES: usize = usize::MAX;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireOwners { metadata: WireOwnersMetadata { uid, managed_fields } } =
            serde_json::from_value(kept)?;
        Ok(Self { metadata: ObjectMeta { uid, managed_fields, ..ObjectMeta::default() } })
    }
}
