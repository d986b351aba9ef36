//! Writes of the group: its status, and the removal of an answered switchover request.

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use super::{PlanRun, Stale};
use crate::api::{ElectionGroup, SWITCHOVER_ANNOTATION, SlimGroup};
use crate::cache::Kind;
use crate::controller::FIELD_MANAGER;
use crate::controller::error::Error;
use crate::controller::requests::Requests;
use crate::convert;
use crate::planner::seen::{GroupStatus, LeaderRecord, Unfenced};
use crate::planner::{Identity, Term};

impl PlanRun<'_> {
    /// The status only reports: its record is the one that the group has.
    pub(super) fn keeps_record(&self, status: &GroupStatus) -> bool {
        is_kept(status.record.as_ref(), self.applier.cache.record(self.group).as_ref())
    }

    /// The record of this status has another term than the present one: a change of leader.
    pub(super) fn begins_term(&self, status: &GroupStatus) -> bool {
        let term = |record: &LeaderRecord| record.term;
        let present = self.applier.cache.record(self.group);
        status.record.as_ref().map(term) != present.as_ref().map(term)
    }

    pub(super) async fn write_status(&self, requests: &Requests, status: &GroupStatus) -> Result<(), Error> {
        let Some(mut group) = self.applier.cache.group(self.group) else {
            return Err(Error::Gone { object: self.group.to_string() });
        };
        let condition = self.condition(&self.group.id.uid, self.seen, &self.group.to_string())?;
        group.metadata.resource_version = Some(condition);
        group.status = Some(convert::api_status(status, self.applier.clock.wall()));
        let group = SlimGroup(group);
        let api: Api<SlimGroup> = requests.namespaced(&self.group.namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let write = api.replace_status(&self.group.id.name, &params, &group);
        let written = self.write_group(requests, "update", "electiongroups/status", write).await?;
        self.applier.cache.note_reported(self.group, convert::version(&written));
        let is_cut = written.status.as_ref().is_none_or(|status| status.pods.is_empty());
        let cut = if is_cut { status.pods.clone() } else { Vec::new() };
        self.applier.cache.note_pods_cut(self.group, cut);
        if is_kept(status.record.as_ref(), convert::record(&written).as_ref()) {
            return Ok(());
        }
        self.applier.cache.note_record_not_kept(self.group);
        Err(Error::NotKept { object: self.group.to_string() })
    }

    async fn write_group(
        &self,
        requests: &Requests,
        verb: &'static str,
        kind: &'static str,
        write: impl Future<Output = kube::Result<SlimGroup>>,
    ) -> Result<ElectionGroup, Error> {
        let namespace = &self.group.namespace;
        let known = self.applier.cache.version_of(Kind::Group, namespace, &self.group.id.name);
        let written = requests.send(verb, kind, namespace, self.group.to_string(), write).await;
        let written = self.refresh_if_stale(Stale::Group, written).await?;
        self.note_written(known.as_ref(), &written);
        self.applier.cache.upsert_group(written.0.clone());
        Ok(written.0)
    }

    pub(super) async fn drop_switchover(&self, requests: &Requests) -> Result<(), Error> {
        let patch = json!({ "metadata": {
            "uid": self.group.id.uid,
            "resourceVersion": self.condition(&self.group.id.uid, self.seen, &self.group.to_string())?,
            "annotations": { SWITCHOVER_ANNOTATION: null },
        }});
        let api: Api<SlimGroup> = requests.namespaced(&self.group.namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        let write = api.patch(&self.group.id.name, &params, &patch);
        self.write_group(requests, "patch", "electiongroups", write).await.map(|_| ())
    }
}

/// The API server keeps the part of the record that safety rests on. An old CRD prunes unknown
/// fields, and a webhook may change any field.
fn is_kept(sent: Option<&LeaderRecord>, kept: Option<&LeaderRecord>) -> bool {
    fn essence(record: &LeaderRecord) -> (Option<&Identity>, Term, &Unfenced) {
        (record.leader_id(), record.term, &record.unfenced)
    }
    sent.map(essence) == kept.map(essence)
}
