//! Pods by the labels that groups select by.
//!
//! A new group is matched with the pods that have a label of its selector, not with all pods of the
//! namespace. A label key is indexed for as long as a group selects by it: namespaces without
//! groups pay nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::namespace::take_out;

type Labels = BTreeMap<String, String>;

/// The pods by each key that a group selects by. Pods are known by their names.
#[derive(Debug, Default)]
pub(super) struct PodsByLabel(HashMap<String, PodsByValue>);

#[derive(Debug, Default)]
struct PodsByValue {
    /// How many groups select by the key.
    groups: usize,
    pods: HashMap<String, BTreeSet<String>>,
}

impl PodsByLabel {
    /// One more group selects by this key. `pods` are all pods of the namespace.
    pub(super) fn hold<'a>(&mut self, key: &str, pods: impl Iterator<Item = (&'a String, &'a Labels)>) {
        if let Some(index) = self.0.get_mut(key) {
            index.groups += 1;
            return;
        }
        let mut index = PodsByValue { groups: 1, ..PodsByValue::default() };
        for (pod, labels) in pods {
            if let Some(value) = labels.get(key) {
                index.pods.entry(value.clone()).or_default().insert(pod.clone());
            }
        }
        self.0.insert(key.to_owned(), index);
    }

    /// One group fewer selects by this key.
    pub(super) fn release(&mut self, key: &str) {
        let Some(index) = self.0.get_mut(key) else { return };
        index.groups = index.groups.saturating_sub(1);
        if index.groups == 0 {
            self.0.remove(key);
        }
    }

    /// A pod is there, with these labels.
    pub(super) fn enter(&mut self, pod: &str, labels: &Labels) {
        for (key, value) in labels {
            if let Some(index) = self.0.get_mut(key) {
                index.pods.entry(value.clone()).or_default().insert(pod.to_owned());
            }
        }
    }

    /// A pod with these labels is not there any more.
    pub(super) fn leave(&mut self, pod: &str, labels: &Labels) {
        for (key, value) in labels {
            if let Some(index) = self.0.get_mut(key) {
                take_out(&mut index.pods, value, pod);
            }
        }
    }

    /// The pods with a label whose key a group selects by.
    pub(super) fn with(&self, key: &str, value: &str) -> impl Iterator<Item = &String> {
        self.0.get(key).and_then(|index| index.pods.get(value)).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(labels: &[(&str, &str)]) -> Labels {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn with(index: &PodsByLabel, key: &str, value: &str) -> Vec<String> {
        index.with(key, value).cloned().collect()
    }

    #[test]
    fn only_the_pods_with_the_label_are_matched_with_a_group() {
        let (name, db) = ("a".to_owned(), labels(&[("app", "db"), ("pod", "a")]));
        let mut index = PodsByLabel::default();
        index.hold("app", [(&name, &db)].into_iter());
        index.enter("b", &labels(&[("app", "db"), ("pod", "b")]));
        index.enter("c", &labels(&[("app", "web"), ("pod", "c")]));
        assert_eq!(with(&index, "app", "db"), ["a", "b"]);
        index.leave("a", &db);
        assert_eq!(with(&index, "app", "db"), ["b"]);
        assert_eq!(with(&index, "pod", "c"), [""; 0], "no group selects by this key");
    }

    #[test]
    fn a_key_is_indexed_for_as_long_as_a_group_selects_by_it() {
        let (name, db) = ("a".to_owned(), labels(&[("app", "db")]));
        let mut index = PodsByLabel::default();
        index.enter("a", &db);
        assert!(index.0.is_empty());
        for _ in 0..2 {
            index.hold("app", [(&name, &db)].into_iter());
        }
        index.release("app");
        assert_eq!(with(&index, "app", "db"), ["a"]);
        index.release("app");
        assert!(index.0.is_empty());
    }
}
