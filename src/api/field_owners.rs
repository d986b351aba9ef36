//! The field managers of a pod. Only the metadata is requested from the API server.

use std::borrow::Cow;

use k8s_openapi::api::core::v1::Pod as CorePod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Resource;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::read::{Keep, Slim, slim};

/// Which field manager wrote which fields of a pod.
#[derive(Clone, Debug, Default)]
pub struct FieldOwners {
    /// The UID, and manager, subresource and fields of `managedFields`.
    pub metadata: ObjectMeta,
}

impl Resource for FieldOwners {
    type DynamicType = ();
    type Scope = <CorePod as Resource>::Scope;

    fn metadata_api() -> bool {
        true
    }

    fn kind((): &()) -> Cow<'_, str> {
        CorePod::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        CorePod::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        CorePod::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        CorePod::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de> Deserialize<'de> for FieldOwners {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
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
                // The time is left out: users can write it, and it may be out of range.
                Keep::Each(&Keep::Fields(&[
                    ("manager", Keep::Whole),
                    ("subresource", Keep::Whole),
                    ("fieldsV1", Keep::Whole),
                ])),
            ),
        ]),
    )]);
    /// It is read once and not kept.
    const MAX_BYTES: usize = usize::MAX;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireOwners { metadata: WireOwnersMetadata { uid, managed_fields } } =
            serde_json::from_value(kept)?;
        Ok(Self { metadata: ObjectMeta { uid, managed_fields, ..ObjectMeta::default() } })
    }
}
