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
    PodDisruptionBudget,
    EndpointSlice,
    Event,
}

/// What the API server knows of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    kind: Kind,
    /// The API's group; the core has none.
    pub group: &'static str,
    /// The API's version.
    pub version: &'static str,
    /// The name in `kind`.
    pub name: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    /// How the API server takes a PUT.
    pub put: Put,
    /// `status` has a subresource of its own.
    pub has_status: bool,
}

/// How the API server takes a PUT of one kind, as its update strategy in Kubernetes says.
#[derive(Clone, Copy, Debug)]
pub struct Put {
    /// Without a version it replaces whatever is there (`AllowUnconditionalUpdate`).
    pub unconditional: bool,
    /// It creates an object that is not there (`AllowCreateOnUpdate`).
    pub creates: bool,
}

/// Most kinds: a PUT may leave the version out, and creates nothing.
const USUAL: Put = Put { unconditional: true, creates: false };
/// The version is required, and nothing is created.
const STRICT: Put = Put { unconditional: false, creates: false };
const LEASE: Put = Put { unconditional: false, creates: true };
const LENIENT: Put = Put { unconditional: true, creates: true };

/// Every kind. To add one takes a variant and a row.
#[rustfmt::skip]
const ROWS: [Row; 9] = [
    row(Kind::Pod, "", "v1", "Pod", "pods", USUAL, true),
    row(Kind::Group, "election-operator.io", "v1alpha1", "ElectionGroup", "electiongroups", STRICT, true),
    row(Kind::Lease, "coordination.k8s.io", "v1", "Lease", "leases", LEASE, false),
    row(Kind::Service, "", "v1", "Service", "services", LENIENT, true),
    row(Kind::StatefulSet, "apps", "v1", "StatefulSet", "statefulsets", USUAL, true),
    row(Kind::Deployment, "apps", "v1", "Deployment", "deployments", USUAL, true),
    row(Kind::PodDisruptionBudget, "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", STRICT, true),
    row(Kind::EndpointSlice, "discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", USUAL, false),
    row(Kind::Event, "events.k8s.io", "v1", "Event", "events", LENIENT, false),
];

const fn row(
    kind: Kind,
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
    put: Put,
    has_status: bool,
) -> Row {
    Row { kind, group, version, name, plural, put, has_status }
}

impl Row {
    /// Group and version, as they stand in `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }
}

impl Kind {
    /// What the API server knows of it.
    ///
    /// # Panics
    /// If the table lacks it.
    #[must_use]
    pub fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.kind == self).expect("each kind has a row")
    }

    /// The kind that the API server serves under these names.
    #[must_use]
    pub fn served_as(group: &str, version: &str, plural: &str) -> Option<Self> {
        let found = ROWS.iter().find(|row| (row.group, row.version, row.plural) == (group, version, plural));
        found.map(|row| row.kind)
    }

    /// Where the API server serves it.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        let Row { group, version, name, plural, .. } = *self.row();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, name), plural)
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
