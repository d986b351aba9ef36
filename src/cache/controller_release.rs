//! Whether the controller of a pod has released the pod because of its role label.
//!
//! A `ReplicaSet` whose selector has the key of the role label removes its owner reference from a
//! pod that gets another value, and creates a new pod. Without this check, the operator would label
//! each new pod, and the `ReplicaSet` would create pods without end.

use kube::ResourceExt;

use crate::api::Pod;
use crate::convert;
use crate::planner::Millis;

/// A controller releases a pod this soon after the label. A later release has another reason: a
/// user may have deleted the owner with `--cascade=orphan`.
const SOON: Millis = Millis::from_seconds(10);

/// The history of the role label of one pod that a group owns, as far as this process has seen it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerRelease {
    /// The value of the label before the operator wrote it.
    before: Option<String>,
    /// When its value last changed. None after another label has changed, which the controller may
    /// select by.
    changed_at: Option<Millis>,
    is_released: bool,
}

impl ControllerRelease {
    /// The history with the next version of a pod. `key` is the key of the owner's role label.
    #[must_use]
    pub fn next(seen: Option<(&Pod, &Self)>, pod: &Pod, key: Option<&str>, now: Millis) -> Self {
        let Some(((before, release), key)) = seen.zip(key) else { return Self::default() };
        let value = |pod: &Pod| pod.labels().get(key).cloned();
        let same_owner = convert::owner(before) == convert::owner(pod);
        let known =
            if same_owner { release.clone() } else { Self { before: value(before), ..Self::default() } };
        let others = before.labels().iter().filter(|(name, _)| *name != key);
        let loses_another = others.into_iter().any(|(name, value)| pod.labels().get(name) != Some(value));
        let changed_at = match known.changed_at {
            _ if value(before) != value(pod) => Some(now),
            _ if loses_another => None,
            same => same,
        };
        let loses_controller = before.controller.is_some() && pod.controller.is_none();
        let is_soon = changed_at.is_some_and(|changed_at| now.since(changed_at) <= SOON);
        let is_released = pod.controller.is_none() && (known.is_released || (loses_controller && is_soon));
        Self { before: known.before, changed_at, is_released }
    }

    /// The controller has released the pod because of the label.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        self.is_released
    }

    /// The value to give back to a pod that its controller has released.
    #[must_use]
    pub fn value_before(&self) -> Option<&str> {
        self.before.as_deref().filter(|_| self.is_released)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(role: Option<&str>, owned: bool, managed: bool) -> Pod {
        let controller =
            json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "controller": true }]);
        serde_json::from_value(json!({ "metadata": {
            "name": "a", "labels": { "role": role.unwrap_or("-") },
            "annotations": if owned { json!({ "election-operator.io/group": "orders/1" }) } else { Value::Null },
            "ownerReferences": if managed { controller } else { Value::Null },
        }}))
        .unwrap()
    }

    /// The history after these versions of a pod, each at its second.
    fn after(versions: &[(u64, Pod)]) -> ControllerRelease {
        let mut seen: Option<(Pod, ControllerRelease)> = None;
        for (second, pod) in versions {
            let key = convert::owner(pod).map(|_| "role");
            let before = seen.as_ref().map(|(pod, release)| (pod, release));
            let release = ControllerRelease::next(before, pod, key, Millis::from_seconds(*second));
            seen = Some((pod.clone(), release));
        }
        seen.unwrap().1
    }

    #[test]
    fn a_pod_that_loses_its_controller_soon_after_another_role_is_released() {
        let (own, ours) = (pod(Some("follower"), false, true), pod(Some("leader"), true, true));
        let gone = pod(Some("leader"), true, false);
        let versions = [(0, own.clone()), (1, ours.clone()), (2, gone.clone()), (900, gone.clone())];
        let release = after(&versions);
        assert!(release.is_released());
        assert_eq!(release.value_before(), Some("follower"));
        assert!(after(&[(0, own.clone()), (1, gone.clone())]).is_released(), "both in one version");
        assert!(
            !after(&[(0, own.clone()), (1, ours.clone()), (12, gone.clone())]).is_released(),
            "much later"
        );
        let unowned = pod(Some("follower"), false, false);
        assert!(
            !after(&[(0, own.clone()), (1, ours.clone()), (2, gone.clone()), (3, unowned)]).is_released()
        );
        assert!(!after(&[(0, own), (1, ours.clone()), (2, gone), (3, ours)]).is_released(), "it is back");
    }

    #[test]
    fn a_pod_that_a_user_takes_out_by_another_label_is_not_released_for_its_role() {
        let (own, ours) = (pod(Some("follower"), false, true), pod(Some("leader"), true, true));
        let with = |mut pod: Pod, app: &str| {
            pod.labels_mut().insert("app".to_owned(), app.to_owned());
            pod
        };
        let gone = pod(Some("leader"), true, false);
        let before = [(0, with(own, "db")), (1, with(ours.clone(), "db"))];
        let taken_out = [(3, with(ours, "debug")), (4, with(gone.clone(), "debug"))];
        assert!(!after(&[before.clone(), taken_out.clone()].concat()).is_released());
        assert!(!after(&[&before[..], &taken_out[1..]].concat()).is_released(), "both in one version");
        assert!(after(&[&before[..], &[(4, with(gone, "db"))]].concat()).is_released());
    }

    #[test]
    fn a_pod_whose_role_did_not_change_has_lost_its_controller_for_another_reason() {
        let versions = [(0, pod(Some("leader"), false, true)), (1, pod(Some("leader"), true, true))];
        let gone = (2, pod(Some("leader"), true, false));
        assert!(!after(&[versions[0].clone(), versions[1].clone(), gone.clone()]).is_released());
        assert!(!after(&[(0, pod(Some("x"), true, false)), gone]).is_released(), "it never had one");
    }
}
