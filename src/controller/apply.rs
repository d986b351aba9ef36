//! All writes: carries out a plan, step by step, each write conditional on the version it was decided on.

pub mod events;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::{Lease as KubeLease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Map, Value, json};

use self::events::EventQueue;
use super::FIELD_MANAGER;
use super::error::Error;
use super::requests::{LowPrioritySlot, PATIENT_AT_ONCE, Requests};
use super::watches::LiveReader;
use crate::api::{
    ElectionGroup, GROUP_ANNOTATION, Lease, Pod, SWITCHOVER_ANNOTATION, SlimGroup, TERM_ANNOTATION,
};
use crate::cache::{Cache, GroupRef, Kind};
use crate::clock::Clock;
use crate::convert::{self, RoleLabel};
use crate::metrics::Metrics;
use crate::planner::plan::{self, EventDraft, Intent, LeaseAction, LeaseWrite, PodWrite, Step};
use crate::planner::reason::Reason;
use crate::planner::snapshot::{GroupStatus, LeaderChange, LeaderRecord, Unfenced};
use crate::planner::{Identity, Millis, Term, Version};

/// How many requests one plan has under way: the first election of a group of thousands fences every pod, and neither the
/// failovers nor the renewals of other groups queue behind all of these.
const MAX_IN_FLIGHT_PER_PLAN: usize = PATIENT_AT_ONCE;

/// Carries out plans.
#[derive(Clone)]
pub struct Applier {
    clock: Clock,
    requests: Requests,
    store: Arc<Cache>,
    live: LiveReader,
    events: EventQueue,
    metrics: Arc<Metrics>,
}

/// One plan being carried out. A write on an object that an earlier step of the same plan wrote is conditional on the
/// version that came of it.
struct PlanRun<'a> {
    applier: &'a Applier,
    group: &'a GroupRef,
    seen: Version,
    /// The label to write, the same in every step.
    role: Option<RoleLabel>,
    versions: Mutex<HashMap<String, Version>>,
    /// When the last fence was answered.
    fenced_at: Mutex<Option<Millis>>,
}

