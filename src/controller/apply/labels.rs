//! Which labels of a pod are ours.

use kube::ResourceExt;

use super::PlanRun;
use crate::cache::GroupRef;
use crate::controller::error::Error;
use crate::convert::{self, RoleLabel};
use crate::planner::Identity;

impl PlanRun<'_> {
    /// The value by which a controller selects that has let the pod go. Never the leader's: nobody is to lead by that.
    pub(super) fn role_to_give_back(&self, pod: &Identity) -> Option<String> {
        let role = self.applier.store.role_label(self.group)?;
        let before = self.applier.store.role_to_give_back(&self.group.namespace, pod)?;
        (before != role.leader).then_some(before)
    }

    /// The key of the role label, if this operator wrote it. A value that the spec does not name (any more) may be of an
    /// earlier spec, or a user's: the API server knows.
    pub(super) async fn own_role(&self, pod: &Identity, role: &RoleLabel) -> Result<Vec<String>, Error> {
        let seen = self.applier.store.pod(&self.group.namespace, pod);
        let own = match seen.as_ref().and_then(|pod| pod.labels().get(&role.key)) {
            None => false,
            Some(value) if *value == role.leader || role.follower.as_ref() == Some(value) => true,
            Some(_) => self.labels_written_on(pod).await?.contains(&role.key),
        };
        Ok(own.then(|| role.key.clone()).into_iter().collect())
    }

    /// The labels under other keys than `key` that this operator wrote for a group that is gone: with the pod, this group
    /// takes over what that one would have taken away.
    pub(super) async fn labels_left_on(&self, pod: &Identity, key: &str) -> Result<Vec<String>, Error> {
        let namespace = &self.group.namespace;
        let marker = self.applier.store.pod(namespace, pod).as_ref().and_then(convert::owner);
        let Some(id) = marker.filter(|marker| marker.uid != self.group.id.uid) else {
            return Ok(Vec::new());
        };
        let before = self.applier.store.role_label(&GroupRef { namespace: namespace.clone(), id });
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
