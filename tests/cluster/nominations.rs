//! Who may write the Lease of a group of mode Nominated: what the chart's admission policy refuses,
//! to the operator's own token and to pods by their bound tokens, and what rights the pods have.

use std::path::PathBuf;

use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use testkit::cluster;
use testkit::json::At;
use testkit::kind::Kind;
use testkit::world::micro_time;

use crate::harness::cluster::Cluster;
use crate::harness::{World, eventually};

pub(crate) const NOMINEE: &str = "election-operator.io/nominee";
const DURATION: &str = "election-operator.io/duration";
const TERM: &str = "election-operator.io/term";

/// The role that `examples/companion.yaml` gives to the pods of the group.
pub(crate) const COMPANION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/companion.yaml");

/// A pod with the example's rights, and a client that has its bound token.
pub(crate) struct Companion {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) token: String,
    pub(crate) client: Client,
}

impl Companion {
    /// Gives the pods of this namespace their rights.
    pub(crate) async fn grant(world: &World) {
        world.kubectl(&["apply", "-f", COMPANION]).await;
    }

    pub(crate) async fn new(world: &World, name: &str) -> Self {
        let pod = world.pod_with(name, json!({ "spec": { "serviceAccountName": "orders" } })).await;
        let uid = pod.text("/metadata/uid").to_owned();
        let bound = ["--bound-object-kind=Pod", "--bound-object-name", name, "--bound-object-uid", &uid];
        let token = world.kubectl(&[&["create", "token", "orders"], &bound[..]].concat()).await;
        let client = Cluster::find().client_with_token(token.trim()).await;
        Self { name: name.to_owned(), uid, token: token.trim().to_owned(), client }
    }

    /// A kubeconfig with the pod's token.
    pub(crate) async fn kubeconfig(&self, world: &World) -> PathBuf {
        let of_operator = Cluster::find().operator.display().to_string();
        let view = ["config", "view", "--raw", "--flatten", "-o", "json", "--kubeconfig", &of_operator];
        let mut config: Value = serde_json::from_str(&world.kubectl(&view).await).unwrap();
        config["users"][0]["user"] = json!({ "token": self.token });
        let name = format!("{}-{}.kubeconfig", world.namespace, self.uid);
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    pub(crate) fn nominee(&self) -> String {
        format!("{}/{}", self.name, self.uid)
    }

    pub(crate) fn holder(&self) -> String {
        format!("{}_{}", self.name, self.uid)
    }

    /// As a companion takes the Lease that it is nominated for, with five seconds.
    fn take(&self) -> Value {
        let spec = json!({
            "holderIdentity": self.holder(),
            "leaseDurationSeconds": 5,
            "acquireTime": micro_time(),
            "renewTime": micro_time(),
            "leaseTransitions": 1,
        });
        json!({ "metadata": { "annotations": { NOMINEE: "" } }, "spec": spec })
    }
}

fn renew() -> Value {
    json!({ "spec": { "renewTime": micro_time() } })
}

fn hold(holder: &str) -> Value {
    json!({ "spec": { "holderIdentity": holder } })
}

pub(crate) fn notes(nominee: &str, seconds: &str, term: &str) -> Value {
    json!({ "metadata": { "annotations": { NOMINEE: nominee, DURATION: seconds, TERM: term } } })
}

/// Two companions, and the operator's account with its token. The Lease is there, free and without
/// nominee.
pub(crate) struct Scene {
    pub(crate) world: World,
    /// The UID of the group. No operator runs here, that would write.
    group: String,
    pub(crate) operator: Client,
    admin: Client,
    pub(crate) a: Companion,
    pub(crate) b: Companion,
}

impl Scene {
    pub(crate) async fn new(name: &str) -> Self {
        let world = World::new(name).await;
        Companion::grant(&world).await;
        let (a, b) = (Companion::new(&world, "a").await, Companion::new(&world, "b").await);
        let operator = cluster::client(&Cluster::find().operator).await;
        let admin = world.client.clone();
        let group = world.group("orders", json!({})).await.text("/metadata/uid").to_owned();
        let scene = Self { world, group, operator, admin, a, b };
        scene.create(&scene.operator, scene.lease("orders", "", "")).await.unwrap();
        eventually("the rights of the companions", async || {
            Kind::Lease.api(&scene.a.client, &scene.world.namespace).get("orders").await.ok()
        })
        .await;
        scene
    }

