//! The first commands of a user: README's quick start, and `helm test`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::cluster::{CHART, OPERATOR, binary, load_image, load_packed, root, say};
use crate::pages::blocks;
use crate::world::World;

/// These nodes stand in for kind, and have the image already. The time from the first command to the first
/// leader is printed.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn quick_start_ends_with_a_leader() {
    let test = "quick_start_ends_with_a_leader";
    let Some(world) = World::new(test).await else { return };
    world.cluster.uninstall();
    let image = concat!("docker.io/library/election-operator:", env!("CARGO_PKG_VERSION"));
    load_image(&binary(), image, &[]);
    let readme = std::fs::read_to_string(root().join("README.md")).expect("README can be read");
    let commands = blocks(&readme).into_iter().find(|block| block.note == "run" && block.language == "sh");
    let commands = commands.expect("README has commands to run").text;
    let started = Instant::now();
    world.cluster.shell(&world.namespace, &commands);
    let took = started.elapsed().as_millis();
    let group = world.kubectl(&["get", "electiongroup", "orders", "--output=jsonpath={.status.leader.name}"]);
    assert!(group.starts_with("orders-"), "the group has a leader: {group:?}");
    say(&format!("{test}: from helm install to the leader {group}: {took} ms"));
    world.cluster.uninstall();
    world.finish().await;
}

/// Gives the nodes an image with the name of the one that the chart tests with, as [`load_packed`].
fn load_test_image(test: &str) -> bool {
    let values = std::fs::read_to_string(root().join(CHART).join("values.yaml")).expect("it can be read");
    let values: Value = serde_saphyr::from_str(&values).expect("values are YAML");
    let name = values["tests"]["image"].as_str().expect("the chart names an image");
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm-test.tar");
    let mut pack = Command::new(root().join("tests/nodes/busybox.sh"));
    load_packed(test, pack.arg(name).arg(&image), &image)
}

/// It asks the Service by its name, from a pod that the namespace admits as `restricted`.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn helm_test_passes_with_a_ready_operator_and_fails_without() {
    let test = "helm_test_passes_with_a_ready_operator_and_fails_without";
    let Some(world) = World::new(test).await else { return };
    if !load_test_image(test) {
        return world.finish().await;
    }
    let passed = world.cluster.helm(&["test", OPERATOR, "--timeout=120s"]);
    assert!(passed.contains("Succeeded"), "{passed}");
    let stop = ["upgrade", OPERATOR, CHART, "--reuse-values", "--set=replicas=0", "--wait", "--timeout=120s"];
    world.cluster.helm(&stop);
    let failed = world.cluster.helm_fails(&["test", OPERATOR, "--timeout=180s"]);
    say(&format!("{test}: without an operator: {}", failed.trim().lines().last().unwrap_or_default()));
    assert!(failed.contains("Failed"), "{failed}");
    world.cluster.uninstall();
    world.finish().await;
}
