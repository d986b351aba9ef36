//! The cluster with real nodes that the variables name, and the chart on it.
//! Never the user's current context.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Client;

/// The name of the operator's image: that of README and `examples/`.
const REPOSITORY: &str = "registry.example.com/election-operator";
/// The namespace and the release of the operator.
pub(crate) const OPERATOR: &str = "election-operator";

/// The chart of this repository.
pub(crate) const CHART: &str = "charts/election-operator";

/// Whether the build under test is installed.
static INSTALLED: AtomicBool = AtomicBool::new(false);

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

pub(crate) fn root() -> &'static Path {
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
        let Some(kubeconfig) = variable("KUBECONFIG") else {
            let missing = variable("MISSING").expect("needs real nodes: make nodes");
            say(&format!("skipped {test}: real nodes need {missing}"));
            return None;
        };
        let client = testkit::cluster::client(Path::new(&kubeconfig)).await;
        // A failed test poisons the lock. The next test has a namespace of its own.
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = Self { client, kubeconfig: kubeconfig.into(), _alone: alone };
        cluster.install();
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

    /// Brings the build under test to the cluster, if it is not there. A release that is there is upgraded.
    pub(crate) fn install(&self) {
        if !INSTALLED.swap(true, Ordering::Relaxed) {
            self.install_build(&binary(), &root().join(CHART), env!("CARGO_PKG_VERSION"));
        }
    }

    /// Removes the operator, and installs another build of it.
    pub(crate) fn install_other(&self, binary: &Path, chart: &Path) {
        self.uninstall();
        self.install_build(binary, chart, "other");
    }

    /// Loads the image of a build, and installs its chart with the README's command. The namespace refuses
    /// every pod that is not `restricted`.
    fn install_build(&self, binary: &Path, chart: &Path, tag: &str) {
        let image = load_image(binary, &format!("{REPOSITORY}:{tag}"), &[]);

        let namespace = root().join("release/namespace.yaml");
        self.kubectl(&["apply", "--filename", &namespace.to_string_lossy()]);
        // Builds of one tag differ: the annotation makes new pods for a new image.
        let digest = run(Command::new("sha256sum").arg(&image));
        self.helm(&[
            "upgrade",
            "--install",
            OPERATOR,
            &chart.to_string_lossy(),
            "--set-string",
            &format!("image.repository={REPOSITORY},image.tag={tag},podAnnotations.image={}", &digest[..16]),
            "--wait",
            "--timeout=120s",
        ]);
    }

    /// Removes the operator. The CRD and the groups stay. The next test installs the build under test again.
    pub(crate) fn uninstall(&self) {
        INSTALLED.store(false, Ordering::Relaxed);
        self.helm(&["uninstall", OPERATOR, "--wait", "--timeout=120s"]);
    }

    /// `helm` in the operator's namespace.
    pub(crate) fn helm(&self, arguments: &[&str]) -> String {
        run(self.tool("helm").args(["--namespace", OPERATOR]).args(arguments).current_dir(root()))
    }

    /// What `helm` says when it fails.
    ///
    /// # Panics
    /// If it succeeds.
    pub(crate) fn helm_fails(&self, arguments: &[&str]) -> String {
        let mut helm = self.tool("helm");
        let done = helm.args(["--namespace", OPERATOR]).args(arguments).current_dir(root()).output();
        let done = done.expect("helm can be started");
        let said =
            [done.stdout, done.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert!(!done.status.success(), "{arguments:?} succeeds: {said}");
        said
    }

    /// Runs commands as a user does who has `kubectl` and `helm`, and this namespace as the current one.
    pub(crate) fn shell(&self, namespace: &str, commands: &str) -> String {
        let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}.kubeconfig"));
        std::fs::copy(&self.kubeconfig, &copy).expect("a file can be copied");
        let mut current = Command::new(self.tool("kubectl").get_program());
        current.arg("--kubeconfig").arg(&copy).args(["config", "set-context", "--current", "--namespace"]);
        run(current.arg(namespace));
        let mut path = variable("TOOLS").map(|tools| tools + ":").unwrap_or_default();
        path.push_str(&std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", commands]).current_dir(root());
        let printed = run(shell.env("KUBECONFIG", &copy).env("PATH", path));
        std::fs::remove_file(&copy).expect("the copy can be removed");
        printed
    }

    /// Begins a `helm upgrade` that replaces every pod of the operator by one of the same build.
    pub(crate) fn begin_upgrade(&self) -> Child {
        let mark = format!("podAnnotations.upgrade=at-{}", crate::traffic::now());
        let mut helm = self.tool("helm");
        helm.args(["--namespace", OPERATOR, "upgrade", OPERATOR, CHART, "--reuse-values", "--set", &mark]);
        helm.args(["--wait", "--timeout=120s"]).current_dir(root()).stdout(Stdio::null());
        helm.spawn().expect("helm can be started")
    }

    /// The address of a registry that this machine and the nodes reach, if the cluster has one.
    pub(crate) fn registry() -> Option<String> {
        let printed = run(Command::new("sh").args(["-c", &variable("REGISTRY")?]));
        Some(printed.trim().to_owned())
    }

    /// Takes a node off the network until the value is dropped. `None` if the cluster has no command for it.
    pub(crate) fn cut(node: &str) -> Option<Cut> {
        let (mut cut, mend) = (command("CUT", node)?, command("MEND", node)?);
        let cut_off = Cut { mend, node: node.to_owned() };
        run(&mut cut);
        Some(cut_off)
    }
}

/// The program under test.
pub(crate) fn binary() -> PathBuf {
    variable("BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_election-operator").to_owned()).into()
}

/// Makes an image of the program and of further static programs, and gives it to the nodes. Returns its file.
///
/// # Panics
/// If that cannot be done.
pub(crate) fn load_image(binary: &Path, name: &str, more: &[String]) -> PathBuf {
    let file = name.rsplit('/').next().unwrap_or(name).replace(':', "-");
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{file}.tar"));
    let mut pack = Command::new(root().join("tests/nodes/image.sh"));
    run(pack.arg(binary).arg(name).arg(&image).args(more));
    load(&image);
    image
}

/// Makes the image of `examples/EXAMPLE.yaml` and gives it to the nodes, as [`load_packed`].
pub(crate) fn load_example_image(test: &str, example: &str) -> bool {
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{example}.tar"));
    let mut pack = Command::new(root().join("tests/nodes/example-image.sh"));
    load_packed(test, pack.arg(example).arg(&image).arg(binary()), &image)
}

/// Gives the nodes the image that `pack` makes of Debian's packages. If they are out of reach, says that
/// `test` is skipped.
///
/// # Panics
/// If that cannot be done for another reason.
pub(crate) fn load_packed(test: &str, pack: &mut Command, image: &Path) -> bool {
    let packed = pack.output().expect("it can be started");
    let errors = String::from_utf8_lossy(&packed.stderr);
    if packed.status.code() == Some(3) {
        say(&format!("skipped {test}: {errors}"));
        return false;
    }
    assert!(packed.status.success(), "{pack:?}: {}\n{errors}", packed.status);
    load(image);
    true
}

fn load(image: &Path) {
    let load = command("LOAD", &image.to_string_lossy());
    run(&mut load.expect("ELECTION_OPERATOR_NODES_LOAD is not set: see docs/nodes.md"));
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
