//! A process that was started, and all that descends from it: signals for all of them, and their ends.

use std::fs;
use std::io;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpgid, kill_process, kill_process_group,
    wait, waitid, waitpid,
};
use tokio::signal::unix::{SignalKind, signal};

/// The children of this process: one that counts, and those that were left to it by their dying parents.
#[derive(Debug)]
pub struct Family {
    head: Pid,
    status: Option<u8>,
    asked: AskedToEnd,
}

/// Who was asked to end: each once, as many programs take a second SIGTERM for impatience.
#[derive(Debug, Default)]
struct AskedToEnd {
    group: bool,
    others: Vec<Pid>,
}

impl Family {
    /// A family of which so far only the head is known, which is a child of this process.
    #[must_use]
    pub const fn new(head: Pid) -> Self {
        Self { head, status: None, asked: AskedToEnd { group: false, others: Vec::new() } }
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
                Ok(Some((pid, status))) => {
                    self.asked.others.retain(|other| *other != pid);
                    if pid == self.head {
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

    /// Sends a signal to the head's process group.
    pub fn pass_on(&self, signal: Signal) {
        if self.has_group() {
            // Who is gone already needs no signal.
            let _ = kill_process_group(self.head, signal);
        }
    }

    /// SIGTERM for everybody who did not get it yet: the head's process group, and those who left it and were left to
    /// this process. To be called again when somebody has ended: its children may have come here.
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

    /// SIGKILL for everybody: the head's process group, and those who left it and were left to this process.
    pub fn kill(&self) {
        self.pass_on(Signal::KILL);
        for child in self.others() {
            let _ = kill_process(child, Signal::KILL);
        }
    }

    /// The children who are not in the head's group.
    fn others(&self) -> Vec<Pid> {
        children().into_iter().filter(|child| *child != self.head && !self.is_in_group(*child)).collect()
    }

    fn is_in_group(&self, process: Pid) -> bool {
        getpgid(Some(process)) == Ok(self.head)
    }

    /// Whether the group with the head's number is still the head's: when the head's end was noted and nobody is left in it,
    /// the number may be given to a stranger.
    fn has_group(&self) -> bool {
        self.status.is_none() || children().into_iter().any(|child| self.is_in_group(child))
    }
}

/// Kills the children of this process and those that they leave to it, and waits until nobody is left.
///
/// # Errors
/// If the operating system refuses to tell who ends.
pub async fn end_all_children() -> io::Result<()> {
    let mut deaths = signal(SignalKind::child())?;
    loop {
        let children = children();
        if children.is_empty() {
            return Ok(());
        }
        let mut has_one_ended = false;
        for child in children {
            // One by one: others in this process may wait for a child of their own.
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

/// Reaps those who were left to this process and have ended, such as what a credential plugin started: nobody else waits for them.
#[derive(Debug, Default)]
pub struct Undertaker {
    /// Who had ended at the last look and was not waited for yet.
    dead: Vec<Pid>,
}

impl Undertaker {
    /// A look. Who had ended at the last one, too, is nobody's: whoever waits for a child of its own does so at once.
    /// `known` is waited for elsewhere in any case.
    pub fn look(&mut self, known: Option<Pid>) {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let has_ended = |child: Pid| matches!(waitid(WaitId::Pid(child), look), Ok(Some(_)));
        let mut dead = children();
        dead.retain(|child| Some(*child) != known && has_ended(*child));
        for child in dead.extract_if(.., |child| self.dead.contains(child)) {
            let _ = waitpid(Some(child), WaitOptions::NOHANG);
        }
        self.dead = dead;
    }
}

/// The children of this process, those of all its threads.
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
        let mut undertaker = Undertaker::default();
        undertaker.look(None);
        assert!(matches!(status(WaitIdOptions::NOHANG), Ok(None)), "it runs");
        drop(child.stdin.take());
        status(WaitIdOptions::NOWAIT).unwrap();
        for known in [Some(pid), Some(pid), None] {
            undertaker.look(known);
            assert!(
                matches!(status(WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT), Ok(Some(_))),
                "somebody may ask"
            );
        }
        undertaker.look(None);
        assert!(matches!(status(WaitIdOptions::NOHANG), Err(Errno::CHILD)), "it was reaped");
    }

    /// When the head was waited for its number is free, and a stranger may lead a group of that number.
    #[test]
    fn a_group_of_the_head_s_number_is_a_stranger_s_when_the_head_has_ended_and_no_child_is_in_it() {
        let stranger = Pid::INIT;
        let mut family = Family::new(stranger);
        assert!(family.has_group());
        family.status = Some(0);
        assert!(!family.has_group());
    }
}
