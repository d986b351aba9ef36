//! `election-operator run`, as far as no real API server is needed: how it ends, and what it says
//! of an overloaded API server.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::json;

use crate::running::{Reader, Running, binary, eventually};
use crate::server::{NAMESPACE, Server};

/// With these timings, requests about the operator's own Lease wait longer than any test.
const PATIENT: [&str; 2] = ["--leader-elect-lease-duration=1000s", "--leader-elect-renew-deadline=900s"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_the_operator_at_once() {
    let server = Server::start().await;
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    let usual = ["run", "--namespace", NAMESPACE, "--kubeconfig", kubeconfig, "--http-addr", "127.0.0.1:0"];
    for second in [Signal::TERM, Signal::INT] {
        let mut command = binary(&[&usual[..], &PATIENT].concat());
        command.stderr(Stdio::piped());
        let mut operator = Running::spawn(command);
        operator.until_stderr("this operator is the active one now").await;
        // From here on the operator cannot release its Lease.
        server.set_silent(true);
        operator.signal(Signal::TERM);
        operator.until_stderr("a second signal ends at once").await;
        assert_eq!(operator.end_by(second).await, 130);
        operator.until_stderr("second signal: ending at once").await;
        server.set_silent(false);
        server.put("election-operator", json!({}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_an_overloaded_server_refuses_is_not_tried_again_unseen() {
    let server = Server::start().await;
    server.set_overloaded();
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    let usual = ["run", "--namespace", NAMESPACE, "--kubeconfig", kubeconfig, "--http-addr", "127.0.0.1:0"];
    let mut command = binary(&usual);
    command.stderr(Stdio::piped());
    let mut operator = Running::spawn(command);
    operator.until_stderr("too busy").await;
    operator.signal(Signal::TERM);
    assert_eq!(operator.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_says_once_why_it_cannot_start_whatever_is_logged() {
    for logged in ["info", "off", "inof"] {
        let mut command = binary(&["run", "--kubeconfig", "/there/is/none"]);
        let output = command.env("RUST_LOG", logged).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.matches("cannot read /there/is/none: ").count(), 1, "{logged}: {said}");
        assert_eq!(output.status.code(), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_goes_on_and_ends_well_without_a_reader_of_its_log() {
    let usual = ["run", "--namespace", NAMESPACE, "--http-addr", "127.0.0.1:0", "--kubeconfig"];
    for reader in [Reader::Gone, Reader::Asleep] {
        let server = Server::start().await;
        let mut command = binary(&[&usual[..], &[server.kubeconfig.to_str().unwrap()]].concat());
        let (write_end, _held) = reader.pipe();
        command.stderr(write_end);
        let mut operator = Running::spawn_as_it_is(command);
        eventually("its own Lease", || (!server.writes().is_empty()).then_some(())).await;
        operator.signal(Signal::TERM);
        assert_eq!(operator.end().await, 0, "{reader:?}");
        assert_eq!(server.writes().last().unwrap().holder, "", "{reader:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_gives_its_lease_back_at_every_signal_to_end() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let server = Server::start().await;
        let kubeconfig = server.kubeconfig.to_str().unwrap();
        let mut operator = Running::start(&[
            "run",
            "--namespace",
            NAMESPACE,
            "--kubeconfig",
            kubeconfig,
            "--http-addr",
            "127.0.0.1:0",
        ]);
        eventually("its own Lease", || (!server.writes().is_empty()).then_some(())).await;
        operator.signal(signal);
        assert_eq!(operator.end().await, 0, "{signal:?}");
        assert_eq!(server.writes().last().unwrap().holder, "", "{signal:?}");
    }
}
