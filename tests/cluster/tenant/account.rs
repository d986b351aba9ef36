//! A tenant: who has the role `edit` in one namespace.

use futures::{StreamExt, stream};
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use kube::{Client, Resource};
use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use super::{AT_ONCE, LATE};
use crate::harness::cluster::Cluster;
use crate::harness::world::unique;
use crate::harness::{World, eventually};

/// Who has the role `edit` in a namespace of its own, and no other right.
#[derive(Clone)]
pub(crate) struct Tenant {
    pub(super) namespace: String,
    pub(crate) client: Client,
}

impl Tenant {
    /// One with a namespace of its own, which goes when `Home` is dropped.
    pub(super) async fn new(neighbour: &World, name: &str) -> (Self, Home) {
        let home = Home(unique(name));
        neighbour.kubectl(&["create", "namespace", &home.0]).await;
        (Self::of(neighbour, &home.0).await, home)
    }

    /// One in a namespace that is there. `admin` only lends its rights.
    pub(crate) async fn of(admin: &World, namespace: &str) -> Self {
        let kubectl = async |arguments: &[&str]| {
            admin.kubectl(&[&["--namespace", namespace], arguments].concat()).await
        };
        kubectl(&["create", "serviceaccount", "tenant"]).await;
        let account = format!("--serviceaccount={namespace}:tenant");
        kubectl(&["create", "rolebinding", "tenant", "--clusterrole=edit", &account]).await;
        let token = kubectl(&["create", "token", "tenant"]).await;
        let client = Cluster::find().client_with_token(token.trim()).await;
        let tenant = Self { namespace: namespace.to_owned(), client };
        // The API server has heard of the binding, and of what the chart adds to the role.
        eventually("the rights of the tenant", async || tenant.get(Kind::Group, "").await.ok()).await;
        tenant
    }

    /// Gets the right to write over what the operator writes on pods.
    pub(crate) async fn may_label(&self, admin: &World) {
        let kubectl = async |arguments: &[&str]| {
            admin.kubectl(&[&["--namespace", &self.namespace], arguments].concat()).await
        };
        let role = ["--verb=label", "--resource=electiongroups.election-operator.io"];
        kubectl(&[&["create", "role", "labels"], &role[..]].concat()).await;
        let account = format!("--serviceaccount={}:tenant", self.namespace);
        kubectl(&["create", "rolebinding", "labels", "--role=labels", &account]).await;
    }

    pub(super) async fn create(&self, kind: Kind, object: Value) -> kube::Result<DynamicObject> {
        let api = kind.api(&self.client, &self.namespace);
        api.create(&PostParams::default(), &kind.object(object)).await
    }

    pub(super) async fn patch(&self, kind: Kind, name: &str, patch: Value) -> kube::Result<DynamicObject> {
        let api = kind.api(&self.client, &self.namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    fn path(&self, kind: Kind, name: &str) -> String {
        format!("{}/{name}", DynamicObject::url_path(&kind.resource(), Some(&self.namespace)))
    }

    /// An object as it is, also where it holds what the types of Kubernetes' objects cannot. No
    /// name: all of them.
    pub(super) async fn get(&self, kind: Kind, name: &str) -> kube::Result<Value> {
        let path = self.path(kind, name);
        self.client.request(http::Request::get(path.trim_end_matches('/')).body(Vec::new()).unwrap()).await
    }

    /// Lets an object with an annotation `note` say that its fields were written at a time that
    /// cannot be held.
    pub(super) async fn date_late(&self, kind: Kind, name: &str) {
        // A change of nothing but times would be dropped.
        let patch = json!([
            { "op": "replace", "path": "/metadata/managedFields/0/time", "value": LATE },
            { "op": "replace", "path": "/metadata/annotations/note", "value": "late" },
        ]);
        // What the writer itself owns gets the time of the server.
        let request = http::Request::patch(format!("{}?fieldManager=late", self.path(kind, name)))
            .header("content-type", "application/json-patch+json")
            .body(patch.to_string().into_bytes());
        let written: Value = self.client.request(request.unwrap()).await.unwrap();
        let times = written.list("/metadata/managedFields").iter().map(|entry| entry.text("/time"));
        assert!(times.clone().any(|time| time == LATE), "{kind:?}: {:?}", times.collect::<Vec<_>>());
    }

    /// Creates as many as it can at once; each must be accepted.
    pub(super) async fn flood(&self, kind: Kind, objects: impl Iterator<Item = Value>) {
        let all = stream::iter(objects).map(|object| self.create(kind, object));
        let mut all = all.buffer_unordered(AT_ONCE);
        while let Some(created) = all.next().await {
            created.expect("a tenant can create it");
        }
    }
}

/// A namespace without a recorder: what a tenant writes there is too much, or nothing that can be read.
pub(super) struct Home(String);

impl Drop for Home {
    fn drop(&mut self) {
        let cluster = Cluster::find();
        let _ = std::process::Command::new(&cluster.kubectl)
            .arg("--kubeconfig")
            .arg(&cluster.admin)
            .args(["delete", "namespace", &self.0, "--wait=false"])
            .stdout(std::process::Stdio::null())
            .status();
    }
}
