//! `election-operator watch`.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::running::{Running, binary};
use crate::server::{NAMESPACE, Server};

fn held(holder: &str, seconds: u32, renewed: u32) -> Value {
    json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        // A time long ago: `watch` must not compare it with its clock.
        "renewTime": format!("2001-01-01T00:00:{renewed:02}.000000Z"),
        "leaseTransitions": 3,
    })
}

fn watching(server: &Server, arguments: &[&str]) -> Running {
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    Running::start(&[&["watch", "--kubeconfig", kubeconfig], arguments].concat())
}

async fn next(watching: &mut Running) -> Value {
    let mut event: Value = serde_json::from_str(&watching.line().await.unwrap()).unwrap();
    let time = event["time"].take();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    event
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_of_holder_is_printed() {
    let server = Server::start().await;
    server.put("orders", held("a", 600, 1));
    let mut watching = watching(&server, &["--output", "json", "--namespace", NAMESPACE]);
    let first = next(&mut watching).await;
    assert_eq!(
        (&first["event"], &first["lease"], &first["holder"]),
        (&json!("held"), &json!("orders"), &json!("a"))
    );
    server.put("orders", held("a", 600, 2));
    server.put("orders", held("b", 600, 3));
    let second = next(&mut watching).await;
    assert_eq!((&second["holder"], &second["previous"]["holder"]), (&json!("b"), &json!("a")));
    assert_eq!(second["previous"]["atLeast"], json!(true));
    server.put("orders", held("", 1, 4));
    let third = next(&mut watching).await;
    assert_eq!((&third["event"], &third["holder"]), (&json!("released"), &json!("b")));
    watching.signal(Signal::TERM);
    assert_eq!(watching.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_nobody_renews_expires_without_any_event() {
    let server = Server::start().await;
    server.put("orders", held("a", 1, 1));
    let mut watching = watching(&server, &[]);
    watching.until("orders: held by a").await;
    watching.until("orders: expired, no renewal was seen in time; a held it for at least 1.").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_named_leases_are_followed() {
    let server = Server::start().await;
    server.put("orders", held("a", 600, 1));
    server.put("payments", held("b", 600, 1));
    for names in [&["payments", "missing"][..], &["payments"][..]] {
        let mut watching = watching(&server, names);
        watching.until("payments: held by b").await;
        if names.contains(&"missing") {
            watching.until("missing: does not exist").await;
        }
        assert!(!watching.printed.iter().any(|line| line.contains("orders")), "{:?}", watching.printed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_ends_where_the_leases_must_not_be_read_and_says_so_in_one_line() {
    let server = Server::start().await;
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    let mut command = binary(&["watch", "--kubeconfig", kubeconfig, "--namespace", "forbidden"]);
    command.stderr(Stdio::piped());
    let mut watching = Running::spawn(command);
    let told = watching.next_stderr().await;
    assert_eq!(told.as_deref(), Some("error: cannot watch the Leases of forbidden: Forbidden"));
    assert_eq!(watching.end().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_says_of_an_overloaded_server_that_it_tries_again() {
    let server = Server::start().await;
    server.set_overloaded();
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    let mut command = binary(&["watch", "--kubeconfig", kubeconfig, "--namespace", "busy"]);
    command.stderr(Stdio::piped());
    let mut watching = Running::spawn(command);
    watching.until_stderr("too busy; trying again").await;
    watching.signal(Signal::TERM);
    assert_eq!(watching.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_ends_when_its_output_has_no_reader_any_more() {
    let server = Server::start().await;
    server.put("orders", held("a", 600, 1));
    let mut watching = watching(&server, &[]);
    watching.until("held by a").await;
    watching.stop_reading();
    server.put("orders", held("b", 600, 2));
    assert_eq!(watching.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_died_without_a_word_is_no_expiry() {
    let server = Server::start().await;
    server.put("orders", held("a", 1, 1));
    let mut watching = watching(&server, &[]);
    watching.until("orders: held by a").await;
    server.deafen().await;
    server.put("orders", held("a", 600, 2));
    server.put("payments", held("c", 600, 1));
    // `watch` listed again when the first second was over, and goes on from there.
    watching.until("payments: held by c").await;
    server.put("orders", held("b", 600, 3));
    watching.until("orders: held by b, transition 3; a held it for at least ").await;
    assert!(!watching.printed.iter().any(|line| line.contains("expired")), "{:?}", watching.printed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_expires_though_the_server_does_not_answer_any_more() {
    let server = Server::start().await;
    server.put("orders", held("a", 1, 1));
    let mut watching = watching(&server, &[]);
    watching.until("orders: held by a").await;
    server.set_silent(true);
    watching.until("orders: expired").await;
}
