//! Companions in this process, which a test can cut off, and which make one mistake or none. They
//! are the whole elector of the program: a mistake is in their settings, on their way to the API
//! server, or in what they do with COMMAND.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use election_operator::elector::{ActiveTerm, ElectorConfig, LeaderElector};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, pending};
use http::{Request, Response};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use kube::Client;
use kube::client::Body;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use testkit::judge::Pod;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::BoxError;

use crate::commands::Commands;
use crate::control_plane::admin;

/// The group, and its Lease.
const GROUP: &str = "g0";

/// What companions do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    None,
    /// They take a free Lease, whichever pod is nominated.
    TakesWithoutNomination,
    /// They run COMMAND on a take that had no answer.
    RunsWithoutAnswer,
    /// They release the Lease while COMMAND still ends.
    ReleasesEarly,
    /// They let COMMAND go on when its time is over.
    OutlivesItsTime,
}

/// The companions of one group.
pub(super) struct Crew {
    namespace: String,
    mistake: Mistake,
    commands: Arc<Commands>,
    all: Vec<Companion>,
    /// The next take breaks the way of the companion that sends it.
    breaks_at_take: Arc<AtomicBool>,
    /// COMMANDs that their companion has left alone. They end with this.
    left: Arc<Mutex<Vec<RunningCommand>>>,
}

struct Companion {
    pod: Pod,
    way: Arc<Way>,
    task: JoinHandle<()>,
}

impl Drop for Companion {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Crew {
    pub(super) fn new(namespace: &str, mistake: Mistake, commands: Arc<Commands>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            mistake,
            commands,
            all: Vec::new(),
            breaks_at_take: Arc::default(),
            left: Arc::default(),
        }
    }

    /// Each of these pods has its companion, and no other.
    pub(super) async fn serve(&mut self, pods: Vec<Pod>) {
        self.all.retain(|companion| pods.iter().any(|pod| pod.uid == companion.pod.uid));
        for pod in pods {
            if self.all.iter().all(|companion| companion.pod.uid != pod.uid) {
                let companion = self.start(pod).await;
                self.all.push(companion);
            }
        }
    }

    async fn start(&self, pod: Pod) -> Companion {
        let way = Arc::new(Way {
            cut: watch::Sender::new(false),
            breaks_at_take: self.breaks_at_take.clone(),
            hopes: self.mistake == Mistake::RunsWithoutAnswer,
        });
        let client = way.clone().client(admin().await);
        let elector = LeaderElector::with_clients(client.clone(), client, self.config(&pod));
        let elector = elector.expect("the settings make sense");
        let (mistake, commands, left) = (self.mistake, self.commands.clone(), self.left.clone());
        let task = tokio::spawn(async move {
            let work = |term| work(mistake, &commands, &left, term);
            elector.run(pending(), work).await.expect("an elector goes on");
        });
        Companion { pod, way, task }
    }

    fn config(&self, pod: &Pod) -> ElectorConfig {
        let (namespace, name, uid) = (&self.namespace, &pod.name, &pod.uid);
        let config = match self.mistake {
            Mistake::TakesWithoutNomination => ElectorConfig {
                lease_duration: Duration::from_secs(3),
                renew_deadline: Duration::from_secs(2),
                retry_period: Duration::from_millis(500),
                ..ElectorConfig::new(namespace, GROUP, format!("{name}_{uid}"))
            },
            _ => ElectorConfig::nominated(namespace, GROUP, name, uid),
        };
        ElectorConfig { drain_timeout: Duration::MAX, ..config }
    }

    /// The companion of that pod reaches the API server no more.
    pub(super) fn cut(&self, uid: &str) {
        for companion in self.all.iter().filter(|companion| companion.pod.uid == uid) {
            companion.way.cut.send_replace(true);
        }
    }

    /// The next take is lost, and its companion is cut off with it.
    pub(super) fn cut_at_next_take(&self) {
        self.breaks_at_take.store(true, Ordering::SeqCst);
    }

    /// Whether the holder of that name cannot reach the API server.
    pub(super) fn is_cut(&self, holder: &str) -> bool {
        let is_holder = |companion: &&Companion| holder.ends_with(&companion.pod.uid);
        self.all.iter().find(is_holder).is_none_or(|companion| *companion.way.cut.borrow())
    }

