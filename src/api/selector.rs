//! The schema of a label selector: `LabelSelector` with bounds that the API server does not know by
//! itself.
//!
//! The schema of the type accepts any operator and unbounded lists. Only the operator would find a
//! wrong operator. Unbounded lists make the rules too expensive for the cost budget of the API
//! server.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::schema::{LABEL_KEY, label_key, label_value};

/// The most entries of `matchLabels`, and of `matchExpressions`.
const MAX_REQUIREMENTS: u32 = 32;
/// The most values of one expression.
const MAX_VALUES: u32 = 64;

const NOT_EMPTY: &str = "(has(self.matchLabels) && size(self.matchLabels) > 0) || \
                         (has(self.matchExpressions) && size(self.matchExpressions) > 0)";
const VALUES_FIT: &str = "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 \
                          : !has(self.values) || size(self.values) == 0";

/// A selector with at least one requirement, each of them well-formed.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "Labels that a pod must have, with exactly these values. For example `{app: orders}`.",
                "type": "object",
                "maxProperties": MAX_REQUIREMENTS,
                "additionalProperties": label_value(generator),
                "x-kubernetes-validations": [{
                    "rule": keys_are_valid(),
                    "message": "every key must be a valid label key",
                }],
            },
            "matchExpressions": {
                "description": "Further requirements, all of which a pod must meet. For example \
                                `[{key: tier, operator: NotIn, values: [canary]}]`.",
                "type": "array",
                "maxItems": MAX_REQUIREMENTS,
                "items": expression(generator),
            },
        },
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-validations": [{
            "rule": NOT_EMPTY,
            "message": "must have at least one requirement in matchLabels or matchExpressions",
        }],
    })
}

/// Checks keys by a rule: the keys of a map have no schema of their own.
fn keys_are_valid() -> String {
    format!(r"self.all(key, key.matches(r'{LABEL_KEY}') && size(key.split('/')[0]) <= 253)")
}

fn expression(generator: &mut SchemaGenerator) -> Schema {
    let mut key = label_key(generator);
    key.insert("description".to_owned(), "The key of the label. For example `tier`.".into());
    json_schema!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": key,
            "operator": {
                "description": "How the label relates to `values`: `In` and `NotIn` them, or it `Exists` or \
                                `DoesNotExist`, whatever its value. For example `In`, with `values`.",
                "type": "string",
                "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
            },
            "values": {
                "description": "The values of `In` and `NotIn`: at least one. None for the other operators. For \
                                example `[web, api]`.",
                "type": "array",
                "maxItems": MAX_VALUES,
                "items": label_value(generator),
                "x-kubernetes-list-type": "atomic",
            },
        },
        "x-kubernetes-validations": [{
            "rule": VALUES_FIT,
            "message": "In and NotIn need at least one value, Exists and DoesNotExist take none",
            "fieldPath": ".values",
        }],
    })
}
