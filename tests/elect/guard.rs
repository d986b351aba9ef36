//! The guard process alone: a command ends with its permission, whatever else happens.

use std::time::Duration;

use election_operator::process::supervisor::Order;
use rustix::process::Signal;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::AsyncWriteExt;

use crate::running::{Running, is_alive, pid_in, until_dead};

/// A permission until a moment of the clock that includes suspended time.
fn after(span: Duration) -> Order {
    let now = clock_gettime(ClockId::Boottime);
    Order::RunUntil(Duration::new(now.tv_sec.try_into().unwrap(), now.tv_nsec.try_into().unwrap()) + span)
}

fn soon() -> Order {
    after(Duration::from_millis(300))
}

fn late() -> Order {
    after(Duration::from_secs(600))
}

async fn order(guard: &mut Running, order: Order) {
    guard.stdin.as_mut().unwrap().write_all(&order.to_bytes()).await.unwrap();
}

/// A guard that runs a shell script, with a grace period and a permission.
async fn guarded(grace: &str, script: &str, until: Order) -> Running {
    let mut guard = Running::start(&["guard", "--grace-millis", grace, "--", "sh", "-c", script]);
    order(&mut guard, until).await;
    guard
}

const LONG: &str = "600000";
const STUBBORN: &str = "trap '' TERM; echo started $$; while :; do sleep 1; done";

#[tokio::test]
async fn the_exit_status_of_the_command_is_passed_on() {
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143)] {
        assert_eq!(guarded(LONG, script, late()).await.end().await, status, "{script}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_run_ends_as_in_a_shell() {
    for (program, status) in [("/does/not/exist", 127), ("does-not-exist", 127), ("/etc/passwd", 126)] {
        let mut guard = Running::start(&["guard", "--grace-millis", LONG, "--", program]);
        order(&mut guard, late()).await;
        assert_eq!(guard.end().await, status, "{program}");
    }
}

#[tokio::test]
async fn the_command_is_killed_at_its_deadline() {
    let mut guard = guarded(LONG, STUBBORN, soon()).await;
    assert_eq!(guard.end().await, 137);
}

#[tokio::test]
async fn a_deadline_that_has_passed_kills_at_once() {
    let mut guard = guarded(LONG, "sleep 600", Order::RunUntil(Duration::from_nanos(1))).await;
    assert_eq!(guard.end().await, 137);
}

#[tokio::test]
async fn a_later_deadline_replaces_an_earlier_one() {
    // Without the second deadline the script would be killed before its second line.
    let script = "echo started; sleep 0.6; echo still here; sleep 600";
    let mut guard = guarded(LONG, script, soon()).await;
    order(&mut guard, late()).await;
    guard.until("still here").await;
    order(&mut guard, Order::RunUntil(Duration::from_nanos(1))).await;
    assert_eq!(guard.end().await, 137);
}

#[tokio::test]
async fn the_command_is_killed_when_its_guard_gets_no_orders_any_more() {
    let mut guard = guarded(LONG, STUBBORN, late()).await;
    let command = pid_in(&guard.until("started").await);
    guard.stdin = None;
    assert_eq!(guard.end().await, 137);
    assert!(!is_alive(command));
}

#[tokio::test]
async fn without_a_first_order_nothing_is_started() {
    let mut guard = Running::start(&["guard", "--grace-millis", LONG, "--", "echo", "started"]);
    guard.stdin = None;
    assert_eq!(guard.line().await, None);
    assert_eq!(guard.end().await, 125);
}

#[tokio::test]
async fn terminating_gives_the_command_time_to_end_well() {
    let script = "trap 'echo cleaning up; exit 3' TERM; echo started; while :; do sleep 0.05; done";
    let mut guard = guarded(LONG, script, late()).await;
    guard.until("started").await;
    order(&mut guard, Order::Terminate).await;
    guard.until("cleaning up").await;
    assert_eq!(guard.end().await, 3);
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let mut guard = guarded("200", STUBBORN, late()).await;
    guard.until("started").await;
    order(&mut guard, Order::Terminate).await;
    assert_eq!(guard.end().await, 137);
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed_at_its_deadline_if_that_is_earlier() {
    let mut guard = guarded(LONG, STUBBORN, late()).await;
    guard.until("started").await;
    order(&mut guard, Order::Terminate).await;
    order(&mut guard, soon()).await;
    assert_eq!(guard.end().await, 137);
}

#[tokio::test]
async fn what_the_command_left_in_its_group_gets_sigterm_and_time_too() {
    let script = "trap 'exit 5' USR1; \
        (trap 'echo worker ends; exit' TERM; kill -USR1 $$; while :; do sleep 0.05; done) & \
        wait";
    let mut guard = guarded(LONG, script, late()).await;
    guard.until("worker ends").await;
    assert_eq!(guard.end().await, 5);
}

#[tokio::test]
async fn a_grandchild_that_left_the_group_is_killed_too() {
    // A double fork into a session of its own, as daemons do.
    let script = "(setsid sh -c 'trap \"\" TERM; echo daemon $$; while :; do sleep 1; done' &) ; sleep 600";
    let mut guard = guarded(LONG, script, late()).await;
    let daemon = pid_in(&guard.until("daemon").await);
    guard.stdin = None;
    assert_eq!(guard.end().await, 137);
    assert!(!is_alive(daemon), "it had ended before the guard did");
}

#[tokio::test]
async fn a_command_that_goes_into_the_background_counts_as_ended_and_is_not_left_behind() {
    let script = "trap 'exit 0' USR1; export PARENT=$$; \
        (setsid sh -c 'trap \"echo daemon ends; exit\" TERM; kill -USR1 $PARENT; while :; do sleep 0.05; done' &); \
        while :; do sleep 0.05; done";
    let mut guard = guarded(LONG, script, late()).await;
    guard.until("daemon ends").await;
    assert_eq!(guard.end().await, 0);
}

#[tokio::test]
async fn orphans_are_reaped_while_the_command_goes_on() {
    // The orphan stays in /proc until its parent reads its exit status.
    let script = "(sh -c 'echo orphan $$' &); trap 'exit 4' TERM; while :; do sleep 0.05; done";
    let mut guard = guarded(LONG, script, late()).await;
    let orphan = pid_in(&guard.until("orphan").await);
    let entry = std::path::PathBuf::from(format!("/proc/{orphan}"));
    crate::running::eventually("the orphan to be reaped", || (!entry.exists()).then_some(())).await;
    order(&mut guard, Order::Terminate).await;
    assert_eq!(guard.end().await, 4);
}

#[tokio::test]
async fn the_command_dies_with_a_guard_that_is_killed() {
    let mut guard = guarded(LONG, STUBBORN, late()).await;
    let command = pid_in(&guard.until("started").await);
    guard.signal(Signal::KILL);
    assert_eq!(guard.end().await, 137);
    until_dead(command).await;
}

/// Some service managers signal every process of a service.
#[tokio::test]
async fn a_signal_to_end_gives_the_command_time_to_end_well_though_it_is_the_guard_that_gets_it() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let script = "trap 'echo cleaning up; exit 3' TERM; echo started; while :; do sleep 0.05; done";
        let mut guard = guarded(LONG, script, late()).await;
        guard.until("started").await;
        guard.signal(signal);
        guard.until("cleaning up").await;
        assert_eq!(guard.end().await, 3, "{signal:?}");
    }
}

