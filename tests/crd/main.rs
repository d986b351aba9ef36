//! The API as files. The committed files are those that the code prints, and the defaults are those
//! of the schema.
//!
//! `UPDATE_GENERATED=1 cargo test --test crd` (`make generate`) writes the files instead of
//! comparing them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests, too"
)]

mod examples;
mod reference;
mod schema;

use std::path::{Path, PathBuf};

use election_operator::api::{
    self, ElectionGroup, ElectionGroupSpec, Failback, FailoverSpec, LeaseSpec, Mode, RoleLabelSpec,
    RoutingSpec, WhenNoCandidate,
};
use election_operator::planner::reason::Reason;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};
use serde_json::{Value, json};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a committed file with the text that the code prints, or writes the file.
fn assert_committed(path: &str, printed: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, printed).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = committed.lines().zip(printed.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(printed.lines().count())) + 1;
    assert!(
        committed == printed,
        "{path} is not what the code says, from line {line} on: run `make generate`"
    );
}

fn version() -> CustomResourceDefinitionVersion {
    api::crd().spec.versions.remove(0)
}

/// The schema of the field at `path`, such as `spec.lease.name` or `spec.preference[].weight`.
fn field(path: &str) -> Value {
    let root = version().schema.unwrap().open_api_v3_schema.unwrap();
    let mut schema = serde_json::to_value(root).unwrap();
    for name in path.split('.') {
        schema = schema["properties"][name.trim_end_matches("[]")].clone();
        if name.ends_with("[]") {
            schema = schema["items"].clone();
        }
        assert!(schema.is_object(), "no field {name} in {path}");
    }
    schema
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

#[test]
fn the_committed_crd_is_that_of_the_types() {
    let mut crd = serde_json::to_value(api::crd()).unwrap();
    write_integers_as_such(&mut crd);
    assert_committed("crds/electiongroups.yaml", &serde_saphyr::to_string(&crd).unwrap());
}

#[test]
fn the_chart_has_the_same_crd() {
    let real = |path: &str| root().join(path).canonicalize().unwrap();
    assert_eq!(
        real("crds/electiongroups.yaml"),
        real("charts/election-operator/files/electiongroups.yaml"),
        "one is a link to the other"
    );
}

#[test]
fn the_committed_reference_is_what_the_code_prints() {
    assert_committed("docs/reference.md", &reference::markdown());
}

#[test]
fn the_yaml_of_the_crd_reads_back_as_the_same_crd() {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        // The program has the file as it was before.
        return;
    }
    let read: CustomResourceDefinition = serde_saphyr::from_str(api::CRD_YAML).unwrap();
    assert_eq!(read, api::crd());
}
