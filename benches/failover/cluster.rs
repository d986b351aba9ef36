//! Where the control plane is: what the variables name, or one started for this run. Never the current context.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

const NAME: &str = "election-operator-bench";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/cluster.sh");
const ADMIN: &str = "ELECTION_OPERATOR_TEST_KUBECONFIG";
const OPERATOR: &str = "ELECTION_OPERATOR_KUBECONFIG";
const AUDIT_LOG: &str = "ELECTION_OPERATOR_AUDIT_LOG";

/// A control plane whose nodes are simulated by kwok. Dropping it takes it down if it was started for this run.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) admin: PathBuf,
    /// The kubeconfig of the chart's `ServiceAccount`.
    pub(crate) operator: PathBuf,
    /// The API server's audit log, where it can be read.
    pub(crate) audit_log: Option<PathBuf>,
    started: bool,
}

impl Cluster {
    /// Finds it, or starts it.
    pub(crate) fn find() -> Self {
        if let (Ok(admin), Ok(operator)) = (std::env::var(ADMIN), std::env::var(OPERATOR)) {
            let audit_log = std::env::var(AUDIT_LOG).ok().map(PathBuf::from);
            return Self { admin: admin.into(), operator: operator.into(), audit_log, started: false };
        }
        let started = !script("env").stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap().success();
        assert!(script("up").status().unwrap().success(), "the control plane cannot be started");
        let print =
            format!("eval \"$(\"$0\" env)\"; printf '%s\\n' \"${ADMIN}\" \"${OPERATOR}\" \"${AUDIT_LOG}\"");
        let told = named(Command::new("bash").args(["-c", &print, SCRIPT])).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        let lines: Vec<&str> = told.lines().collect();
        let [admin, operator, audit_log] = lines[..] else {
            panic!("cluster.sh env does not name the kubeconfigs: {told}");
        };
        Self { admin: admin.into(), operator: operator.into(), audit_log: Some(audit_log.into()), started }
    }

    /// A client with the administrator's rights.
    pub(crate) async fn admin_client(&self) -> Client {
        client(&self.admin).await
    }

    /// A client with the operator's rights, and with the operator's settings for writes.
    pub(crate) async fn operator_client(&self) -> Client {
        client(&self.operator).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.started {
            let _ = script("down").status();
        }
    }
}

fn script(command: &str) -> Command {
    let mut script = Command::new(SCRIPT);
    script.arg(command);
    named(&mut script);
    script
}

fn named(command: &mut Command) -> &mut Command {
    command.env("ELECTION_OPERATOR_CLUSTER", NAME)
}

async fn client(kubeconfig: &PathBuf) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig can be read");
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(file, &options).await.expect("it names a cluster");
    config.default_retry = false;
    Client::try_from(config).expect("a client can be made")
}
