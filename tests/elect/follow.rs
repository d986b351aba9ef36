//! `election-operator follow`: what it tells, and what runs while its pod leads.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::http::ask;
use crate::running::{PATIENCE, Running, binary, eventually, is_alive, pid_in, until_dead};
use crate::server::{NAMESPACE, Server};

/// A script that ends at SIGTERM, and says so.
const POLITE: &str =
    "trap 'echo ending; exit 0' TERM; echo started $ELECT_TERM $$; while :; do sleep 0.05; done";
const STUBBORN: &str = "trap '' TERM; echo started $$; while :; do sleep 0.05; done";

/// `follow` of the Lease `orders`, as pod `orders-1` with the UID `u1`.
fn command(server: &Server, arguments: &[&str]) -> tokio::process::Command {
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    let usual = ["follow", "--lease-lock-name", "orders", "--kubeconfig", kubeconfig];
    let mut command = binary(&[&usual[..], arguments].concat());
    command.env("POD_NAMESPACE", NAMESPACE).env("POD_NAME", "orders-1").env("POD_UID", "u1");
    command
}

fn follow(server: &Server, arguments: &[&str]) -> Running {
    Running::spawn(command(server, arguments))
}

fn spec(holder: &str, seconds: u32, renewal: u32) -> Value {
    json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "renewTime": format!("2001-01-01T00:00:{renewal:02}.000000Z"),
        "leaseTransitions": 6,
    })
}

/// The operator names the leader of a Managed group.
fn lead(server: &Server, pod: &str, uid: &str, term: u32, seconds: u32) {
    let notes =
        json!({ "election-operator.io/term": term.to_string(), "election-operator.io/holder-uid": uid });
    server.put_whole("orders", notes, spec(pod, seconds, term));
}

/// An empty folder of this test, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn role_in(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

async fn until_role(file: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, || Some(role_in(file)).filter(|role| wanted(role))).await
}

