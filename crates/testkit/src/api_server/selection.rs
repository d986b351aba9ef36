//! Which objects a list or a watch asks for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::call::Call;
use crate::json::At;
use crate::judge::Selector;

/// Namespace, labels and fields of the objects that are meant.
#[derive(Debug)]
pub(super) struct Selection {
    namespace: Option<String>,
    labels: Selector,
    /// Pointer, value, and whether they shall be equal.
    fields: Vec<(String, String, bool)>,
}

impl Selection {
    pub(super) fn of(call: &Call) -> Self {
        let fields = call.parameter("fieldSelector").split(',').filter(|text| !text.is_empty());
        let fields = fields.map(|text| {
            let (field, value) = text.split_once('=').expect("a requirement has a value");
            let equal = !field.ends_with('!');
            let pointer = format!("/{}", field.trim_end_matches('!').replace('.', "/"));
            (pointer, value.trim_start_matches('=').to_owned(), equal)
        });
        Self {
            namespace: call.namespace.clone(),
            labels: Selector::parse(call.parameter("labelSelector")),
            fields: fields.collect(),
        }
    }

    pub(super) fn matches(&self, object: &Value) -> bool {
        let at_home =
            self.namespace.as_ref().is_none_or(|namespace| object.text("/metadata/namespace") == namespace);
        let mut fields = self.fields.iter();
        at_home
            && fields.all(|(pointer, value, equal)| (object.text(pointer) == value) == *equal)
            && (self.labels.is_empty() || self.labels.matches(&labels(object)))
    }
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.at("/metadata/labels").as_object().into_iter().flatten();
    labels.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}
