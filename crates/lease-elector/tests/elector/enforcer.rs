//! The deadline thread, on the system's clock and in real time: it does not depend on the runtime.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc;

use lease_elector::ElectorConfig;
use lease_elector::clock::{BootTime, Time};
use lease_elector::{ActiveTerm, LeaderElector, Nanos, Overrun};

use crate::clock::TestClock;
use crate::server::Server;
use crate::support::*;

/// A time-out far longer than any test here takes. Only a failure waits for it.
const LONG: std::time::Duration = seconds(30);

fn quick() -> ElectorConfig {
    ElectorConfig {
        lease_duration: seconds(2),
        renew_deadline: millis(1300),
        retry_period: millis(100),
        request_timeout: Some(millis(100)),
        once: true,
        ..config()
    }
}

/// Runs an elector on a runtime of one thread, with work that blocks it.
fn run_blocking(config: ElectorConfig, block: impl Fn(ActiveTerm) + Clone) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::new();
        let client = server.client(0, &TestClock::new());
        let elector = LeaderElector::with_clients(client.clone(), client, config).unwrap();
        let work = |active: ActiveTerm| {
            let block = block.clone();
            async move { block(active) }
        };
        elector.run(std::future::pending(), work).await.unwrap();
    });
}

#[test]
fn an_alarm_rings_when_it_is_due_and_no_more_after_it_was_dropped() {
    let (rings, rung) = mpsc::channel();
    let alarm = BootTime.alarm(Arc::new(move || rings.send(BootTime.boot()).unwrap())).unwrap();
    let due = BootTime.boot() + Nanos(20_000_000);
    alarm.set(due);
    assert!(rung.recv_timeout(LONG).unwrap() >= due);
    alarm.set(Nanos(1));
    rung.recv_timeout(LONG).expect("what has passed rings at once");
    alarm.set(Nanos::MAX);
    drop(alarm);
    let gone = rung.recv_timeout(LONG);
    assert_eq!(gone, Err(mpsc::RecvTimeoutError::Disconnected), "its thread ends without another ring");
}

#[test]
fn loss_is_told_while_work_blocks_the_only_thread_of_the_runtime() {
    run_blocking(quick(), |active| {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(active.lost());
            tell.send(active.is_leader()).unwrap();
        });
        assert_eq!(told.recv_timeout(LONG), Ok(false));
    });
}

#[test]
#[ignore = "aborts: run by the next test"]
fn blocking_work_aborts_the_process() {
    run_blocking(ElectorConfig { on_overrun: Overrun::Abort, ..quick() }, |_| std::thread::sleep(LONG));
}

#[test]
fn a_process_that_asks_for_it_is_aborted_when_its_work_overruns() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "enforcer::blocking_work_aborts_the_process", "--ignored"])
        .output()
        .unwrap();
    assert_eq!(child.status.signal(), Some(6), "SIGABRT");
}
