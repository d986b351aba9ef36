//! The CRD as the API server gets it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON};
use kube::CustomResourceExt;
use serde_json::Value;

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

/// The CRD as YAML: committed, packaged and printed.
///
/// # Errors
/// If the CRD cannot be written. A test prints it, so this does not happen.
pub fn crd_yaml() -> Result<String, PrintCrdError> {
    let mut crd = serde_json::to_value(crd())?;
    write_integers_as_such(&mut crd);
    Ok(serde_saphyr::to_string(&crd)?)
}

/// The CRD cannot be written as YAML.
#[derive(Debug, thiserror::Error)]
pub enum PrintCrdError {
    /// It could not be converted to JSON, the step before.
    #[error("the CRD cannot be written as JSON")]
    WriteJson {
        /// The error of the serializer.
        #[from]
        source: serde_json::Error,
    },
    /// It could not be written as YAML.
    #[error("the CRD cannot be written as YAML")]
    WriteYaml {
        /// Why not.
        #[from]
        source: serde_saphyr::ser::Error,
    },
}

/// Writes `maximum: 50` instead of `50.0`: the Rust type keeps the bounds of a schema as floats.
fn write_integers_as_such(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_integers_as_such),
        Value::Object(fields) => fields.values_mut().for_each(write_integers_as_such),
        Value::Number(number) => {
            if let Some(integer) =
                number.to_string().strip_suffix(".0").and_then(|text| text.parse::<i64>().ok())
            {
                *number = integer.into();
            }
        }
        _ => {}
    }
}
