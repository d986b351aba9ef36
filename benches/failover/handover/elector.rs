//! An elector as a process: `election-operator elect`, or a program around client-go's own.

use std::fmt;
use std::path::Path;
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::PATIENCE;
use crate::cluster::Cluster;

/// Whose elector it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Ours,
    ClientGo,
}

impl Make {
    /// Whether there is such a program. The first question builds client-go's, which needs Go.
    pub(crate) fn is_there(self) -> bool {
        self == Self::Ours || CLIENT_GO.is_some()
    }

    fn command(self) -> Command {
        match self {
            Self::Ours => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_election-operator"));
                command.args(["elect", "--output", "json"]);
                command
            }
            Self::ClientGo => {
                let mut command =
                    Command::new(CLIENT_GO.as_deref().expect("it was asked whether it is there"));
                // It logs what is no trouble, too.
                command.arg("--release-on-cancel").stderr(Stdio::null());
                command
            }
        }
    }
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ours => "ours",
            Self::ClientGo => "client-go",
        })
    }
}

static CLIENT_GO: LazyLock<Option<String>> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go-program.sh");
    let output = std::process::Command::new(script)
        .arg("interop")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
});

/// The three durations of an election.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) lease_duration: Duration,
    pub(crate) renew_deadline: Duration,
    pub(crate) retry_period: Duration,
}

impl Timing {
    /// The defaults of both.
    pub(crate) const CUSTOMARY: Self = Self::new(15_000, 10_000, 2000);
    pub(crate) const SHORT: Self = Self::new(3000, 2000, 500);

    const fn new(lease_duration: u64, renew_deadline: u64, retry_period: u64) -> Self {
        Self {
            lease_duration: Duration::from_millis(lease_duration),
            renew_deadline: Duration::from_millis(renew_deadline),
            retry_period: Duration::from_millis(retry_period),
        }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = [self.lease_duration, self.renew_deadline, self.retry_period]
            .map(|duration| duration.as_secs_f64().to_string());
        f.pad(&format!("{} s", seconds.join("/")))
    }
}

/// A running elector. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Elector {
    pub(crate) id: String,
    child: Child,
    told: Lines<BufReader<ChildStdout>>,
}

impl Elector {
    /// Starts one that stands for election as `id`, with the administrator's rights.
    pub(crate) fn start(
        cluster: &Cluster,
        make: Make,
        timing: Timing,
        namespace: &str,
        lease: &str,
        id: String,
    ) -> Self {
        let millis = |duration: Duration| format!("{}ms", duration.as_millis());
        let mut child = make
            .command()
            .args(["--lease-namespace", namespace, "--lease-name", lease, "--id", &id])
            .args(["--lease-duration", &millis(timing.lease_duration)])
            .args(["--renew-deadline", &millis(timing.renew_deadline)])
            .args(["--retry-period", &millis(timing.retry_period)])
            .arg("--kubeconfig")
            .arg::<&Path>(&cluster.admin)
            .env_remove("KUBECONFIG")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("an elector can be started");
        let told = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
        Self { id, child, told }
    }

    /// Waits until it says that it knows who leads.
    pub(crate) async fn told_a_leader(&mut self) {
        let names_one = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap_or_default();
            event["leader"].as_str().is_some_and(|leader| !leader.is_empty())
        };
        let telling = async {
            while let Some(line) = self.told.next_line().await.expect("its output can be read") {
                if names_one(&line) {
                    return true;
                }
            }
            false
        };
        let told = tokio::time::timeout(PATIENCE, telling).await;
        assert!(matches!(told, Ok(true)), "{} does not say who leads", self.id);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("it runs"), signal).expect("it can be sent a signal");
    }

    /// Waits for its end.
    pub(crate) async fn gone(mut self) {
        let end = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        end.expect("it ends").expect("it can be waited for");
    }
}
