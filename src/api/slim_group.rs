//! The `ElectionGroup` as it is watched and written back.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::read::{Keep, METADATA, Slim, metadata, slim};
use super::{ElectionGroup, ElectionGroupSpec, ElectionGroupStatus};

/// An `ElectionGroup` without what the operator does not use: field managers, labels, and foreign
/// annotations. It can be written back as a status: the API server keeps the other parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SlimGroup(pub ElectionGroup);

#[derive(Deserialize)]
struct WireGroup {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    spec: ElectionGroupSpec,
    status: Option<ElectionGroupStatus>,
}

impl Slim for SlimGroup {
    const KEEP: Keep =
        Keep::Fields(&[("metadata", METADATA), ("spec", Keep::Whole), ("status", Keep::Whole)]);
    /// Measured is only the spec: the operator writes the status.
    const MEASURED: &'static str = "/spec";
    const MAX_BYTES: usize = 64 * 1024;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireGroup { metadata, spec, status } = serde_json::from_value(kept)?;
        Ok(Self(ElectionGroup { metadata, spec, status }))
    }
}

impl<'de> Deserialize<'de> for SlimGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
    }
}

impl Resource for SlimGroup {
    type DynamicType = ();
    type Scope = <ElectionGroup as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        ElectionGroup::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        ElectionGroup::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        ElectionGroup::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        ElectionGroup::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}
