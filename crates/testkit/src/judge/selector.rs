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

    /// The selector as it stands in a query: `app=db,name notin (a,b),!old`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        // Commas part requirements, but not within brackets.
        let mut depth = 0;
        let requirements = text.split(|letter| {
            depth += match letter {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            letter == ',' && depth == 0
        });
        Self(requirements.map(str::trim).filter(|text| !text.is_empty()).map(Requirement::parse).collect())
    }

    /// Whether there is no requirement.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these labels meet all requirements.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.0.is_empty() && self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    fn parse(text: &str) -> Self {
        let of = |key: &str, operator: &str, values: &str| {
            let values = values.trim().trim_start_matches('(').trim_end_matches(')').split(',');
            let values = values.map(|value| value.trim().to_owned()).collect();
            Self { key: key.trim().to_owned(), operator: operator.to_owned(), values }
        };
        let spelled = [(" notin ", "NotIn"), (" in ", "In"), ("!=", "NotIn"), ("==", "In"), ("=", "In")];
        let found = spelled.into_iter().find_map(|(sign, operator)| {
            text.split_once(sign).map(|(key, values)| of(key, operator, values))
        });
        found.unwrap_or_else(|| match text.strip_prefix('!') {
            Some(key) => of(key, "DoesNotExist", ""),
            None => of(text, "Exists", ""),
        })
    }

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_of_a_query_is_that_of_an_object() {
        let object = json!({
            "matchLabels": { "app": "db" },
            "matchExpressions": [
                { "key": "name", "operator": "NotIn", "values": ["a", "b"] },
                { "key": "tier", "operator": "In", "values": ["x"] },
                { "key": "old", "operator": "DoesNotExist" },
                { "key": "new", "operator": "Exists" },
            ],
        });
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let parsed = Selector::parse("app=db,name notin (a,b),tier in (x),!old,new");
        for selector in [Selector::read(&object), parsed] {
            assert!(selector.matches(&labels(&[("app", "db"), ("tier", "x"), ("new", "")])));
            assert!(!selector.matches(&labels(&[("app", "db"), ("tier", "x"), ("new", ""), ("old", "1")])));
            assert!(!selector.matches(&labels(&[("app", "db"), ("tier", "x"), ("new", ""), ("name", "b")])));
            assert!(!selector.matches(&labels(&[("app", "db"), ("new", "")])));
        }
    }
}
