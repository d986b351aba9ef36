//! Which labels of a pod are ours to write or to remove.

use kube::ResourceExt;

use super::PlanRun;
use crate::cache::GroupRef;
use crate::controller::error::Error;
use crate::convert::{self, RoleLabel};
use crate::planner::Identity;

impl PlanRun<'_> {
    /// The value that a released pod had before: its controller selects by it. Never the leader's
    /// value, which would make the pod a leader (S1).
    pub(super) fn role_to_give_back(&self, pod: &Identity) -> Option<String> {
        let role = self.applier.cache.role_label(self.group)?;
        let before = self.applier.cache.role_to_give_back(&self.group.namespace, pod)?;
        (before != role.leader).then_some(before)
    }

    /// The key of the role label, if this operator wrote the label.
    ///
    /// A value that the spec does not have (any more) may be of an earlier spec, or a user's. The
    /// API server knows the field manager.
    pub(super) async fn own_role_label(
        &self,
        pod: &Identity,
        role: &RoleLabel,
    ) -> Result<Vec<String>, Error> {
        let seen = self.applier.cache.pod(&self.group.namespace, pod);
        let is_ours = match seen.as_ref().and_then(|pod| pod.labels().get(&role.key)) {
            None => false,
            Some(value) if *value == role.leader || role.follower.as_ref() == Some(value) => true,
            Some(_) => self.labels_written_on(pod).await?.contains(&role.key),
        };
        Ok(is_ours.then(|| role.key.clone()).into_iter().collect())
    }

    /// The labels with other keys than `key` that this operator wrote for a deleted group.
    ///
    /// The group that takes the pod over removes them: the deleted group cannot release the pod any
    /// more.
    pub(super) async fn leftover_labels(&self, pod: &Identity, key: &str) -> Result<Vec<String>, Error> {
        let namespace = &self.group.namespace;
        let owner = self.applier.cache.pod(namespace, pod).as_ref().and_then(convert::owner);
        let Some(id) = owner.filter(|owner| owner.uid != self.group.id.uid) else {
            return Ok(Vec::new());
        };
        let before = self.applier.cache.role_label(&GroupRef { namespace: namespace.clone(), id });
        if before.is_some_and(|role| role.key == key) {
            return Ok(Vec::new());
        }
        let written = self.labels_written_on(pod).await?;
        Ok(written.into_iter().filter(|written| written != key).collect())
    }

    pub(super) async fn labels_written_on(&self, pod: &Identity) -> Result<Vec<String>, Error> {
        self.applier.live.labels_written_on(&self.group.namespace, pod).await
    }
}
