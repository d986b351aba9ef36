//! The duties of PID 1 in a container: to reap orphans, and to pass signals on.
//!
//! The program itself runs as a child: PID 1 takes none of the children that it waits for.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use super::process_tree::ProcessTree;
use super::signals::{Listener, MESSAGES, STOPS};
use crate::lines::complain;

/// Whether this process is the first of its PID namespace.
#[must_use]
pub fn is_needed() -> bool {
    getpid().is_init()
}

/// Runs this program again as a child with the same arguments, and ends with its status.
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
    // Keeps the child out of reach of a terminal: it would get each signal twice.
    let child = child.args(std::env::args_os().skip(1)).process_group(0).spawn()?;
    let child = Pid::from_child(&child);
    let mut tree = ProcessTree::new(child);
    loop {
        tree.reap()?;
        if let Some(status) = tree.status() {
            return Ok(status);
        }
        tokio::select! {
            _ = deaths.recv() => {}
            passed_on = signals.next() => {
                // The child may have ended just now: the next round sees that.
                let _ = kill_process(child, passed_on);
            }
        }
    }
}
