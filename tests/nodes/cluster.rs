//! The cluster with real nodes that the variables name, and the chart on it.
//! Never the user's current context.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use kube::Client;

/// The name of the operator's image: that of README and `examples/`.
const REPOSITORY: &str = "registry.example.com/election-operator";
/// The namespace and the release of the operator.
pub(crate) const OPERATOR: &str = "election-operator";

/// A cluster with real nodes. Only one test has it at a time: some take a node away.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    kubeconfig: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

/// One of the variables that `nodes.sh env` prints, without its common beginning.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(format!("ELECTION_OPERATOR_NODES_{name}")).ok().filter(|value| !value.is_empty())
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Prints a line that passing tests show, too: the test harness does not capture it.
pub(crate) fn say(line: &str) {
    _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs a command and gives back what it printed.
///
/// # Panics
/// If it fails, with what it said.
pub(crate) fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {}\n{out}{errors}", done.status);
    out.into_owned()
}

impl Cluster {
    /// The cluster, with the chart of this repository installed. If `test` must be skipped, prints why.
    ///
    /// # Panics
    /// If the tests were started without `with.sh`, or the chart cannot be installed.
    pub(crate) async fn find(test: &str) -> Option<Self> {
        static ONE: Mutex<()> = Mutex::new(());
        static INSTALLED: OnceLock<()> = OnceLock::new();
        let Some(kubeconfig) = variable("KUBECONFIG") else {
            let missing = variable("MISSING").expect("needs real nodes: make nodes");
            say(&format!("skipped {test}: real nodes need {missing}"));
            return None;
        };
        let client = testkit::cluster::client(Path::new(&kubeconfig)).await;
        // A failed test poisons the lock. The next test has a namespace of its own.
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = Self { client, kubeconfig: kubeconfig.into(), _alone: alone };
        INSTALLED.get_or_init(|| cluster.install());
        Some(cluster)
    }

    /// A command with the administrator's kubeconfig.
    fn tool(&self, name: &str) -> Command {
        let tool = variable("TOOLS").map_or_else(|| name.into(), |folder| Path::new(&folder).join(name));
        let mut command = Command::new(tool);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        command
    }

    /// `kubectl`, as a user runs it.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        run(self.tool("kubectl").args(arguments))
    }

    /// What `kubectl` prints, whether it succeeds or not.
    pub(crate) fn kubectl_prints(&self, arguments: &[&str]) -> String {
        let done = self.tool("kubectl").args(arguments).output().expect("kubectl can be started");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    /// Loads the image of this repository, and installs the chart with the README's command. The namespace
    /// refuses every pod that is not `restricted`.
    fn install(&self) {
        let image = load_image(&format!("{REPOSITORY}:{}", env!("CARGO_PKG_VERSION")), &[]);

        let namespace = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {OPERATOR}, labels: \
             {{pod-security.kubernetes.io/enforce: restricted}}}}}}"
        );
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("namespace.yaml");
        std::fs::write(&file, namespace).expect("a file can be written");
        self.kubectl(&["apply", "--filename", &file.to_string_lossy()]);
        // All builds have the same tag: the annotation makes new pods for a new image.
        let digest = run(Command::new("sha256sum").arg(&image));
        run(self
            .tool("helm")
            .args(["upgrade", "--install", OPERATOR, "charts/election-operator", "--namespace", OPERATOR])
            .args(["--set", &format!("image.repository={REPOSITORY}")])
            .args(["--set", &format!("podAnnotations.image={}", &digest[..16])])
            .args(["--wait", "--timeout", "120s"])
            .current_dir(root()));
    }

    /// Takes a node off the network until the value is dropped. `None` if the cluster has no command for it.
    pub(crate) fn cut(node: &str) -> Option<Cut> {
        let (mut cut, mend) = (command("CUT", node)?, command("MEND", node)?);
        let cut_off = Cut { mend, node: node.to_owned() };
        run(&mut cut);
        Some(cut_off)
    }
}

/// Makes an image of the program and of further static programs, and gives it to the nodes. Returns its file.
///
/// # Panics
/// If that cannot be done.
pub(crate) fn load_image(name: &str, more: &[String]) -> PathBuf {
    let binary = variable("BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_election-operator").to_owned());
    let file = name.rsplit('/').next().unwrap_or(name).split(':').next().unwrap_or(name);
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{file}.tar"));
    let mut pack = Command::new(root().join("tests/nodes/image.sh"));
    run(pack.args([&binary, name]).arg(&image).args(more));
    let load = command("LOAD", &image.to_string_lossy());
    run(&mut load.expect("ELECTION_OPERATOR_NODES_LOAD is not set: see docs/nodes.md"));
    image
}

/// The command of a variable, as a shell runs it, with one argument behind it.
fn command(name: &str, argument: &str) -> Option<Command> {
    let line = variable(name)?;
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{line} \"$1\""), "sh", argument]);
    Some(command)
}

/// A node that is off the network. Dropping it mends the node, also when the test fails.
pub(crate) struct Cut {
    mend: Command,
    node: String,
}

impl Drop for Cut {
    fn drop(&mut self) {
        let mended = self.mend.output();
        if !mended.is_ok_and(|mended| mended.status.success()) {
            say(&format!("cannot mend {}", self.node));
        }
    }
}
