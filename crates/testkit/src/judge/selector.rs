//! Label selectors, as Kubernetes defines them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json::At;

/// The requirements of a `LabelSelector`. One without requirements matches nothing here: the API
/// refuses it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl Selector {
    /// The selector as it stands in an object.
    #[must_use]
    pub fn read(selector: &Value) -> Self {
        let labels = selector.at("/matchLabels").as_object().into_iter().flatten();
        let equal = labels.map(|(key, value)| Requirement {
            key: key.clone(),
            operator: "In".to_owned(),
            values: value.as_str().map(str::to_owned).into_iter().collect(),
        });
        let expressions = selector.list("/matchExpressions").iter().map(|expression| Requirement {
            key: expression.text("/key").to_owned(),
            operator: expression.text("/operator").to_owned(),
            values: expression.list("/values").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        });
        Self(equal.chain(expressions).collect())
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.0.is_empty() && self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}
