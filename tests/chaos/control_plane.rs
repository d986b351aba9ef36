//! The processes of the control plane, to kill and to stop: those of one cluster's own folder and
//! no others.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kube::Client;
use testkit::cluster::client_without_retries;
use testkit::process::send;

use crate::world::PATIENCE;

const ETCD: &str = "etcd";
const API_SERVER: &str = "kube-apiserver";

fn variable(name: &str) -> PathBuf {
    std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set; run this with: make chaos")).into()
}

/// A kubeconfig with the chart's `ServiceAccount`.
pub(crate) fn operator_kubeconfig() -> PathBuf {
    variable("ELECTION_OPERATOR_KUBECONFIG")
}

/// A kubeconfig with the administrator's rights.
pub(crate) fn admin_kubeconfig() -> PathBuf {
    variable("ELECTION_OPERATOR_TEST_KUBECONFIG")
}

/// A client with the administrator's rights that says at once what does not work.
pub(crate) async fn admin() -> Client {
    client_without_retries(&admin_kubeconfig()).await
}

/// The API server answers from its store, for groups, too: those come later, as they are no kind of
/// its own.
pub(crate) async fn is_ready(client: &Client) -> bool {
    for path in ["/readyz", "/apis/election-operator.io/v1alpha1/electiongroups?limit=1"] {
        let request = http::Request::get(path).body(Vec::new()).expect("a request");
        let answer = tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await;
        if !matches!(answer, Ok(Ok(_))) {
            return false;
        }
    }
    true
}

/// One program as it was found running.
struct Program {
    path: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    log: PathBuf,
}

/// All programs of the cluster.
pub(crate) struct ControlPlane {
    programs: Vec<Program>,
}

/// The number and the command line of each process whose program lies in `folder`.
fn processes(folder: &Path) -> Vec<(u32, Vec<String>)> {
    let entries = fs::read_dir("/proc").expect("/proc can be read").filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let found = numbers.filter_map(|number| {
        let line = fs::read(format!("/proc/{number}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let words: Vec<_> = line.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
        Path::new(words.first()?).starts_with(folder).then_some((number, words))
    });
    found.collect()
}

impl ControlPlane {
    /// The control plane that the environment names.
    ///
    /// # Panics
    /// If it is not one that was made for chaos: others may be using it.
    pub(crate) fn find() -> Self {
        let kubeconfig = admin_kubeconfig();
        let folder = kubeconfig.parent().expect("a kubeconfig lies in the cluster's folder").to_path_buf();
        let name =
            folder.file_name().and_then(|name| name.to_str()).expect("a cluster has a name").to_owned();
        assert!(name.ends_with("chaos"), "the cluster {name} is not for chaos; run this with: make chaos");
        let cluster = folder.join("kwok/clusters").join(&name);
        let programs = processes(&cluster.join("bin")).into_iter().map(|(number, words)| {
            let path = PathBuf::from(&words[0]);
            let program = path.file_name().and_then(|name| name.to_str()).expect("a program has a name");
            Program {
                log: cluster.join("logs").join(format!("{program}.log")),
                folder: fs::read_link(format!("/proc/{number}/cwd")).expect("the process runs"),
                arguments: words[1..].to_vec(),
                path,
            }
        });
        let plane = Self { programs: programs.collect() };
        assert_eq!(plane.programs.len(), 5, "the cluster {name} is not up");
        plane
    }

    fn program(&self, name: &str) -> &Program {
        self.programs.iter().find(|program| program.path.ends_with(name)).expect("a control plane has it")
    }

    /// Kills the API server and starts it again after a while. Returns when it serves.
    pub(crate) async fn restart_api_server(&self, after: Duration) {
        let api_server = self.program(API_SERVER);
        api_server.signal("KILL");
        tokio::time::sleep(after).await;
        while api_server.number().is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        api_server.start();
        self.serves().await;
    }

    /// Stops etcd where it is, for a while. Returns when the API server serves.
    pub(crate) async fn pause_etcd(&self, span: Duration) {
        let etcd = self.program(ETCD);
        etcd.signal("STOP");
        tokio::time::sleep(span).await;
        etcd.signal("CONT");
        self.serves().await;
    }

    /// Waits until the API server answers from its store, and starts what did not outlive the
    /// outage.
    async fn serves(&self) {
        let client = admin().await;
        let patience = tokio::time::Instant::now() + PATIENCE;
        while !is_ready(&client).await {
            let late = tokio::time::Instant::now() >= patience;
            assert!(!late, "the API server does not come back; newest first:\n{}", self.told());
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.revive();
        }
        self.revive();
    }

    /// The end of the API server's log.
    fn told(&self) -> String {
        let log = fs::read(&self.program(API_SERVER).log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        log.lines().rev().take(30).collect::<Vec<_>>().join("\n")
    }

    /// Starts what does not run: nothing else looks after it.
    fn revive(&self) {
        for program in self.programs.iter().filter(|program| program.number().is_none()) {
            program.start();
        }
    }
}

impl Program {
    fn number(&self) -> Option<u32> {
        processes(&self.path).first().map(|(number, _)| *number)
    }

    fn signal(&self, name: &str) {
        let number = self.number().unwrap_or_else(|| panic!("{} does not run", self.path.display()));
        send(name, number);
    }

    fn start(&self) {
        let log =
            || OpenOptions::new().append(true).create(true).open(&self.log).expect("a log can be written");
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn();
        let mut child = child.expect("a program that ran once can be started again");
        // It outlives this test, or is killed by it. Then its parent must ask how it ended.
        std::thread::spawn(move || child.wait());
    }
}

impl Drop for ControlPlane {
    /// Whatever happened, nothing stays stopped.
    fn drop(&mut self) {
        for program in &self.programs {
            if let Some(number) = program.number() {
                send("CONT", number);
            }
        }
    }
}
