//! An elector of either make as a process, and what it tells.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::Value;
use testkit::json::At;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::LEASE;
use crate::harness::World;
use crate::harness::cluster::Cluster;
use crate::harness::holder::client_go;
use crate::harness::wait::PATIENCE;
use Make::{ClientGo, Ours};

/// Whose elector it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    Ours,
    ClientGo,
}
impl Make {
    pub(super) fn other(self) -> Self {
        if self == Ours { ClientGo } else { Ours }
    }
}

/// What an elector tells, in its own words' common meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Started,
    Stopped,
    Leader(String),
}

/// A time during which somebody says that it leads, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Reign {
    pub(super) id: String,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// One elector as a process.
pub(super) struct Candidate {
    pub(super) id: String,
    child: Child,
    told: watch::Receiver<Vec<(i64, Told)>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Candidate {
    pub(super) fn start(world: &World, make: Make, lease: &str, id: &str) -> Self {
        Self::with(world, make, lease, id, &[])
    }

    pub(super) fn with(world: &World, make: Make, lease: &str, id: &str, more: &[&str]) -> Self {
        Self::as_user(world, make, lease, id, &Cluster::find().admin, more)
    }

    pub(super) fn as_user(
        world: &World,
        make: Make,
        lease: &str,
        id: &str,
        user: &Path,
        more: &[&str],
    ) -> Self {
        let mut command = match make {
            Ours => Command::new(env!("CARGO_BIN_EXE_election-operator")),
            ClientGo => Command::new(client_go()),
        };
        match make {
            Ours => command.args(["elect", "--output", "json"]),
            ClientGo => command.arg("--release-on-cancel"),
        };
        command.arg("--kubeconfig").arg(user).args(LEASE);
        command.args(["--lease-name", lease, "--lease-namespace", &world.namespace, "--id", id]).args(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("an elector can be started");
        let (tell, told) = watch::channel(Vec::new());
        each_line(child.stdout.take().unwrap(), move |line| {
            if let Some(event) = parse(&line) {
                tell.send_modify(|told| told.push(event));
            }
        });
        let errors: Arc<Mutex<Vec<String>>> = Arc::default();
        let collected = errors.clone();
        each_line(child.stderr.take().unwrap(), move |line| {
            if is_error(make, &line) {
                collected.lock().unwrap().push(line);
            }
        });
        Self { id: id.to_owned(), child, told, errors }
    }

    pub(super) fn told(&self, wanted: &Told) -> bool {
        self.told.borrow().iter().any(|(_, told)| told == wanted)
    }

    /// Waits until it has told this.
    pub(super) async fn until(&mut self, wanted: &Told) {
        let waiting = self.told.wait_for(|told| told.iter().any(|(_, told)| told == wanted));
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.map(|told| told.map(|_| ()));
        let told = matches!(in_time, Ok(Ok(())));
        assert!(told, "{} never told {wanted:?}: {:?}", self.id, self.told.borrow());
    }

    /// Waits until it has told that this one leads.
    pub(super) async fn until_led_by(&mut self, id: &str) {
        self.until(&Told::Leader(id.to_owned())).await;
    }

    pub(super) fn signal(&self, name: &str) {
        // client-go's may have ended by itself, for a lost Lease.
        let Some(pid) = self.child.id() else { return };
        let status = std::process::Command::new("sh").args(["-c", &format!("kill -s {name} {pid}")]).status();
        assert!(status.expect("a shell can be run").success());
    }

    /// Its reigns, one that did not end by itself until `end`. It never complained about what the others wrote.
    fn reigns(&self, end: i64) -> Vec<Reign> {
        let errors = self.errors.lock().unwrap();
        assert!(errors.is_empty(), "{}: {errors:#?}", self.id);
        let mut reigns: Vec<Reign> = Vec::new();
        for (at, told) in self.told.borrow().iter() {
            match told {
                Told::Started => reigns.push(Reign { id: self.id.clone(), from: *at, to: end }),
                Told::Stopped => reigns.last_mut().expect("nobody stops who never started").to = *at,
                Told::Leader(_) => {}
            }
        }
        reigns
    }

    /// SIGTERM: it gives the Lease back.
    pub(super) async fn resign(mut self) -> Vec<Reign> {
        self.signal("TERM");
        self.gone().await
    }

    /// SIGKILL.
    pub(super) async fn crash(mut self) -> Vec<Reign> {
        self.child.start_kill().expect("it can be killed");
        self.gone().await
    }

    pub(super) async fn gone(&mut self) -> Vec<Reign> {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends")
            .expect("it can be waited for");
        let end = now();
        // Its output is complete when the reader has dropped the other end.
        while self.told.changed().await.is_ok() {}
        self.reigns(end)
    }
}

fn each_line(output: impl AsyncRead + Send + Unpin + 'static, mut see: impl FnMut(String) + Send + 'static) {
    let mut lines = BufReader::new(output).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            see(line);
        }
    });
}

fn parse(line: &str) -> Option<(i64, Told)> {
    let event: Value = serde_json::from_str(line).ok()?;
    let at = event.at("/at").as_i64().or_else(|| {
        let time: Timestamp = event.text("/time").parse().ok()?;
        Some(time.as_microsecond())
    })?;
    let told = match event.text("/event") {
        "started" | "started-leading" => Told::Started,
        "stopped" | "stopped-leading" => Told::Stopped,
        _ => Told::Leader(event.text("/leader").to_owned()),
    };
    Some((at, told))
}

/// Trouble with what another wrote: an error, but for those that say that another was faster, and for what client-go
/// says of its own end and ours of its own sleep.
fn is_error(make: Make, line: &str) -> bool {
    let harmless = [
        "the object has been modified",
        "already exists",
        "context canceled",
        "would exceed context deadline",
        "context deadline exceeded",
        "work goes on though another may lead by now",
    ];
    let error = match make {
        Ours => {
            line.contains("\"level\":\"ERROR\"")
                || line.contains("\"level\":\"WARN\"")
                || line.starts_with("error")
        }
        ClientGo => line.starts_with('E') || line.starts_with('F') || line.starts_with("panic"),
    };
    error && !harmless.iter().any(|text| line.contains(text))
}

fn now() -> i64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
    i64::try_from(now.as_micros()).expect("the clock is before 294247")
}
