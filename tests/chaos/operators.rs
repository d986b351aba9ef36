//! The operators under test, as processes.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use testkit::process::{Process, operator};

use crate::control_plane;

/// Several operators that look after one namespace, all of them active.
pub(crate) struct Operators {
    namespace: String,
    kubeconfig: PathBuf,
    running: Vec<Option<Process>>,
    log: PathBuf,
}

impl Operators {
    /// Starts `count` of them.
    pub(crate) fn new(namespace: &str, count: u64) -> Self {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}.log"));
        let kubeconfig = control_plane::operator_kubeconfig();
        let running = (0..count).map(|_| None).collect();
        let mut operators = Self { namespace: namespace.to_owned(), kubeconfig, running, log };
        for number in 0..operators.running.len() {
            operators.start(number);
        }
        operators
    }

    pub(crate) fn count(&self) -> u64 {
        self.running.len() as u64
    }

    /// Starts one that does not run.
    pub(crate) fn start(&mut self, number: usize) {
        if self.running[number].is_some() {
            return;
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("a log can be written");
        let mut command = operator(Path::new(env!("CARGO_BIN_EXE_election-operator")), &self.kubeconfig);
        command
            .args(["--leader-elect=false", "--namespace", &self.namespace])
            .env("RUST_LOG", "info,election_operator=debug")
            .env("POD_NAME", format!("operator-{number}"))
            .stderr(log);
        self.running[number] = Some(Process::start(&mut command));
    }

    /// Ends one as a crash does.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut operator) = self.running[number].take() {
            operator.kill();
        }
    }

    /// Stops one where it is, or lets it go on.
    pub(crate) fn freeze(&mut self, number: usize, frozen: bool) {
        if let Some(operator) = &mut self.running[number] {
            assert_eq!(operator.ended(), None, "an operator has ended by itself; see {}", self.log.display());
            operator.freeze(frozen);
        }
    }

    /// All of them run.
    pub(crate) fn heal(&mut self) {
        for number in 0..self.running.len() {
            self.freeze(number, false);
            self.start(number);
        }
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        self.running.clear();
        if std::thread::panicking() || std::env::var_os("ELECTION_OPERATOR_TEST_KEEP").is_some() {
            eprintln!("the operators' log: {}", self.log.display());
        } else {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}
