//! The kinds of objects that tests deal with, as the API server knows them.

use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::json::merged;

/// One kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are Kubernetes' own names, but for the group")]
pub enum Kind {
    Pod,
    Group,
    Lease,
    Service,
    StatefulSet,
    Deployment,
    EndpointSlice,
    Event,
}

impl Kind {
    /// Where the API server serves it.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = match self {
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Group => ("election-operator.io", "v1alpha1", "ElectionGroup", "electiongroups"),
            Self::Lease => ("coordination.k8s.io", "v1", "Lease", "leases"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::EndpointSlice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::Event => ("events.k8s.io", "v1", "Event", "events"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    /// The objects of this kind in a namespace.
    #[must_use]
    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(client.clone(), namespace, &self.resource())
    }

    /// An object of this kind, which need not say so itself.
    ///
    /// # Panics
    /// If it is no object.
    #[must_use]
    pub fn object(self, object: Value) -> DynamicObject {
        let resource = self.resource();
        let types = json!({ "apiVersion": resource.api_version, "kind": resource.kind });
        serde_json::from_value(merged(object, &types)).expect("an object has metadata")
    }

    /// Its name in a narrow column.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Group => "group",
            Self::Lease => "lease",
            _ => "other",
        }
    }
}
