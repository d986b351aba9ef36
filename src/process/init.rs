//! What PID 1 owes to a container: to reap those that nobody waits for, and to pass signals on.
//!
//! The program itself then runs as its child: whatever it waits for, nobody takes away.

use std::io;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::family::Family;

/// Whether this process is the first of its PID namespace.
#[must_use]
pub fn is_needed() -> bool {
    getpid().is_init()
}

/// Runs this program again, as a child with the same arguments, and ends as it ends.
pub async fn run() -> ExitCode {
    match init().await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn init() -> io::Result<u8> {
    let mut deaths = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let child = Command::new(super::THIS_PROGRAM).args(std::env::args_os().skip(1)).spawn()?;
    let child = Pid::from_child(&child);
    let mut family = Family::new(child);
    loop {
        family.reap()?;
        if let Some(status) = family.status() {
            return Ok(status);
        }
        let passed_on = tokio::select! {
            _ = deaths.recv() => continue,
            _ = terminate.recv() => Signal::TERM,
            _ = interrupt.recv() => Signal::INT,
        };
        kill_process(child, passed_on)?;
    }
}
