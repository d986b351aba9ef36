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

use running::Running;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_tells_the_holder_by_name() {
    let server = Server::start().await;
    server.put("orders", serde_json::json!({ "holderIdentity": "orders-0" }));
    let mut command = example("leases");
    command.args([NAMESPACE, "orders"]).env("KUBECONFIG", &server.kubeconfig);
    Running::spawn(command).until("orders-0").await;
}
