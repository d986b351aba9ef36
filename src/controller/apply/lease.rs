//! Writes of the Lease.

use k8s_openapi::api::coordination::v1::{Lease as KubeLease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::{Map, Value, json};

use super::{PlanRun, Stale};
use crate::api::{ElectionGroup, HOLDER_UID_ANNOTATION, Lease, TERM_ANNOTATION};
use crate::cache::Kind;
use crate::controller::FIELD_MANAGER;
use crate::controller::error::Error;
use crate::controller::requests::Requests;
use crate::convert;
use crate::planner::Identity;
use crate::planner::plan::{LeaseAction, LeaseWrite};

impl PlanRun<'_> {
    pub(super) async fn write_lease(&self, requests: &Requests, write: &LeaseWrite) -> Result<(), Error> {
        let cache = &self.applier.cache;
        let namespace = &self.group.namespace;
        let api: Api<Lease> = requests.namespaced(namespace);
        let object = format!("lease {namespace}/{}", write.name);
        let known = cache.version_of(Kind::Lease, namespace, &write.name);
        let written = if let Some((uid, version)) = &write.base {
            let seen = cache
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
        let written = self.refresh_if_stale(Stale::Lease(&write.name), written).await?;
        self.note_written(known.as_ref(), &written);
        cache.upsert_lease(written.into(), true);
        Ok(())
    }

    /// Our fields of a Lease that exists. All other fields stay as they are.
    fn lease_patch(&self, write: &LeaseWrite, seen: &KubeLease, condition: &str) -> Value {
        let mut metadata = Map::new();
        metadata.insert("uid".to_owned(), json!(seen.metadata.uid));
        metadata.insert("resourceVersion".to_owned(), json!(condition));
        let (term, holder) = (write.term.to_string(), write.holder.as_ref().map(|pod| &pod.uid));
        let annotations = json!({ TERM_ANNOTATION: term, HOLDER_UID_ANNOTATION: holder });
        metadata.insert("annotations".to_owned(), annotations);
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