/// What is to be looked at again after its condition was refused.
enum Stale<'a> {
    Pod(&'a Identity),
    Group,
    Lease(&'a str),
}

impl Applier {
    /// Writes through `requests`, answers go into `store`, and what is to be said is left with `events`.
    #[must_use]
    pub fn new(
        clock: Clock,
        requests: Requests,
        store: Arc<Cache>,
        events: EventQueue,
        metrics: Arc<Metrics>,
    ) -> Self {
        let asker = LiveReader::new(requests.clone(), store.clone());
        Self { clock, requests, store, live: asker, events, metrics }
    }

    /// Waits for a turn of a plan with so many requests that nobody waits for.
    pub async fn low_priority_slot(&self, requests: usize) -> LowPrioritySlot {
        self.requests.low_priority_slot(requests.min(MAX_IN_FLIGHT_PER_PLAN)).await
    }

    /// Carries out `steps` for `group`, decided on its version `seen`. The first failure ends the plan after its step;
    /// what was refused because it was out of date has been looked at again by then. What nobody waits for goes by `turn`,
    /// or waits for one here.
    ///
    /// # Errors
    /// The first failure.
    pub async fn apply(
        &self,
        group: &GroupRef,
        seen: Version,
        steps: &[Step],
        mut turn: Option<LowPrioritySlot>,
    ) -> Result<(), Error> {
        let run = PlanRun::new(self, group, seen);
        let patient_from = plan::low_priority_from(steps);
        for (number, step) in steps.iter().enumerate() {
            run.stay_behind_fence(step.after_fence).await;
            let requests = step.intents.iter().filter(|intent| !intent.is_announcement()).count();
            if turn.is_none() && number >= patient_from && requests > 0 {
                turn = Some(self.low_priority_slot(requests).await);
            }
            let mut results = Vec::new();
            for portion in step.intents.chunks(MAX_IN_FLIGHT_PER_PLAN) {
                results.extend(join_all(portion.iter().map(|intent| run.carry_out(intent))).await);
            }
            results.into_iter().collect::<Result<(), Error>>()?;
        }
        Ok(())
    }

    /// An Event that says why the plans for `group` cannot be carried out: status, which is written before, tells only what
    /// is to be.
    pub fn announce_refusal(&self, group: &GroupRef, error: &Error) {
        let note = format!("{error}; it is tried again, and what comes after it waits");
        let notice = EventDraft { reason: "WriteRefused".to_owned(), warning: true, note, pod: None };
        self.announce(group, &notice, "Report", true);
    }

    /// An Event that says that somebody changes the label of a pod as often as it is written.
    pub fn announce_contest(&self, group: &GroupRef, pod: &Identity) {
        let name = &pod.name;
        let note = format!(
            "the role label of pod {name} is changed back as often as it is written, by a webhook or another controller \
             (its managedFields tell which): it is written ever more rarely, every 10 s in the end"
        );
        let pod = Some(name.clone());
        let notice = EventDraft { reason: "LabelContested".to_owned(), warning: true, note, pod };
        self.announce(group, &notice, "Report", true);
    }

    /// `by_itself`: it is not counted as a repeat of an Event like it.
    fn announce(&self, group: &GroupRef, notice: &EventDraft, action: &str, by_itself: bool) {
        if let Some(object) = self.store.group(group) {
            self.events.leave(group, object.object_ref(&()), notice, action, by_itself);
        }
    }
}

impl<'a> PlanRun<'a> {
    fn new(applier: &'a Applier, group: &'a GroupRef, seen: Version) -> Self {
        let role = applier.store.role_label(group);
        Self { applier, group, seen, role, versions: Mutex::default(), fenced_at: Mutex::default() }
    }

    async fn stay_behind_fence(&self, gap: Millis) {
        let fenced_at = *self.fenced_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fenced_at) = fenced_at {
            self.applier.clock.sleep_until(fenced_at + gap).await;
        }
    }

    async fn fence(&self, write: &PodWrite) -> Result<(), Error> {
        let result = or_gone(self.label(write, false).await);
        let now = self.applier.clock.now();
        *self.fenced_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        result
    }

    async fn carry_out(&self, intent: &Intent) -> Result<(), Error> {
        let asker = &self.applier.live;
        let other = |id: &Identity| GroupRef { namespace: self.group.namespace.clone(), id: id.clone() };
        match intent {
            Intent::WriteStatus(status) => self.counted("status", self.write_status(status).await),
            Intent::ConfirmPodGone(pod) => asker.confirm_pod_gone(&self.group.namespace, pod).await,
            Intent::ConfirmGroupGone(group) => asker.confirm_group_gone(&other(group)).await,
            Intent::ConfirmGroupExists(group) => asker.confirm_group_exists(&other(group)).await,
            Intent::ConfirmPodUnchanged(pod, version) => {
                asker.confirm_pod_unchanged(&self.group.namespace, pod, *version).await
            }
            Intent::ConfirmRecord { group, leader, term } => {
                asker.confirm_record(&other(group), leader.as_ref(), *term).await
            }
            Intent::ConfirmNodeSilent(node) => asker.confirm_node_silent(node).await,
            Intent::ConfirmLease { name, seen } => {
                asker.confirm_lease(&self.group.namespace, name, seen.as_ref()).await
            }
            Intent::ListPods(_) => {
                asker.list_pods(self.group, self.version(&self.group.id.uid, self.seen)).await
            }
            Intent::Fence(write) => self.counted("fence", self.fence(write).await),
            Intent::Promote(write) => self.counted("promote", self.label(write, true).await),
            Intent::LabelFollower(write) => self.counted("follow", self.label(write, false).await),
            Intent::Release(pod, version) => {
                self.counted("unmark", or_gone(self.unmark(pod, *version).await))
            }
            Intent::WriteLease(write) => self.counted("lease", self.write_lease(write).await),
            Intent::DropSwitchover => self.counted("switchover", self.drop_switchover().await),
            Intent::AnnounceChange(change) => {
                self.announce_change(change);
                Ok(())
            }
            Intent::PublishEvent(notice) => {
                self.applier.announce(self.group, notice, "Report", notice.is_answer());
                Ok(())
            }
            Intent::WarnOnce(warning, notice) => {
                self.applier.announce(self.group, notice, "Report", true);
                self.applier.store.note_warned(self.group, warning.clone());
                Ok(())
            }
        }
    }

    fn counted(&self, kind: &'static str, result: Result<(), Error>) -> Result<(), Error> {
        let outcome = result.as_ref().map_or_else(Error::reason, |()| "ok");
        self.applier.metrics.wrote(kind, outcome);
        result
    }

    /// The version that this plan knows of an object: that of its own latest write, else the one it was decided on.
    fn version(&self, uid: &str, decided_on: Version) -> Version {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(uid).copied().unwrap_or(decided_on)
    }

    /// The version to make a write of `object` conditional on. To the API server, 0 is no condition.
    fn condition(&self, uid: &str, decided_on: Version, object: &str) -> Result<String, Error> {
        match self.version(uid, decided_on) {
            Version(0) => Err(Error::NoVersion { object: object.to_owned() }),
            Version(version) => Ok(version.to_string()),
        }
    }

    /// `known`: what was known of the object before the write.
    fn wrote<K>(&self, known: Option<&(String, Version)>, written: &K)
    where
        K: Resource<DynamicType = ()>,
    {
        self.applier.store.check_answer(known, written);
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.insert(written.uid().unwrap_or_default(), convert::version(written));
    }

    /// A refused condition means: look again. The refusal stays the result.
    async fn look_again<T>(&self, stale: Stale<'_>, result: Result<T, Error>) -> Result<T, Error> {
        let namespace = &self.group.namespace;
        let Applier { live: asker, store, .. } = self.applier;
        match (&result, stale) {
            (Err(Error::Gone { .. }), Stale::Pod(pod)) => store.remove_pod(namespace, pod, true),
            (Err(Error::Changed { .. }), Stale::Pod(pod)) => asker.read_pod(namespace, pod).await?,
            // Its name may be another Lease's by now.
            (Err(Error::Changed { .. } | Error::Gone { .. }), Stale::Lease(name)) => {
                asker.read_lease(namespace, name).await?;
            }
            (Err(Error::Changed { .. } | Error::Gone { .. }), Stale::Group) => {
                asker.confirm_group_exists(self.group).await?;
            }
            _ => {}
        }
        result
    }

    async fn write_status(&self, status: &GroupStatus) -> Result<(), Error> {
        let Some(mut group) = self.applier.store.group(self.group) else {
            return Err(Error::Gone { object: self.group.to_string() });
        };
        let condition = self.condition(&self.group.id.uid, self.seen, &self.group.to_string())?;
        group.metadata.resource_version = Some(condition);
        group.status = Some(convert::api_status(status, self.applier.clock.wall()));
        let group = SlimGroup(group);
        let api: Api<SlimGroup> = self.applier.requests.namespaced(&self.group.namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let write = api.replace_status(&self.group.id.name, &params, &group);
        let written = self.write_group("update", "electiongroups/status", write).await?;
        if is_kept(status.record.as_ref(), convert::record(&written).as_ref()) {
            return Ok(());
        }
        self.applier.store.note_record_not_kept(self.group);
        Err(Error::NotKept { object: self.group.to_string() })
    }

    async fn write_group(
        &self,
        verb: &'static str,
        kind: &'static str,
        write: impl Future<Output = kube::Result<SlimGroup>>,
    ) -> Result<ElectionGroup, Error> {
        let (requests, namespace) = (&self.applier.requests, &self.group.namespace);
        let known = self.applier.store.version_of(Kind::Group, namespace, &self.group.id.name);
        let written = requests.send(verb, kind, namespace, self.group.to_string(), write).await;
        let written = self.look_again(Stale::Group, written).await?;
        self.wrote(known.as_ref(), &written);
        self.applier.store.upsert_group(written.0.clone());
        Ok(written.0)
    }

    /// Sets role label, term and group of a pod.
    async fn label(&self, write: &PodWrite, leads: bool) -> Result<(), Error> {
        // A group that is not known here (any more) proves nothing about the pod.
        let role = self.role.clone().ok_or_else(|| Error::Changed { object: self.group.to_string() })?;
        let left = self.labels_left_on(&write.pod, &role.key).await?;
        let mut labels: Map<_, _> = left.into_iter().map(|key| (key, Value::Null)).collect();
        let value = if leads { Some(role.leader) } else { role.follower };
        labels.insert(role.key, value.map_or(Value::Null, Value::String));
        let annotations = json!({
            GROUP_ANNOTATION: self.group.id.to_string(),
            TERM_ANNOTATION: write.term.to_string(),
        });
        self.patch_pod(&write.pod, write.version, Value::Object(labels), annotations).await
    }

    /// Takes away what this operator wrote on a pod, and nothing that somebody else has put there since.
    async fn unmark(&self, pod: &Identity, version: Version) -> Result<(), Error> {
        let keys = match &self.role {
            Some(role) => self.own_role(pod, role).await?,
            None => self.labels_written_on(pod).await?,
        };
        let value = self.role_to_give_back(pod).map_or(Value::Null, Value::String);
        let labels: Map<_, _> = keys.into_iter().map(|key| (key, value.clone())).collect();
        let annotations = json!({ GROUP_ANNOTATION: null, TERM_ANNOTATION: null });
        self.patch_pod(pod, version, Value::Object(labels), annotations).await
    }

    /// The value by which a controller selects that has let the pod go. Never the leader's: nobody is to lead by that.
    fn role_to_give_back(&self, pod: &Identity) -> Option<String> {
        let role = self.applier.store.role_label(self.group)?;
        let before = self.applier.store.role_to_give_back(&self.group.namespace, pod)?;
        (before != role.leader).then_some(before)
    }

    /// The key of the role label, if this operator wrote it. A value that the spec does not name (any more) may be of an
    /// earlier spec, or a user's: the API server knows.
    async fn own_role(&self, pod: &Identity, role: &RoleLabel) -> Result<Vec<String>, Error> {
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
    async fn labels_left_on(&self, pod: &Identity, key: &str) -> Result<Vec<String>, Error> {
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

    async fn labels_written_on(&self, pod: &Identity) -> Result<Vec<String>, Error> {
        self.applier.live.labels_written_on(&self.group.namespace, pod).await
    }

    async fn patch_pod(
        &self,
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
        let requests = &self.applier.requests;
        let api: Api<Pod> = requests.namespaced(&self.group.namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        let known = self.applier.store.version_of(Kind::Pod, &self.group.namespace, &pod.name);
        let write = api.patch(&pod.name, &params, &patch);
        let written = requests.send("patch", "pods", &self.group.namespace, object, write).await;
        let written = self.look_again(Stale::Pod(pod), written).await?;
        self.wrote(known.as_ref(), &written);
        self.applier.store.upsert_pod(written);
        Ok(())
    }

    async fn write_lease(&self, write: &LeaseWrite) -> Result<(), Error> {
        let Applier { requests, store, .. } = self.applier;
        let namespace = &self.group.namespace;
        let api: Api<Lease> = requests.namespaced(namespace);
        let object = format!("lease {namespace}/{}", write.name);
        let known = store.version_of(Kind::Lease, namespace, &write.name);
        let written = if let Some((uid, version)) = &write.base {
            let seen = store
                .lease(namespace, &write.name)
                .filter(|lease| lease.uid().as_ref() == Some(uid) && convert::version(lease) == *version);
            let seen = seen.ok_or_else(|| Error::Changed { object: object.clone() })?;
            let condition = self.condition(uid, *version, &object)?;
            let owner_changes = self.owners_beside(seen.owner_references()) != seen.owner_references();
            let patch = Patch::Merge(self.lease_patch(write, &seen, &condition));
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patch = api.patch(&write.name, &params, &patch);
            let written = requests.send("patch", "leases", namespace, object, patch).await;
            if owner_changes { written.map_err(may_need_delete) } else { written }
        } else {
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            let lease = self.new_lease(write);
            requests.send("create", "leases", namespace, object, api.create(&params, &lease)).await
        };
        let written = self.look_again(Stale::Lease(&write.name), written).await?;
        self.wrote(known.as_ref(), &written);
        store.upsert_lease(written.into(), true);
        Ok(())
    }

    /// What is ours in a Lease that there is; all else in it stays as it is.
    fn lease_patch(&self, write: &LeaseWrite, seen: &KubeLease, condition: &str) -> Value {
        let mut metadata = Map::new();
        metadata.insert("uid".to_owned(), json!(seen.metadata.uid));
        metadata.insert("resourceVersion".to_owned(), json!(condition));
        metadata.insert("annotations".to_owned(), json!({ TERM_ANNOTATION: write.term.to_string() }));
        let owners = self.owners_beside(seen.owner_references());
        if owners != seen.owner_references() {
            metadata.insert("ownerReferences".to_owned(), json!(owners));
        }
        let mut spec = json!(self.lease_spec(write));
        let acquired_before = seen.spec.as_ref().is_some_and(|spec| spec.acquire_time.is_some());
        if write.action == LeaseAction::Renew
            && acquired_before
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove("acquireTime");
        }
        json!({ "metadata": metadata, "spec": spec })
    }

    fn new_lease(&self, write: &LeaseWrite) -> Lease {
        let metadata = ObjectMeta {
            name: Some(write.name.clone()),
            namespace: Some(self.group.namespace.clone()),
            annotations: Some([(TERM_ANNOTATION.to_owned(), write.term.to_string())].into()),
            owner_references: Some(self.owners_beside(&[])),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(self.lease_spec(write)) }
    }

    /// A Lease has one group: the one before is gone, or has let it run out. Other owners stay.
    fn owners_beside(&self, seen: &[OwnerReference]) -> Vec<OwnerReference> {
        let others = seen.iter().filter(|other| !convert::is_group(other)).cloned();
        let others = others.map(|other| OwnerReference { controller: None, ..other });
        others.chain([owner(&self.group.id)]).collect()
    }

    fn lease_spec(&self, write: &LeaseWrite) -> LeaseSpec {
        let now = convert::micro_time(self.applier.clock.wall());
        let released = write.action == LeaseAction::Release;
        let duration = if released { 1 } else { i32::try_from(write.duration_seconds).unwrap_or(i32::MAX) };
        LeaseSpec {
            holder_identity: Some(write.holder.clone().unwrap_or_default()),
            lease_duration_seconds: Some(duration),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(write.transitions),
            ..LeaseSpec::default()
        }
    }

    async fn drop_switchover(&self) -> Result<(), Error> {
        let patch = json!({ "metadata": {
            "uid": self.group.id.uid,
            "resourceVersion": self.condition(&self.group.id.uid, self.seen, &self.group.to_string())?,
            "annotations": { SWITCHOVER_ANNOTATION: null },
        }});
        let api: Api<SlimGroup> = self.applier.requests.namespaced(&self.group.namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        let write = api.patch(&self.group.id.name, &params, &patch);
        self.write_group("patch", "electiongroups", write).await.map(|_| ())
    }

    /// The one log line, metric and Event of a change.
    fn announce_change(&self, change: &LeaderChange) {
        let LeaderChange { term, leader, previous, reason, .. } = change;
        let took = self.applier.clock.wall().0.saturating_sub(change.detected_at.0);
        let took = Duration::from_micros(u64::try_from(took).unwrap_or_default());
        // The reason may come from a status that somebody edited.
        let label = Reason::parse(reason).map_or("Other", Reason::as_str);
        self.applier.metrics.leader_changed(label, took.as_secs_f64());
        let (new, old) = (leader.as_deref().unwrap_or("none"), previous.as_deref().unwrap_or("none"));
        let (namespace, group) = (&self.group.namespace, &self.group.id.name);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%namespace, %group, leader = new, previous = old, %term, reason, took_ms, "leader changed");
        let note = match (leader, previous) {
            (Some(leader), Some(previous)) => format!("pod {leader} leads in term {term}, after {previous}"),
            (Some(leader), None) => format!("pod {leader} leads in term {term}"),
            (None, Some(previous)) => format!("no pod leads in term {term}, after {previous}"),
            (None, None) => format!("no pod leads in term {term}"),
        };
        let notice = EventDraft { reason: reason.clone(), warning: false, note, pod: leader.clone() };
        self.applier.announce(self.group, &notice, "Elect", true);
    }
}

/// What safety rests on came back as it was sent: an old CRD prunes fields it does not know, and a webhook may change any.
fn is_kept(sent: Option<&LeaderRecord>, kept: Option<&LeaderRecord>) -> bool {
    fn essence(record: &LeaderRecord) -> (Option<&Identity>, Term, &Unfenced) {
        (record.leader_id(), record.term, &record.unfenced)
    }
    sent.map(essence) == kept.map(essence)
}

/// Some clusters (`OwnerReferencesPermissionEnforcement`, on by default in `OpenShift`) ask for the right to delete an object
/// from whoever changes its owner. What is created with an owner needs no such right.
fn may_need_delete(error: Error) -> Error {
    let Error::Forbidden { verb, object, mut source } = error else { return error };
    source.message.push_str(
        " (if this cluster asks whoever changes the owner of a Lease for the right to delete it: delete the Lease, it is \
         made anew, or grant the operator `delete` on leases)",
    );
    Error::Forbidden { verb, object, source }
}

/// A pod that is gone needs neither fence nor cleaning: the answer proves it.
fn or_gone(result: Result<(), Error>) -> Result<(), Error> {
    if let Err(Error::Gone { .. }) = result { Ok(()) } else { result }
}

/// Garbage collection takes the Lease with the group.
fn owner(group: &Identity) -> OwnerReference {
    OwnerReference {
        api_version: ElectionGroup::api_version(&()).into_owned(),
        kind: ElectionGroup::kind(&()).into_owned(),
        name: group.name.clone(),
        uid: group.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
