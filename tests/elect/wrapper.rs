//! `election-operator elect -- COMMAND`: the command runs while this process leads, and not a
//! moment longer.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::elect::{command, elect, held_by};
use crate::running::{Reader, Running, Unreaped, eventually, is_alive, pid_in, until_dead};
use crate::server::Server;

/// A script that ends at SIGTERM, with code 5, and says so.
const POLITE: &str = "trap 'echo ending; exit 5' TERM; echo started $$; while :; do sleep 0.05; done";
const STUBBORN: &str = "trap 'echo ignored' TERM; echo started $$; while :; do sleep 0.05; done";

/// A script that ignores SIGTERM and writes the time to a file all the while, like a leader that
/// writes.
fn writing(file: &Path) -> String {
    let file = file.display();
    format!("trap 'echo ignored' TERM; echo started $$; while :; do date +%s%N >>{file}; sleep 0.05; done")
}

/// Short timings: leadership is lost after 2 s, and another may lead after 4 s.
const SHORT: [&str; 6] = ["--lease-duration", "4s", "--renew-deadline", "2s", "--retry-period", "1s"];

fn running(server: &Server, flags: &[&str], script: &str) -> Running {
    elect(server, &[flags, &["--", "sh", "-c", script]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_is_told_who_it_is() {
    let server = Server::start().await;
    server.put("orders", held_by("", 1, 1));
    let told = "echo $ELECT_IDENTITY $ELECT_LEASE $ELECT_TERM $ELECT_ACQUIRED_VERSION";
    let mut elect = running(&server, &[], told);
    assert_eq!(elect.line().await.unwrap(), "me shop/orders 7 102");
    assert_eq!(elect.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_the_command_gives_the_lease_back_and_its_exit_code_is_passed_on() {
    for (script, code) in [("exit 0", 0), ("exit 9", 9), ("kill -9 $$", 137)] {
        let server = Server::start().await;
        let mut elect = running(&server, &[], script);
        assert_eq!(elect.end().await, code, "{script}");
        assert_eq!(server.writes().last().unwrap().holder, "", "{script}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_does_not_run_on_a_standby() {
    let server = Server::start().await;
    server.put("orders", held_by("other", 600, 1));
    let mut command = command(&server, &["--", "echo", "started"]);
    command.stderr(std::process::Stdio::piped());
    let mut elect = Running::spawn(command);
    elect.until_stderr("new leader: other").await;
    elect.signal(Signal::TERM);
    assert_eq!(elect.line().await, None);
    assert_eq!(elect.end().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sigterm_the_command_ends_first_and_the_lease_is_given_back_then() {
    let server = Server::start().await;
    let mut elect = running(&server, &[], POLITE);
    server.track(pid_in(&elect.until("started").await));
    elect.signal(Signal::TERM);
    elect.until("ending").await;
    assert_eq!(elect.end().await, 5);
    let writes = server.writes();
    let release = writes.last().unwrap();
    assert_eq!((release.holder.as_str(), release.tracked_was_alive), ("", false), "{writes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_is_kept_until_the_whole_process_group_is_gone() {
    let server = Server::start().await;
    let worker = "(trap '' TERM; exec sh -c 'echo started $$; while :; do sleep 0.05; done') & wait";
    let mut elect = running(&server, &["--grace-period", "1s"], worker);
    server.track(pid_in(&elect.until("started").await));
    elect.signal(Signal::TERM);
    elect.end().await;
    let writes = server.writes();
    let release = writes.last().unwrap();
    assert_eq!((release.holder.as_str(), release.tracked_was_alive), ("", false), "{writes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let server = Server::start().await;
    let mut elect = running(&server, &["--grace-period", "500ms"], STUBBORN);
    server.track(pid_in(&elect.until("started").await));
    elect.signal(Signal::TERM);
    elect.until("ignored").await;
    assert_eq!(elect.end().await, 137);
    let release = server.writes().last().unwrap().clone();
    assert_eq!((release.holder.as_str(), release.tracked_was_alive), ("", false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_kills_a_command_that_ignores_the_first_and_the_lease_is_given_back() {
    for second in [Signal::TERM, Signal::INT] {
        let server = Server::start().await;
        let mut elect = running(&server, &["--grace-period", "1h"], STUBBORN);
        server.track(pid_in(&elect.until("started").await));
        elect.signal(Signal::TERM);
        elect.until("ignored").await;
        assert_eq!(elect.end_by(second).await, 137);
        let release = server.writes().last().unwrap().clone();
        assert_eq!((release.holder.as_str(), release.tracked_was_alive), ("", false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_api_server_is_gone_the_command_is_asked_to_end_and_leads_again_later() {
    let server = Server::start().await;
    let mut elect = running(&server, &SHORT, POLITE);
    let pid = pid_in(&elect.until("started").await);
    server.set_silent(true);
    elect.until("ending").await;
    server.set_silent(false);
    assert_ne!(pid_in(&elect.until("started").await), pid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_api_server_is_gone_a_stubborn_command_does_nothing_after_its_lease() {
    let server = Server::start().await;
    let file = server.kubeconfig.with_extension("beats");
    let mut elect = running(&server, &SHORT, &writing(&file));
    let pid = pid_in(&elect.until("started").await);
    server.set_silent(true);
    elect.until("ignored").await;
    until_dead(pid).await;
    assert_was_in_time(&server, &file);
}

/// Checks that the command wrote nothing once a rival could have led. A rival waits from the last
/// write that it saw.
fn assert_was_in_time(server: &Server, file: &Path) {
    let beats = std::fs::read_to_string(file).unwrap();
    let last_beat =
        beats.lines().last().and_then(|beat| beat.parse().ok()).map(Duration::from_nanos).unwrap();
    let last_renewal = server.writes().last().unwrap().at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let late = last_beat.saturating_sub(last_renewal);
    assert!(late < Duration::from_secs(4), "the command wrote {late:?} after the last renewal");
    assert!(late > Duration::from_secs(1), "the renewals had ended, and it had gone on: {late:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_another_takes_the_lease_the_command_ends_and_runs_again_with_the_next_term() {
    let server = Server::start().await;
    let mut elect = running(&server, &[], &format!("echo term $ELECT_TERM; {POLITE}"));
    elect.until("term 0").await;
    let pid = pid_in(&elect.until("started").await);
    server.put("orders", held_by("other", 1, 1));
    elect.until("ending").await;
    elect.until("term 7").await;
    assert!(!is_alive(pid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_elect_runs_no_command_past_its_lease() {
    let server = Server::start().await;
    let file = server.kubeconfig.with_extension("beats");
    let mut command = command(&server, &[&SHORT[..], &["--", "sh", "-c", &writing(&file)]].concat());
    command.stderr(std::process::Stdio::piped());
    let mut elect = Running::spawn(command);
    let pid = pid_in(&elect.until("started").await);
    elect.signal(Signal::STOP);
    until_dead(pid).await;
    assert_was_in_time(&server, &file);
    // Another elector leads when this one wakes up. This one finds its command ended, and leaves
    // the Lease alone.
    server.put("orders", held_by("other", 600, 1));
    elect.signal(Signal::CONT);
    let mut missing = vec!["stopped leading", "new leader: other"];
    while !missing.is_empty() {
        let line = elect.next_stderr().await.expect("it goes on");
        missing.retain(|told| !line.contains(told));
    }
    assert_eq!(server.writes().last().unwrap().holder, "other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_dies_with_an_elect_that_is_killed() {
    let server = Server::start().await;
    let script = format!("(setsid sh -c 'echo daemon $$; sleep 600' &); {STUBBORN}");
    let mut elect = running(&server, &[], &script);
    let mut pids = [elect.line().await.unwrap(), elect.line().await.unwrap()].map(|line| pid_in(&line));
    elect.signal(Signal::KILL);
    assert_eq!(elect.end().await, 137);
    for pid in &mut pids {
        until_dead(*pid).await;
    }
    assert_eq!(server.writes().last().unwrap().holder, "me", "the Lease was not released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_killed_ends_the_term() {
    let server = Server::start().await;
    let mut elect = running(&server, &[], STUBBORN);
    let pid = pid_in(&elect.until("started").await);
    crate::running::send(pid, Signal::KILL);
    assert_eq!(elect.end().await, 137);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_restart_the_command_runs_again_in_the_same_term() {
    let server = Server::start().await;
    let flags = ["--restart", "--retry-period", "100ms"];
    let mut elect = running(&server, &flags, "echo term $ELECT_TERM; exit 3");
    elect.until("term 0").await;
    elect.until("term 0").await;
    assert!(server.writes().iter().all(|write| write.holder == "me"));
    elect.signal(Signal::TERM);
    elect.end().await;
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_restart_a_command_that_cannot_run_here_ends_the_term() {
    for (program, code) in [("does-not-exist", 127), ("/etc/passwd", 126)] {
        let server = Server::start().await;
        let mut elect = elect(&server, &["--restart", "--", program]);
        assert_eq!(elect.end().await, code, "{program}");
        assert_eq!(server.writes().last().unwrap().holder, "", "{program}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_guard_is_woken_to_kill_the_command() {
    let server = Server::start().await;
    let mut elect = running(&server, &SHORT, &format!("echo guard $PPID; {STUBBORN}"));
    let guard = pid_in(&elect.until("guard").await);
    let pid = pid_in(&elect.until("started").await);
    crate::running::send(guard, Signal::STOP);
    server.set_silent(true);
    until_dead(pid).await;
    until_dead(guard).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn if_its_guard_is_killed_all_of_the_command_is_killed_and_the_lease_given_back_then() {
    let server = Server::start().await;
    let script = "echo guard $PPID; (sh -c 'echo worker $$; exec sleep 600' &); sleep 600";
    let mut elect = running(&server, &[], script);
    let guard = pid_in(&elect.until("guard").await);
    let worker = pid_in(&elect.until("worker").await);
    server.track(worker);
    crate::running::send(guard, Signal::KILL);
    assert_eq!(elect.end().await, 137);
    assert!(!is_alive(worker), "a process that the command had started goes on");
    let release = server.writes().last().unwrap().clone();
    assert_eq!((release.holder.as_str(), release.tracked_was_alive), ("", false));
}

/// Some service managers signal every process of a service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_to_all_of_its_processes_lets_the_command_end_well() {
    for script in
        [POLITE, "trap 'echo ending; exit 5' TERM; (sleep 600 & echo started $$; wait) & wait; wait"]
    {
        let server = Server::start().await;
        let mut elect = running(&server, &[], &format!("echo guard $PPID; {script}"));
        let guard = pid_in(&elect.until("guard").await);
        let command = pid_in(&elect.until("started").await);
        crate::running::send(guard, Signal::TERM);
        crate::running::send_if_alive(command, Signal::TERM);
        elect.signal(Signal::TERM);
        elect.until("ending").await;
        assert_eq!(elect.end().await, 5);
        assert_eq!(server.writes().last().unwrap().holder, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_that_are_not_for_it_are_passed_on_to_the_command() {
    let server = Server::start().await;
    let traps = "trap 'echo got HUP' HUP; trap 'echo got USR1' USR1; trap 'echo got USR2' USR2; \
        trap 'echo got WINCH' WINCH";
    let mut elect = running(&server, &[], &format!("{traps}; {POLITE}"));
    elect.until("started").await;
    for (signal, name) in
        [(Signal::HUP, "HUP"), (Signal::USR1, "USR1"), (Signal::USR2, "USR2"), (Signal::WINCH, "WINCH")]
    {
        elect.signal(signal);
        elect.until(&format!("got {name}")).await;
    }
    elect.signal(Signal::QUIT);
    elect.until("ending").await;
    assert_eq!(elect.end().await, 5);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_does_not_end_by_signals_that_are_for_the_command() {
    let server = Server::start().await;
    server.put("orders", held_by("other", 600, 1));
    let mut command = command(&server, &["--", "sh", "-c", "echo started"]);
    command.stderr(std::process::Stdio::piped());
    let mut elect = Running::spawn(command);
    elect.until_stderr("new leader: other").await;
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH] {
        elect.signal(signal);
    }
    server.put("orders", held_by("", 1, 2));
    elect.until("started").await;
    assert_eq!(elect.end().await, 0);
}

/// The reader of the output is gone, or it does not read: a log driver that hangs, or a pager that
/// waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elect_ends_its_command_well_without_a_reader_of_its_output() {
    for reader in [Reader::Gone, Reader::Asleep] {
        let server = Server::start().await;
        let file = server.kubeconfig.with_extension("pid");
        // The shell's own message about the ended sleep must not go to this output.
        let script = "exec >/dev/null 2>&1; trap 'exit 5' TERM; while :; do sleep 0.05; done";
        let script = format!("echo $$ >{}; {script}", file.display());
        let mut command = command(&server, &["--", "sh", "-c", &script]);
        let (write_end, _held) = reader.pipe();
        command.stdout(write_end.try_clone().unwrap()).stderr(write_end);
        let mut elect = Running::spawn_as_it_is(command);
        let pid = until_written(&file).await;
        server.track(pid);
        elect.signal(Signal::TERM);
        assert_eq!(elect.end().await, 5, "{reader:?}");
        let release = server.writes().last().unwrap().clone();
        assert_eq!((release.holder.as_str(), release.tracked_was_alive), ("", false), "{reader:?}");
    }
}

async fn until_written(file: &Path) -> i32 {
    eventually("a process number in a file", || std::fs::read_to_string(file).ok()?.trim().parse().ok()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_is_kept_as_long_as_a_process_cannot_be_killed() {
    let server = Server::start().await;
    let mut command = command(&server, &["--grace-period", "100ms", "--", "sh", "-c", STUBBORN]);
    command.stderr(std::process::Stdio::piped());
    let mut elect = Running::spawn(command);
    let pid = pid_in(&elect.until("started").await);
    let Some(holder) = Unreaped::seize(pid).await else { return };
    elect.signal(Signal::TERM);
    elect.until_stderr("the Lease is kept").await;
    let so_far = server.writes().len();
    eventually("two more renewals", || (server.writes().len() > so_far + 1).then_some(())).await;
    assert!(server.writes().iter().all(|write| write.holder == "me"));
    holder.let_go().await;
    assert_eq!(elect.end().await, 137);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_command_waits_for_the_last_process_of_the_one_before() {
    let server = Server::start().await;
    let mut command = command(&server, &[&SHORT[..], &["--", "sh", "-c", STUBBORN]].concat());
    command.stderr(std::process::Stdio::piped());
    let mut elect = Running::spawn(command);
    let pid = pid_in(&elect.until("started").await);
    let Some(holder) = Unreaped::seize(pid).await else { return };
    server.set_silent(true);
    elect.until_stderr("stopped leading").await;
    server.set_silent(false);
    elect.until_stderr("started leading").await;
    elect.until_stderr("nothing is started before").await;
    holder.let_go().await;
    elect.until("started").await;
}

/// `script` gives the program a terminal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_on_a_terminal_have_colours_unless_none_are_wanted() {
    for (no_color, has_colours) in [("", true), ("1", false)] {
        let server = Server::start().await;
        server.put("orders", held_by("", 1, 1));
        let elect = command(&server, &["--", "true"]);
        let elect = elect.as_std();
        let words = std::iter::once(elect.get_program()).chain(elect.get_args());
        let words: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
        let mut script = tokio::process::Command::new("script");
        script.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]);
        script.env("NO_COLOR", no_color).env("RUST_LOG", "trace");
        let output = script.output().await.expect("script can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("TRACE"), "{said}");
        assert_eq!(said.contains('\u{1b}'), has_colours, "NO_COLOR={no_color}: {said}");
    }
}
