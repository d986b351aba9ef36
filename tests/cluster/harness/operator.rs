//! The operator under test, as a process.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::cluster::Cluster;
use super::json::At;
use super::wait::eventually;
use super::world::World;

/// One running `election-operator run`, looking after one namespace. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Operator {
    child: Child,
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
        let child = Command::new(env!("CARGO_BIN_EXE_election-operator"))
            .arg("run")
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(arguments)
            .args(["--http-addr", "127.0.0.1:0", "--log-format", "json"])
            .env_remove("KUBECONFIG")
            .env("POD_NAME", format!("operator-{number}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(output))
            .spawn()
            .expect("the operator can be started");
        Self { child, log }
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
        self.child.kill().expect("the operator can be killed");
        self.child.wait().expect("the operator ends");
    }

    /// Asks it to end, as Kubernetes does, and waits until it has.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        eventually("an operator that ends on SIGTERM", async || {
            self.child.try_wait().expect("the operator can be waited for")
        })
        .await
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("an operator that ends by itself", async || {
            self.child.try_wait().expect("the operator can be waited for")
        })
        .await
    }

    /// Whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the operator can be waited for").is_none()
    }

    /// The most memory it had so far.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the operator runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        1024 * peak.and_then(|kib| kib.trim().parse::<u64>().ok()).expect("the system tells VmHWM in kB")
    }

    /// Stops it where it is: what it had decided, it will go on with.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets a frozen one go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).status().expect("a shell can be run");
        assert!(status.success(), "cannot send SIG{name} to the operator");
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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
