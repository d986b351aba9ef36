//! The companions of pods of groups in Nominated mode, as processes of this project's program. Each
//! runs a COMMAND ([`Commands`]) that must not run twice.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::process::{Command, Stdio};

use testkit::judge::Pod;
use testkit::process::Process;
use testkit::random::Random;

use crate::commands::Commands;
use crate::control_plane;

/// What strikes a companion. One thing at a time: nothing stops COMMAND where its companion is
/// killed while its guard is stopped.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Strike {
    /// SIGKILL.
    Kill(Victim),
    /// SIGSTOP, until it is resumed.
    Stop(Victim),
}

/// A process of a companion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Companion,
    Guard,
    Command,
}

/// All companions, by the UID of their pod.
pub(crate) struct Companions {
    namespace: String,
    commands: Commands,
    random: Random,
    running: BTreeMap<String, Companion>,
}

struct Companion {
    pod: Pod,
    process: Option<Process>,
    /// A process that is stopped.
    stopped: Option<u32>,
}

impl Companions {
    pub(crate) fn new(namespace: &str, random: Random) -> Self {
        let commands = Commands::new(namespace);
        Self { namespace: namespace.to_owned(), commands, random, running: BTreeMap::new() }
    }

    /// Starts those of new pods. Those of pods that are gone go on.
    pub(crate) fn start_for(&mut self, pods: impl Iterator<Item = Pod>) {
        for pod in pods {
            if !self.running.contains_key(&pod.uid) {
                let process = Some(self.start(&pod));
                self.running.insert(pod.uid.clone(), Companion { pod, process, stopped: None });
            }
        }
    }

    fn start(&self, pod: &Pod) -> Process {
        let group = pod.label("app");
        let folder = self.commands.folder_of(group);
        let log = OpenOptions::new().create(true).append(true).open(folder.join(format!("{}.log", pod.name)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_election-operator"));
        command.args(["elect", "--nominated", "--lease-lock-name", group, "--lease-lock-namespace"]);
        command.arg(&self.namespace).arg("--kubeconfig").arg(control_plane::admin_kubeconfig());
        command.args(["--http-addr", "127.0.0.1:0", "--"]).arg(self.commands.program()).arg(&folder);
        command.env_remove("KUBECONFIG").env("POD_NAME", &pod.name).env("POD_UID", &pod.uid);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log can be written"));
        Process::start(&mut command)
    }

    /// Ends those of pods that are gone: every time one is asked for, one in three.
    pub(crate) fn end_some_of_the_gone(&mut self, present: &[String]) {
        let gone = |(uid, companion): (&String, &Companion)| {
            let ends = !present.contains(uid) && companion.stopped.is_none();
            ends.then(|| uid.clone())
        };
        let gone: Vec<_> = self.running.iter().filter_map(gone).collect();
        for uid in gone {
            if self.random.below(3) == 0 {
                self.running.remove(&uid);
            }
        }
    }

    /// The UID of the pod of one that may be struck, the holder's every other time.
    pub(crate) fn choose(&mut self, holders: &[String]) -> Option<String> {
        let able = |(uid, companion): (&String, &Companion)| {
            (companion.process.is_some() && companion.stopped.is_none()).then(|| uid.clone())
        };
        let able: Vec<_> = self.running.iter().filter_map(able).collect();
        let holding: Vec<_> = able.iter().filter(|uid| holders.contains(uid)).cloned().collect();
        let from = if holding.is_empty() || self.random.below(2) == 0 { able } else { holding };
        let at = self.random.below(u64::try_from(from.len().max(1)).expect("a small number"));
        from.get(usize::try_from(at).expect("a small number")).cloned()
    }

    /// Strikes the companion of a pod. False: it has no such process.
    pub(crate) fn strike(&mut self, uid: &str, strike: Strike) -> bool {
        let Some(companion) = self.running.get_mut(uid) else { return false };
        let Some(process) = &mut companion.process else { return false };
        let (Strike::Kill(victim) | Strike::Stop(victim)) = strike;
        let Some(number) = number_of(process.number(), victim) else { return false };
        match strike {
            Strike::Kill(Victim::Companion) => {
                process.kill();
                companion.process = None;
            }
            Strike::Kill(_) => return signal("KILL", number),
            Strike::Stop(_) => {
                companion.stopped = signal("STOP", number).then_some(number);
            }
        }
        true
    }

    /// What was stopped goes on, and what was killed is started again.
    pub(crate) fn mend(&mut self, uid: &str) {
        let Some(companion) = self.running.get_mut(uid) else { return };
        if let Some(number) = companion.stopped.take() {
            signal("CONT", number);
        }
        let ended = companion.process.as_mut().is_none_or(|process| process.ended().is_some());
        let pod = companion.pod.clone();
        if ended {
            let process = self.start(&pod);
            self.running.entry(pod.uid.clone()).and_modify(|companion| companion.process = Some(process));
        }
    }

    /// All of them run.
    pub(crate) fn heal(&mut self) {
        let all: Vec<_> = self.running.keys().cloned().collect();
        for uid in all {
            self.mend(&uid);
        }
    }

    /// How often a COMMAND was started.
    ///
    /// # Panics
    /// If two of a group ran at once, or one take of the Lease started two.
    pub(crate) fn starts(&self) -> usize {
        self.commands.starts()
    }
}

impl Drop for Companions {
    fn drop(&mut self) {
        self.heal();
        self.running.clear();
    }
}

/// The process of that part, if it runs.
fn number_of(companion: u32, victim: Victim) -> Option<u32> {
    let guard = || child_of(companion);
    match victim {
        Victim::Companion => Some(companion),
        Victim::Guard => guard(),
        Victim::Command => child_of(guard()?),
    }
}

/// The first child of a process.
fn child_of(number: u32) -> Option<u32> {
    let threads = fs::read_dir(format!("/proc/{number}/task")).ok()?.filter_map(Result::ok);
    let mut children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    children.find_map(|children| children.split_whitespace().next()?.parse().ok())
}

/// Sends a signal to a process, which may have ended meanwhile.
fn signal(name: &str, number: u32) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-s", name, &number.to_string()]).stderr(Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}
