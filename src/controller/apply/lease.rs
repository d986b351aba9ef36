//! Writes of the Lease.

use k8s_openapi::api::coordination::v1::{Lease as KubeLease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Map, Value, json};

use super::{PlanRun, Stale};
use crate::api::{
    DURATION_ANNOTATION, ElectionGroup, HOLDER_UID_ANNOTATION, Lease, NOMINEE_ANNOTATION, TERM_ANNOTATION,
};
use crate::cache::Kind;
use crate::controller::FIELD_MANAGER;
use crate::controller::error::Error;
use crate::controller::requests::Requests;
use crate::convert;
use crate::planner::plan::{LeaseAction, LeaseWrite, NominationAction, NominationWrite};
use crate::planner::{Identity, Version};

/// The fields of a Lease that a patch writes.
struct OwnFields {
    annotations: Value,
    spec: Value,
}

impl PlanRun<'_> {
    /// Makes the Lease of a Managed group name the leader.
    pub(super) async fn write_lease(&self, requests: &Requests, write: &LeaseWrite) -> Result<(), Error> {
        let fields = |seen: &KubeLease| self.managed_fields(write, seen);
        self.send_lease(requests, &write.name, write.base.as_ref(), fields, || self.new_lease(write)).await
    }

    /// Nominates in the Lease of a Nominated group.
    pub(super) async fn write_nomination(
        &self,
        requests: &Requests,
        write: &NominationWrite,
    ) -> Result<(), Error> {
        let fields = |_: &KubeLease| nominating_fields(&write.action);
        self.send_lease(requests, &write.name, write.base.as_ref(), fields, || self.free_lease(write)).await
    }

    /// Patches the Lease at the version that was seen, or creates it.
    async fn send_lease(
        &self,
        requests: &Requests,
        name: &str,
        base: Option<&(String, Version)>,
        fields: impl FnOnce(&KubeLease) -> OwnFields,
        new: impl FnOnce() -> Lease,
    ) -> Result<(), Error> {
        let cache = &self.applier.cache;
        let namespace = &self.group.namespace;
        let api: Api<Lease> = requests.namespaced(namespace);
        let object = format!("lease {namespace}/{name}");
        let known = cache.version_of(Kind::Lease, namespace, name);
        let written = if let Some((uid, version)) = base {
            let seen = cache
                .lease(namespace, name)
                .filter(|lease| lease.uid().as_ref() == Some(uid) && convert::version(lease) == *version);
            let seen = seen.ok_or_else(|| Error::Changed { object: object.clone() })?;
            let condition = self.condition(uid, *version, &object)?;
            let owner_changes = self.owners_beside(seen.owner_references()) != seen.owner_references();
            let patch = Patch::Merge(self.lease_patch(fields(&seen), &seen, &condition));
            let params =
                PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patch = api.patch(name, &params, &patch);
            let written = requests.send("patch", "leases", namespace, object, patch).await;
            if owner_changes { written.map_err(may_need_delete) } else { written }
        } else {
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            requests.send("create", "leases", namespace, object, api.create(&params, &new())).await
        };
        let written = self.refresh_if_stale(Stale::Lease(name), written).await?;
        self.note_written(known.as_ref(), &written);
        cache.upsert_lease(written.into(), true);
        Ok(())
    }

    /// Our fields of a Lease that exists, and what the patch is conditional on. All other fields stay
    /// as they are.
    fn lease_patch(&self, fields: OwnFields, seen: &KubeLease, condition: &str) -> Value {
        let mut metadata = Map::new();
        metadata.insert("uid".to_owned(), json!(seen.metadata.uid));
        metadata.insert("resourceVersion".to_owned(), json!(condition));
        metadata.insert("annotations".to_owned(), fields.annotations);
        let owners = self.owners_beside(seen.owner_references());
        if owners != seen.owner_references() {
            metadata.insert("ownerReferences".to_owned(), json!(owners));
        }
        json!({ "metadata": metadata, "spec": fields.spec })
    }

    fn managed_fields(&self, write: &LeaseWrite, seen: &KubeLease) -> OwnFields {
        let mut spec = json!(self.lease_spec(write));
        let acquired_before = seen.spec.as_ref().is_some_and(|spec| spec.acquire_time.is_some());
        if write.action == LeaseAction::Renew
            && acquired_before
            && let Some(spec) = spec.as_object_mut()
        {
            spec.remove("acquireTime");
        }
        let (term, holder) = (write.term.to_string(), write.holder.as_ref().map(|pod| &pod.uid));
        OwnFields { annotations: json!({ TERM_ANNOTATION: term, HOLDER_UID_ANNOTATION: holder }), spec }
    }

    fn new_lease(&self, write: &LeaseWrite) -> Lease {
        let term = (TERM_ANNOTATION.to_owned(), write.term.to_string());
        let holder = write.holder.as_ref().map(|pod| (HOLDER_UID_ANNOTATION.to_owned(), pod.uid.clone()));
        let annotations = [term].into_iter().chain(holder);
        let metadata = ObjectMeta {
            name: Some(write.name.clone()),
            namespace: Some(self.group.namespace.clone()),
            annotations: Some(annotations.collect()),
            owner_references: Some(self.owners_beside(&[])),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(self.lease_spec(write)) }
    }

    /// A Lease that no pod may take yet.
    fn free_lease(&self, write: &NominationWrite) -> Lease {
        let metadata = ObjectMeta {
            name: Some(write.name.clone()),
            namespace: Some(self.group.namespace.clone()),
            annotations: Some([(NOMINEE_ANNOTATION.to_owned(), String::new())].into()),
            owner_references: Some(self.owners_beside(&[])),
            ..ObjectMeta::default()
        };
        Lease { metadata, spec: Some(LeaseSpec::default()) }
    }

    /// The owners of a Lease: this group, and all that are no groups. A Lease belongs to one group.
    /// The group before is deleted, or its Lease has run out.
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
            holder_identity: Some(write.holder.as_ref().map(|pod| pod.name.clone()).unwrap_or_default()),
            lease_duration_seconds: Some(duration),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(write.transitions),
            ..LeaseSpec::default()
        }
    }
}

