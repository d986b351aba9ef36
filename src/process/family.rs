//! A process that was started, and all that descends from it: signals for all of them, and their ends.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};

/// The children of this process: one that counts, and those that were left to it by their dying parents.
#[derive(Debug)]
pub struct Family {
    head: Pid,
    status: Option<u8>,
}

impl Family {
    /// A family of which so far only the head is known, which is a child of this process.
    #[must_use]
    pub const fn new(head: Pid) -> Self {
        Self { head, status: None }
    }

    /// How the head ended, as a shell shows it, once it has.
    #[must_use]
    pub const fn status(&self) -> Option<u8> {
        self.status
    }

    /// Takes note of all that have ended. True: nobody is left.
    ///
    /// Takes the status of every child of the process: nothing else here may wait for one.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn reap(&mut self) -> io::Result<bool> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.head => self.status = Some(shown(status)),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return Ok(false),
                Err(Errno::CHILD) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a signal to the head's process group and to everyone who left it and was left to this process.
    pub fn signal(&self, signal: Signal) {
        // Who is gone already needs no signal.
        let _ = kill_process_group(self.head, signal);
        for child in children().into_iter().filter(|child| *child != self.head) {
            let _ = kill_process(child, signal);
        }
    }
}

/// The children of this process, which has one thread.
fn children() -> Vec<Pid> {
    let list = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

/// The exit status that a shell shows: the code, or 128 and the signal.
fn shown(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(u8::MAX)
}
