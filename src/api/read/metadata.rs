//! The part of an object's metadata that is read.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use serde_json::Value;

use super::keep::Keep;
use crate::api::{
    ADOPT_ANNOTATION, DURATION_ANNOTATION, EXCLUDE_ANNOTATION, GROUP_ANNOTATION, IDENTITY_ANNOTATION,
    NOMINEE_ANNOTATION, PAUSED_ANNOTATION, PRIORITY_ANNOTATION, SWITCHOVER_ANNOTATION, TERM_ANNOTATION,
};

/// The longest annotation with a meaning names an owner: a name of 253 bytes, a separator and a
/// UID. A value that was cut means nothing, and Events that quote it say so.
const LONGEST_ANNOTATION: usize = 512;

const ANNOTATIONS: Keep = Keep::Fields(&[
    (GROUP_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (TERM_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (PRIORITY_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (EXCLUDE_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (IDENTITY_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (ADOPT_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (NOMINEE_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (DURATION_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (SWITCHOVER_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
    (PAUSED_ANNOTATION, Keep::Text(LONGEST_ANNOTATION)),
]);

/// The identity of an object, the annotations of this project, and these fields.
macro_rules! metadata_with {
    ($($name:literal: $keep:expr),*) => {
        Keep::Fields(&[
            ("name", Keep::Whole),
            ("namespace", Keep::Whole),
            ("uid", Keep::Whole),
            ("resourceVersion", Keep::Whole),
            ("deletionTimestamp", Keep::Whole),
            ("annotations", ANNOTATIONS),
            $(($name, $keep),)*
        ])
    };
}

/// The identity and age of an object.
pub(in crate::api) const METADATA: Keep =
    metadata_with!("generation": Keep::Whole, "creationTimestamp": Keep::Whole);

/// The owner of a pod.
const OWNER: Keep =
    Keep::Fields(&[("apiVersion", Keep::Whole), ("kind", Keep::Whole), ("controller", Keep::Whole)]);

/// Age, labels, and the owners' kinds.
pub(in crate::api) const METADATA_AND_LABELS: Keep = metadata_with!(
    "creationTimestamp": Keep::Whole,
    "labels": Keep::Whole,
    "ownerReferences": Keep::Each(&OWNER)
);

/// The owners.
pub(in crate::api) const METADATA_AND_OWNERS: Keep = metadata_with!("ownerReferences": Keep::Whole);

/// The owners and the labels.
pub(in crate::api) const METADATA_OF_SLICE: Keep =
    metadata_with!("ownerReferences": Keep::Whole, "labels": Keep::Whole);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMetadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    #[serde(deserialize_with = "version")]
    resource_version: Option<String>,
    generation: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
    creation_timestamp: Option<Time>,
    #[serde(deserialize_with = "deletion")]
    deletion_timestamp: Option<Time>,
}

/// Reads a version. The operator orders versions, and makes each write conditional on one. A text
/// that is no positive integer allows neither. Reading it as 0 would make the write unconditional.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    match &text {
        Some(version) if version.parse::<u64>().ok().is_none_or(|version| version == 0) => {
            Err(D::Error::custom(format!("metadata.resourceVersion {version:?} is no positive integer")))
        }
        _ => Ok(text),
    }
}

/// Reads a deletion time. A time out of range still means that the object is being deleted.
fn deletion<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let time = Option::<Value>::deserialize(deserializer)?;
    Ok(time.map(|time| serde_json::from_value(time).unwrap_or(Time(jiff::Timestamp::UNIX_EPOCH))))
}

pub(in crate::api) fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let wire = WireMetadata::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: wire.name,
        namespace: wire.namespace,
        uid: wire.uid,
        resource_version: wire.resource_version,
        generation: wire.generation,
        labels: wire.labels,
        annotations: wire.annotations.filter(|annotations| !annotations.is_empty()),
        owner_references: wire.owner_references,
        creation_timestamp: wire.creation_timestamp,
        deletion_timestamp: wire.deletion_timestamp,
        ..ObjectMeta::default()
    })
}
