//! The operator under test, as a process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use testkit::json::At;
use testkit::process::{Process, operator};

use super::cluster::Cluster;
use super::wait::eventually;
use super::world::World;

/// One running `election-operator run`, looking after one namespace. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Operator {
    process: Process,
    log: PathBuf,
}

impl Operator {
    /// Starts it under the chart's `ServiceAccount` and waits until it is ready.
    pub(crate) async fn start(world: &World) -> Self {
        let operator = Self::spawn(world);
        operator.ready().await;
        operator
    }

    /// Starts it under the chart's `ServiceAccount` and waits for nothing.
    pub(crate) fn spawn(world: &World) -> Self {
        Self::spawn_as(world, &Cluster::find().operator)
    }

    /// Starts it with the rights of another kubeconfig and waits for nothing.
    pub(crate) fn spawn_as(world: &World, kubeconfig: &Path) -> Self {
        Self::spawn_for(world, kubeconfig, &[&world.namespace])
    }

    /// Starts it for all namespaces and waits for nothing.
    pub(crate) fn spawn_everywhere() -> Self {
        Self::spawn_with("everywhere", &Cluster::find().operator, &["--leader-elect=false"])
    }

    /// Starts it for these namespaces, and waits for nothing.
    pub(crate) fn spawn_for(world: &World, kubeconfig: &Path, namespaces: &[&str]) -> Self {
        let namespaces = namespaces.iter().flat_map(|namespace| ["--namespace", namespace]);
        let arguments: Vec<_> = namespaces.chain(["--leader-elect=false"]).collect();
        Self::spawn_with(&world.namespace, kubeconfig, &arguments)
    }

    /// Starts one of several, of which one is active at a time, and waits for nothing.
    pub(crate) fn spawn_replica(world: &World, arguments: &[&str]) -> Self {
        let own = ["--namespace", &world.namespace, "--leader-elect-resource-namespace", &world.namespace];
        let arguments: Vec<_> = own.iter().chain(arguments).copied().collect();
        Self::spawn_with(&world.namespace, &Cluster::find().operator, &arguments)
    }

    fn spawn_with(name: &str, kubeconfig: &Path, arguments: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{number}.log"));
        let output = File::create(&log).expect("a log file can be made");
        let mut command = operator(Path::new(env!("CARGO_BIN_EXE_election-operator")), kubeconfig);
        command
            .args(arguments)
            .args(["--log-format", "json"])
            .env("POD_NAME", format!("operator-{number}"))
            .stderr(Stdio::from(output));
        Self { process: Process::start(&mut command), log }
    }

    /// Waits until it says that it is ready.
    pub(crate) async fn ready(&self) {
        self.until_readyz("ready", |code, _| code == 200).await;
    }

    /// Waits for an answer of `/readyz?verbose`, and returns its text.
    pub(crate) async fn until_readyz(&self, what: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        eventually(&format!("an operator that is {what}"), async || {
            let (code, text) = self.get("/readyz?verbose").await?;
            wanted(code, &text).then_some(text)
        })
        .await
    }

    /// The answer to a GET of a path of the operator's own HTTP server, once there is one.
    pub(crate) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let address = self.http_addr()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
        tokio::task::spawn_blocking(move || ask(address, &request).ok()).await.ok().flatten()
    }

    /// Where it serves, as it announced in its log.
    pub(crate) fn http_addr(&self) -> Option<SocketAddr> {
        self.log_lines().iter().find_map(|line| {
            [line.text("/fields/http_addr"), line.text("/http_addr")]
                .iter()
                .find_map(|text| text.parse().ok())
        })
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut file| file.read_to_string(&mut text));
        read.expect("the log can be read");
        text
    }

    /// What it logged so far, parsed.
    pub(crate) fn log_lines(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Ends it as a crash does: nothing more is sent.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, as Kubernetes does, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.process.signal("TERM");
        eventually("an operator that ends on SIGTERM", async || self.process.ended()).await
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("an operator that ends by itself", async || self.process.ended()).await
    }

    /// Whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// The most memory it had so far.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        self.process.memory("VmHWM").expect("the system tells VmHWM in kB")
    }

    /// Stops it where it is: what it had decided, it will go on with.
    pub(crate) fn freeze(&self) {
        self.process.freeze(true);
    }

    /// Lets a frozen one go on.
    pub(crate) fn thaw(&self) {
        self.process.freeze(false);
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the operator's log ({}) ---", self.log.display());
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(100)..] {
                eprintln!("{line}");
            }
        } else {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

fn ask(address: SocketAddr, request: &str) -> std::io::Result<(u16, String)> {
    let patience = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((code, body.to_owned()))
}