    /// All of them reach the API server. Returns the names of the pods of those that did not.
    pub(super) fn mend(&self) -> Vec<String> {
        self.breaks_at_take.store(false, Ordering::SeqCst);
        let cut = self.all.iter().filter(|companion| companion.way.cut.send_replace(false));
        cut.map(|companion| companion.pod.name.clone()).collect()
    }
}

/// What a companion does in its term.
async fn work(mistake: Mistake, commands: &Commands, left: &Mutex<Vec<RunningCommand>>, term: ActiveTerm) {
    let mut command = RunningCommand::start(commands, &term);
    tokio::select! {
        _ = command.0.wait() => return,
        () = term.lost() => {}
    }
    let leave = |command| left.lock().unwrap_or_else(PoisonError::into_inner).push(command);
    match mistake {
        Mistake::OutlivesItsTime => {
            leave(command);
            pending::<()>().await;
        }
        Mistake::ReleasesEarly => {
            command.signal(Signal::TERM);
            leave(command);
        }
        Mistake::None | Mistake::TakesWithoutNomination | Mistake::RunsWithoutAnswer => {
            command.signal(Signal::TERM);
            let _ = command.0.wait().await;
        }
    }
}

/// A COMMAND and its children. They are killed when this is dropped.
struct RunningCommand(Child);

impl RunningCommand {
    fn start(commands: &Commands, term: &ActiveTerm) -> Self {
        let mut command = Command::new(commands.program());
        command.arg(commands.folder_of(GROUP)).process_group(0).stdin(Stdio::null()).stderr(Stdio::null());
        command.env("ELECT_IDENTITY", term.identity()).env("ELECT_TERM", term.token().term().to_string());
        command.env("ELECT_ACQUIRED_VERSION", &term.token().acquired_version);
        Self(command.spawn().expect("COMMAND can be started"))
    }

    /// Nothing, once it was waited for: its number may be that of another process.
    fn signal(&self, signal: Signal) {
        let number = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = number {
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The way of one companion to the API server.
struct Way {
    cut: watch::Sender<bool>,
    breaks_at_take: Arc<AtomicBool>,
    /// A take that was lost is answered as if it had been carried out.
    hopes: bool,
}

type Answer = StreamBody<futures::stream::TakeUntil<BodyStream<Body>, BoxFuture<'static, ()>>>;

impl Way {
    fn client(self: Arc<Self>, client: Client) -> Client {
        let pass = move |request| self.clone().pass(client.clone(), request);
        Client::new(tower::service_fn(pass), "default")
    }

    /// Passes a request on, and its answer back until the way is cut.
    async fn pass(
        self: Arc<Self>,
        client: Client,
        request: Request<Body>,
    ) -> Result<Response<Answer>, BoxError> {
        let (parts, body) = request.into_parts();
        let sent = body.collect().await?.to_bytes().to_vec();
        if is_take(&sent) && self.breaks_at_take.swap(false, Ordering::SeqCst) {
            self.cut.send_replace(true);
            if self.hopes {
                return Ok(Response::new(answer(sent.into(), pending().boxed())));
            }
        }
        let end = until(self.cut.subscribe()).boxed();
        tokio::select! {
            biased;
            () = until(self.cut.subscribe()) => Err("the way is cut".into()),
            received = client.send(Request::from_parts(parts, sent.into())) => {
                Ok(received?.map(|body| answer(body, end)))
            }
        }
    }
}

async fn until(mut cut: watch::Receiver<bool>) {
    let _ = cut.wait_for(|cut| *cut).await;
}

fn answer(body: Body, end: BoxFuture<'static, ()>) -> Answer {
    StreamBody::new(BodyStream::new(body).take_until(end))
}

/// A Lease that was taken just now.
fn is_take(sent: &[u8]) -> bool {
    let Ok(lease) = serde_json::from_slice::<Value>(sent) else { return false };
    let spec = &lease["spec"];
    let is_held = spec["holderIdentity"].as_str().is_some_and(|holder| !holder.is_empty());
    is_held && spec["acquireTime"] == spec["renewTime"]
}
