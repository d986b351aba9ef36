//! `elect` as process 1 of a container: here, of a PID namespace of its own.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::process::Command;

use crate::elect::command;
use crate::running::{Running, eventually, send};
use crate::server::Server;

const NAMESPACES: [&str; 4] = ["--user", "--map-root-user", "--pid", "--fork"];

/// Whether this machine allows PID namespaces. If not, the tests are skipped.
async fn can_be_seen() -> bool {
    let tried = Command::new("unshare").args(NAMESPACES).arg("true").stderr(Stdio::null()).status().await;
    let possible = tried.is_ok_and(|status| status.success());
    if !possible {
        eprintln!("skipped: no PID namespace can be made here");
    }
    possible
}

/// `elect -- sh -c SCRIPT` as process 1, and its PID outside of the namespace.
async fn first(server: &Server, script: &str) -> (Running, i32) {
    let mut unshare = Command::new("unshare");
    unshare.args(arguments_of_unshare(server, script)).kill_on_drop(true);
    let running = Running::spawn(unshare);
    let pid = eventually("a process 1", || children(running.pid()).first().copied()).await;
    (running, pid)
}

fn arguments_of_unshare(server: &Server, script: &str) -> Vec<OsString> {
    let elect = command(server, &["--", "sh", "-c", script]);
    let namespaces = NAMESPACES.map(OsString::from).into_iter();
    let program = [OsString::from("--kill-child"), elect.as_std().get_program().to_owned()];
    namespaces.chain(program).chain(elect.as_std().get_args().map(OsStr::to_owned)).collect()
}

fn children(pid: i32) -> Vec<i32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    list.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_1_passes_signals_on_and_ends_as_the_command_ends() {
    if !can_be_seen().await {
        return;
    }
    let server = Server::start().await;
    let script = "trap 'echo ending; exit 5' TERM; echo started; while :; do sleep 0.05; done";
    let (mut elect, first) = first(&server, script).await;
    elect.until("started").await;
    send(first, Signal::TERM);
    elect.until("ending").await;
    assert_eq!(elect.end().await, 5);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_1_passes_every_signal_on() {
    if !can_be_seen().await {
        return;
    }
    let server = Server::start().await;
    let traps = "trap 'echo got HUP' HUP; trap 'echo got USR1' USR1; trap 'echo got USR2' USR2; \
        trap 'echo got WINCH' WINCH; trap 'echo ending; exit 5' TERM";
    let (mut elect, first) =
        first(&server, &format!("{traps}; echo started; while :; do sleep 0.05; done")).await;
    elect.until("started").await;
    for (signal, name) in
        [(Signal::HUP, "HUP"), (Signal::USR1, "USR1"), (Signal::USR2, "USR2"), (Signal::WINCH, "WINCH")]
    {
        send(first, signal);
        elect.until(&format!("got {name}")).await;
    }
    // Some images declare SIGQUIT as their stop signal.
    send(first, Signal::QUIT);
    elect.until("ending").await;
    assert_eq!(elect.end().await, 5);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

/// A Ctrl-C at the terminal reaches all processes in the foreground.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_a_terminal_one_ctrl_c_counts_once() {
    if !can_be_seen().await {
        return;
    }
    let server = Server::start().await;
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let mut terminal = std::fs::File::from(terminal);
    let other_end = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    // A new session with this terminal. `unshare` ignores SIGINT, so that process 1 alone decides.
    let mut session = Command::new("setsid");
    let script = "trap '' INT; exec unshare \"$@\" <&0";
    session.args(["--ctty", "sh", "-c", script, "sh"]);
    session.args(arguments_of_unshare(
        &server,
        "trap 'echo ending; sleep 0.3; exit 5' TERM; trap 'echo another size' WINCH; echo started; \
            while :; do sleep 0.05; done",
    ));
    session.kill_on_drop(true).stdout(Stdio::piped());
    session.stdin(open(other_end, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap());
    let mut elect = Running::spawn_at(session);
    elect.until("started").await;
    let size = Winsize { ws_row: 50, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    elect.until("another size").await;
    std::io::Write::write_all(&mut terminal, b"\x03").unwrap();
    elect.until("ending").await;
    assert_eq!(elect.end().await, 5);
    assert_eq!(elect.printed.iter().filter(|line| line.contains("another size")).count(), 1);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn process_1_reaps_orphans_that_are_nobody_elses() {
    if !can_be_seen().await {
        return;
    }
    let server = Server::start().await;
    let (mut elect, first) =
        first(&server, "echo started; trap 'exit 6' TERM; while :; do sleep 0.05; done").await;
    elect.until("started").await;
    let own = children(first);
    // Such processes come by `kubectl exec`: one loses its parent, and ends later.
    let mut orphan = Command::new("nsenter");
    let target = first.to_string();
    orphan.args(["--target", &target, "--user", "--pid", "--preserve-credentials"]);
    orphan.args(["sh", "-c", "(sh -c 'echo orphan; read line' <&3 &)"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$@\" 3<&0", "sh"]).arg(orphan.as_std().get_program());
    shell.args(orphan.as_std().get_args());
    let mut orphan = Running::spawn(shell);
    orphan.until("orphan").await;
    eventually("the orphan at process 1", || (children(first).len() > own.len()).then_some(())).await;
    orphan.stdin = None;
    eventually("the orphan to be reaped", || (children(first) == own).then_some(())).await;
    send(first, Signal::TERM);
    assert_eq!(elect.end().await, 6, "the command's own end was not taken for another's");
}
