//! Whether the controller of a pod has let it go because of the role label that this operator gave it.
//!
//! A `ReplicaSet` whose selector has the key of the role label takes its owner reference from a pod that gets another
//! value, and makes a new pod in its place: as fast as the new ones are labelled, if nobody looks.

use kube::ResourceExt;

use crate::api::Pod;
use crate::convert;
use crate::planner::Millis;

/// So soon after the label a controller lets the pod go. Later it has another reason: an owner that was deleted with
/// `--cascade=orphan`, say.
const SOON: Millis = Millis::from_seconds(10);

/// What has become of the role label of one marked pod, as far as this process has seen it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerRelease {
    /// The value that the label had before the pod was marked.
    before: Option<String>,
    /// When its value last changed.
    changed_at: Option<Millis>,
    let_go: bool,
}

impl ControllerRelease {
    /// What is known with the next look at a pod. `key`: that of the role label of the group that has marked it.
    #[must_use]
    pub fn next(seen: Option<(&Pod, &Self)>, pod: &Pod, key: Option<&str>, now: Millis) -> Self {
        let Some(((before, custody), key)) = seen.zip(key) else { return Self::default() };
        let value = |pod: &Pod| pod.labels().get(key).cloned();
        let same_mark = convert::owner(before) == convert::owner(pod);
        let known =
            if same_mark { custody.clone() } else { Self { before: value(before), ..Self::default() } };
        // Another label that a controller may select by.
        let others = before.labels().iter().filter(|(name, _)| *name != key);
        let loses_another = others.into_iter().any(|(name, value)| pod.labels().get(name) != Some(value));
        let changed_at = match known.changed_at {
            _ if value(before) != value(pod) => Some(now),
            _ if loses_another => None,
            same => same,
        };
        let loses = before.controller.is_some() && pod.controller.is_none();
        let soon = changed_at.is_some_and(|changed_at| now.since(changed_at) <= SOON);
        let let_go = pod.controller.is_none() && (known.let_go || (loses && soon));
        Self { before: known.before, changed_at, let_go }
    }

    /// The controller has let the pod go.
    #[must_use]
    pub const fn is_released(&self) -> bool {
        self.let_go
    }

    /// The value to give back to a pod that was let go.
    #[must_use]
    pub fn value_before(&self) -> Option<&str> {
        self.before.as_deref().filter(|_| self.let_go)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(role: Option<&str>, marked: bool, managed: bool) -> Pod {
        let owner =
            json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "controller": true }]);
        serde_json::from_value(json!({ "metadata": {
            "name": "a", "labels": { "role": role.unwrap_or("-") },
            "annotations": if marked { json!({ "election-operator.io/group": "orders/1" }) } else { Value::Null },
            "ownerReferences": if managed { owner } else { Value::Null },
        }}))
        .unwrap()
    }

    /// What is known after these looks, each at its second.
    fn after(looks: &[(u64, Pod)]) -> ControllerRelease {
        let mut seen: Option<(Pod, ControllerRelease)> = None;
        for (second, pod) in looks {
            let key = convert::owner(pod).map(|_| "role");
            let before = seen.as_ref().map(|(pod, custody)| (pod, custody));
            let custody = ControllerRelease::next(before, pod, key, Millis::from_seconds(*second));
            seen = Some((pod.clone(), custody));
        }
        seen.unwrap().1
    }

    #[test]
    fn a_pod_is_let_go_that_loses_its_controller_soon_after_another_label() {
        let (own, ours) = (pod(Some("follower"), false, true), pod(Some("leader"), true, true));
        let gone = pod(Some("leader"), true, false);
        let looks = [(0, own.clone()), (1, ours.clone()), (2, gone.clone()), (900, gone.clone())];
        let custody = after(&looks);
        assert!(custody.is_released());
        assert_eq!(custody.value_before(), Some("follower"));
        assert!(after(&[(0, own.clone()), (1, gone.clone())]).is_released(), "both in one look");
        assert!(
            !after(&[(0, own.clone()), (1, ours.clone()), (12, gone.clone())]).is_released(),
            "much later"
        );
        let unmarked = pod(Some("follower"), false, false);
        assert!(
            !after(&[(0, own.clone()), (1, ours.clone()), (2, gone.clone()), (3, unmarked)]).is_released()
        );
        assert!(!after(&[(0, own), (1, ours.clone()), (2, gone), (3, ours)]).is_released(), "it is back");
    }

    #[test]
    fn a_pod_that_a_user_takes_out_by_another_label_is_not_let_go_for_its_role() {
        let (own, ours) = (pod(Some("follower"), false, true), pod(Some("leader"), true, true));
        let with = |mut pod: Pod, app: &str| {
            pod.labels_mut().insert("app".to_owned(), app.to_owned());
            pod
        };
        let gone = pod(Some("leader"), true, false);
        let before = [(0, with(own, "db")), (1, with(ours.clone(), "db"))];
        let taken_out = [(3, with(ours, "debug")), (4, with(gone.clone(), "debug"))];
        assert!(!after(&[before.clone(), taken_out.clone()].concat()).is_released());
        assert!(!after(&[&before[..], &taken_out[1..]].concat()).is_released(), "both in one look");
        assert!(after(&[&before[..], &[(4, with(gone, "db"))]].concat()).is_released());
    }

    #[test]
    fn a_pod_whose_label_did_not_change_has_lost_its_controller_for_another_reason() {
        let looks = [(0, pod(Some("leader"), false, true)), (1, pod(Some("leader"), true, true))];
        let gone = (2, pod(Some("leader"), true, false));
        assert!(!after(&[looks[0].clone(), looks[1].clone(), gone.clone()]).is_released());
        assert!(!after(&[(0, pod(Some("x"), true, false)), gone]).is_released(), "it never had one");
    }
}
