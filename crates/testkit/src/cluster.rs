//! Where the control plane is. Never the user's current context: only what the variables name, or a
//! cluster that `tests/cluster/cluster.sh` has started.

use std::path::{Path, PathBuf};
use std::process::Command;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

const ADMIN: &str = "ELECTION_OPERATOR_TEST_KUBECONFIG";
const OPERATOR: &str = "ELECTION_OPERATOR_KUBECONFIG";
const TOOLS: &str = "ELECTION_OPERATOR_TOOLS";
const AUDIT_LOG: &str = "ELECTION_OPERATOR_AUDIT_LOG";

/// The files through which tests reach a control plane.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The administrator's kubeconfig: what the tests themselves use.
    pub admin: PathBuf,
    /// The kubeconfig of the chart's `ServiceAccount`: what the operator under test uses.
    pub operator: PathBuf,
    /// A kubectl of the server's version.
    pub kubectl: PathBuf,
    /// A helm that serves this version.
    pub helm: PathBuf,
    /// The API server's audit log, where it is known.
    pub audit_log: Option<PathBuf>,
}

impl Cluster {
    /// The cluster that the variables name.
    ///
    /// # Panics
    /// If they name one of the two kubeconfigs only.
    #[must_use]
    pub fn of_environment() -> Option<Self> {
        let given = [ADMIN, OPERATOR, TOOLS, AUDIT_LOG].map(|name| std::env::var(name).unwrap_or_default());
        if given[0].is_empty() && given[1].is_empty() {
            return None;
        }
        assert!(!given[0].is_empty(), "{OPERATOR} is set, but {ADMIN} is not");
        assert!(!given[1].is_empty(), "{ADMIN} is set, but {OPERATOR} is not");
        Some(Self::of(given))
    }

    /// The cluster that the script has started, under its usual name or another one.
    ///
    /// # Errors
    /// What the script says if it is not up.
    ///
    /// # Panics
    /// If the script cannot be run.
    pub fn of_script(script: &Path, name: Option<&str>) -> Result<Self, String> {
        let print = format!(
            "values=$(\"$0\" env) && eval \"$values\" && \
             printf '%s\\n' \"${ADMIN}\" \"${OPERATOR}\" \"${TOOLS}\" \"${AUDIT_LOG}\""
        );
        let mut command = Command::new("bash");
        command.args(["-c", &print]).arg(script);
        command.envs(name.map(|name| ("ELECTION_OPERATOR_CLUSTER", name)));
        let output = command.output().expect("bash can be run");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).expect("paths are text");
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let lines: [String; 4] =
            lines.try_into().map_err(|_| format!("{text} is not what it should print"))?;
        Ok(Self::of(lines))
    }

    fn of([admin, operator, tools, audit_log]: [String; 4]) -> Self {
        Self {
            admin: admin.into(),
            operator: operator.into(),
            kubectl: Path::new(&tools).join("kubectl"),
            helm: Path::new(&tools).join("helm"),
            audit_log: Some(audit_log).filter(|path| !path.is_empty()).map(PathBuf::from),
        }
    }
}

/// What a kubeconfig says.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn read(kubeconfig: &Path) -> Kubeconfig {
    Kubeconfig::read_from(kubeconfig).expect("the kubeconfig can be read")
}

/// A configuration with the rights of a kubeconfig.
///
/// # Panics
/// If it names no cluster.
pub async fn config(kubeconfig: Kubeconfig) -> Config {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    config.expect("the kubeconfig names a cluster")
}

/// A client with the rights of a kubeconfig. Each test needs its own: a client lives in its
/// runtime.
pub async fn client(kubeconfig: &Path) -> Client {
    client_of(config(read(kubeconfig)).await)
}

/// A client that says at once what does not work.
pub async fn client_without_retries(kubeconfig: &Path) -> Client {
    let mut config = config(read(kubeconfig)).await;
    config.default_retry = false;
    client_of(config)
}

/// A client of a configuration.
///
/// # Panics
/// If there can be none.
#[must_use]
pub fn client_of(config: Config) -> Client {
    Client::try_from(config).expect("a client can be made")
}
