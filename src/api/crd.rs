//! The CRD as the API server gets it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;

use super::group::ElectionGroup;
use super::status::unserved_status;

/// The `CustomResourceDefinition` of [`ElectionGroup`].
#[must_use]
pub fn crd() -> CustomResourceDefinition {
    let mut crd = ElectionGroup::crd();
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let status = schema.and_then(|schema| schema.properties.as_mut()?.get_mut("status"));
        if let (Some(status), Ok(unserved)) = (status, serde_json::to_value(unserved_status())) {
            // A group without a status would count as ready for those who wait for it (kstatus).
            status.default = Some(JSON(unserved));
        }
    }
    crd
}

/// The CRD as YAML, as it is committed. A test keeps it equal to [`crd`].
pub const CRD_YAML: &str = include_str!("../../crds/electiongroups.yaml");