/// The clock that counts suspend, as an application reads it.
fn boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap() * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_follows_its_role_in_each_mode_and_writes_nothing() {
    let nominated = |nominee: &str| {
        json!({ "election-operator.io/nominee": nominee, "election-operator.io/term": "3",
                "election-operator.io/duration": "60" })
    };
    let managed =
        |uid: &str| json!({ "election-operator.io/term": "3", "election-operator.io/holder-uid": uid });
    let modes = [
        ("Managed", 3, managed("u0"), "orders-1", managed("u1"), "orders-1", managed("u2"), "orders-2"),
        ("Observed", 6, json!({}), "orders-10", json!({}), "orders-1_4711", json!({}), "orders-2_8"),
        (
            "Nominated",
            3,
            nominated("orders-1/u1"),
            "",
            nominated(""),
            "orders-1_u1",
            nominated("orders-2/u2"),
            "orders-1_u1",
        ),
    ];
    for (mode, term, before, other, mine, me, after, last) in modes {
        let (server, folder) = (Server::start().await, Folder::new(&format!("follow-{mode}")));
        let file = folder.file("role.json");
        server.put_whole("orders", before, spec(other, 60, 1));
        let mut follow = follow(&server, &["--role-file", &file]);
        follow.until("leader").await;
        assert_eq!(role_in(&file)["self"], json!(false), "{mode}");
        server.put_whole("orders", mine, spec(me, 60, 2));
        follow.until(&format!("started leading: term {term}")).await;
        let role = until_role(&file, "a leader", |role| role["role"] == "leader").await;
        let (until, now) = (role["until_boottime_ns"].as_u64().unwrap(), boot());
        assert!(until > now && until <= now + 58_800_000_000, "{mode}: {role} at {now}");
        assert_eq!(
            (&role["leader"], &role["term"], &role["self"], &role["confirmed"]),
            (&json!("orders-1"), &json!(term), &json!(true), &json!(true)),
            "{mode}"
        );
        server.put_whole("orders", after, spec(last, 60, 3));
        follow.until("stopped leading: moved").await;
        let role = until_role(&file, "a follower", |role| role["role"] == "follower").await;
        assert_eq!((&role["self"], &role["until_boottime_ns"]), (&json!(false), &json!(0)), "{mode}");
        follow.signal(Signal::TERM);
        assert_eq!(follow.end().await, 0);
        assert_eq!(server.writes().len(), 3, "{mode}: only this test has written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_is_confirmed_again_and_again() {
    let (server, folder) = (Server::start().await, Folder::new("follow-confirmed"));
    let file = folder.file("role.json");
    lead(&server, "orders-1", "u1", 3, 1);
    let mut follow = follow(&server, &["--role-file", &file]);
    follow.until("started leading").await;
    let mut last = 0;
    for _ in 0..4 {
        let role =
            until_role(&file, "a later moment", |role| role["until_boottime_ns"].as_u64().unwrap() > last)
                .await;
        last = role["until_boottime_ns"].as_u64().unwrap();
    }
    // Whoever ends tells so.
    follow.signal(Signal::TERM);
    follow.until("stopped leading: stopped").await;
    assert_eq!(follow.end().await, 0);
    assert_eq!(role_in(&file)["role"], "follower");
    assert!(!Path::new(&format!("{file}.part")).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_runs_while_the_pod_leads_and_anew_in_each_term() {
    let server = Server::start().await;
    let mut follow = follow(&server, &["--", "sh", "-c", POLITE]);
    lead(&server, "orders-1", "u1", 3, 60);
    let first = pid_in(&follow.until("started 3 ").await);
    lead(&server, "orders-2", "u2", 4, 60);
    follow.until("ending").await;
    until_dead(first).await;
    lead(&server, "orders-1", "u1", 5, 60);
    let second = pid_in(&follow.until("started 5 ").await);
    // A term in between that was not seen, or not yet.
    lead(&server, "orders-1", "u1", 7, 60);
    follow.until("ending").await;
    until_dead(second).await;
    let third = pid_in(&follow.until("started 7 ").await);
    follow.signal(Signal::TERM);
    follow.until("ending").await;
    assert_eq!(follow.end().await, 0);
    assert!(!is_alive(third));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ends_by_itself_ends_all_with_its_code() {
    let server = Server::start().await;
    lead(&server, "orders-1", "u1", 3, 60);
    let mut follow =
        follow(&server, &["--", "sh", "-c", "echo $ELECT_IDENTITY $ELECT_LEASE $ELECT_TERM; exit 9"]);
    assert_eq!(follow.line().await.unwrap(), "orders-1 shop/orders 3");
    assert_eq!(follow.end().await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_pod_is_cut_off_is_gone_when_its_last_moment_comes() {
    let server = Server::start().await;
    lead(&server, "orders-1", "u1", 3, 2);
    let mut command = command(&server, &["--", "sh", "-c", STUBBORN]);
    command.stderr(std::process::Stdio::piped());
    let mut follow = Running::spawn(command);
    let pid = pid_in(&follow.until("started").await);
    server.set_silent(true);
    // Nobody tells it anything. The guard's own clock kills it, in spite of its trap.
    until_dead(pid).await;
    follow.until_stderr("stopped leading: unconfirmed").await;
    server.set_silent(false);
    follow.until("started").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_doubt_a_command_goes_on_if_it_shall_and_the_file_says_that_nothing_is_confirmed() {
    let (server, folder) = (Server::start().await, Folder::new("follow-doubt"));
    let file = folder.file("role.json");
    lead(&server, "orders-1", "u1", 3, 1);
    let flags = ["--role-file", &file, "--on-doubt", "continue"];
    let mut follow = follow(&server, &[&flags[..], &["--", "sh", "-c", POLITE]].concat());
    let pid = pid_in(&follow.until("started").await);
    server.set_silent(true);
    let role = until_role(&file, "doubt", |role| role["confirmed"] == false).await;
    assert_eq!((&role["role"], &role["self"]), (&json!("leader"), &json!(true)), "{role}");
    let until = role["until_boottime_ns"].as_u64().unwrap();
    assert!(until <= boot(), "a stale claim convicts itself");
    server.set_silent(false);
    until_role(&file, "no doubt", |role| role["confirmed"] == true).await;
    assert!(is_alive(pid), "it went on all the while");
    lead(&server, "orders-2", "u2", 4, 1);
    follow.until("ending").await;
    until_dead(pid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_around_the_command_and_at_the_start() {
    let (server, folder) = (Server::start().await, Folder::new("follow-hooks"));
    let script = folder.file("hook.sh");
    std::fs::write(&script, "echo $1 $ELECT_TERM $ELECT_IDENTITY\n").unwrap();
    let (promote, demote) = (format!("sh {script} promoted"), format!("sh  {script} demoted"));
    lead(&server, "orders-2", "u2", 2, 60);
    let flags = ["--on-promote", &promote, "--on-demote", &demote, "--", "sh", "-c", POLITE];
    let mut follow = follow(&server, &flags);
    assert_eq!(follow.line().await.unwrap(), "demoted 2 orders-2", "the state that it begins in");
    lead(&server, "orders-1", "u1", 3, 60);
    assert_eq!(follow.line().await.unwrap(), "promoted 3 orders-1");
    assert!(follow.line().await.unwrap().starts_with("started 3 "));
    lead(&server, "orders-2", "u2", 4, 60);
    assert_eq!(follow.line().await.unwrap(), "ending");
    assert_eq!(follow.line().await.unwrap(), "demoted 4 orders-2");
    lead(&server, "orders-1", "u1", 5, 60);
    assert_eq!(follow.line().await.unwrap(), "promoted 5 orders-1");
    assert!(follow.line().await.unwrap().starts_with("started 5 "));
    follow.signal(Signal::TERM);
    assert_eq!(follow.line().await.unwrap(), "ending");
    assert_eq!(follow.line().await.unwrap(), "demoted 5 orders-1", "whoever ends leads no longer");
    assert_eq!(follow.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_of_a_promotion_that_is_no_longer_true_is_ended() {
    let (server, folder) = (Server::start().await, Folder::new("follow-slow-hook"));
    let script = folder.file("hook.sh");
    std::fs::write(&script, POLITE).unwrap();
    lead(&server, "orders-1", "u1", 3, 60);
    let promote = format!("sh {script}");
    let mut follow = follow(&server, &["--on-promote", &promote, "--", "echo", "the command"]);
    follow.until("started 3 ").await;
    lead(&server, "orders-2", "u2", 4, 60);
    follow.until("ending").await;
    follow.signal(Signal::TERM);
    assert_eq!(follow.line().await, None, "the command was not started");
    assert_eq!(follow.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_does_not_exist_is_named_once_and_waited_for() {
    let server = Server::start().await;
    let mut command = command(&server, &[]);
    command.stderr(std::process::Stdio::piped());
    let mut follow = Running::spawn(command);
    follow.until_stderr("there is no such Lease yet").await;
    lead(&server, "orders-1", "u1", 1, 60);
    follow.until("started leading: term 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_is_streamed_over_http() {
    let server = Server::start().await;
    lead(&server, "orders-2", "u2", 2, 60);
    let mut command = command(&server, &["--http-addr", "127.0.0.1:0", "--output", "json"]);
    command.stderr(std::process::Stdio::piped());
    let mut follow = Running::spawn(command);
    let address = loop {
        let line: Value = serde_json::from_str(&follow.next_stderr().await.unwrap()).unwrap();
        if let Some(address) = line["http_addr"].as_str() {
            break address.parse().unwrap();
        }
    };
    follow.until("orders-2").await;
    assert_eq!(ask(address, "/is-leader").await, (503, "false\n".to_owned()));
    assert_eq!(ask(address, "/healthz").await, (200, "ok\n".to_owned()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /leader?watch HTTP/1.1\r\nHost: follow\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = async || loop {
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().expect("it goes on");
        if let Some(data) = line.strip_prefix("data: ") {
            break serde_json::from_str::<Value>(data).unwrap();
        }
    };
    assert_eq!(next().await["leader"], "orders-2");
    lead(&server, "orders-1", "u1", 3, 60);
    let role = loop {
        let role = next().await;
        if role["self"] == true {
            break role;
        }
    };
    assert_eq!(
        (&role["role"], &role["term"], &role["confirmed"]),
        (&json!("leader"), &json!(3), &json!(true))
    );
    assert_eq!(ask(address, "/is-leader").await, (200, "true\n".to_owned()));
    let (code, body) = ask(address, "/leader").await;
    assert_eq!((code, serde_json::from_str::<Value>(&body).unwrap()["term"].clone()), (200, json!(3)));
}

/// The read without a version is the proof: the watch alone promotes nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_has_died_hides_a_promotion_for_the_duration_of_the_lease_at_most() {
    let server = Server::start().await;
    lead(&server, "orders-2", "u2", 2, 1);
    let mut follow = follow(&server, &[]);
    follow.until("orders-2").await;
    server.deafen().await;
    lead(&server, "orders-1", "u1", 3, 1);
    follow.until("started leading: term 3").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pod_does_not_know_of_itself_is_named_in_one_line() {
    let server = Server::start().await;
    for missing in ["POD_NAME", "POD_UID", "POD_NAMESPACE"] {
        let mut command = command(&server, &[]);
        let output = command.env_remove(missing).output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
        assert!(error.contains(missing) && error.contains("fieldRef"), "{error}");
    }
    let output = command(&server, &["--role-file", "/nowhere/role.json"]).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("/nowhere/role.json") && error.contains("--role-file"), "{error}");
}
