//! Where the control plane is: what the variables name, or one started for this run. Never the
//! current context.

use std::ops::Deref;
use std::path::Path;
use std::process::{Command, Stdio};

use kube::Client;
use testkit::cluster::{self, client_without_retries};

const NAME: &str = "election-operator-bench";
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/cluster.sh");

/// A control plane whose nodes are simulated by kwok. Dropping it takes it down if it was started
/// for this run.
#[derive(Debug)]
pub(crate) struct Cluster {
    files: cluster::Cluster,
    started: bool,
}

impl Cluster {
    /// Finds it, or starts it.
    pub(crate) fn find() -> Self {
        if let Some(files) = cluster::Cluster::of_environment() {
            return Self { files, started: false };
        }
        let started = !script("env").stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap().success();
        assert!(script("up").status().unwrap().success(), "the control plane cannot be started");
        let files = cluster::Cluster::of_script(Path::new(SCRIPT), Some(NAME)).expect("it is up");
        Self { files, started }
    }

    /// A client with the administrator's rights.
    pub(crate) async fn admin_client(&self) -> Client {
        client_without_retries(&self.admin).await
    }

    /// A client with the operator's rights, and with the operator's settings for writes.
    pub(crate) async fn operator_client(&self) -> Client {
        client_without_retries(&self.operator).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.started {
            let _ = script("down").status();
        }
    }
}

impl Deref for Cluster {
    type Target = cluster::Cluster;

    fn deref(&self) -> &Self::Target {
        &self.files
    }
}

fn script(command: &str) -> Command {
    let mut script = Command::new(SCRIPT);
    script.arg(command).env("ELECTION_OPERATOR_CLUSTER", NAME);
    // As users have it: the EndpointSlice controller's requests wait, too.
    script.env("ELECTION_OPERATOR_CLUSTER_QPS", "default");
    script
}
