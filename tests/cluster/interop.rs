//! `election-operator elect` and client-go's own elector in one election, on the real API server.
//!
//! Each tells by itself when it starts and stops to lead. The two clocks are one: that of this machine.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use jiff::Timestamp;
use kube::config::{AuthInfo, Kubeconfig};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::harness::cluster::Cluster;
use crate::harness::holder::client_go;
use crate::harness::wait::PATIENCE;
use crate::harness::{World, eventually};

/// As short as client-go takes them.
const LEASE: [&str; 6] = ["--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "400ms"];

/// Whose elector it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    Ours,
    ClientGo,
}
use Make::{ClientGo, Ours};
use testkit::json::At;
use testkit::kind::Kind;

impl Make {
    fn other(self) -> Self {
        if self == Ours { ClientGo } else { Ours }
    }
}

/// What an elector tells, in its own words' common meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Started,
    Stopped,
    Leader(String),
}

/// A time during which somebody says that it leads, in microseconds.
#[derive(Clone, Debug)]
struct Reign {
    id: String,
    from: i64,
    to: i64,
}

/// One elector as a process.
struct Candidate {
    id: String,
    child: Child,
    told: watch::Receiver<Vec<(i64, Told)>>,
    errors: Arc<Mutex<Vec<String>>>,
}

impl Candidate {
    fn start(world: &World, make: Make, lease: &str, id: &str) -> Self {
        Self::with(world, make, lease, id, &[])
    }

    fn with(world: &World, make: Make, lease: &str, id: &str, more: &[&str]) -> Self {
        Self::as_user(world, make, lease, id, &Cluster::find().admin, more)
    }

