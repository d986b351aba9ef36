//! What users get: a release from a registry, its program in other images, and the way from the last
//! release to this build.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};

use crate::cluster::{Cluster, OPERATOR, root, run, say, variable};
use crate::failover::{LABELLED, ROUTED, Run};
use crate::traffic::now;
use crate::world::{World, eventually, name, ready};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The release of `dist/` in the cluster's registry, and its place there. If `test` must be skipped,
/// prints why.
fn published(test: &str) -> Option<String> {
    let dist = root().join("dist");
    let image = dist.join("election-operator-image.tar");
    if !image.exists() {
        say(&format!("skipped {test}: there is no {}: make release", image.display()));
        return None;
    }
    let Some(registry) = Cluster::registry() else {
        say(&format!("skipped {test}: ELECTION_OPERATOR_NODES_REGISTRY is not set: see docs/nodes.md"));
        return None;
    };
    // A version is published once in a place: another run may have another release of it.
    let registry = format!("{registry}/run-{}", std::process::id());
    // The chart names the registry: it is packed for this one. The image does not.
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("published");
    std::fs::create_dir_all(&out).expect("a folder can be made");
    std::fs::copy(image, out.join("election-operator-image.tar")).expect("the image can be copied");
    run(release("dist.sh", &registry).arg("files").arg(&out));
    run(release("publish.sh", &registry).args([registry.as_str()]).arg(&out).env("PLAIN_HTTP", "1"));
    Some(registry)
}

/// A program of `release/` without what the caller's environment says of a release.
fn release(program: &str, registry: &str) -> Command {
    let mut command = Command::new(root().join("release").join(program));
    command.env("REGISTRY", registry).env_remove("TAG").env_remove("IMAGE").env_remove("SOURCE_URL");
    command
}

