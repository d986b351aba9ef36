//! Which pods a group has, whatever the order in which groups and pods come, change and go.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use proptest::prelude::*;

use super::*;

type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug)]
enum Change {
    /// A group is new, or its selector is edited.
    Group(u8, LabelSelector),
    GroupRemoved(u8),
    /// A pod is new, or its labels are changed.
    Pod(u8, Labels),
    PodRemoved(u8),
}

fn labels() -> impl Strategy<Value = Labels> {
    let value = || prop::option::of(prop::sample::select(vec!["x", "y", "z"]));
    (value(), value()).prop_map(|(app, tier)| {
        let labels = [("app", app), ("tier", tier)].into_iter();
        labels.filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    })
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let selectors = [
        json!({ "matchLabels": { "app": "x" } }),
        json!({ "matchLabels": { "app": "y", "tier": "x" } }),
        json!({ "matchLabels": { "tier": "y" } }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "In", "values": ["x", "z"] }] }),
        json!({ "matchExpressions": [{ "key": "tier", "operator": "NotIn", "values": ["x"] }] }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "Exists" }] }),
        json!({ "matchExpressions": [{ "key": "app", "operator": "Sideways" }] }),
    ];
    prop::sample::select(selectors.map(|selector| serde_json::from_value(selector).unwrap()).to_vec())
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..3_u8, selector()).prop_map(|(group, selector)| Change::Group(group, selector)),
        1 => (0..3_u8).prop_map(Change::GroupRemoved),
        5 => (0..5_u8, labels()).prop_map(|(pod, labels)| Change::Pod(pod, labels)),
        1 => (0..5_u8).prop_map(Change::PodRemoved),
    ]
}

/// What exists, and the version at which it was made: a UID is never used again.
#[derive(Default)]
struct World {
    groups: BTreeMap<u8, (u64, LabelSelector)>,
    pods: BTreeMap<u8, (u64, Labels)>,
}

fn group_id(number: u8, made_at: u64) -> Identity {
    Identity::new(format!("g{number}"), format!("g{made_at}"))
}

fn pod_id(number: u8, made_at: u64) -> Identity {
    Identity::new(format!("p{number}"), format!("p{made_at}"))
}

impl World {
    /// Makes one change here and in the cache.
    fn change(&mut self, cache: &Cache, version: u64, change: Change) {
        match change {
            Change::Group(number, selector) => {
                let made_at = self.groups.get(&number).map_or(version, |(made_at, _)| *made_at);
                let id = group_id(number, made_at);
                let mut group = group(&id.name, &id.uid, version);
                group.spec.selector = selector.clone();
                cache.upsert_group(group);
                self.groups.insert(number, (made_at, selector));
            }
            Change::GroupRemoved(number) => {
                let Some((made_at, _)) = self.groups.remove(&number) else { return };
                cache.remove_group("shop", &group_id(number, made_at), true);
            }
            Change::Pod(number, labels) => {
                let made_at = self.pods.get(&number).map_or(version, |(made_at, _)| *made_at);
                let id = pod_id(number, made_at);
                let mut pod = pod(&id.name, version, None);
                pod.metadata.uid = Some(id.uid);
                pod.metadata.labels = Some(labels.clone());
                cache.upsert_pod(pod);
                self.pods.insert(number, (made_at, labels));
            }
            Change::PodRemoved(number) => {
                let Some((made_at, _)) = self.pods.remove(&number) else { return };
                cache.remove_pod("shop", &pod_id(number, made_at), true);
            }
        }
    }

    fn selected(&self, selector: &LabelSelector) -> Vec<String> {
        let Ok(selector) = Selector::try_from(selector.clone()) else { return Vec::new() };
        let pods = self.pods.iter().filter(|(_, (_, labels))| selector.matches(labels));
        pods.map(|(number, _)| format!("p{number}")).collect()
    }
}

proptest! {
    #[test]
    fn a_group_has_exactly_the_pods_that_its_selector_matches(
        changes in prop::collection::vec(change(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _clock = runtime.enter();
        let (cache, _woken) = new_cache();
        let mut world = World::default();
        for (version, change) in (1..).zip(changes) {
            world.change(&cache, version, change);
            for (number, (made_at, selector)) in &world.groups {
                let group = GroupRef { namespace: "shop".to_owned(), id: group_id(*number, *made_at) };
                let pods: Vec<_> = snapshot(&cache, &group).pods.into_iter().map(|pod| pod.id.name).collect();
                prop_assert_eq!(pods, world.selected(selector), "{} at {}", group, version);
            }
        }
    }
}
