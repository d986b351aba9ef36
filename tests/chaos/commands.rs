//! The COMMAND that companions run, which must not run twice.
//!
//! The kernel judges: COMMAND asks for a lock on a file of its group. The lock is free when the
//! last process that had it has ended, however it ended. A COMMAND that does not get it writes so.
//! All of them also write when they start and end, by the one clock of this machine, and which take
//! of the Lease they were started for.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Takes up to a second to end when it is asked to. The argument is the folder of its group.
const COMMAND: &str = r#"#!/bin/sh
say() {
    read -r now _ </proc/uptime
    echo "$now $1 $ELECT_IDENTITY in term $ELECT_TERM by $ELECT_ACQUIRED_VERSION" >>"$log"
}
log=$1/log
exec 9>>"$1/lock"
flock -n 9 || say OVERLAP
say start
trap 'sleep 0.$((ELECT_TERM % 10)); say end; exit 0' TERM
while :; do sleep 60 & wait $!; done
"#;

/// The program, and what its processes write. Removed with this, unless a test has failed.
pub(crate) struct Commands {
    folder: PathBuf,
}

/// What the processes of one group have written.
pub(crate) struct CommandLog(String);

impl Commands {
    pub(crate) fn new(namespace: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}-commands"));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let commands = Self { folder };
        let program = commands.program();
        fs::write(&program, COMMAND).expect("a file can be written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it can be run");
        commands
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.join("command")
    }

    /// The argument of those of one group.
    pub(crate) fn folder_of(&self, group: &str) -> PathBuf {
        let folder = self.folder.join(group);
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }

    pub(crate) fn log_of(&self, group: &str) -> CommandLog {
        CommandLog(fs::read_to_string(self.folder.join(group).join("log")).unwrap_or_default())
    }

    /// How often one was started.
    ///
    /// # Panics
    /// If two of a group ran at once, or one take of the Lease started two.
    pub(crate) fn starts(&self) -> usize {
        let entries = fs::read_dir(&self.folder).expect("the folder can be read").filter_map(Result::ok);
        let logs = entries.filter_map(|entry| Some(self.log_of(entry.file_name().to_str()?)));
        let count = |log: CommandLog| {
            let problem = log.problem();
            assert_eq!(problem, None, "see {}\n{}", self.folder.display(), log.0);
            log.starts().len()
        };
        logs.map(count).sum()
    }
}

impl CommandLog {
    /// Who was started, in order: `<pod>_<uid>`.
    pub(crate) fn starts(&self) -> Vec<&str> {
        self.words(2)
    }

    /// The promise that was broken, if one was.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let takes = self.words(7);
        let distinct: BTreeSet<_> = takes.iter().collect();
        if self.0.contains(" OVERLAP ") {
            Some("X1 by the kernel: two ran at once")
        } else if distinct.len() < takes.len() {
            Some("X9: one take started two")
        } else {
            None
        }
    }

    /// That word of each line that tells of a start.
    fn words(&self, number: usize) -> Vec<&str> {
        let starts = self.0.lines().filter(|line| line.split(' ').nth(1) == Some("start"));
        starts.map(|line| line.split(' ').nth(number).unwrap_or_default()).collect()
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("ELECTION_OPERATOR_TEST_KEEP").is_some() {
            eprintln!("the logs of companions and of their commands: {}", self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

#[test]
fn a_log_tells_starts_overlaps_and_a_take_that_started_two() {
    let log = |lines: &[&str]| CommandLog(lines.join("\n"));
    let good = log(&[
        "12.30 start g0-1_u1 in term 3 by 40",
        "12.90 end g0-1_u1 in term 3 by 40",
        "12.95 start g0-2_u2 in term 4 by 44",
    ]);
    assert_eq!((good.starts(), good.problem()), (vec!["g0-1_u1", "g0-2_u2"], None));
    let overlap = log(&["12.30 OVERLAP g0-1_u1 in term 3 by 40", "12.30 start g0-1_u1 in term 3 by 40"]);
    assert!(overlap.problem().unwrap().starts_with("X1"));
    let twice = log(&["12.30 start g0-1_u1 in term 3 by 40", "12.80 start g0-1_u1 in term 3 by 40"]);
    assert!(twice.problem().unwrap().starts_with("X9"));
}
