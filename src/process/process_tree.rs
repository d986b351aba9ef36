//! A process and all its descendants: signals for them, and their ends.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpgid, kill_process, kill_process_group,
    wait, waitid, waitpid,
};
use tokio::signal::unix::{SignalKind, signal};

/// The children of this process: the root, and orphans whose parents have died.
#[derive(Debug)]
pub struct ProcessTree {
    root: Pid,
    status: Option<u8>,
    asked: AskedToEnd,
}

/// The processes that were asked to end. Each is asked once: many programs take a second SIGTERM
/// for impatience.
#[derive(Debug, Default)]
struct AskedToEnd {
    group: bool,
    others: Vec<Pid>,
}

impl ProcessTree {
    /// A tree of which only the root is known. The root must be a child of this process.
    #[must_use]
    pub const fn new(root: Pid) -> Self {
        Self { root, status: None, asked: AskedToEnd { group: false, others: Vec::new() } }
    }

    /// The exit status of the root as a shell shows it, once it has ended.
    #[must_use]
    pub const fn status(&self) -> Option<u8> {
        self.status
    }

    /// Reaps all children that have ended. True: no process is left.
    ///
    /// It takes the status of every child of the process: no other code here may wait for one.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn reap(&mut self) -> io::Result<bool> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    self.asked.others.retain(|other| *other != pid);
                    if pid == self.root {
                        self.status = Some(shown(status));
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) => return Ok(false),
                Err(Errno::CHILD) => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a signal to the process group of the root.
    pub fn pass_on(&self, signal: Signal) {
        if self.has_group() {
            // A process that has ended needs no signal.
            let _ = kill_process_group(self.root, signal);
        }
    }

    /// Sends SIGTERM to every process that did not get it yet: the root's process group, and
    /// orphans outside it. Call it again when a process has ended: its children may have become
    /// orphans.
    pub fn ask_to_end(&mut self) {
        if !self.asked.group {
            self.asked.group = true;
            self.pass_on(Signal::TERM);
        }
        for child in self.others() {
            if !self.asked.others.contains(&child) {
                self.asked.others.push(child);
                let _ = kill_process(child, Signal::TERM);
            }
        }
    }

    /// Sends SIGKILL to the root's process group, and to orphans outside it.
    pub fn kill(&self) {
        self.pass_on(Signal::KILL);
        for child in self.others() {
            let _ = kill_process(child, Signal::KILL);
        }
    }

    /// The children outside the root's group.
    fn others(&self) -> Vec<Pid> {
        children().into_iter().filter(|child| *child != self.root && !self.is_in_group(*child)).collect()
    }

    fn is_in_group(&self, process: Pid) -> bool {
        getpgid(Some(process)) == Ok(self.root)
    }

    /// Whether the group with the root's number still belongs to the root. Once the root was reaped
    /// and its group is empty, the system may give the number to an unrelated process.
    fn has_group(&self) -> bool {
        self.status.is_none() || children().into_iter().any(|child| self.is_in_group(child))
    }
}

/// Kills the children of this process and their orphans, and waits until none is left.
///
/// # Errors
/// If the operating system does not tell which processes end.
pub async fn end_all_children() -> io::Result<()> {
    let mut deaths = signal(SignalKind::child())?;
    loop {
        let children = children();
        if children.is_empty() {
            return Ok(());
        }
        let mut has_one_ended = false;
        for child in children {
            // Reaps them one by one: other code in this process may wait for a child of its own.
            if let Ok(None) = waitpid(Some(child), WaitOptions::NOHANG) {
                let _ = kill_process(child, Signal::KILL);
            } else {
                has_one_ended = true;
            }
        }
        if !has_one_ended {
            deaths.recv().await;
        }
    }
}

/// Reaps orphans of this process that have ended, such as processes of a credential plugin. No
/// other code waits for them.
#[derive(Debug, Default)]
pub struct OrphanReaper {
    /// The children that had ended at the last call and had not been waited for.
    dead: Vec<Pid>,
}

impl OrphanReaper {
    /// Reaps children that had ended at the last call already. Code that waits for its own child
    /// does so at once, so these are orphans. `known` is always left to its owner.
    pub fn reap(&mut self, known: Option<Pid>) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let has_ended = |child: Pid| matches!(waitid(WaitId::Pid(child), options), Ok(Some(_)));
        let mut dead = children();
        dead.retain(|child| Some(*child) != known && has_ended(*child));
        for child in dead.extract_if(.., |child| self.dead.contains(child)) {
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
        self.dead = dead;
    }
}

/// The children of all threads of this process.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists = threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let pids = |list: String| -> Vec<Pid> {
        list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
    };
    lists.flat_map(pids).collect()
}

/// The exit status that a shell shows: the code, or 128 and the signal.
fn shown(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "that is what there is to reap")]
    fn who_is_left_and_ends_is_reaped_at_the_second_look() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let status = |options| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | options);
        let mut reaper = OrphanReaper::default();
        reaper.reap(None);
        assert!(matches!(status(WaitIdOptions::NOHANG), Ok(None)), "it runs");
        drop(child.stdin.take());
        status(WaitIdOptions::NOWAIT).unwrap();
        for known in [Some(pid), Some(pid), None] {
            reaper.reap(known);
            assert!(
                matches!(status(WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT), Ok(Some(_))),
                "somebody may ask"
            );
        }
        reaper.reap(None);
        assert!(matches!(status(WaitIdOptions::NOHANG), Err(Errno::CHILD)), "it was reaped");
    }

    /// Once the root was reaped its number is free, and an unrelated process may lead a group of
    /// that number.
    #[test]
    fn a_group_of_the_head_s_number_is_a_stranger_s_when_the_head_has_ended_and_no_child_is_in_it() {
        let stranger = Pid::INIT;
        let mut tree = ProcessTree::new(stranger);
        assert!(tree.has_group());
        tree.status = Some(0);
        assert!(!tree.has_group());
    }
}