/// The nomination, and the holder if it goes. Times and duration of the holder stay.
fn nominating_fields(action: &NominationAction) -> OwnFields {
    let annotations = action.nomination().map(|nomination| {
        json!({
            NOMINEE_ANNOTATION: nomination.nominee.to_string(),
            DURATION_ANNOTATION: nomination.duration_seconds.to_string(),
            TERM_ANNOTATION: nomination.term.to_string(),
        })
    });
    let spec = if action.clears() { json!({ "holderIdentity": "" }) } else { json!({}) };
    OwnFields { annotations: annotations.unwrap_or_else(|| json!({})), spec }
}

/// Adds a hint to a refusal.
///
/// Some clusters demand the right to delete an object from a client that changes its owner:
/// `OwnerReferencesPermissionEnforcement`, which `OpenShift` has by default. To create an object
/// with an owner needs no such right.
fn may_need_delete(error: Error) -> Error {
    let Error::Forbidden { verb, object, mut source } = error else { return error };
    source.message.push_str(
        " (if this cluster asks whoever changes the owner of a Lease for the right to delete it: \
         delete the Lease, it is made anew, or grant the operator `delete` on leases)",
    );
    Error::Forbidden { verb, object, source }
}

/// The owner reference of a group. Garbage collection deletes the Lease with the group.
pub(super) fn owner(group: &Identity) -> OwnerReference {
    OwnerReference {
        api_version: ElectionGroup::api_version(&()).into_owned(),
        kind: ElectionGroup::kind(&()).into_owned(),
        name: group.name.clone(),
        uid: group.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
