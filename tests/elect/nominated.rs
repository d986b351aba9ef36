//! `election-operator elect --nominated`: the companion of a pod whose group has `mode: Nominated`.
//! The tests write what the operator writes.

mod socket;

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::json::At;
use tokio::process::Command;

use crate::http::ask;
use crate::running::{Running, binary, eventually, is_alive, pid_in, send, send_if_alive};
use crate::server::{NAMESPACE, Server};

const POLITE: &str =
    "trap 'echo ending; exit 5' TERM; echo started $$ in term $ELECT_TERM; while :; do sleep 0.05; done";
const STUBBORN: &str = "trap 'echo ignored' TERM; echo started $$; while :; do sleep 0.05; done";

/// A pod. Its UID is its own among all tests: the containers of this machine share the names of
/// sockets.
#[derive(Clone, Debug)]
struct Pod {
    name: &'static str,
    uid: String,
}

impl Pod {
    fn new(name: &'static str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let uid = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { name, uid }
    }

    fn identity(&self) -> String {
        format!("{}_{}", self.name, self.uid)
    }

    fn nominee(&self) -> String {
        format!("{}/{}", self.name, self.uid)
    }

    /// A companion of this pod, as its container starts it.
    fn command(&self, server: &Server, flags: &[&str], script: &str) -> Command {
        let kubeconfig = server.kubeconfig.to_str().unwrap();
        let usual = ["elect", "--nominated", "--lease-lock-name=orders", "--kubeconfig", kubeconfig];
        let mut command = binary(&[&usual[..], flags, &["--", "sh", "-c", script]].concat());
        command.env("POD_NAME", self.name).env("POD_UID", &self.uid).env("POD_NAMESPACE", NAMESPACE);
        command.stderr(Stdio::piped());
        command
    }

    fn start(&self, server: &Server, script: &str) -> Running {
        Running::spawn(self.command(server, &[], script))
    }
}

/// The operator creates the Lease.
fn create(server: &Server) {
    server.put("orders", json!({}));
    annotate(server, "", 0, 15);
}

fn annotate(server: &Server, nominee: &str, term: u64, duration: u32) {
    server.edit("orders", |lease| {
        lease["metadata"]["annotations"] = json!({
            "election-operator.io/nominee": nominee,
            "election-operator.io/term": term.to_string(),
            "election-operator.io/duration": duration.to_string(),
        });
    });
}

/// The operator names the next holder.
fn nominate(server: &Server, pod: &Pod, term: u64) {
    annotate(server, &pod.nominee(), term, 15);
}

fn holder(lease: &Value) -> &str {
    lease.text("/spec/holderIdentity")
}

fn nominee(lease: &Value) -> &str {
    lease.text("/metadata/annotations/election-operator.io~1nominee")
}

async fn until_held_by(server: &Server, expected: &str) {
    let what = format!("the holder {expected:?}");
    eventually(&what, || (holder(&server.lease("orders")) == expected).then_some(())).await;
}