    fn lease(&self, name: &str, holder: &str, nominee: &str) -> Value {
        let (version, kind) = ("election-operator.io/v1alpha1", "ElectionGroup");
        let owner = json!([{ "apiVersion": version, "kind": kind, "name": "orders", "uid": self.group }]);
        let metadata =
            json!({ "name": name, "ownerReferences": owner, "annotations": { NOMINEE: nominee, TERM: "1" } });
        json!({ "metadata": metadata, "spec": { "holderIdentity": holder } })
    }

    async fn create(&self, client: &Client, lease: Value) -> kube::Result<()> {
        let api = Kind::Lease.api(client, &self.world.namespace);
        api.create(&PostParams::default(), &Kind::Lease.object(lease)).await.map(|_| ())
    }

    /// Writes the Lease as it is now, changed. Companions may PUT only.
    async fn write(&self, client: &Client, change: &Value) -> kube::Result<()> {
        let api = Kind::Lease.api(client, &self.world.namespace);
        let now = self.world.get(Kind::Lease, "orders").await.unwrap();
        let changed = Kind::Lease.object(testkit::json::merged(now, change));
        api.replace("orders", &PostParams::default(), &changed).await.map(|_| ())
    }

    pub(crate) async fn allowed(&self, client: &Client, change: Value) {
        if let Err(error) = self.write(client, &change).await {
            panic!("{change} is refused: {error}");
        }
    }

