//! `election-operator elect --nominated` on the real API server, with no more rights than it needs.
//! The test writes what the operator writes.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use testkit::json::At;
use testkit::kind::Kind;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{World, eventually};
use crate::nominations::{Companion, Scene, notes};

/// The companion of a pod, with the pod's own token. It says in which term its command starts.
fn companion(world: &World, pod: &Companion, kubeconfig: &Path) -> Child {
    let script = "trap 'exit 0' TERM; echo $ELECT_TERM; while :; do sleep 0.05; done";
    let mut command = Command::new(env!("CARGO_BIN_EXE_election-operator"));
    command.args(["elect", "--nominated", "--lease-lock-name=orders", "--kubeconfig"]).arg(kubeconfig);
    command.args(["--", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.env("POD_NAME", &pod.name).env("POD_UID", &pod.uid).env("POD_NAMESPACE", &world.namespace);
    command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts")
}

/// Until it has this holder, and no nominee any more.
async fn until_held_by(world: &World, holder: &str) -> Value {
    eventually("the holder", async || {
        let lease = world.get(Kind::Lease, "orders").await?;
        let is_named = !lease.text("/metadata/annotations/election-operator.io~1nominee").is_empty();
        (!is_named && lease.text("/spec/holderIdentity") == holder).then_some(lease)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_companion_takes_renews_and_releases_with_its_rights_on_one_lease() {
    let scene = Scene::new("companion").await;
    let Scene { world, operator, a, b, .. } = &scene;
    let kubeconfigs = [a.kubeconfig(world).await, b.kubeconfig(world).await];
    let mut companions = [companion(world, a, &kubeconfigs[0]), companion(world, b, &kubeconfigs[1])];
    let mut lines = companions.each_mut().map(|pod| BufReader::new(pod.stdout.take().unwrap()).lines());
    for (term, holder) in [(2, 0), (3, 1), (4, 1), (5, 0)] {
        let pod = [a, b][holder];
        scene.allowed(operator, notes(&pod.nominee(), "15", &term.to_string())).await;
        let lease = until_held_by(world, &pod.holder()).await;
        assert_eq!(lease.number("/spec/leaseTransitions"), term - 1);
        assert_eq!(lines[holder].next_line().await.unwrap(), Some(term.to_string()));
        let renewed = lease.text("/spec/renewTime").to_owned();
        eventually("a renewal", async || {
            let lease = world.get(Kind::Lease, "orders").await?;
            (lease.text("/spec/renewTime") > renewed.as_str()).then_some(())
        })
        .await;
    }
    for mut pod in companions {
        let id = pod.id().expect("it runs").to_string();
        std::process::Command::new("kill").arg(&id).status().expect("it can be signalled");
        let mut said = String::new();
        pod.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert!(pod.wait().await.unwrap().success(), "{said}");
        assert!(!said.contains("forbidden") && !said.contains("refuses"), "{said}");
    }
    until_held_by(world, "").await;
    for file in &kubeconfigs {
        std::fs::remove_file(file).unwrap();
    }
    scene.world.finish().await;
}