#[tokio::test]
async fn the_guard_does_not_end_by_a_signal_that_is_for_the_command() {
    let script = "trap 'echo cleaning up; exit 3' TERM; echo started; while :; do sleep 0.05; done";
    let mut guard = guarded(LONG, script, late()).await;
    guard.until("started").await;
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH] {
        guard.signal(signal);
    }
    order(&mut guard, Order::Terminate).await;
    guard.until("cleaning up").await;
    assert_eq!(guard.end().await, 3);
}

#[tokio::test]
async fn a_process_left_to_the_guard_while_the_command_ends_gets_sigterm_too() {
    // The daemon becomes a child of the guard when the command, its parent, ends.
    let script = "setsid sh -c 'trap \"echo daemon ends; exit\" TERM; echo daemon $$; while :; do sleep 0.05; done' & \
        trap 'sleep 0.5; echo command ends; exit 3' TERM; while :; do sleep 0.05; done";
    let mut guard = guarded(LONG, script, late()).await;
    guard.until("daemon").await;
    order(&mut guard, Order::Terminate).await;
    guard.until("command ends").await;
    guard.until("daemon ends").await;
    assert_eq!(guard.end().await, 3);
}

#[tokio::test]
async fn the_command_has_a_process_group_of_its_own() {
    let mut guard = guarded(LONG, "echo $$; ps -o pgid= -p $$", late()).await;
    let pid = guard.line().await.unwrap();
    assert_eq!(guard.line().await.unwrap().trim(), pid);
    assert_eq!(guard.end().await, 0);
}
