//! The `PodDisruptionBudget` as it is watched: which pods it guards, and whether it may refuse
//! every eviction.

use k8s_openapi::api::policy::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Deserialize;
use serde::de::Deserializer;
use serde_json::Value;

use super::lenient;
use super::read::{Keep, METADATA, Slim, metadata, slim};

/// Users write budgets: a selector with more text than this is dropped.
const MAX_SELECTOR_BYTES: usize = 4096;

/// A `PodDisruptionBudget`, reduced.
#[derive(kube::Resource, Clone, Debug, Default, PartialEq)]
#[resource(inherit = v1::PodDisruptionBudget)]
pub struct Budget {
    /// Name, namespace, UID and version.
    pub metadata: ObjectMeta,
    /// The desired state.
    pub spec: BudgetSpec,
}

/// The part of the spec that is read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BudgetSpec {
    /// The pods that it guards. None also if the selector cannot be read.
    #[serde(deserialize_with = "selector")]
    pub selector: Option<LabelSelector>,
    /// How many of them must be available.
    #[serde(deserialize_with = "lenient::field")]
    pub min_available: Option<IntOrString>,
    /// How many of them may be unavailable.
    #[serde(deserialize_with = "lenient::field")]
    pub max_unavailable: Option<IntOrString>,
}

#[derive(Deserialize)]
struct WireBudget {
    #[serde(default, deserialize_with = "metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: BudgetSpec,
}

impl Slim for Budget {
    const KEEP: Keep = Keep::Fields(&[
        ("metadata", METADATA),
        (
            "spec",
            Keep::Fields(&[
                ("selector", Keep::Whole),
                ("minAvailable", Keep::Whole),
                ("maxUnavailable", Keep::Whole),
            ]),
        ),
    ]);
    const MAX_BYTES: usize = 64 * 1024;

    fn build(kept: Value) -> Result<Self, serde_json::Error> {
        let WireBudget { metadata, spec } = serde_json::from_value(kept)?;
        Ok(Self { metadata, spec })
    }
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slim(deserializer)
    }
}

impl BudgetSpec {
    /// Whether it forbids the eviction of its pod if it guards only one.
    #[must_use]
    pub fn keeps_a_single_pod(&self) -> bool {
        let is_zero = |value: &IntOrString| match value {
            IntOrString::Int(number) => *number <= 0,
            IntOrString::String(percent) => percent.trim_end_matches('%').parse() == Ok(0),
        };
        match (&self.min_available, &self.max_unavailable) {
            (Some(least), _) => !is_zero(least),
            (None, Some(most)) => is_zero(most),
            (None, None) => false,
        }
    }
}

fn selector<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LabelSelector>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let small = value.to_string().len() <= MAX_SELECTOR_BYTES;
    Ok(serde_json::from_value(value).ok().filter(|_| small))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(spec: &Value) -> BudgetSpec {
        let budget: Budget =
            serde_json::from_value(json!({ "metadata": { "name": "b" }, "spec": spec })).unwrap();
        budget.spec
    }

    #[test]
    fn a_budget_keeps_a_single_pod_if_it_leaves_none_away() {
        for (budget, expected) in [
            (json!({ "minAvailable": 1 }), true),
            (json!({ "minAvailable": "50%" }), true),
            (json!({ "minAvailable": 0 }), false),
            (json!({ "minAvailable": "0%" }), false),
            (json!({ "maxUnavailable": 0 }), true),
            (json!({ "maxUnavailable": "0%" }), true),
            (json!({ "maxUnavailable": 1 }), false),
            (json!({ "maxUnavailable": "10%" }), false),
            (json!({}), false),
        ] {
            assert_eq!(spec(&budget).keeps_a_single_pod(), expected, "{budget}");
        }
    }

    #[test]
    fn a_budget_that_makes_no_sense_hides_no_other() {
        let long = "x".repeat(MAX_SELECTOR_BYTES);
        for selector in
            [json!({ "matchLabels": { "a": long } }), json!({ "matchExpressions": 7 }), json!(null)]
        {
            assert_eq!(spec(&json!({ "selector": selector, "minAvailable": {} })), BudgetSpec::default());
        }
        assert!(spec(&json!({ "selector": { "matchLabels": { "a": "b" } } })).selector.is_some());
    }
}
