//! `election-operator elect --nominated` on the real API server, with no more rights than it needs.
//! The test writes what the operator writes.

use std::process::Stdio;

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::harness::{World, eventually};
use crate::permissions::Account;

/// The rights that docs/elect.md names.
fn rights() -> [Value; 1] {
    [json!({
        "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["orders"],
        "verbs": ["get", "watch", "update"],
    })]
}

/// A companion of pod `name`, whose UID is `uid`. It says in which term its command starts.
fn companion(world: &World, account: &Account<'_>, name: &str, uid: &str) -> Child {
    let script = "trap 'exit 0' TERM; echo $ELECT_TERM; while :; do sleep 0.05; done";
    let mut command = Command::new(env!("CARGO_BIN_EXE_election-operator"));
    command
        .args(["elect", "--nominated", "--lease-lock-name=orders", "--kubeconfig"])
        .arg(&account.kubeconfig);
    command.args(["--", "sh", "-c", script]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.env("POD_NAME", name).env("POD_UID", uid).env("POD_NAMESPACE", &world.namespace);
    command.stderr(Stdio::piped()).kill_on_drop(true).spawn().expect("it starts")
}

async fn nominate(world: &World, nominee: &str, term: u64) {
    let annotations = json!({
        "election-operator.io/nominee": nominee,
        "election-operator.io/term": term.to_string(),
        "election-operator.io/duration": "15",
    });
    world.patch(Kind::Lease, "orders", json!({ "metadata": { "annotations": annotations } })).await;
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
async fn a_companion_takes_renews_and_releases_with_three_verbs_on_one_lease() {
    let world = World::new("companion").await;
    let account = Account::with(&world, &rights()).await;
    world.create(Kind::Lease, json!({ "metadata": { "name": "orders" } })).await;
    nominate(&world, "", 0).await;
    let [uid_a, uid_b] = ["a", "b"].map(|pod| format!("{}-{pod}", world.namespace));
    let mut a = companion(&world, &account, "a", &uid_a);
    let mut b = companion(&world, &account, "b", &uid_b);
    let mut lines = [&mut a, &mut b].map(|pod| BufReader::new(pod.stdout.take().unwrap()).lines());
    for (term, holder) in [(1, 0), (2, 1), (3, 1), (4, 0)] {
        let (pod, uid) = [("a", &uid_a), ("b", &uid_b)][holder];
        nominate(&world, &format!("{pod}/{uid}"), term).await;
        let lease = until_held_by(&world, &format!("{pod}_{uid}")).await;
        assert_eq!(lease.number("/spec/leaseTransitions"), i64::try_from(term).unwrap());
        let started = lines[holder].next_line().await.unwrap();
        assert_eq!(started, Some(term.to_string()));
        let renewed = lease.text("/spec/renewTime").to_owned();
        eventually("a renewal", async || {
            let lease = world.get(Kind::Lease, "orders").await?;
            (lease.text("/spec/renewTime") > renewed.as_str()).then_some(())
        })
        .await;
    }
    for mut pod in [a, b] {
        let id = pod.id().expect("it runs").to_string();
        std::process::Command::new("kill").arg(&id).status().expect("it can be signalled");
        let mut said = String::new();
        pod.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        assert!(pod.wait().await.unwrap().success(), "{said}");
        assert!(!said.contains("forbidden") && !said.contains("refuses"), "{said}");
    }
    until_held_by(&world, "").await;
    drop(account);
    world.finish().await;
}
