//! `election-operator follow` in pods of a Managed group: the operator elects, and each pod knows its
//! role, by its own rights alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::process::Process;

use crate::harness::audit;
use crate::harness::{Operator, World, eventually};
use crate::nominations::Companion;

/// The program beside one pod, with the pod's bound token, and its role file.
struct Follower {
    _process: Process,
    files: [PathBuf; 2],
}

impl Follower {
    async fn start(world: &World, pod: &Companion) -> Self {
        let kubeconfig = pod.kubeconfig(world).await;
        let role = kubeconfig.with_extension("role");
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_election-operator")));
        command.args(["follow", "--lease-lock-name=orders", "--kubeconfig"]).arg(&kubeconfig);
        command.arg("--role-file").arg(&role).stdout(Stdio::null());
        command.env("POD_NAMESPACE", &world.namespace).env("POD_NAME", &pod.name).env("POD_UID", &pod.uid);
        Self { _process: Process::start(&mut command), files: [kubeconfig, role] }
    }

    async fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let role = std::fs::read(&self.files[1]).ok()?;
            serde_json::from_slice(&role).ok().filter(|role| wanted(role))
        })
        .await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn led_by(leader: &str, term: i64, is_self: bool) -> impl Fn(&Value) -> bool {
    move |role| {
        (role.text("/leader"), role.number("/term")) == (leader, term)
            && role["self"] == is_self
            && role["confirmed"] == is_self
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn each_pod_of_a_managed_group_knows_its_role_and_its_predecessor_s_is_not_its_own() {
    let world = World::new("follow-managed").await;
    Companion::grant(&world).await;
    let mark = audit::mark(&world.client).await;
    let (a, b) = (Companion::new(&world, "a").await, Companion::new(&world, "b").await);
    let _operator = Operator::start(&world).await;
    let (of_a, of_b) = (Follower::start(&world, &a).await, Follower::start(&world, &b).await);
    world.group("orders", json!({})).await;
    of_a.until("a is told that it leads", led_by("a", 1, true)).await;
    of_b.until("b is told that a leads", led_by("a", 1, false)).await;

    world.set_ready("a", false).await;
    of_b.until("b is told that it leads", led_by("b", 2, true)).await;
    of_a.until("a is told that b leads", led_by("b", 2, false)).await;

    // b comes back under its name, and is another pod.
    world.delete(Kind::Pod, "b").await;
    world.until(Kind::Pod, "b", "gone", Value::is_null).await;
    let next = Companion::new(&world, "b").await;
    let of_next = Follower::start(&world, &next).await;
    let leads = |role: &Value| role["confirmed"] == true && role.number("/term") > 2;
    let term = of_next.until("the new b is told that it leads", leads).await.number("/term");
    of_b.until("the old one is told that it does not", led_by("b", term, false)).await;

    let user = format!("system:serviceaccount:{}:orders", world.namespace);
    let requests = audit::requests_since(&world.client, mark).await;
    let mut sent: Vec<_> = requests.iter().filter(|request| request.user == user).collect();
    sent.retain(|request| !(["get", "watch"].contains(&&*request.verb) && request.resource == "leases"));
    assert!(sent.is_empty(), "it sends nothing but reads of the Lease: {sent:?}");
    world.finish().await;
}
