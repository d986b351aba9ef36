//! The parts of the schema that no type carries.

use schemars::transform::transform_subschemas;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

/// An optional DNS prefix and a slash, then a name of at most 63 characters.
pub(super) const LABEL_KEY: &str = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?\
                                    [A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// Empty, or letters, digits, dashes, underscores and dots that begin and end with a letter or
/// digit.
pub(super) const LABEL_VALUE: &str = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";
const LABEL_VALUE_NOT_EMPTY: &str = "^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$";
/// A DNS label that begins with a letter.
const SERVICE_NAME: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";
const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

pub(super) fn label_key(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 317,
        "pattern": LABEL_KEY,
        "x-kubernetes-validations": [{
            "rule": "size(self.split('/')[0]) <= 253",
            "message": "the prefix of a label key has at most 253 characters",
        }],
    })
}

/// A label key that no part of Kubernetes and no controller writes or selects by.
const NOT_RESERVED: &str = "!self.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/') && !(self in ['pod-template-hash', \
                            'rollouts-pod-template-hash', 'controller-revision-hash', 'job-name', 'controller-uid'])";

pub(super) fn role_label_key(generator: &mut SchemaGenerator) -> Schema {
    let mut key = label_key(generator);
    if let Some(rules) = key.get_mut("x-kubernetes-validations").and_then(Value::as_array_mut) {
        rules.push(serde_json::json!({
            "rule": NOT_RESERVED,
            "message": "roleLabel.key must not be a label of Kubernetes or of a controller",
        }));
    }
    key
}

pub(super) fn label_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 63, "pattern": LABEL_VALUE })
}

pub(super) fn label_value_not_empty(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 63, "pattern": LABEL_VALUE_NOT_EMPTY })
}

pub(super) fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 253, "pattern": OBJECT_NAME })
}

pub(super) fn service_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 4,
        "x-kubernetes-list-type": "set",
        "items": { "type": "string", "minLength": 1, "maxLength": 63, "pattern": SERVICE_NAME },
    })
}

pub(super) fn namespace_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 63,
        "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "x-kubernetes-validations": [{
            "rule": "self != 'kube-node-lease'",
            "message": "the Leases of nodes elect no pod",
        }],
    })
}

/// Adapts a derived schema to Kubernetes: without the integer formats that it warns about, and with
/// descriptions without the line breaks of the source.
pub(super) fn tidy(schema: &mut Schema) {
    if schema.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
        schema.remove("format");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    transform_subschemas(&mut tidy, schema);
}

/// Adapts the schema of a status: no defaults, as an absent field means absent.
pub(super) fn tidy_status(schema: &mut Schema) {
    tidy(schema);
    schema.remove("default");
    transform_subschemas(&mut tidy_status, schema);
}
