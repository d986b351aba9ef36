//! Objects of which the API server is asked for the metadata only.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::read::{Keep, METADATA, Slim, metadata, slim};

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

/// Such a kind.
macro_rules! metadata_only {
    ($name:ident, $kind:ty) => {
        impl Resource for $name {
            type DynamicType = ();
            type Scope = <$kind as Resource>::Scope;

            fn metadata_api() -> bool {
                true
            }

            fn kind((): &()) -> Cow<'_, str> {
                <$kind as Resource>::kind(&())
            }

            fn group((): &()) -> Cow<'_, str> {
                <$kind as Resource>::group(&())
            }

            fn version((): &()) -> Cow<'_, str> {
                <$kind as Resource>::version(&())
            }

            fn plural((): &()) -> Cow<'_, str> {
                <$kind as Resource>::plural(&())
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

metadata_only!(NodeLease, k8s_openapi::api::coordination::v1::Lease);
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
