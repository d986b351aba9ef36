//! `election-operator elect`: what it prints, answers and ends with.

use clap::Parser;
use election_operator::commands::{Cli, Command};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::running::{Reader, Running, binary, eventually};
use crate::server::{NAMESPACE, Server};

/// `elect` on the Lease `orders`, as `me`.
pub(crate) fn elect(server: &Server, arguments: &[&str]) -> Running {
    Running::spawn(command(server, arguments))
}

pub(crate) fn command(server: &Server, arguments: &[&str]) -> tokio::process::Command {
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    let usual =
        ["elect", "--lease-name", "orders", "--lease-namespace", NAMESPACE, "--kubeconfig", kubeconfig];
    let id = ["--id", "me"];
    binary(&[&usual[..], &id, arguments].concat())
}

pub(crate) fn held_by(holder: &str, seconds: u32, renewal: u32) -> Value {
    json!({
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "acquireTime": "2001-01-01T00:00:00.000000Z",
        "renewTime": format!("2001-01-01T00:00:{renewal:02}.000000Z"),
        "leaseTransitions": 6,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_flag_is_named_in_one_line() {
    let both = ["--lease-lock-name", "orders", "--lease-lock-namespace", "shop"];
    let with = |more: &[&'static str]| [&both[..], more].concat();
    let cases: [(Vec<&str>, &str); 15] = [
        (vec!["--lease-lock-namespace", "shop"], "--lease-lock-name"),
        (vec!["--lease-lock-name", "orders"], "--lease-lock-namespace"),
        (vec!["--lease-lock-name", "", "--lease-lock-namespace", "shop"], "--lease-lock-name"),
        (vec!["--lease-lock-name", "orders", "--lease-lock-namespace", ""], "--lease-lock-namespace"),
        (with(&["--id", ""]), "--id"),
        (with(&["--lease-duration", "soon"]), "--lease-duration"),
        (with(&["--lease-duration", "10s"]), "--lease-duration"),
        (with(&["--lease-duration", "15.5s"]), "--lease-duration"),
        (with(&["--renew-deadline", "2s"]), "--renew-deadline"),
        (with(&["--retry-period", "0s"]), "--retry-period"),
        (with(&["--http-addr", "nowhere"]), "--http-addr"),
        (with(&["--restart"]), "COMMAND"),
        (with(&["--liveness", "http://localhost/"]), "--http-addr"),
        (with(&["--linger", "1s", "--", "worker"]), "--linger"),
        // A flag that was withdrawn.
        (with(&["--coordinated"]), "--coordinated"),
    ];
    for (arguments, named) in cases {
        let output = binary(&[&["elect"], arguments.as_slice()].concat()).output().await.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(named), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_flag_of_elect_has_the_names_that_other_electors_use() {
    let server = Server::start().await;
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    for (name, namespace) in [
        ("--lease-lock-name", "--lease-lock-namespace"),
        ("-lease-lock-name", "-lease-lock-namespace"),
        ("--lock-name", "--lock-namespace"),
        ("--lease-name", "--lease-namespace"),
    ] {
        let arguments = [
            "elect",
            name,
            "orders",
            namespace,
            NAMESPACE,
            "--kubeconfig",
            kubeconfig,
            "--id",
            "me",
            "--release-on-cancel",
        ];
        let mut elect = Running::start(&arguments);
        elect.until("started leading").await;
        elect.signal(Signal::TERM);
        assert_eq!(elect.end().await, 0);
    }
}

/// The arguments of `election-operator` in a container, if it runs that. The namespace may come from the
/// environment.
fn arguments(container: &Value) -> Option<Vec<&str>> {
    let words = |field: &str| container[field].as_array().into_iter().flatten().filter_map(Value::as_str);
    let program = words("command").next().or(container["image"].as_str())?;
    let runs = program.ends_with("election-operator") || program.contains("/election-operator:");
    let mut environment = container["env"].as_array().into_iter().flatten();
    let has_namespace = environment.any(|variable| variable["name"] == "POD_NAMESPACE");
    let mut arguments: Vec<_> = words("command").skip(1).chain(words("args")).collect();
    if has_namespace && !arguments.iter().any(|word| word.starts_with("--lease-lock-namespace")) {
        arguments.insert(1, "--lease-lock-namespace=shop");
    }
    runs.then_some(arguments)
}

#[test]
fn commands_of_the_examples_are_given_flags_that_exist() {
    let (mut elects, mut follows) = (0, 0);
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let of_pods = documents.iter().map(|object| &object["spec"]["template"]["spec"]);
        let containers = of_pods.flat_map(|pod| [&pod["initContainers"], &pod["containers"]]);
        let containers = containers.filter_map(Value::as_array).flatten();
        for arguments in containers.filter_map(arguments) {
            let parsed = Cli::try_parse_from(std::iter::once("election-operator").chain(arguments));
            match parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display())).command {
                Command::Elect(_) => elects += 1,
                Command::Follow(_) => follows += 1,
                other => panic!("{}: {other:?}", path.display()),
            }
        }
    }
    assert!(elects >= 4 && follows >= 3, "elect {elects} times, follow {follows} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elect_tells_each_event_in_order_and_gives_the_lease_back() {
    let server = Server::start().await;
    let mut elect = elect(&server, &[]);
    elect.until("started leading").await;
    elect.signal(Signal::TERM);
    elect.until("stopped leading: stopped").await;
    assert_eq!(elect.end().await, 0);
    let lines: Vec<_> = elect.printed.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["new leader: me", "started leading: term 0", "stopped leading: stopped"]);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_release_the_lease_stays_held() {
    let server = Server::start().await;
    let mut elect = elect(&server, &["--release-on-cancel=false"]);
    elect.until("started leading").await;
    elect.signal(Signal::INT);
    assert_eq!(elect.end().await, 0);
    assert_eq!(server.writes().last().unwrap().holder, "me");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_elect_at_once_though_the_lease_could_not_be_given_back() {
    let server = Server::start().await;
    let patient = ["--lease-duration", "1000s", "--renew-deadline", "900s"];
    let mut command = command(&server, &patient);
    command.stderr(std::process::Stdio::piped());
    let mut elect = Running::spawn(command);
    elect.until("started leading").await;
    server.set_silent(true);
    elect.signal(Signal::TERM);
    elect.until_stderr("a second signal").await;
    elect.signal(Signal::INT);
    elect.until_stderr("second signal: ending at once").await;
    assert_eq!(elect.end().await, 130);
    assert_eq!(server.writes().last().unwrap().holder, "me");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_json_if_asked_for() {
    let server = Server::start().await;
    server.put("orders", held_by("other", 1, 1));
    let mut elect = elect(&server, &["--output", "json"]);
    let mut events = Vec::new();
    while events.len() < 3 {
        let mut event: Value = serde_json::from_str(&elect.line().await.unwrap()).unwrap();
        assert!(event["time"].take().as_str().unwrap().ends_with('Z'));
        event.as_object_mut().unwrap().remove("time");
        events.push(event);
    }
    assert_eq!(
        Value::from(events),
        json!([
            { "event": "new-leader", "leader": "other" },
            { "event": "new-leader", "leader": "me" },
            { "event": "started-leading", "term": 7 },
        ])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elect_tells_a_loss_and_stands_for_election_again() {
    let server = Server::start().await;
    let mut elect = elect(&server, &[]);
    elect.until("started leading").await;
    server.put("orders", held_by("other", 1, 1));
    elect.until("started leading: term 7").await;
    for told in ["new leader: other", "stopped leading: usurped"] {
        assert!(elect.printed.iter().any(|line| line.contains(told)), "{:?}", elect.printed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pod_is_the_identity_if_none_is_given() {
    let server = Server::start().await;
    let kubeconfig = server.kubeconfig.to_str().unwrap();
    let arguments =
        ["elect", "--lease-name", "orders", "--lease-namespace", NAMESPACE, "--kubeconfig", kubeconfig];
    let mut command = binary(&arguments);
    command.env("POD_NAME", "orders-0");
    let mut elect = Running::spawn(command);
    elect.until("new leader: orders-0").await;
    elect.signal(Signal::TERM);
    elect.end().await;

    let mut elect = Running::start(&arguments);
    let line = elect.until("new leader: ").await;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(line.contains(&format!("new leader: {}_", host.trim())), "{line}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_not_there_is_no_reason_to_end() {
    let server = Server::start().await;
    server.set_silent(true);
    let mut elect =
        elect(&server, &["--renew-deadline", "3s", "--lease-duration", "5s", "--retry-period", "1s"]);
    server.set_silent(false);
    elect.until("started leading").await;
}

/// A new connection for each renewal would cost a TLS handshake, and a take-over 40 ms more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_share_one_connection_though_it_rests_for_longer_than_a_request_may_take() {
    let server = Server::start().await;
    let quick = ["--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "400ms"];
    let _leader = elect(&server, &quick);
    eventually("three renewals", || (server.writes().len() > 3).then_some(())).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_once_a_loss_ends_elect() {
    for command in [&[][..], &["--", "sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"]] {
        let server = Server::start().await;
        let mut elect = elect(&server, &[&["--once", "--events-to", "1"], command].concat());
        elect.until("started leading").await;
        server.put("orders", held_by("other", 600, 1));
        elect.until("stopped leading: usurped").await;
        assert_eq!(elect.end().await, 1, "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_can_be_had_apart_from_all_else() {
    let server = Server::start().await;
    let file = server.kubeconfig.with_extension("events");
    std::fs::write(&file, "already there\n").unwrap();
    let path = file.to_str().unwrap();
    let script = ["--", "sh", "-c", "echo said by the command"];
    let mut to_file = elect(&server, &[&["--events-to", path], &script[..]].concat());
    assert_eq!(to_file.end().await, 0);
    let told = std::fs::read_to_string(&file).unwrap();
    assert!(told.starts_with("already there\n") && told.contains("stopped leading: work_ended"), "{told}");

    let of_elect = command(&server, &[&["--events-to", "3"], &script[..]].concat());
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "exec 3>>\"$0\"; exec \"$@\"", path]).kill_on_drop(true);
    shell.arg(of_elect.as_std().get_program()).args(of_elect.as_std().get_args());
    let mut to_descriptor = Running::spawn(shell);
    assert_eq!(to_descriptor.line().await.unwrap(), "said by the command");
    assert_eq!(to_descriptor.end().await, 0);
    let told_later = std::fs::read_to_string(&file).unwrap();
    assert_eq!(told_later.matches("started leading").count(), 2, "{told_later}");

    let refused = command(&server, &["--events-to", "/there/is/none"]).output().await.unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.starts_with("error: cannot write events to /there/is/none: "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elect_gives_the_lease_back_without_a_reader_of_its_output() {
    for reader in [Reader::Gone, Reader::Asleep] {
        let server = Server::start().await;
        let mut command = command(&server, &[]);
        let (write_end, _held) = reader.pipe();
        command.stdout(write_end.try_clone().unwrap()).stderr(write_end);
        let mut elect = Running::spawn_as_it_is(command);
        eventually("a Lease", || (!server.writes().is_empty()).then_some(())).await;
        elect.signal(Signal::TERM);
        assert_eq!(elect.end().await, 0, "{reader:?}");
        assert_eq!(server.writes().last().unwrap().holder, "", "{reader:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_ends_well_without_a_reader() {
    for arguments in [&["crd"][..], &["elect"], &["nonsense"], &["watch", "--kubeconfig", "/there/is/none"]] {
        let (write_end, _) = Reader::Gone.pipe();
        let mut command = binary(arguments);
        command.stdout(write_end.try_clone().unwrap()).stderr(write_end);
        let code = Running::spawn_as_it_is(command).end().await;
        assert!(code < 3, "{arguments:?}: {code}");
    }
}

/// SIGHUP means that the terminal is gone, or asks for settings to be read again; `elect` has none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_every_signal_to_end_the_lease_is_given_back() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let server = Server::start().await;
        let mut elect = elect(&server, &[]);
        elect.until("started leading").await;
        elect.signal(Signal::USR1);
        elect.signal(signal);
        assert_eq!(elect.end().await, 0, "{signal:?}");
        assert_eq!(server.writes().last().unwrap().holder, "", "{signal:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_nohup_the_end_of_the_terminal_is_no_reason_to_end() {
    let server = Server::start().await;
    let of_elect = command(&server, &[]);
    let mut shell = tokio::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).kill_on_drop(true);
    shell.arg(of_elect.as_std().get_program()).args(of_elect.as_std().get_args());
    let mut elect = Running::spawn(shell);
    elect.until("started leading").await;
    elect.signal(Signal::HUP);
    server.put("orders", held_by("other", 1, 1));
    elect.until("started leading: term 7").await;
}
