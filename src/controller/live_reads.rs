//! Live reads: the few requests by which a plan confirms what the cache cannot know.

use std::sync::Arc;

use kube::ResourceExt;
use kube::api::{Api, ListParams};

use super::FIELD_MANAGER;
use super::error::Error;
use super::requests::Requests;
use super::watches::{NODE_LEASES, PAGE, hear_node};
use crate::api::{
    EndpointSlice, FieldOwners, Lease, NodeLease, Pod, ReadObject, SERVICE_NAME_LABEL, SlimGroup, Unreadable,
};
use crate::cache::{Cache, GroupRef, Kind};
use crate::convert;
use crate::planner::plan::Fact;
use crate::planner::{Identity, Term, Version};

/// The longest selector in the address of a list. Proxies and libraries take no longer addresses.
const LONGEST_SELECTOR: usize = 4096;

/// Sends the live reads of a plan. Each answer goes into the cache, too.
#[derive(Clone, Debug)]
pub struct LiveReader {
    requests: Requests,
    cache: Arc<Cache>,
}

impl LiveReader {
    /// A reader that sends through `requests`.
    #[must_use]
    pub const fn new(requests: Requests, cache: Arc<Cache>) -> Self {
        Self { requests, cache }
    }

    /// Confirms a fact about something in `namespace`.
    ///
    /// # Errors
    /// If it is no fact, or the request failed.
    pub async fn confirm(&self, namespace: &str, fact: &Fact) -> Result<(), Error> {
        let group = |id: &Identity| GroupRef { namespace: namespace.to_owned(), id: id.clone() };
        match fact {
            Fact::PodGone(pod) => self.confirm_pod_gone(namespace, pod).await,
            Fact::PodUnchanged(pod, version) => self.confirm_pod_unchanged(namespace, pod, *version).await,
            Fact::GroupGone(id) => self.confirm_group_gone(&group(id)).await,
            Fact::GroupExists(id) => self.confirm_group_exists(&group(id)).await,
            Fact::Record { group: id, leader, term } => {
                self.confirm_record(&group(id), leader.as_ref(), *term).await
            }
            Fact::Lease { name, seen } => {
                let (namespace, name) = name.split_once('/').unwrap_or((namespace, name));
                self.confirm_lease(namespace, name, seen.as_ref()).await
            }
            Fact::NodeSilent(node) => self.confirm_node_silent(node).await,
            Fact::NoOtherSlices { group: id, service } => {
                self.confirm_no_other_slices(&group(id), service).await
            }
        }
    }

    /// Confirms that a pod is gone.
    ///
    /// # Errors
    /// If it exists, or the request failed.
    pub async fn confirm_pod_gone(&self, namespace: &str, pod: &Identity) -> Result<(), Error> {
        if self.pod(namespace, pod).await?.is_some() {
            return Err(Error::StillThere { object: format!("pod {namespace}/{}", pod.name) });
        }
        self.cache.remove_pod(namespace, pod, true);
        Ok(())
    }