    fn as_user(world: &World, make: Make, lease: &str, id: &str, user: &Path, more: &[&str]) -> Self {
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

    fn told(&self, wanted: &Told) -> bool {
        self.told.borrow().iter().any(|(_, told)| told == wanted)
    }

    /// Waits until it has told this.
    async fn until(&mut self, wanted: &Told) {
        let waiting = self.told.wait_for(|told| told.iter().any(|(_, told)| told == wanted));
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.map(|told| told.map(|_| ()));
        let told = matches!(in_time, Ok(Ok(())));
        assert!(told, "{} never told {wanted:?}: {:?}", self.id, self.told.borrow());
    }

    /// Waits until it has told that this one leads.
    async fn until_led_by(&mut self, id: &str) {
        self.until(&Told::Leader(id.to_owned())).await;
    }

    fn signal(&self, name: &str) {
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
    async fn resign(mut self) -> Vec<Reign> {
        self.signal("TERM");
        self.gone().await
    }

    /// SIGKILL.
    async fn crash(mut self) -> Vec<Reign> {
        self.child.start_kill().expect("it can be killed");
        self.gone().await
    }

    async fn gone(&mut self) -> Vec<Reign> {
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

/// Nobody starts before the one before has stopped.
fn assert_no_overlap(mut reigns: Vec<Reign>) {
    reigns.sort_by_key(|reign| reign.from);
    for pair in reigns.windows(2) {
        assert!(pair[1].from >= pair[0].to, "{} leads beside {}: {reigns:#?}", pair[1].id, pair[0].id);
    }
}

/// The spec of a Lease without what differs from one election to the next.
async fn shape(world: &World, lease: &str) -> Value {
    let mut lease = world.get(Kind::Lease, lease).await.unwrap();
    let six_digits = |time: &str| time.len() == "2026-11-21T01:02:03.456789Z".len() && time.ends_with('Z');
    for time in ["acquireTime", "renewTime"] {
        assert!(six_digits(lease.text(&format!("/spec/{time}"))), "{lease:#}");
        lease["spec"][time] = json!("a time");
    }
    let metadata = ["labels", "annotations", "ownerReferences", "finalizers"];
    let extra: Vec<&str> = metadata.into_iter().filter(|key| !lease["metadata"][*key].is_null()).collect();
    assert!(extra.is_empty(), "{lease:#}");
    lease["spec"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn both_write_the_same_leases() {
    let world = World::new("interop-fields").await;
    let mut shapes = Vec::new();
    for (lease, make) in [("ours", Ours), ("theirs", ClientGo)] {
        let mut of_this = Vec::new();
        let mut first = Candidate::start(&world, make, lease, "first");
        first.until(&Told::Started).await;
        of_this.push(shape(&world, lease).await);
        // client-go's first renewal follows at once; one that is cut off by the end makes its release fail.
        let renewed = |lease: &Value| lease.text("/spec/renewTime") > lease.text("/spec/acquireTime");
        world.until(Kind::Lease, lease, "renewed", renewed).await;
        first.resign().await;
        of_this.push(shape(&world, lease).await);
        let mut second = Candidate::start(&world, make, lease, "second");
        second.until(&Told::Started).await;
        of_this.push(shape(&world, lease).await);
        second.crash().await;
        let mut third = Candidate::start(&world, make, lease, "third");
        third.until(&Told::Started).await;
        of_this.push(shape(&world, lease).await);
        third.resign().await;
        shapes.push(of_this);
    }
    assert_eq!(shapes[0], shapes[1], "created, released, taken when free, taken when expired");
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_hundred_hand_overs_without_overlap() {
    let world = World::new("interop-hand-overs").await;
    let mut reigns = Vec::new();
    let mut leader = Candidate::start(&world, Ours, "orders", "ours-0");
    leader.until(&Told::Started).await;
    let mut make = Ours;
    for round in 1..=100 {
        // Mostly from one make to the other; now and then within one.
        make = if round % 10 == 3 { make } else { make.other() };
        let id = format!("{}-{round}", if make == Ours { "ours" } else { "theirs" });
        let mut next = Candidate::start(&world, make, "orders", &id);
        next.until_led_by(&leader.id).await;
        reigns.extend(if round % 10 < 2 { leader.crash().await } else { leader.resign().await });
        next.until(&Told::Started).await;
        leader = next;
    }
    reigns.extend(leader.resign().await);
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    let transitions = lease.number("/spec/leaseTransitions");
    assert!(transitions >= 100, "{lease:#}");
    assert_eq!(reigns.len(), usize::try_from(transitions).unwrap() + 1, "{reigns:#?}");
    assert_no_overlap(reigns);
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_many_that_start_at_once_one_leads() {
    let world = World::new("interop-conflict").await;
    for round in 0..5 {
        let lease = format!("lease-{round}");
        let makes = [Ours, ClientGo, Ours, ClientGo];
        let mut candidates: Vec<Candidate> = makes
            .iter()
            .enumerate()
            .map(|(number, make)| Candidate::start(&world, *make, &lease, &format!("{make:?}-{number}")))
            .collect();
        let named =
            world.until(Kind::Lease, &lease, "held", |lease| !lease.text("/spec/holderIdentity").is_empty());
        let leader = named.await.text("/spec/holderIdentity").to_owned();
        for candidate in &mut candidates {
            candidate.until_led_by(&leader).await;
        }
        let mut reigns = Vec::new();
        // One after the other: each of them leads in the end, or has given up before.
        for candidate in candidates {
            reigns.extend(candidate.resign().await);
        }
        assert_eq!(reigns[..].iter().filter(|reign| reign.id == leader).count(), 1, "{reigns:#?}");
        assert_no_overlap(reigns);
    }
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_client_go_leader_that_slept_past_its_lease_does_not_disturb_ours() {
    let world = World::new("interop-thaw-theirs").await;
    let mut theirs = Candidate::start(&world, ClientGo, "orders", "theirs");
    theirs.until(&Told::Started).await;
    let mut ours = Candidate::start(&world, Ours, "orders", "ours");
    ours.until_led_by("theirs").await;
    theirs.signal("STOP");
    ours.until(&Told::Started).await;
    let before = shape(&world, "orders").await;
    theirs.signal("CONT");
    // It thinks that it leads until its renew deadline: client-go does not give up on sight.
    theirs.until(&Told::Stopped).await;
    theirs.gone().await;
    assert_eq!(shape(&world, "orders").await, before);
    assert!(!ours.told(&Told::Stopped));
    assert_eq!(ours.resign().await.len(), 1, "one term, undisturbed");
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn our_leader_that_slept_past_its_lease_does_not_disturb_client_go_and_its_command_is_dead_by_then() {
    let world = World::new("interop-thaw-ours").await;
    let mark = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.pid", world.namespace));
    // Its own event lines go to standard error: the command tells, in their words.
    let script = format!(
        "echo $$ >{}; echo '{{\"event\":\"started\",\"at\":1}}'; while :; do sleep 0.05; done",
        mark.display()
    );
    let mut ours = Candidate::with(&world, Ours, "orders", "ours", &["--", "sh", "-c", &script]);
    ours.until(&Told::Started).await;
    let pid = std::fs::read_to_string(&mark).unwrap();
    let command = PathBuf::from(format!("/proc/{}", pid.trim()));
    assert!(command.exists());
    let mut theirs = Candidate::start(&world, ClientGo, "orders", "theirs");
    theirs.until_led_by("ours").await;
    ours.signal("STOP");
    theirs.until(&Told::Started).await;
    assert!(!command.exists(), "the command runs beside the new leader");
    let before = shape(&world, "orders").await;
    ours.signal("CONT");
    // It is awake when it answers; what it saw of the Lease it has seen by then.
    ours.signal("TERM");
    ours.gone().await;
    assert_eq!(shape(&world, "orders").await, before);
    assert!(!theirs.told(&Told::Stopped));
    assert_eq!(theirs.resign().await.len(), 1);
    let _ = std::fs::remove_file(mark);
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_rights_of_the_sidecar_example_are_enough() {
    let world = World::new("interop-rights").await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sidecar.yaml");
    world.kubectl(&["apply", "-f", example]).await;
    let token = world.kubectl(&["create", "token", "worker"]).await;
    let mut kubeconfig = Kubeconfig::read_from(&Cluster::find().admin).unwrap();
    for user in &mut kubeconfig.auth_infos {
        user.auth_info =
            Some(AuthInfo { token: Some(token.trim().to_owned().into()), ..AuthInfo::default() });
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.kubeconfig", world.namespace));
    std::fs::write(&file, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
    let mut worker = Candidate::as_user(&world, Ours, "worker", "worker-0", &file, &[]);
    worker.until(&Told::Started).await;
    // It sees what happens to its Lease.
    world.delete(Kind::Lease, "worker").await;
    worker.until(&Told::Stopped).await;
    let events = async || {
        let events = world.list(Kind::Event).await;
        events.iter().any(|event| event.text("/note") == "worker-0 became leader").then_some(())
    };
    eventually("the Event of the new leader", events).await;
    let reigns = worker.resign().await;
    assert!(!reigns.is_empty());
    let _ = std::fs::remove_file(file);
    world.finish_without_verdict();
}