/// How many different renewals the Lease has seen while this pod held it and was asked to end.
fn renewals_while_revoked(server: &Server, pod: &Pod) -> usize {
    let is_it = |lease: &Value| holder(lease) == pod.identity() && !nominee(lease).is_empty();
    let mut times: Vec<_> = server.writes().iter().map(|write| write.lease.clone()).filter(is_it).collect();
    times.dedup_by_key(|lease| lease.text("/spec/renewTime").to_owned());
    times.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_companion_says_in_one_line_what_it_misses_and_which_flags_exclude_each_other() {
    let pod = [("POD_NAME", "orders-1"), ("POD_UID", "u1"), ("POD_NAMESPACE", "shop")];
    let usual = ["elect", "--nominated", "--lease-lock-name=orders"];
    let worker = ["--", "worker"];
    let cases: [(&[&str], &[&str], &str); 12] = [
        (&worker, &["POD_NAME"], "POD_NAME is not set; set it with fieldRef metadata.name"),
        (&worker, &["POD_UID"], "POD_UID is not set; set it with fieldRef metadata.uid"),
        (&worker, &["POD_NAMESPACE"], "--lease-lock-namespace"),
        (&[], &[], "COMMAND"),
        (&["--id", "me", "--", "worker"], &[], "--id"),
        (&["--id", "", "--", "worker"], &[], "--id"),
        (&["--lease-duration", "15s", "--", "worker"], &[], "--lease-duration"),
        (&["--renew-deadline", "10s", "--", "worker"], &[], "--renew-deadline"),
        (&["--retry-period", "2s", "--", "worker"], &[], "--retry-period"),
        (&["--release-on-cancel=false", "--", "worker"], &[], "--release-on-cancel"),
        (&["--restart", "--", "worker"], &[], "--restart"),
        (&["--linger", "1s", "--", "worker"], &[], "--linger"),
    ];
    for (arguments, without, named) in cases {
        let mut command = binary(&[&usual, arguments].concat());
        command.envs(pod.iter().filter(|(name, _)| !without.contains(name)).copied());
        let output = command.output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(named), "{arguments:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_runs_when_the_pod_is_nominated_and_not_before() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    annotate(&server, "orders-2/other", 6, 15);
    let told = "echo $ELECT_IDENTITY $ELECT_LEASE $ELECT_TERM";
    let mut elect = pod.start(&server, told);
    // It reads the Lease, and watches it.
    eventually("its watch", || (server.requests() >= 2).then_some(())).await;
    annotate(&server, &pod.nominee(), 7, 60);
    assert_eq!(elect.line().await.unwrap(), format!("{} shop/orders 7", pod.identity()));
    elect.until_stderr("started leading: term 7").await;
    let writes = server.writes();
    let taken = &writes.iter().find(|write| !write.holder.is_empty()).unwrap().lease;
    assert_eq!((holder(taken), nominee(taken)), (pod.identity().as_str(), ""));
    assert_eq!(taken["spec"]["leaseDurationSeconds"], 60);
    assert_eq!(taken["spec"]["leaseTransitions"], 1);
    assert_eq!(elect.end().await, 0);
    assert_eq!(holder(&server.lease("orders")), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_command_releases_the_lease_and_its_exit_code_is_passed_on() {
    for (script, code) in [("exit 0", 0), ("exit 9", 9), ("kill -9 $$", 137)] {
        let (server, pod) = (Server::start().await, Pod::new("orders-1"));
        create(&server);
        nominate(&server, &pod, 7);
        assert_eq!(pod.start(&server, script).end().await, code, "{script}");
        let (lease, taken) = (server.lease("orders"), server.writes());
        assert_eq!((holder(&lease), nominee(&lease)), ("", ""), "{script}");
        let taken = &taken.iter().rfind(|write| !write.holder.is_empty()).unwrap().lease;
        let mut expected = taken["spec"].clone();
        expected["holderIdentity"] = json!("");
        assert_eq!(lease["spec"], expected, "a release touches the holder only");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_not_nominated_in_is_told_once_and_waited_for() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    let mut elect = pod.start(&server, POLITE);
    elect.until_stderr("the Lease shop/orders is not one of mode Nominated: it does not exist").await;
    server.put("orders", json!({}));
    elect.until_stderr("the Lease shop/orders is not one of mode Nominated: it has no nominee").await;
    server.put("orders", json!({ "leaseTransitions": 3 }));
    nominate(&server, &pod, 1);
    let mut told = Vec::new();
    while !told.iter().any(|line: &String| line.contains("started leading")) {
        told.push(elect.next_stderr().await.unwrap());
    }
    assert!(!told.iter().any(|line| line.contains("mode Nominated")), "{told:?}");
    elect.until("in term 1").await;
}

/// The switch: the old holder keeps and renews the Lease until its command has ended, however long
/// that takes. Then the new one takes it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_companion_renews_while_its_command_ignores_sigterm() {
    let (server, old, new) = (Server::start().await, Pod::new("orders-1"), Pod::new("orders-2"));
    create(&server);
    annotate(&server, &old.nominee(), 7, 3);
    let mut first = old.start(&server, STUBBORN);
    let command = pid_in(&first.until("started").await);
    let mut second = new.start(&server, POLITE);
    second.until_stderr("new leader: orders-1_").await;
    server.track(command);
    nominate(&server, &new, 8);
    first.until("ignored").await;
    eventually("renewals", || (renewals_while_revoked(&server, &old) > 4).then_some(())).await;
    assert!(is_alive(command), "its Lease of 3 s was renewed for longer");
    send(command, Signal::KILL);
    second.until("in term 8").await;
    let writes = server.writes();
    let is_release = |lease: &Value| nominee(lease) == new.nominee() && holder(lease).is_empty();
    let released = writes.iter().find(|write| is_release(&write.lease)).unwrap();
    assert!(!released.tracked_was_alive, "it was released after the end of the command");
    first.until_stderr("stopped leading: revoked").await;
    first.signal(Signal::TERM);
    assert_eq!(first.end().await, 0, "it was a candidate again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_named_again_begins_a_new_term() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    let mut elect = pod.start(&server, POLITE);
    let command = elect.until("in term 7").await;
    nominate(&server, &pod, 8);
    elect.until("ending").await;
    let again = elect.until("in term 8").await;
    assert_ne!(command, again);
    assert_eq!(server.lease("orders")["spec"]["leaseTransitions"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_companion_s_successor_gives_the_lease_back_and_gets_a_term_of_its_own() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    let mut elect = pod.start(&server, STUBBORN);
    let command = pid_in(&elect.until("started").await);
    server.track(command);
    elect.signal(Signal::KILL);
    assert_eq!(elect.end().await, 137);
    let mut again = pod.start(&server, POLITE);
    until_held_by(&server, "").await;
    assert!(!server.writes().last().unwrap().tracked_was_alive, "the old command had ended before");
    nominate(&server, &pod, 8);
    again.until("in term 8").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_command_runs_on_a_take_whose_answer_was_lost() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    let mut elect = pod.start(&server, POLITE);
    eventually("its watch", || (server.requests() >= 2).then_some(())).await;
    server.lose_the_next_answer();
    nominate(&server, &pod, 7);
    until_held_by(&server, &pod.identity()).await;
    until_held_by(&server, "").await;
    assert_eq!(nominee(&server.lease("orders")), "");
    nominate(&server, &pod, 8);
    let started = elect.line().await.unwrap();
    assert!(started.ends_with("in term 8"), "{started}: nothing was started before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_lease_ends_the_command_and_the_new_one_is_taken_when_it_says_so() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    let mut elect = pod.start(&server, POLITE);
    elect.until("in term 7").await;
    server.delete("orders");
    elect.until("ending").await;
    elect.until_stderr("stopped leading: deleted").await;
    assert_eq!(server.lease("orders"), Value::Null);
    create(&server);
    nominate(&server, &pod, 8);
    elect.until("in term 8").await;
}

/// The address of the HTTP server of a companion.
async fn address(elect: &mut Running) -> std::net::SocketAddr {
    loop {
        let line: Value = serde_json::from_str(&elect.next_stderr().await.unwrap()).unwrap();
        if let Some(address) = line["http_addr"].as_str() {
            return address.parse().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_cleared_though_it_was_renewed_in_time_is_warned_of() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    let mut elect = pod.start(&server, POLITE);
    elect.until("in term 7").await;
    server.edit("orders", |lease| lease["spec"]["holderIdentity"] = json!(""));
    elect.until_stderr("more than 1 % too fast").await;
    elect.until_stderr("stopped leading: usurped").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_companion_of_a_pod_waits_without_a_look_at_the_lease_and_says_so() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    let mut first = pod.start(&server, POLITE);
    first.until("in term 7").await;
    let held = server.lease("orders");
    let flags = ["--http-addr", "127.0.0.1:0", "--output", "json"];
    let mut second = Running::spawn(pod.command(&server, &flags, POLITE));
    let address = address(&mut second).await;
    second.until_stderr("duplicate_identity").await;
    let (code, body) = ask(address, "/healthz").await;
    assert_eq!((code, body.starts_with("duplicate_identity")), (500, true), "{body}");
    assert_eq!(holder(&server.lease("orders")), holder(&held));
    first.signal(Signal::TERM);
    assert_eq!(first.end().await, 5);
    until_held_by(&server, "").await;
    nominate(&server, &pod, 8);
    second.until("in term 8").await;
    assert_eq!(ask(address, "/healthz").await.0, 200);
    let leader: Value = serde_json::from_str(&ask(address, "/leader").await.1).unwrap();
    assert_eq!((&leader["self"], &leader["term"]), (&json!(true), &json!(8)));
    assert_eq!(server.lease("orders")["spec"]["leaseTransitions"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_companion_that_waits_sends_no_request_and_ends_when_it_is_asked_to() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    let mut first = pod.start(&server, POLITE);
    // A pod that is not nominated reads the Lease, and then waits by its watch.
    eventually("its watch", || (server.requests() >= 2).then_some(())).await;
    // The second one has an API server of its own, which counts its requests.
    let other = Server::start().await;
    let mut second = Running::spawn(pod.command(&other, &[], POLITE));
    second.until_stderr("duplicate_identity").await;
    second.signal(Signal::TERM);
    assert_eq!(second.end().await, 0);
    assert_eq!(other.requests(), 0);
    first.signal(Signal::TERM);
    assert_eq!(first.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_gives_the_lease_back_only_when_the_stopped_guard_has_killed_the_command() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    let script = "echo guard $PPID; trap '' TERM; echo started $$; while :; do sleep 0.05; done";
    let mut elect = pod.start(&server, script);
    let guard = pid_in(&elect.until("guard").await);
    let command = pid_in(&elect.until("started").await);
    send(guard, Signal::STOP);
    elect.signal(Signal::KILL);
    assert_eq!(elect.end().await, 137);
    // Where the parent of a stopped process group dies, the kernel resumes the group. So the guard may
    // be at work already.
    let _again = pod.start(&server, POLITE);
    send_if_alive(guard, Signal::CONT);
    until_held_by(&server, "").await;
    assert!(!is_alive(command), "the Lease is given back while the command runs");
}

/// Companion and guard are killed. The command dies with its guard, a process that it started does
/// not, and nothing is left to guard it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_waits_for_a_process_that_outlived_its_guard() {
    let (server, pod) = (Server::start().await, Pod::new("orders-1"));
    create(&server);
    nominate(&server, &pod, 7);
    let script = "echo guard $PPID; sleep 600 & echo started $!; wait";
    let mut elect = pod.start(&server, script);
    let guard = pid_in(&elect.until("guard").await);
    let worker = pid_in(&elect.until("started").await);
    elect.signal(Signal::STOP);
    send(guard, Signal::KILL);
    elect.signal(Signal::KILL);
    assert_eq!(elect.end().await, 137);
    let mut again = pod.start(&server, POLITE);
    again.until_stderr("duplicate_identity").await;
    assert!(is_alive(worker));
    assert_eq!(holder(&server.lease("orders")), pod.identity());
    send(worker, Signal::KILL);
    until_held_by(&server, "").await;
}
