//! What PID 1 owes to a container: to reap those that nobody waits for, and to pass signals on.
//!
//! The program itself then runs as its child: whatever it waits for, nobody takes away.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::family::Family;
use super::signals::{Listener, MESSAGES, STOPS};
use crate::lines::complain;

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
            complain(&format!("error: cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn init() -> io::Result<u8> {
    let mut deaths = signal(SignalKind::child())?;
    let mut signals = Listener::new(STOPS.into_iter().chain(MESSAGES))?;
    let mut child = Command::new(super::THIS_PROGRAM);
    // Out of the reach of a terminal: it would get what is passed on a second time.
    let child = child.args(std::env::args_os().skip(1)).process_group(0).spawn()?;
    let child = Pid::from_child(&child);
    let mut family = Family::new(child);
    loop {
        family.reap()?;
        if let Some(status) = family.status() {
            return Ok(status);
        }
        tokio::select! {
            _ = deaths.recv() => {}
            passed_on = signals.next() => {
                // It may have ended just now, which the next round sees.
                let _ = kill_process(child, passed_on);
            }
        }
    }
}