    /// Refreshes a pod in the cache.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn read_pod(&self, namespace: &str, pod: &Identity) -> Result<(), Error> {
        match self.confirm_pod_gone(namespace, pod).await {
            Ok(()) | Err(Error::StillThere { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The pod, if it exists. Another pod of its name need not be readable.
    pub(super) async fn pod(&self, namespace: &str, pod: &Identity) -> Result<Option<Pod>, Error> {
        let known = self.cache.version_of(Kind::Pod, namespace, &pod.name);
        let found: Option<ReadObject<Pod>> = self.requests.find("pods", namespace, &pod.name).await?;
        let Some(found) = found else { return Ok(None) };
        let is_same = found.uid().as_deref() == Some(&pod.uid);
        match found {
            ReadObject::Object(found) => {
                self.cache.check_answer(known.as_ref(), &found);
                self.cache.upsert_pod(found.clone());
                Ok(is_same.then_some(found))
            }
            ReadObject::Unreadable(found) if is_same => {
                Err(Error::Unreadable { object: format!("pod {namespace}/{}", pod.name), why: found.why })
            }
            ReadObject::Unreadable(_) => Ok(None),
        }
    }

    /// The keys of the labels of a pod that this operator owns as field manager. The present spec
    /// does not name labels of earlier specs.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn labels_written_on(&self, namespace: &str, pod: &Identity) -> Result<Vec<String>, Error> {
        let api: Api<FieldOwners> = self.requests.namespaced(namespace);
        let object = format!("pod {namespace}/{}", pod.name);
        let found = match self.requests.send("get", "pods", namespace, object, api.get(&pod.name)).await {
            Err(Error::Gone { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let is_same = found.metadata.uid.as_deref() == Some(&pod.uid);
        Ok(if is_same { convert::labels_written_by(FIELD_MANAGER, &found.metadata) } else { Vec::new() })
    }

    /// Confirms that a group is deleted.
    ///
    /// # Errors
    /// If it exists, or the request failed.
    pub async fn confirm_group_gone(&self, group: &GroupRef) -> Result<(), Error> {
        if self.find_group(group).await?.is_some() {
            return Err(Error::StillThere { object: group.to_string() });
        }
        self.cache.remove_group(&group.namespace, &group.id, true);
        Ok(())
    }

    /// Confirms that a pod is gone, or still at the version `seen`.
    ///
    /// # Errors
    /// If it has changed, or the request failed.
    pub async fn confirm_pod_unchanged(
        &self,
        namespace: &str,
        pod: &Identity,
        seen: Version,
    ) -> Result<(), Error> {
        match self.pod(namespace, pod).await? {
            None => self.cache.remove_pod(namespace, pod, true),
            Some(found) if convert::version(&found) == seen => {}
            Some(_) => return Err(Error::Changed { object: format!("pod {namespace}/{}", pod.name) }),
        }
        Ok(())
    }

    /// Confirms that a group exists.
    ///
    /// # Errors
    /// If it does not, or the request failed.
    pub async fn confirm_group_exists(&self, group: &GroupRef) -> Result<(), Error> {
        self.existing_group(group).await.map(|_| ())
    }

    /// Confirms that a group exists, and that its record still has this leader and this term.
    ///
    /// # Errors
    /// If not, or the request failed.
    pub async fn confirm_record(
        &self,
        group: &GroupRef,
        leader: Option<&Identity>,
        term: Term,
    ) -> Result<(), Error> {
        let record = match self.existing_group(group).await? {
            ReadObject::Object(SlimGroup(found)) => convert::record(&found),
            ReadObject::Unreadable(found) => {
                return Err(Error::Unreadable { object: group.to_string(), why: found.why });
            }
        };
        let uid = |id: &Identity| id.uid.clone();
        let is_same = record
            .is_some_and(|record| record.term == term && record.leader_id().map(uid) == leader.map(uid));
        if is_same { Ok(()) } else { Err(Error::Changed { object: group.to_string() }) }
    }

    /// The group. If it does not exist, the cache learns that it is deleted.
    async fn existing_group(&self, group: &GroupRef) -> Result<ReadObject<SlimGroup>, Error> {
        if let Some(found) = self.find_group(group).await? {
            return Ok(found);
        }
        self.cache.remove_group(&group.namespace, &group.id, true);
        Err(Error::Gone { object: group.to_string() })
    }

    /// The group, if it exists. An unreadable group exists, too.
    async fn find_group(&self, group: &GroupRef) -> Result<Option<ReadObject<SlimGroup>>, Error> {
        let (namespace, name) = (&group.namespace, &group.id.name);
        let known = self.cache.version_of(Kind::Group, namespace, name);
        let found: Option<ReadObject<SlimGroup>> =
            self.requests.find("electiongroups", namespace, name).await?;
        match &found {
            Some(ReadObject::Object(SlimGroup(found))) => {
                self.cache.check_answer(known.as_ref(), found);
                self.cache.upsert_group(found.clone());
            }
            Some(found @ ReadObject::Unreadable(_)) => {
                let (id, version) = (convert::identity(found), convert::version(found));
                self.cache.upsert_unreadable_group(namespace, &id, version);
            }
            None => {}
        }
        Ok(found.filter(|found| found.uid().as_deref() == Some(&group.id.uid)))
    }

    /// Refreshes a Lease in the cache.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn read_lease(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let known = self.cache.version_of(Kind::Lease, namespace, name);
        let found: Option<Lease> = self.requests.find("leases", namespace, name).await?;
        match found {
            Some(lease) => {
                self.cache.check_answer(known.as_ref(), &lease);
                self.cache.upsert_lease(lease.into(), false);
            }
            None => self.cache.remove_lease_named(namespace, name),
        }
        Ok(())
    }

    /// Confirms that a Lease is still as it was seen, or still absent.
    ///
    /// # Errors
    /// If it is not, or the request failed.
    pub async fn confirm_lease(
        &self,
        namespace: &str,
        name: &str,
        seen: Option<&(String, Version)>,
    ) -> Result<(), Error> {
        self.read_lease(namespace, name).await?;
        let found = self.cache.lease(namespace, name);
        let found = found.map(|lease| (lease.uid().unwrap_or_default(), convert::version(&lease)));
        if found.as_ref() == seen {
            Ok(())
        } else {
            Err(Error::Changed { object: format!("lease {namespace}/{name}") })
        }
    }

    /// Confirms that a node has sent no heartbeat that this process has not heard.
    ///
    /// # Errors
    /// If it has, or the request failed.
    pub async fn confirm_node_silent(&self, node: &str) -> Result<(), Error> {
        let api: Api<NodeLease> = self.requests.namespaced(NODE_LEASES);
        let object = format!("lease {NODE_LEASES}/{node}");
        // A list: the role of the operator may list and watch node Leases, and not get them.
        let params = ListParams::default().fields(&format!("metadata.name={node}"));
        let list = api.list(&params);
        let found = self.requests.send("list", "leases", NODE_LEASES, object.clone(), list).await?;
        if found.iter().any(|lease| hear_node(&self.cache, lease)) {
            Err(Error::Changed { object })
        } else {
            Ok(())
        }
    }

    /// Refreshes a slice in the cache.
    ///
    /// # Errors
    /// If the request failed.
    pub async fn read_slice(&self, namespace: &str, name: &str) -> Result<(), Error> {
        let known = self.cache.version_of(Kind::Slice, namespace, name);
        let found: Option<EndpointSlice> = self.requests.find("endpointslices", namespace, name).await?;
        match found {
            Some(slice) => {
                self.cache.check_answer(known.as_ref(), &slice);
                self.cache.upsert_slice(slice);
            }
            None => {
                if let Some((uid, _)) = known {
                    self.cache.remove_slice(namespace, &Identity::new(name, uid), true);
                }
            }
        }
        Ok(())
    }

    /// Confirms that all slices that name a Service are the group's own.
    ///
    /// # Errors
    /// If another group or another writer has one, or the request failed. The cache learns of a
    /// slice with the operator's label, so that its deletion wakes the group.
    pub async fn confirm_no_other_slices(&self, group: &GroupRef, service: &str) -> Result<(), Error> {
        let namespace = &group.namespace;
        let api: Api<ReadObject<EndpointSlice>> = self.requests.namespaced(namespace);
        let mut params = ListParams::default().labels(&format!("{SERVICE_NAME_LABEL}={service}")).limit(PAGE);
        loop {
            let object = format!("endpointslices of service {namespace}/{service}");
            let list = api.list(&params);
            let found = self.requests.send("list", "endpointslices", namespace, object, list).await?;
            let is_own = |slice: &ReadObject<EndpointSlice>| match slice {
                ReadObject::Object(slice) => convert::owns_slice(&group.id, slice),
                ReadObject::Unreadable(_) => false,
            };
            params.continue_token = found.metadata.continue_.clone().filter(|token| !token.is_empty());
            if let Some(other) = found.items.into_iter().find(|slice| !is_own(slice)) {
                return Err(self.other_slice(namespace, service, other));
            }
            if params.continue_token.is_none() {
                return Ok(());
            }
        }
    }

    fn other_slice(&self, namespace: &str, service: &str, other: ReadObject<EndpointSlice>) -> Error {
        match other {
            ReadObject::Object(slice) if convert::is_managed(&slice) => {
                let object = format!("endpointslice {namespace}/{}", slice.name_any());
                self.cache.upsert_slice(slice);
                Error::Changed { object }
            }
            other => Error::OtherSlices {
                namespace: namespace.to_owned(),
                service: service.to_owned(),
                slice: other.name_any(),
            },
        }
    }

    /// Lists the pods that a group selects, for the record in its version `known`.
    ///
    /// # Errors
    /// If the request failed, or one of the pods cannot be read: that pod may have the leader
    /// label.
    pub async fn list_pods(&self, group: &GroupRef, known: Version) -> Result<(), Error> {
        let api: Api<ReadObject<Pod>> = self.requests.namespaced(&group.namespace);
        let selector = self.cache.selector(group).unwrap_or_default();
        let mut params = ListParams::default().limit(PAGE);
        // The cache finds out which pods of a longer list are selected.
        if selector.to_string().len() <= LONGEST_SELECTOR {
            params = params.labels_from(&selector);
        }
        loop {
            let page = self
                .requests
                .send("list", "pods", &group.namespace, format!("pods of {group}"), api.list(&params))
                .await?;
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            for pod in page.items {
                match pod {
                    ReadObject::Object(pod) => self.cache.upsert_pod(pod),
                    ReadObject::Unreadable(unreadable) => {
                        let Unreadable { metadata, why } = *unreadable;
                        let name = metadata.name.unwrap_or_default();
                        let object = format!("pod {}/{name}", group.namespace);
                        return Err(Error::Unreadable { object, why });
                    }
                }
            }
            if params.continue_token.is_none() {
                break;
            }
        }
        self.cache.note_listed(group, known);
        Ok(())
    }
}