fn images(pods: &[Pod]) -> Vec<String> {
    let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
    containers.filter_map(|container| container.image.clone()).collect()
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes; and a release: make release"]
async fn release_is_installed_from_a_registry_without_a_value() {
    let test = "release_is_installed_from_a_registry_without_a_value";
    let Some(world) = World::new(test).await else { return };
    let Some(registry) = published(test) else { return world.finish().await };
    world.cluster.uninstall();
    let chart = format!("oci://{registry}/charts/election-operator");
    let wait = ["--wait", "--timeout=120s", "--plain-http"];
    let started = Instant::now();
    world.cluster.helm(&[&["install", OPERATOR, &chart, "--version", VERSION], &wait[..]].concat());
    // Of `helm test`, that is, of another test, pods may be left.
    let operators = ListParams::default().labels("!batch.kubernetes.io/job-name");
    let pods = world.operators().list(&operators).await.expect("pods can be listed").items;
    let pods: Vec<Pod> = pods.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    let image = format!("{registry}/election-operator:{VERSION}");
    assert_eq!(images(&pods), [image.as_str(); 2]);
    say(&format!("{test}: {}", world.cluster.helm(&["list", "--no-headers"]).trim()));

    world.example("orders.yaml");
    world.kubectl(&["wait", "--for=condition=Ready", "electiongroup/orders", "--timeout=120s"]);
    say(&format!("{test}: from helm install to the first leader: {} ms", started.elapsed().as_millis()));
    let leader = name(&world.until_leader("orders", &[]).await);
    let told = world.kubectl(&["get", "electiongroup", "orders", "--output=jsonpath={.status.leader.name}"]);
    assert_eq!(told, leader);
    world.cluster.uninstall();
    world.finish().await;
}

/// Two pods of an image into which `elect` was copied. Process 1 is `elect`, and runs COMMAND while it leads.
const COPIED: &str = include_str!("copied.yaml");

/// Waits until one of them leads: it holds the Lease, and it alone is Ready. The command of the other does
/// not run.
async fn led(world: &World, app: &str, not: &str) -> String {
    let leases: Api<Lease> = Api::namespaced(world.cluster.client.clone(), &world.namespace);
    eventually(&format!("one Ready pod of {app} that holds the Lease, other than {not:?}"), async || {
        let holder = leases.get_opt(app).await.expect("it can be read")?.spec?.holder_identity?;
        let pods = world.pods_with(&format!("app={app}")).await;
        let work: Vec<String> = pods.iter().filter(|pod| ready(pod)).map(name).collect();
        (pods.len() == 2 && work == [holder.clone()] && holder != not).then_some(holder)
    })
    .await
}

async fn elect_leads(world: &World, app: &str, image: &str, command: &str, probe: &str) {
    let objects = COPIED.replace("APP", app).replace("IMAGE", image);
    world.apply(&objects.replace("COMMAND", command).replace("PROBE", probe));
    let first = led(world, app, "").await;
    let said = world.kubectl(&["logs", &first]);
    assert!(said.contains("started leading"), "{said}");
    world.pods().delete(&first, &DeleteParams::default()).await.expect("it can be deleted");
    let second = led(world, app, &first).await;
    say(&format!("elect as process 1 of {image}: {first} → {second}"));
    for pod in world.pods_with(&format!("app={app}")).await {
        let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
        assert_eq!(statuses.iter().map(|status| status.restart_count).sum::<i32>(), 0);
    }
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes; and a release: make release"]
async fn elect_is_process_1_of_images_that_it_was_copied_into() {
    let test = "elect_is_process_1_of_images_that_it_was_copied_into";
    let Some(world) = World::new(test).await else { return };
    let Some(registry) = published(test) else { return world.finish().await };
    let copy = root().join("tests/nodes/copies.sh");
    let copies = run(Command::new(copy).arg(format!("{registry}/election-operator:{VERSION}")));
    let image = |kind: &str| copies.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix('='));

    let http = "httpGet: {path: /healthz, port: 8080}";
    let nothing = image("nothing").expect("it was made");
    elect_leads(&world, "nothing", nothing, "/kit, netexec, --http-port=8080", http).await;
    if let Some(debian) = image("debian") {
        // A shell that ends by the signal, with a child of its own.
        let shell =
            "/bin/dash, -c, 'touch /tmp/leads; trap \"rm /tmp/leads; exit 0\" TERM; sleep 99999 & wait'";
        let file = "exec: {command: [/bin/cat, /tmp/leads]}";
        elect_leads(&world, "debian", debian, shell, file).await;
    } else {
        say(&format!("{test}: skipped Debian: its packages cannot be had here"));
    }
    world.finish().await;
}

/// The folder of the last release: its program and its chart. If `test` must be skipped, prints why.
fn last_release(test: &str) -> Option<PathBuf> {
    let built = Command::new(root().join("tests/nodes/last.sh")).output().expect("last.sh can be started");
    let (out, errors) = (String::from_utf8_lossy(&built.stdout), String::from_utf8_lossy(&built.stderr));
    if built.status.code() == Some(3) {
        say(&format!("skipped {test}: {errors}"));
        return None;
    }
    assert!(built.status.success(), "{errors}");
    Some(PathBuf::from(out.trim()))
}

/// From the last release to this build, with a Service that selects by the label. Then from this build to
/// the same, with one that is routed.
#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn upgrade_moves_no_leader_and_loses_no_request() {
    let test = "upgrade_moves_no_leader_and_loses_no_request";
    if variable("KUBECONFIG").is_none() {
        return drop(World::new(test).await);
    }
    let Some(last) = last_release(test) else { return };
    let Some(world) = World::new(test).await else { return };
    world.cluster.install_other(&last.join("election-operator"), &last.join("chart"));
    let run = Run::start_in(world, test, LABELLED).await;
    let before = now();
    run.world.cluster.install();
    assert_eq!(run.losses_under_one_leader(before).await, 0, "from {}", last.display());
    let Run { world, traffic, .. } = run;
    traffic.end().await;

    let run = Run::start_in(world, test, ROUTED).await;
    let before = now();
    let upgraded = run.world.cluster.begin_upgrade().wait().expect("helm ends");
    assert!(upgraded.success(), "{upgraded}");
    assert_eq!(run.losses_under_one_leader(before).await, 0, "from this build");
    run.world.finish().await;
}
