//! A role label that somebody else uses: never overwritten, or taken back at the first pod that is lost by it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use testkit::feed::Revision;
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

/// A group over a Deployment of three that selects by the role label, too. Returns how many pods there ever were.
async fn pods_of_a_deployment_that_selects(world: World, role: &str) -> usize {
    let labels = json!({ "app": "orders", "role": role });
    let pod =
        json!({ "terminationGracePeriodSeconds": 0, "containers": [{ "name": "app", "image": "app:1" }] });
    let template = json!({ "metadata": { "labels": labels }, "spec": pod });
    let spec = json!({ "replicas": 3, "selector": { "matchLabels": labels }, "template": template });
    world.create(Kind::Deployment, json!({ "metadata": { "name": "orders" }, "spec": spec })).await;
    world.kubectl(&["rollout", "status", "deployment/orders", "--timeout=60s"]).await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    world.until_condition("orders", "Accepted", "False", "RoleLabelInUse").await;
    // What was lost is back: nobody is left without an owner, and there are three again.
    let complete = |deployment: &Value| {
        let count = |field: &str| deployment.number(&format!("/status/{field}"));
        count("replicas") == 3 && count("availableReplicas") == 3
    };
    world.until(Kind::Deployment, "orders", "complete", complete).await;
    let journal = world.finish().await;
    let uids: BTreeSet<_> = journal.of(Kind::Pod).map(Revision::uid).collect();
    uids.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_deployment_that_selects_a_role_of_its_own_loses_no_pod() {
    let world = World::new("role-worker").await;
    assert_eq!(pods_of_a_deployment_that_selects(world, "worker").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_deployment_that_selects_the_followers_loses_one_pod() {
    let world = World::new("role-follower").await;
    assert_eq!(pods_of_a_deployment_that_selects(world, "follower").await, 4);
}
