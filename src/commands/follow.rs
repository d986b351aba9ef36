//! `election-operator follow`: tells a pod whether it leads, and runs a command while it does. It
//! writes nothing at the API server. [`follower`] judges; this module reads, tells and waits.

pub mod follower;
pub mod http;
pub mod lease_feed;
pub mod role;
pub mod role_file;
pub mod sight;
pub mod work;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::connect::{ConnectError, Connection};
use super::elect::report::ElectEvent;
use super::go_duration;
use super::output::Output;
use super::own_pod::{OwnPod, UnknownPod, known};
use super::signals::{self, Signals};
use crate::elector::Nanos;
use crate::elector::clock::{BootTime, Time};
use crate::http::{Address, serve};
use crate::lines::{self, Lines, complain};
use crate::planner::Micros;
use crate::process::signals::STOPS;
use crate::telemetry;
use follower::Follower;
use lease_feed::{LeaseFeed, News};
use role::{LeaseRead, OnDoubt, PodRole, Progress};
use role_file::RoleFile;
use sight::FollowedPod;
use work::RoleWork;

/// The log filter when `RUST_LOG` is not set.
const LOGGED: &str = "warn,election_operator::commands=info,election_operator::http=info,kube_client=off";

/// How long a connection to the API server may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How many signals may wait for the command.
const MESSAGES: usize = 16;

/// The arguments of `follow`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Durations are written as in Go: 15s, 1m30s, 400ms. A hook is a program and its arguments, \
separated by spaces; no shell reads it.

Exit codes: that of COMMAND if it ended by itself or after SIGTERM, SIGINT or SIGQUIT; without one 0 after such a signal;
1 it could not start; 2 a flag is missing or wrong; 125 COMMAND could not be started; 126 COMMAND is no program; 127 COMMAND
was not found.

Examples:
  election-operator follow --lease-lock-name orders --role-file /run/role/role.json
  election-operator follow --lease-lock-name orders --on-promote '/scripts/promote.sh' --on-demote '/scripts/demote.sh'
  election-operator follow --lease-lock-name orders -- ./reports"
)]
pub struct FollowArgs {
    /// The name of the Lease: that of the group, unless its `lease.name` says otherwise.
    #[arg(long, visible_aliases = ["lock-name", "lease-name"], value_name = "NAME")]
    lease_lock_name: String,

