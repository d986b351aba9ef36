//! Where the control plane is. Never the user's current context: only what the variables name, or our own cluster.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// The files through which the tests reach a control plane.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The administrator's kubeconfig: what the tests themselves use.
    pub(crate) admin: PathBuf,
    /// The chart's `ServiceAccount`: what the operator under test uses.
    pub(crate) operator: PathBuf,
    /// A kubectl of the server's version.
    pub(crate) kubectl: PathBuf,
    pub(crate) helm: PathBuf,
    /// The API server's audit log.
    audit_log: PathBuf,
}

const VARIABLES: [&str; 4] = [
    "ELECTION_OPERATOR_TEST_KUBECONFIG",
    "ELECTION_OPERATOR_KUBECONFIG",
    "ELECTION_OPERATOR_TOOLS",
    "ELECTION_OPERATOR_AUDIT_LOG",
];

impl Cluster {
    /// The cluster that the variables name, else the one that `cluster.sh up` started.
    ///
    /// # Panics
    /// If there is none, with the command that starts one.
    pub(crate) fn find() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| {
            let given = VARIABLES.map(|variable| std::env::var(variable).unwrap_or_default());
            if given[0].is_empty() && given[1].is_empty() {
                Self::of(ask_script())
            } else {
                assert!(!given[0].is_empty(), "{} is set, but {} is not", VARIABLES[1], VARIABLES[0]);
                assert!(!given[1].is_empty(), "{} is set, but {} is not", VARIABLES[0], VARIABLES[1]);
                Self::of(given)
            }
        })
    }

    fn of([admin, operator, tools, audit_log]: [String; 4]) -> Self {
        Self {
            admin: admin.into(),
            operator: operator.into(),
            kubectl: Path::new(&tools).join("kubectl"),
            helm: Path::new(&tools).join("helm"),
            audit_log: audit_log.into(),
        }
    }

    /// The path of the audit log.
    ///
    /// # Panics
    /// If this cluster was named by variables and its audit log was not.
    pub(crate) fn audit_log(&self) -> &Path {
        assert!(!self.audit_log.as_os_str().is_empty(), "{} is not set", VARIABLES[3]);
        &self.audit_log
    }

    /// A client with the administrator's rights. Each test needs its own: a client lives in its test's runtime.
    pub(crate) async fn client(&self) -> Client {
        client(&self.admin).await
    }

    /// A client with the rights of the account whose token this is.
    pub(crate) async fn client_with_token(&self, token: &str) -> Client {
        let mut file = Kubeconfig::read_from(&self.operator).expect("the kubeconfig can be read");
        for user in file.auth_infos.iter_mut().filter_map(|user| user.auth_info.as_mut()) {
            user.token = Some(token.to_owned().into());
        }
        client_of(file).await
    }
}

/// A client with the rights of a kubeconfig.
pub(crate) async fn client(kubeconfig: &Path) -> Client {
    client_of(Kubeconfig::read_from(kubeconfig).expect("the kubeconfig can be read")).await
}

async fn client_of(file: Kubeconfig) -> Client {
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .expect("the kubeconfig names a cluster");
    Client::try_from(config).expect("a client can be made")
}

fn ask_script() -> [String; 4] {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/cluster.sh");
    let print =
        format!("values=$(\"$0\" env) && eval \"$values\" && printf '%s\\n' ${}", VARIABLES.join(" $"));
    let output = Command::new("bash").args(["-c", &print, script]).output().expect("bash can be run");
    assert!(
        output.status.success(),
        "no control plane to test on. `make cluster` starts one, runs these tests and stops it; to keep one between \
         runs: make cluster-up\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("paths are text");
    let mut lines = text.lines().map(str::to_owned);
    VARIABLES
        .map(|variable| lines.next().unwrap_or_else(|| panic!("cluster.sh env says nothing of {variable}")))
}
