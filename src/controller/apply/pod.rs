//! Writes of pods: role label, term and owner.

use std::sync::PoisonError;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Map, Value, json};

use super::{PlanRun, Stale, ok_if_gone};
use crate::api::{GROUP_ANNOTATION, Pod, TERM_ANNOTATION};
use crate::cache::Kind;
use crate::controller::FIELD_MANAGER;
use crate::controller::error::Error;
use crate::controller::requests::Requests;
use crate::planner::plan::PodWrite;
use crate::planner::{Identity, Version};

impl PlanRun<'_> {
    /// Writes the follower label, and notes when the API server has answered.
    pub(super) async fn fence(&self, requests: &Requests, write: &PodWrite) -> Result<(), Error> {
        let result = ok_if_gone(self.label(requests, write, false).await);
        let now = self.applier.clock.now();
        *self.fenced_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        result
    }

    /// Writes role label, term and owner of a pod.
    pub(super) async fn label(
        &self,
        requests: &Requests,
        write: &PodWrite,
        leads: bool,
    ) -> Result<(), Error> {
        // A group that the cache does not have proves nothing about the pod: not `Error::Gone`.
        let role = self.role.clone().ok_or_else(|| Error::Changed { object: self.group.to_string() })?;
        let leftovers = self.leftover_labels(&write.pod, &role.key).await?;
        let mut labels: Map<_, _> = leftovers.into_iter().map(|key| (key, Value::Null)).collect();
        let value = if leads { Some(role.leader) } else { role.follower };
        labels.insert(role.key, value.map_or(Value::Null, Value::String));
        let annotations = json!({
            GROUP_ANNOTATION: self.group.id.to_string(),
            TERM_ANNOTATION: write.term.to_string(),
        });
        self.patch_pod(requests, &write.pod, write.version, Value::Object(labels), annotations).await
    }

    /// Removes all that operators wrote on a pod, and nothing that another writer has put there
    /// since.
    pub(super) async fn release(
        &self,
        requests: &Requests,
        pod: &Identity,
        version: Version,
    ) -> Result<(), Error> {
        let keys = match &self.role {
            Some(role) => self.own_role_label(pod, role).await?,
            None => self.labels_written_on(pod).await?,
        };
        let value = self.role_to_give_back(pod).map_or(Value::Null, Value::String);
        let labels: Map<_, _> = keys.into_iter().map(|key| (key, value.clone())).collect();
        let annotations = json!({ GROUP_ANNOTATION: null, TERM_ANNOTATION: null });
        self.patch_pod(requests, pod, version, Value::Object(labels), annotations).await
    }

    async fn patch_pod(
        &self,
        requests: &Requests,
        pod: &Identity,
        version: Version,
        labels: Value,
        annotations: Value,
    ) -> Result<(), Error> {
        let object = format!("pod {}/{}", self.group.namespace, pod.name);
        let patch = json!({ "metadata": {
            "uid": pod.uid,
            "resourceVersion": self.condition(&pod.uid, version, &object)?,
            "labels": labels,
            "annotations": annotations,
        }});
        let api: Api<Pod> = requests.namespaced(&self.group.namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        let known = self.applier.cache.version_of(Kind::Pod, &self.group.namespace, &pod.name);
        let write = api.patch(&pod.name, &params, &patch);
        let written = requests.send("patch", "pods", &self.group.namespace, object, write).await;
        let written = self.refresh_if_stale(Stale::Pod(pod), written).await?;
        self.note_written(known.as_ref(), &written);
        self.applier.cache.upsert_pod(written);
        Ok(())
    }
}