    /// The namespace of the Lease.
    #[arg(
        long,
        visible_aliases = ["lock-namespace", "lease-namespace"],
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE",
        default_value = "",
        hide_default_value = true
    )]
    lease_lock_namespace: String,

    /// The name of this pod.
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "", hide_default_value = true)]
    pod_name: String,

    /// The UID of this pod: a pod of the same name may have led before.
    #[arg(long, env = "POD_UID", value_name = "UID", default_value = "", hide_default_value = true)]
    pod_uid: String,

    /// What the program of this pod elects by, alone or before a `_`, in mode Observed. Default:
    /// the pod's name.
    #[arg(long, value_name = "IDENTITY")]
    id: Option<String>,

    #[command(flatten)]
    connection: Connection,

    /// A file that has the role as JSON. It is replaced with each change.
    #[arg(long, value_name = "FILE")]
    role_file: Option<PathBuf>,

    /// Where to serve /leader, /leader?watch, /is-leader and /healthz: `HOST:PORT`, or `:PORT` for
    /// all addresses. Default: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    http_addr: Option<Address>,

    /// A program to run when this pod has become the leader.
    #[arg(long, value_name = "CMD", default_value = "", hide_default_value = true)]
    on_promote: String,

    /// A program to run when this pod leads no longer, and at the start if it does not lead.
    #[arg(long, value_name = "CMD", default_value = "", hide_default_value = true)]
    on_demote: String,

    /// What to do when the API server does not confirm in time that this pod leads.
    #[arg(long, value_enum, default_value_t)]
    on_doubt: OnDoubt,

    /// How long COMMAND may take to end after SIGTERM before it is killed, and a hook at most. The
    /// last moment of the lead kills them earlier.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = go_duration::duration)]
    grace_period: Duration,

    /// The format of events and log lines.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,

    /// The command to run while this pod leads. Its environment has `ELECT_IDENTITY`,
    /// `ELECT_LEASE`, `ELECT_TERM` and `ELECT_ACQUIRED_VERSION`. Its standard input is empty.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Why the role cannot be followed.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error(transparent)]
    UnknownPod(#[from] UnknownPod),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot make a client: {0}")]
    BuildClient(#[from] kube::Error),
    #[error("cannot listen for signals: {0}")]
    ListenForSignals(#[source] io::Error),
    #[error("cannot open standard output: {0}")]
    OpenEvents(#[source] io::Error),
    #[error("cannot write {path}: {source}; choose another --role-file")]
    RoleFile { path: PathBuf, source: io::Error },
    #[error("cannot serve http at {address}: {source}; choose another --http-addr")]
    BindHttp { address: Address, source: io::Error },
}

/// Follows the role of its pod until SIGTERM, SIGINT or SIGQUIT, or until the command has ended.
pub async fn run(args: FollowArgs) -> ExitCode {
    telemetry::start_with(args.output.log_format(), LOGGED);
    match follow(args).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(if matches!(error, FollowError::UnknownPod(_)) { 2 } else { 1 })
        }
    }
}

async fn follow(args: FollowArgs) -> Result<u8, FollowError> {
    let pod = args.pod()?;
    let access = args.connection.access().await?.with(|kube| {
        kube.connect_timeout = Some(CONNECT);
        // Each read has its own bound, and a watch may be silent for long.
        kube.read_timeout = None;
    });
    let feed = LeaseFeed::new(access.client()?, &args.lease_lock_namespace, &args.lease_lock_name);
    let roles = watch::Sender::new(PodRole::default());
    let mut tasks = JoinSet::new();
    if let Some(address) = args.http_addr {
        let listener = address.listen().map_err(|source| FollowError::BindHttp { address, source })?;
        tasks.spawn(serve(listener, http::routes(roles.subscribe())));
    }
    let file = args.keep_role_file(&roles)?;
    let signals = signals::listen_for_messages_too().map_err(FollowError::ListenForSignals)?;
    let (kill, messages) = (watch::Sender::new(false), broadcast::Sender::new(MESSAGES));
    let work = args.work(&feed, kill.subscribe(), messages.clone());
    let (news, inbox) = unbounded_channel();
    tasks.spawn(feed.clone().watch(news));
    let mut driver = FollowLoop {
        follower: Follower::new(pod, args.on_doubt),
        feed,
        inbox,
        work: tokio::spawn(work.follow(roles.subscribe())),
        roles,
        signals,
        kill,
        messages,
        output: args.output,
        events: args.events().map_err(FollowError::OpenEvents)?,
        trouble: None,
        is_stopping: false,
    };
    let status = driver.run().await;
    drop(driver);
    if let Some(file) = file {
        let _ = file.await;
    }
    Ok(status)
}

type Reading = Pin<Box<dyn Future<Output = (LeaseRead, Option<String>)> + Send>>;

/// The loop around the judgement.
struct FollowLoop {
    follower: Follower,
    feed: LeaseFeed,
    inbox: UnboundedReceiver<News>,
    roles: watch::Sender<PodRole>,
    work: JoinHandle<Option<u8>>,
    signals: Signals,
    kill: watch::Sender<bool>,
    messages: broadcast::Sender<Signal>,
    output: Output,
    events: Lines,
    /// The problem that was logged last.
    trouble: Option<String>,
    is_stopping: bool,
}

impl FollowLoop {
    /// Returns the exit code, once nothing runs any more.
    async fn run(&mut self) -> u8 {
        let mut reading: Option<(Nanos, Reading)> = None;
        loop {
            let now = BootTime.boot();
            self.follower.wake(now);
            self.tell(self.follower.role(now));
            if reading.is_none() && !self.is_stopping && self.follower.read_at() <= now {
                reading = Some((now, self.read(now)));
            }
            let read_at = if reading.is_some() { Nanos::MAX } else { self.follower.read_at() };
            let read_at = if self.is_stopping { Nanos::MAX } else { read_at };
            let answered = async {
                match reading.as_mut() {
                    Some((sent_at, reply)) => (*sent_at, reply.await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = &mut self.work => {
                    self.follower.stop();
                    self.tell(self.follower.role(BootTime.boot()));
                    return status.ok().flatten().unwrap_or_default();
                }
                signal = self.signals.next() => self.take(signal),
                Some(news) = self.inbox.recv() => self.see(news),
                (sent_at, (answer, problem)) = answered => {
                    reading = None;
                    self.report(&answer, problem);
                    self.follower.answered(sent_at, answer, BootTime.boot());
                }
                () = BootTime.sleep_until(read_at.min(self.follower.wake_at(now))) => {}
            }
        }
    }

    fn read(&mut self, now: Nanos) -> Reading {
        self.follower.sent(now);
        let (feed, timeout) = (self.feed.clone(), self.follower.read_timeout());
        Box::pin(async move { feed.read(timeout.into()).await })
    }

    fn see(&mut self, news: News) {
        let now = BootTime.boot();
        match news {
            News::Began => self.follower.watch_began(),
            News::Is(sight) => self.follower.watched(sight, false, now),
            News::Was(sight) => self.follower.watched(sight, true, now),
        }
    }

    /// The first signal ends all in order, the second at once. All others go to the command.
    fn take(&mut self, signal: Signal) {
        if !STOPS.contains(&signal) {
            let _ = self.messages.send(signal);
        } else if !self.is_stopping {
            tracing::info!("stopping; a second signal kills what runs");
            self.is_stopping = true;
            self.follower.stop();
        } else {
            tracing::warn!("second signal: what runs is killed");
            self.kill.send_replace(true);
        }
    }

    /// Tells a role that differs from the one before. It never waits for a reader.
    fn tell(&self, role: PodRole) {
        let before = self.roles.borrow().clone();
        if role == before {
            return;
        }
        let mut events = Vec::new();
        if before.leads && !role.is_still(before.tenure) {
            events.push(ElectEvent::StoppedLeading { reason: role.loss.as_str() });
        }
        if role.leader != before.leader
            || (role.stage == Progress::Known && before.stage == Progress::Unknown)
        {
            events.push(ElectEvent::NewLeader { leader: role.leader.clone() });
        }
        if role.leads && !before.is_still(role.tenure) {
            let term = role.term.unwrap_or(i64::MAX);
            events.push(ElectEvent::StartedLeading { term });
        }
        for event in events {
            self.events.tell(self.output.line(Micros(BootTime.wall().0), &event) + "\n");
        }
        self.roles.send_replace(role);
    }

    /// Logs a problem once, and not at each try.
    fn report(&mut self, answer: &LeaseRead, problem: Option<String>) {
        if problem == self.trouble {
            return;
        }
        let lease = &self.feed;
        match (answer, &problem) {
            (LeaseRead::Missing, _) => tracing::warn!(%lease, "there is no such Lease yet; waiting for it"),
            (_, Some(problem)) => tracing::warn!(%lease, problem, "cannot read the Lease; trying again"),
            (_, None) => tracing::info!(%lease, "the Lease can be read again"),
        }
        self.trouble = problem;
    }
}

impl FollowArgs {
    fn pod(&self) -> Result<FollowedPod, UnknownPod> {
        known(self.lease_lock_namespace.clone(), "POD_NAMESPACE", "metadata.namespace")?;
        let OwnPod { name, uid } = OwnPod::new(self.pod_name.clone(), self.pod_uid.clone())?;
        Ok(FollowedPod { name, uid, identity: self.id.clone() })
    }

    /// The target of events: standard output, unless the command uses it.
    fn events(&self) -> io::Result<Lines> {
        if self.command.is_empty() { lines::stdout() } else { Ok(lines::stderr().clone()) }
    }

    /// Begins to keep the role file. What an earlier process left there counts no longer.
    fn keep_role_file(&self, roles: &watch::Sender<PodRole>) -> Result<Option<JoinHandle<()>>, FollowError> {
        let Some(path) = &self.role_file else { return Ok(None) };
        let (file, subscribed) = (RoleFile::new(path), roles.subscribe());
        file.write(&PodRole::default())
            .map_err(|source| FollowError::RoleFile { path: path.clone(), source })?;
        Ok(Some(tokio::spawn(file.keep(subscribed))))
    }

    fn work(
        &self,
        feed: &LeaseFeed,
        kill: watch::Receiver<bool>,
        messages: broadcast::Sender<Signal>,
    ) -> RoleWork {
        let words = |hook: &str| hook.split_whitespace().map(OsString::from).collect();
        RoleWork {
            command: self.command.clone(),
            on_promote: words(&self.on_promote),
            on_demote: words(&self.on_demote),
            grace: self.grace_period,
            on_doubt: self.on_doubt,
            lease: feed.to_string(),
            kill,
            messages,
        }
    }
}
