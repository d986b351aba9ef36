//! Writes of `EndpointSlice`s: create empty, replace what they route to, delete.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

use super::PlanRun;
use super::lease::owner;
use crate::api::{
    EndpointSlice, HEADLESS_LABEL, MANAGED_BY, MANAGED_BY_LABEL, SERVICE_NAME_LABEL, TERM_ANNOTATION,
};
use crate::cache::Kind;
use crate::controller::FIELD_MANAGER;
use crate::controller::error::Error;
use crate::controller::requests::Requests;
use crate::convert;
use crate::planner::plan::RouteWrite;
use crate::planner::seen::SliceName;
use crate::planner::{Identity, Version};

/// The annotation by which kube-proxy measures how late it is.
const TRIGGER_ANNOTATION: &str = "endpoints.kubernetes.io/last-change-trigger-time";

impl PlanRun<'_> {
    /// Replaces what a slice routes to, by one conditional write.
    pub(super) async fn route(&self, requests: &Requests, write: &RouteWrite) -> Result<(), Error> {
        let namespace = &self.group.namespace;
        let name = &write.slice.name;
        let object = self.slice_object(&write.slice);
        let patch = self.route_patch(write, &object)?;
        let api: Api<EndpointSlice> = requests.namespaced(namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(patch);
        let known = self.applier.cache.version_of(Kind::Slice, namespace, name);
        let write = api.patch(name, &params, &patch);
        let written = requests.send("patch", "endpointslices", namespace, object, write).await;
        self.take_slice(name, known.as_ref(), written).await
    }

    fn route_patch(&self, write: &RouteWrite, object: &str) -> Result<Value, Error> {
        let trigger = write.detected_at.and_then(|at| Timestamp::from_microsecond(at.0).ok());
        Ok(json!({
            "metadata": {
                "uid": write.uid,
                "resourceVersion": self.condition(&write.uid, write.version, object)?,
                "labels": { HEADLESS_LABEL: headless(write.content.headless) },
                "annotations": {
                    TERM_ANNOTATION: write.term.to_string(),
                    TRIGGER_ANNOTATION: trigger.map(|time| time.to_string()),
                },
            },
            "endpoints": convert::api_endpoints(&self.group.namespace, &write.content),
            "ports": convert::api_ports(&write.content),
        }))
    }

    /// Creates a slice without endpoints: a creation never routes.
    pub(super) async fn create_slice(
        &self,
        requests: &Requests,
        slice: &SliceName,
        is_headless: bool,
    ) -> Result<(), Error> {
        let namespace = &self.group.namespace;
        let new = self.empty_slice(slice, is_headless);
        let api: Api<EndpointSlice> = requests.namespaced(namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let object = self.slice_object(slice);
        let write = api.create(&params, &new);
        let written = requests.send("create", "endpointslices", namespace, object, write).await;
        let result = self.take_slice(&slice.name, None, written).await;
        if matches!(result, Err(Error::Changed { .. }))
            && !self.applier.cache.owns_slice(self.group, &slice.name)
        {
            let why = format!(
                "EndpointSlice {namespace}/{} exists and does not belong to this group: delete it",
                slice.name
            );
            self.applier.cache.note_route_refusal(self.group, Some(why));
        }
        result
    }

    fn empty_slice(&self, slice: &SliceName, is_headless: bool) -> EndpointSlice {
        let mut labels: BTreeMap<_, _> = [
            (SERVICE_NAME_LABEL.to_owned(), slice.service.clone()),
            (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
        ]
        .into();
        labels.extend(is_headless.then(|| (HEADLESS_LABEL.to_owned(), String::new())));
        let metadata = ObjectMeta {
            name: Some(slice.name.clone()),
            namespace: Some(self.group.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![owner(&self.group.id)]),
            ..ObjectMeta::default()
        };
        let address_type = convert::address_type(slice.family).to_owned();
        EndpointSlice { metadata, address_type, ..EndpointSlice::default() }
    }

    /// Deletes a slice that the group must not have any more.
    pub(super) async fn delete_slice(
        &self,
        requests: &Requests,
        slice: &SliceName,
        uid: &str,
        version: Version,
    ) -> Result<(), Error> {
        let namespace = &self.group.namespace;
        let object = self.slice_object(slice);
        let condition = self.condition(uid, version, &object)?;
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: Some(condition) };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        let api: Api<EndpointSlice> = requests.namespaced(namespace);
        let write = api.delete(&slice.name, &params);
        let result = requests.send("delete", "endpointslices", namespace, object, write).await;
        let id = Identity::new(&*slice.name, uid);
        match self.refresh_slice(&slice.name, result).await {
            Ok(_) | Err(Error::Gone { .. }) => {
                self.applier.cache.remove_slice(namespace, &id, true);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn take_slice(
        &self,
        name: &str,
        known: Option<&(String, Version)>,
        written: Result<EndpointSlice, Error>,
    ) -> Result<(), Error> {
        let written = self.refresh_slice(name, written).await?;
        self.note_written(known, &written);
        self.applier.cache.upsert_slice(written);
        Ok(())
    }

    /// Refreshes the slice in the cache if the condition of its write was refused.
    async fn refresh_slice<T>(&self, name: &str, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Changed { .. } | Error::Gone { .. }) = &result {
            self.applier.live.read_slice(&self.group.namespace, name).await?;
        }
        self.note_route_refusal(result)
    }

    /// Notes whether the API server refuses writes of the group's slices. The planner then leaves
    /// them alone for a while, and serves the group without them.
    pub(super) fn note_route_refusal<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        let cache = &self.applier.cache;
        match &result {
            Ok(_) => cache.note_route_refusal(self.group, None),
            Err(error) if error.holds_up_routes() => {
                cache.note_route_refusal(self.group, Some(error.to_string()));
            }
            Err(_) => {}
        }
        result
    }

    fn slice_object(&self, slice: &SliceName) -> String {
        format!("endpointslice {}/{}", self.group.namespace, slice.name)
    }
}

/// The value of the label of headless Services: it is there, or it is not.
fn headless(is_headless: bool) -> Value {
    if is_headless { json!("") } else { Value::Null }
}
