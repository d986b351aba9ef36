//! The examples, as programs. `cargo test` builds them. For this test alone, run `cargo build
//! --examples` first.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a test may, and it uses a part of what the tests of elect have"
)]

#[path = "elect/running.rs"]
mod running;
#[path = "elect/server.rs"]
mod server;

use rustix::process::Signal;
use tokio::process::Command;

use running::{Running, eventually};
use server::{NAMESPACE, Server};

fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().with_file_name("examples").join(name);
    assert!(path.exists(), "{} is not there: cargo build --examples", path.display());
    let mut command = Command::new(path);
    command.kill_on_drop(true).env_remove("POD_NAME");
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elect_works_while_it_leads_and_gives_the_lease_back_at_sigterm() {
    let server = Server::start().await;
    let mut command = example("elect");
    command.args([NAMESPACE, "orders", "127.0.0.1:0"]).env("KUBECONFIG", &server.kubeconfig);
    let mut elect = Running::spawn(command);
    elect.until("leading, term 0").await;
    elect.until("worked").await;
    elect.signal(Signal::TERM);
    elect.until("given back").await;
    assert_eq!(elect.end().await, 0);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

/// The arguments in `examples/elect.yaml`, as the kubelet gives them to a container in `NAMESPACE`.
fn arguments_of_the_deployment() -> (u64, Vec<String>) {
    let text = include_str!("../examples/elect.yaml");
    let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).unwrap();
    let spec = &documents[0]["spec"];
    let container = &spec["template"]["spec"]["containers"][0];
    let arguments = container["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap());
    let arguments = arguments.map(|argument| argument.replace("$(POD_NAMESPACE)", NAMESPACE)).collect();
    (spec["replicas"].as_u64().unwrap(), arguments)
}

/// Replicas on one host cannot listen on one port.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_replicas_of_elect_s_deployment_one_works_and_after_it_another() {
    let server = Server::start().await;
    let (replicas, arguments) = arguments_of_the_deployment();
    assert_eq!(replicas, 3);
    let [namespace, lease, address] = &arguments[..] else { panic!("{arguments:?}") };
    assert_eq!(address.parse::<std::net::SocketAddr>().unwrap().port(), 8080, "the port of the probe");
    let mut pods: Vec<_> = (0..replicas)
        .map(|number| {
            let mut command = example("elect");
            command.args([namespace, lease, "127.0.0.1:0"]).env("KUBECONFIG", &server.kubeconfig);
            command.env("POD_NAME", format!("elect-{number}"));
            Running::spawn(command)
        })
        .collect();
    let holder = || {
        let last = server.writes().pop().map(|write| write.holder);
        last.filter(|holder| !holder.is_empty())
    };
    let first_holder = eventually("one holds the Lease", holder).await;
    let leader = usize::from(first_holder.as_bytes().last().unwrap() - b'0');
    let mut first = pods.remove(leader);
    first.until("worked").await;
    first.signal(Signal::TERM);
    assert_eq!(first.end().await, 0);
    assert_ne!(eventually("another holds the Lease", holder).await, first_holder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_tells_the_holder_by_name() {
    let server = Server::start().await;
    server.put("orders", serde_json::json!({ "holderIdentity": "orders-0" }));
    let mut command = example("leases");
    command.args([NAMESPACE, "orders"]).env("KUBECONFIG", &server.kubeconfig);
    Running::spawn(command).until("orders-0").await;
}