    async fn refused(&self, client: &Client, change: Value, with: &[&str]) {
        match self.write(client, &change).await {
            Err(kube::Error::Api(status)) => {
                assert_eq!(status.code, 403, "{change}: {status:?}");
                let named = with.iter().all(|text| status.message.contains(text));
                assert!(named, "{change}: {} has not all of {with:?}", status.message);
            }
            other => panic!("{change}: {other:?}, not {with:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_nominated_pod_takes_the_lease_and_no_other_pod_does_with_its_token() {
    let scene = Scene::new("nominations-take").await;
    let Scene { operator, admin, a, b, .. } = &scene;
    let (of_a, of_b) = (a.nominee(), b.nominee());

    // Nobody is nominated.
    scene.refused(&a.client, a.take(), &["pod that is nominated (none)", &of_a]).await;
    scene.allowed(operator, notes(&of_a, "5", "2")).await;

    // The wrong pod: the nominee is not it, and it cannot say that it is.
    scene.refused(&b.client, b.take(), &["pod that is nominated (", &of_a, &of_b]).await;
    scene.refused(&b.client, a.take(), &["pod that is nominated (", &of_b]).await;
    scene.refused(&b.client, notes(&of_b, "5", "3"), &["only the election operator writes", &of_b]).await;
    // By hand, as an administrator without a pod.
    scene.refused(admin, a.take(), &["only the pod that is nominated"]).await;
    scene.refused(admin, hold(&a.holder()), &["only the pod that is nominated"]).await;
    // The right pod, in a wrong way.
    let mut kept = a.take();
    kept["metadata"]["annotations"][NOMINEE] = json!(of_a);
    scene.refused(&a.client, kept, &["only the pod that is nominated"]).await;
    let mut longer = a.take();
    longer["spec"]["leaseDurationSeconds"] = json!(60);
    scene.refused(&a.client, longer, &["seconds of its annotation"]).await;
    let mut later = a.take();
    later["metadata"]["annotations"][TERM] = json!("9");
    scene.refused(&a.client, later, &["only the pod that is nominated"]).await;
    scene.refused(&a.client, hold("somebody"), &["only the pod that is nominated"]).await;

    scene.allowed(&a.client, a.take()).await;
    // A nomination is taken once.
    scene.allowed(&a.client, hold("")).await;
    scene.refused(&a.client, a.take(), &["pod that is nominated (none)"]).await;
    scene.world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_held_lease_is_renewed_and_released_by_its_holder_and_cleared_by_the_operator() {
    let scene = Scene::new("nominations-hold").await;
    let Scene { operator, admin, a, b, .. } = &scene;
    let holder = a.holder();
    scene.allowed(operator, notes(&a.nominee(), "5", "2")).await;
    scene.allowed(&a.client, a.take()).await;
    let renewed_at = scene.world.get(Kind::Lease, "orders").await.unwrap();
    let renewed_at = json!({ "spec": { "renewTime": renewed_at.at("/spec/renewTime") } });

    scene.allowed(&a.client, renew()).await;
    scene.refused(&a.client, renewed_at, &["renews or releases", &holder]).await;
    scene.refused(&a.client, json!({ "spec": { "leaseDurationSeconds": 1 } }), &["renews or releases"]).await;
    // The next one is nominated while this one holds. It waits.
    scene.allowed(operator, notes(&b.nominee(), "5", "3")).await;
    scene.refused(&b.client, b.take(), &["while it is free", &holder]).await;
    scene.refused(&b.client, hold(""), &["renews or releases", &holder]).await;
    scene.refused(&b.client, renew(), &["renews or releases"]).await;
    scene.refused(admin, hold(""), &["renews or releases"]).await;
    scene.refused(admin, renew(), &["renews or releases"]).await;
    scene.refused(admin, notes("", "5", "3"), &["only the election operator writes"]).await;
    let bare = json!({ "metadata": { "annotations": { NOMINEE: null, DURATION: null, TERM: null } } });
    scene.refused(admin, bare.clone(), &["only the election operator writes"]).await;
    // What is neither spec nor nomination is anybody's.
    scene.allowed(admin, json!({ "metadata": { "labels": { "team": "one" } } })).await;
    scene.allowed(&a.client, renew()).await;
    scene.allowed(&a.client, hold("")).await;
    scene.allowed(&b.client, b.take()).await;

    // The operator: clears, and writes nothing else of the spec. Its terms rise.
    scene.refused(operator, hold("somebody"), &["may only clear the holder"]).await;
    scene.refused(operator, renew(), &["may only clear the holder"]).await;
    let (of_a, higher) = (a.nominee(), "in a higher term than 3");
    scene.refused(operator, notes(&of_a, "5", "3"), &[higher, "this one is 3"]).await;
    scene.refused(operator, notes(&of_a, "5", "2"), &[higher, "this one is 2"]).await;
    scene.refused(operator, notes(&of_a, "5", "x"), &[higher, "this one is x"]).await;
    scene.refused(operator, notes("", "5", "4"), &["may nominate a pod by name/UID"]).await;
    scene.refused(operator, notes("a", "5", "4"), &["may nominate a pod by name/UID"]).await;
    scene.refused(operator, notes(&of_a, "1m", "4"), &["a duration in seconds"]).await;
    scene.refused(operator, bare, &["may nominate a pod by name/UID"]).await;
    // By number, not by text. One write clears and nominates.
    scene.allowed(operator, testkit::json::merged(notes(&of_a, "5", "10"), &hold(""))).await;
    scene.allowed(&a.client, a.take()).await;
    scene.allowed(operator, hold("")).await;
    scene.refused(&a.client, renew(), &["only the pod that is nominated"]).await;
    scene.world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn only_the_operator_makes_a_lease_that_can_be_nominated_for_and_makes_it_free() {
    let scene = Scene::new("nominations-create").await;
    let Scene { operator, admin, a, .. } = &scene;
    let only = "only the election operator creates a Lease";
    for (client, holder, nominee) in
        [(admin, "", ""), (admin, "", "a/x"), (operator, "a_x", ""), (operator, "", "a/x")]
    {
        let refused = scene.create(client, scene.lease("other", holder, nominee)).await.unwrap_err();
        assert!(refused.to_string().contains(only), "{holder} {nominee}: {refused}");
    }
    scene.create(operator, scene.lease("other", "", "")).await.unwrap();
    // A Lease of another kind becomes none of these by a mark that a user puts on it.
    let spec = json!({ "holderIdentity": a.holder() });
    scene.create(admin, json!({ "metadata": { "name": "plain" }, "spec": spec })).await.unwrap();
    let plain = Kind::Lease.api(admin, &scene.world.namespace);
    let marked = Patch::Merge(notes(&a.nominee(), "5", "1"));
    let refused = plain.patch("plain", &PatchParams::default(), &marked).await.unwrap_err();
    assert!(refused.to_string().contains("only the election operator writes"), "{refused}");
    let renewed = Patch::Merge(hold("somebody"));
    plain.patch("plain", &PatchParams::default(), &renewed).await.unwrap();
    scene.world.finish_without_verdict();
}

/// A verb, the API group and the resource, and the name of the object; none: of any.
type Right = (&'static str, &'static str, &'static str, Option<&'static str>);

async fn may(client: &Client, namespace: &str, (verb, group, resource, name): Right) -> bool {
    let attributes = json!({
        "namespace": namespace, "verb": verb, "group": group, "resource": resource, "name": name,
    });
    let review = json!({ "metadata": {}, "spec": { "resourceAttributes": attributes } });
    let review: SelfSubjectAccessReview = serde_json::from_value(review).unwrap();
    let api = Api::all(client.clone());
    api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_role_of_the_companions_reads_and_updates_one_lease_and_grants_nothing_else() {
    let scene = Scene::new("nominations-rights").await;
    let (client, namespace) = (&scene.a.client, &scene.world.namespace);
    let (coordination, group) = ("coordination.k8s.io", "election-operator.io");
    for verb in ["get", "list", "watch", "update"] {
        let right = (verb, coordination, "leases", Some("orders"));
        assert!(may(client, namespace, right).await, "{right:?}");
    }
    let mut others: Vec<Right> = vec![
        ("create", "", "pods", None),
        ("get", "", "pods", Some("a")),
        ("list", "", "pods", None),
        ("patch", "", "pods", Some("a")),
        ("get", "", "secrets", None),
        ("create", "", "serviceaccounts/token", None),
        ("get", group, "electiongroups", Some("orders")),
        ("label", group, "electiongroups", Some("orders")),
        ("create", "events.k8s.io", "events", None),
    ];
    for verb in ["create", "patch", "delete", "deletecollection"] {
        others.push((verb, coordination, "leases", Some("orders")));
    }
    for verb in ["get", "list", "watch", "update", "create"] {
        others
            .extend([(verb, coordination, "leases", Some("another")), (verb, coordination, "leases", None)]);
    }
    for right in others {
        assert!(!may(client, namespace, right).await, "{right:?}");
    }
    // The API server takes the reads that a companion sends, and no wider ones.
    let leases = Kind::Lease.api(client, namespace);
    let one = kube::api::ListParams::default().fields("metadata.name=orders");
    assert_eq!(leases.list(&one).await.unwrap().items.len(), 1);
    for refused in [
        leases.list(&kube::api::ListParams::default()).await.map(|_| ()),
        leases.get("another").await.map(|_| ()),
        leases.delete("orders", &kube::api::DeleteParams::default()).await.map(|_| ()),
        scene.create(client, json!({ "metadata": { "name": "mine" } })).await,
    ] {
        let Err(kube::Error::Api(status)) = refused else { panic!("{refused:?}") };
        assert_eq!(status.code, 403, "{status:?}");
    }
    scene.world.finish_without_verdict();
}
