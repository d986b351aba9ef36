//! The chart and `examples/`, as a user installs them.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::DeleteParams;
use rustix::process::Signal;

use crate::cluster::{OPERATOR, binary, load_example_image, load_image, say, variable};
use crate::processes::{Part, signal};
use crate::traffic::{Connections, Traffic};
use crate::world::{World, eventually, name, node};

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn chart_runs_where_only_restricted_pods_may() {
    let Some(world) = World::new("chart_runs_where_only_restricted_pods_may").await else { return };
    let restricted = world.cluster.kubectl(&[
        "get",
        "namespace",
        OPERATOR,
        "--output",
        "jsonpath={.metadata.labels.pod-security\\.kubernetes\\.io/enforce}",
    ]);
    assert_eq!(restricted, "restricted");
    // Helm waited until both were Ready.
    let pods = world.cluster.kubectl(&[
        "--namespace",
        OPERATOR,
        "get",
        "pods",
        "--output",
        "jsonpath={range .items[*]}{.spec.nodeName}:{.status.containerStatuses[0].ready}:\
         {.status.containerStatuses[0].restartCount} {end}",
    ]);
    say(&format!("chart: replicas (node:ready:restarts) {pods}"));
    assert_eq!(pods.matches(":true:0").count(), 2, "{pods}");
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn groups_of_the_examples_are_accepted() {
    let Some(world) = World::new("groups_of_the_examples_are_accepted").await else { return };
    for (file, group) in [
        ("full.yaml", "payments"),
        ("observed.yaml", "scheduler"),
        ("orders.yaml", "orders"),
        ("routing.yaml", "billing"),
    ] {
        world.example(file);
        world.until_condition(group, "Accepted").await;
    }
    world.until_condition("orders", "Ready").await;
    world.until_condition("billing", "Routed").await;
    world.finish().await;
}

/// `elect` beside an application, without the operator. The holder's pod is deleted: the other one leads.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn sidecar_hands_over() {
    let Some(world) = World::new("sidecar_hands_over").await else { return };
    world.example("sidecar.yaml");
    let pods: Vec<String> = world.until_ready("app=worker", 2).await.iter().map(name).collect();
    let leases: Api<Lease> = Api::namespaced(world.cluster.client.clone(), &world.namespace);
    let holder = async || leases.get_opt("worker").await.expect("it can be read")?.spec?.holder_identity;
    let first = eventually("a holder", async || holder().await.filter(|holder| pods.contains(holder))).await;
    world.pods().delete(&first, &DeleteParams::default()).await.expect("it can be deleted");
    let second =
        eventually("another holder", async || holder().await.filter(|now| !now.is_empty() && *now != first))
            .await;
    say(&format!("sidecar: {first} → {second}"));
    world.until_ready("app=worker", 2).await;
    world.finish().await;
}

/// The program of `examples/nominated.yaml` runs in the pod that the operator chose, and answers there alone. The
/// pod is deleted: the program ends there, and runs in another pod.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn nominated_program_moves() {
    let Some(world) = World::new("nominated_program_moves").await else { return };
    world.restrict();
    // The application of the examples, under the name that it has in its image.
    let application = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("agnhost");
    std::fs::copy(variable("KIT").expect("a kit"), &application).expect("it can be copied");
    load_image(&binary(), "registry.example.com/ledger:0.1.0", &[application.display().to_string()]);
    world.example("nominated.yaml");
    world.until_ready("app=ledger", 3).await;
    let first = world.until_leader("ledger", &[]).await;
    assert_eq!(name(&first), "ledger-0", "it is preferred");
    let leases: Api<Lease> = Api::namespaced(world.cluster.client.clone(), &world.namespace);
    let lease = leases.get("ledger").await.expect("the operator has created it");
    let holder = format!("ledger-0_{}", first.metadata.uid.as_deref().unwrap_or_default());
    assert_eq!(lease.spec.and_then(|spec| spec.holder_identity), Some(holder));
    // The client is not as strict.
    world.cluster.kubectl(&["label", "namespace", &world.namespace, "pod-security.kubernetes.io/enforce-"]);
    let elsewhere = world.other_nodes(&node(&first)).await;
    let traffic = Traffic::start(&world, "ledger-leader", &elsewhere[0], Connections::New).await;
    traffic.until_only("ledger-0").await;
    world.pods().delete("ledger-0", &DeleteParams::default()).await.expect("it can be deleted");
    let second = world.until_leader("ledger", &["ledger-0"]).await;
    traffic.until_only(&name(&second)).await;
    say(&format!("nominated: ledger-0 → {}", name(&second)));
    world.finish().await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn program_in_go_acts_by_the_role_file() {
    acts_by_the_role_file("program_in_go_acts_by_the_role_file", "role-file-go", "reports-go").await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn program_in_python_acts_by_the_role_file() {
    acts_by_the_role_file("program_in_python_acts_by_the_role_file", "role-file-python", "reports-python")
        .await;
}

/// The program acts in the leader alone, and in the next leader after it. Once `follow` is stopped, the clock
/// tells the program that it leads no longer.
async fn acts_by_the_role_file(test: &str, example: &str, app: &str) {
    let Some(world) = World::new(test).await else { return };
    if !load_example_image(test, example) {
        return world.finish().await;
    }
    world.restrict();
    world.example(&format!("{example}.yaml"));
    let pods = world.until_ready(&format!("app={app}"), 2).await;
    let first = world.until_leader(app, &[]).await;
    let term = until_acts(&world, &name(&first)).await;
    let other = pods.iter().map(name).find(|pod| *pod != name(&first)).expect("there are two");
    assert_eq!(reports(&world, &other), "", "{other} does not lead");

    if variable("ENTER").is_none() {
        say(&format!("{test}: follow is not stopped: it needs the nodes of this machine: see docs/nodes.md"));
    } else {
        signal(&first, Part::Follow, Signal::STOP);
        eventually("the clock tells it", async || {
            reports(&world, &name(&first)).ends_with("acts no longer\n").then_some(())
        })
        .await;
        signal(&first, Part::Follow, Signal::CONT);
        assert_eq!(until_acts(&world, &name(&first)).await, term, "it has led all the time");
    }

    world.pods().delete(&name(&first), &DeleteParams::default()).await.expect("it can be deleted");
    let second = world.until_leader(app, &[&name(&first)]).await;
    let next = until_acts(&world, &name(&second)).await;
    assert!(next > term, "{next} is after {term}");
    say(&format!("{example}: {} in term {term} → {} in term {next}", name(&first), name(&second)));
    world.finish().await;
}

/// What the program of a pod has printed.
fn reports(world: &World, pod: &str) -> String {
    world.kubectl(&["logs", pod, "--container", "reports"])
}

/// Waits until the last thing that the program has done is to act, and gives back in which term.
async fn until_acts(world: &World, pod: &str) -> u64 {
    eventually(&format!("{pod} acts"), async || {
        let reports = reports(world, pod);
        reports.lines().last()?.strip_prefix("acted in term ")?.parse().ok()
    })
    .await
}
