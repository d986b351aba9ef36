//! What concerns the whole cluster, and so cannot run beside other tests.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::{await_condition, conditions::is_deleted};
use serde_json::json;
use testkit::kind::Kind;

use crate::harness::cluster::Cluster;
use crate::harness::{Operator, World};

const CRD: &str = "electiongroups.election-operator.io";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes the CRD away from everybody: `make cluster` runs it after the other tests"]
async fn a_missing_crd_is_waited_for_and_then_every_namespace_is_served() {
    let crds: Api<CustomResourceDefinition> = Api::all(Cluster::find().client().await);
    let crd = crds.get(CRD).await.unwrap();
    crds.delete(CRD, &DeleteParams::default()).await.unwrap();
    let gone = is_deleted(crd.metadata.uid.as_deref().unwrap());
    await_condition(crds.clone(), CRD, gone).await.unwrap();

    let mut operator = Operator::spawn_everywhere();
    let told = operator.until_readyz("waiting", |code, text| code == 503 && text.contains("CRD")).await;
    let ObjectMeta { name, labels, annotations, .. } = crd.metadata;
    let metadata = ObjectMeta { name, labels, annotations, ..ObjectMeta::default() };
    let crd = CustomResourceDefinition { metadata, status: None, ..crd };
    // As Helm wrote it, so that Helm can go on.
    crds.patch(CRD, &PatchParams::apply("helm"), &Patch::Apply(&crd)).await.unwrap();
    await_condition(crds, CRD, is_crd_established()).await.unwrap();
    assert!(told.contains("is the CRD installed?"), "{told}");
    assert!(operator.is_running());
    operator.ready().await;

    let (world, other) = (World::new("alone-one").await, World::new("alone-other").await);
    for world in [&world, &other] {
        world.pod("a").await;
        world.group("orders", json!({})).await;
        world.until_led_by("orders", "a").await;
        world.pod("b").await;
        world.delete(Kind::Pod, "a").await;
        world.until_led_by("orders", "b").await;
    }
    world.finish().await;
    other.finish().await;
}
