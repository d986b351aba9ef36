//! The operators under test, as processes.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::control_plane;

/// All that is given to an operator.
fn arguments(namespace: &str, kubeconfig: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        ["run", "--leader-elect=false", "--http-addr", "127.0.0.1:0", "--namespace"]
            .map(OsString::from)
            .to_vec();
    arguments.extend([namespace.into(), "--kubeconfig".into(), kubeconfig.into()]);
    arguments
}

/// Several operators that look after one namespace, all of them active.
pub(crate) struct Operators {
    namespace: String,
    kubeconfig: PathBuf,
    running: Vec<Option<Child>>,
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
        let child = Command::new(env!("CARGO_BIN_EXE_election-operator"))
            .args(arguments(&self.namespace, &self.kubeconfig))
            .env_remove("KUBECONFIG")
            .env("RUST_LOG", "info,election_operator=debug")
            .env("POD_NAME", format!("operator-{number}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.running[number] = Some(child.expect("the operator can be started"));
    }

    /// Ends one as a crash does.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.running[number].take() {
            child.kill().expect("the operator can be killed");
            child.wait().expect("the operator ends");
        }
    }

    /// Stops one where it is, or lets it go on.
    pub(crate) fn freeze(&mut self, number: usize, frozen: bool) {
        if let Some(child) = &mut self.running[number] {
            let ended = child.try_wait().expect("the operator can be waited for");
            assert_eq!(ended, None, "an operator has ended by itself; see {}", self.log.display());
            control_plane::send(if frozen { "STOP" } else { "CONT" }, child.id());
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
        for number in 0..self.running.len() {
            if let Some(mut child) = self.running[number].take() {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        if std::thread::panicking() || std::env::var_os("ELECTION_OPERATOR_TEST_KEEP").is_some() {
            eprintln!("the operators' log: {}", self.log.display());
        } else {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}
