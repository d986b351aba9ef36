//! `election-operator elect`: makes one process a candidate in an election.

pub mod http;
pub mod liveness;
pub mod report;
pub mod work;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::JoinSet;

use super::connect::{ConnectError, Connection};
use super::go_duration::{self, BoolFlag};
use super::output::Output;
use super::signals::{self, Signals};
use crate::elector::{
    BuildError, ConfigError, ElectorConfig, Ending, LeaderElector, RunError, default_identity,
};
use crate::http::{Address, serve};
use crate::lines::{self, Lines, complain};
use crate::process::signals::STOPS;
use crate::telemetry::{self, LogFormat};
use liveness::LivenessProbe;
use report::Report;
use work::CommandWork;

/// The exit code for a wrong flag.
const USAGE: u8 = 2;

/// The log filter when `RUST_LOG` is not set. The elector logs only problems, as its events are
/// printed anyway. kube logs nothing: it does not say which request failed, nor whether that
/// matters.
const LOGGED: &str = "warn,election_operator::commands=info,election_operator::http=info,kube_client=off";

/// How long HTTP clients may take to notice a change: they ask each second.
const LINGER: Duration = Duration::from_secs(1);

/// How many signals may wait for the command.
const MESSAGES: usize = 16;

/// The arguments of `elect`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Durations are written as in Go: 15s, 1m30s, 400ms.

Exit codes: that of COMMAND (128 and the signal's number if a signal ended it); without one 0 after SIGTERM, SIGINT or SIGQUIT;
1 the election could not start, or leadership was lost with --once; 2 a flag is missing or wrong; 125 COMMAND could not
be started; 126 COMMAND is no program; 127 COMMAND was not found; 130 after a second signal while no COMMAND runs.

Examples:
  election-operator elect --lease-name orders --lease-namespace shop
  election-operator elect --lease-name orders --lease-namespace shop -- ./worker --once
  curl localhost:4040/leader    # with --http-addr localhost:4040")]
pub struct ElectArgs {
    /// The name of the Lease.
    #[arg(long, visible_aliases = ["lock-name", "lease-name"], value_name = "NAME")]
    lease_lock_name: String,

    /// The namespace of the Lease.
    #[arg(long, visible_aliases = ["lock-namespace", "lease-namespace"], value_name = "NAMESPACE")]
    lease_lock_namespace: String,

    /// The identity of this candidate, unique among all candidates. Default: the pod's name, else
    /// the host's name, `_` and a random UUID.
    #[arg(long, env = "POD_NAME", value_name = "IDENTITY")]
    id: Option<String>,

    #[command(flatten)]
    connection: Connection,

    /// How long other candidates wait without seeing a renewal before they take the Lease. Whole
    /// seconds.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = go_duration::duration)]
    lease_duration: Duration,

    /// How long the leader goes on without a renewal before it gives up.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = go_duration::duration)]
    renew_deadline: Duration,

    /// The pause between two tries.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = go_duration::duration)]
    retry_period: Duration,

    /// Release the Lease at the end, so that another candidate can lead at once.
    #[arg(long, bool_flag = true)]
    release_on_cancel: bool,

    /// Where to serve /leader, /leader?watch, /is-leader, /healthz and /metrics: `HOST:PORT`, or
    /// `:PORT` for all addresses. Default: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    http_addr: Option<Address>,

    /// The URL of the application's health check. /healthz asks it, and only while this process
    /// leads.
    #[arg(long, value_name = "URL", requires = "http_addr")]
    liveness: Option<LivenessProbe>,

    /// Without COMMAND: how much longer the Lease is kept after /is-leader has begun to answer 503.
    /// Clients that ask it stop before another candidate leads. Default: 1s with --http-addr, else
    /// 0s.
    #[arg(long, value_name = "DURATION", conflicts_with = "command", value_parser = go_duration::duration)]
    linger: Option<Duration>,

    /// End after one term instead of standing for election again. The exit code is 1 if leadership
    /// was lost.
    #[arg(long)]
    once: bool,

    /// Run COMMAND again when it ends, instead of stepping down and ending with its exit code.
    #[arg(long, requires = "command")]
    restart: bool,

    /// How long COMMAND may take to end after SIGTERM before it is killed. The end of the Lease
    /// kills it earlier.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = go_duration::duration)]
    grace_period: Duration,

    /// The format of events and log lines.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,

    /// Where events go: a file to append to, or the number of an open file descriptor. Default:
    /// standard output; with COMMAND, standard error.
    #[arg(long, value_name = "FILE|FD")]
    events_to: Option<PathBuf>,

    /// The command to run while leading. Its environment has `ELECT_IDENTITY`, `ELECT_LEASE`,
    /// `ELECT_TERM` and `ELECT_ACQUIRED_VERSION`. Its standard input is empty.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Why the election could not start or go on.
#[derive(Debug, thiserror::Error)]
enum ElectError {
    #[error("{flag}: {source}")]
    Flag { flag: &'static str, source: ConfigError },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot listen for signals: {0}")]
    ListenForSignals(#[source] io::Error),
    #[error("cannot write events to {target}: {source}; choose another --events-to")]
    OpenEvents { target: String, source: io::Error },
    #[error("cannot serve http at {address}: {source}; choose another --http-addr")]
    BindHttp { address: Address, source: io::Error },
}

/// Takes part in the election until SIGTERM, SIGINT or SIGQUIT, or until the command has ended.
pub async fn run(args: ElectArgs) -> ExitCode {
    let format = match args.output {
        Output::Text => LogFormat::Text,
        Output::Json => LogFormat::Json,
    };
    telemetry::start_with(format, LOGGED);
    match elect(args).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(if matches!(error, ElectError::Flag { .. }) { USAGE } else { 1 })
        }
    }
}

async fn elect(args: ElectArgs) -> Result<u8, ElectError> {
    let config = args.elector()?;
    let kube = args.connection.access().await?;
    let events = args.events()?;
    let mut report = Report::new(args.output, events);
    let elector = LeaderElector::new(kube, config)?.on_notice(move |notice| report.tell(notice));
    let Some(address) = args.http_addr else { return lead(elector, &args).await };
    let listener = address.listen().map_err(|source| ElectError::BindHttp { address, source })?;
    let routes = http::routes(http::Sources::of(&elector, args.liveness.clone()));
    let mut server = JoinSet::new();
    server.spawn(serve(listener, routes));
    lead(elector, &args).await
}

async fn lead(elector: LeaderElector, args: &ElectArgs) -> Result<u8, ElectError> {
    let signals = signals::listen_for_messages_too().map_err(ElectError::ListenForSignals)?;
    let (stop, stopped) = watch::channel(false);
    let (kill, messages) = (watch::Sender::new(false), broadcast::Sender::new(MESSAGES));
    let router = SignalRouter {
        stop,
        kill: kill.clone(),
        messages: messages.clone(),
        hangup_stops: args.hangup_stops(),
    };
    tokio::spawn(router.listen(signals));
    let mut asked = stopped.clone();
    let asked = async move {
        let _ = asked.wait_for(|asked| *asked).await;
    };
    if args.command.is_empty() {
        let linger = args.linger();
        let ended = elector.run(asked, async |term| {
            term.lost().await;
            tokio::time::sleep(linger).await;
        });
        return Ok(status(ended.await?.ending, None));
    }
    let work = Arc::new(CommandWork {
        command: args.command.clone(),
        grace: args.grace_period,
        restart: args.restart,
        update: elector.config().limit_update_period(),
        pause: args.retry_period,
        stopped,
        kill,
        messages,
        running: Mutex::default(),
    });
    let ended = elector.run(asked, |term| work.lead(term)).await?;
    let left_over = work.until_all_is_gone().await;
    Ok(status(ended.ending, ended.output.flatten().or(left_over)))
}

/// The exit code. A loss ends the process only with `--once`.
const fn status(ending: Ending, of_command: Option<u8>) -> u8 {
    match (ending, of_command) {
        (Ending::Lost(_), _) => 1,
        (_, Some(status)) => status,
        (_, None) => 0,
    }
}

/// The file of an events target. A number is a file descriptor that this process was started with.
fn file_of(target: &Path) -> PathBuf {
    let is_number = target.to_str().is_some_and(|target| target.parse::<u32>().is_ok());
    if is_number { Path::new("/proc/self/fd").join(target) } else { target.to_owned() }
}

/// Turns signals into requests to stop or to kill, and into messages for the command.
struct SignalRouter {
    stop: watch::Sender<bool>,
    kill: watch::Sender<bool>,
    messages: broadcast::Sender<Signal>,
    /// Whether SIGHUP stops this process when no command receives it.
    hangup_stops: bool,
}

impl SignalRouter {
    /// The first signal stops the election. The second kills the command. If no command runs, it
    /// ends this process, and an unreleased Lease expires. All other signals go to the command.
    async fn listen(self, mut signals: Signals) {
        loop {
            let signal = signals.next().await;
            let is_told = !STOPS.contains(&signal) && self.messages.send(signal).is_ok();
            let stops = STOPS.contains(&signal) || signal == Signal::HUP && self.hangup_stops;
            if stops && !is_told {
                self.stop_or_kill();
            }
        }
    }

    fn stop_or_kill(&self) {
        if !self.stop.send_replace(true) {
            tracing::info!(
                "stopping; a second signal kills the command, or ends this process at once if none runs"
            );
        } else if self.kill.send(true).is_ok() {
            tracing::warn!("second signal: the command is killed");
        } else {
            tracing::warn!("second signal: ending at once");
            lines::exit(signals::INTERRUPTED);
        }
    }
}

impl ElectArgs {
    /// SIGHUP can be a message for a command. It ends this process if there is no command, or if
    /// standard input is a terminal.
    fn hangup_stops(&self) -> bool {
        self.command.is_empty() || io::stdin().is_terminal()
    }

    /// The target of events: standard output, unless the command uses it or a flag names another.
    fn events(&self) -> Result<Lines, ElectError> {
        let events = match &self.events_to {
            Some(target) => lines::append_to(&file_of(target)),
            None if self.command.is_empty() => lines::stdout(),
            None => Ok(lines::stderr().clone()),
        };
        let target =
            self.events_to.as_ref().map_or("standard output".into(), |target| target.to_string_lossy());
        events.map_err(|source| ElectError::OpenEvents { target: target.into_owned(), source })
    }

    fn linger(&self) -> Duration {
        self.linger.unwrap_or(if self.http_addr.is_some() { LINGER } else { Duration::ZERO })
    }

    fn elector(&self) -> Result<ElectorConfig, ElectError> {
        let identity = self.id.clone().unwrap_or_else(default_identity);
        let (namespace, name) = (&self.lease_lock_namespace, &self.lease_lock_name);
        let config = ElectorConfig {
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
            release_on_stop: self.release_on_cancel,
            // The Lease is released when the last process of the command has ended, however long
            // that takes.
            drain_timeout: Duration::MAX,
            once: self.once,
            ..ElectorConfig::new(namespace, name, identity)
        };
        match config.validate() {
            Ok(()) => Ok(config),
            Err(source) => Err(ElectError::Flag { flag: self.flag_of(source), source }),
        }
    }

    /// The flag that the user must correct.
    const fn flag_of(&self, error: ConfigError) -> &'static str {
        match error {
            ConfigError::LeaseDurationTooShort | ConfigError::LeaseDurationNotWholeSeconds => {
                "--lease-duration"
            }
            ConfigError::RetryPeriodZero => "--retry-period",
            ConfigError::NoLock if self.lease_lock_name.is_empty() => "--lease-lock-name",
            ConfigError::NoLock => "--lease-lock-namespace",
            ConfigError::NoIdentity => "--id",
            // The other rules concern the deadline, and times that follow from it.
            _ => "--renew-deadline",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Parsed {
        #[command(flatten)]
        args: ElectArgs,
    }

    fn parsed(flags: &[&str]) -> ElectArgs {
        let usual = ["elect", "--lease-name", "orders", "--lease-namespace", "shop"];
        Parsed::try_parse_from(usual.iter().chain(flags)).unwrap().args
    }

    /// A pod has 30 seconds by default. If the kubelet kills this process with its command, it
    /// cannot release the Lease.
    #[test]
    fn the_command_is_killed_before_the_pod_is() {
        assert!(parsed(&[]).grace_period <= Duration::from_secs(25));
    }

    #[test]
    fn it_lingers_for_those_who_ask_over_http() {
        assert_eq!(parsed(&[]).linger(), Duration::ZERO);
        assert_eq!(parsed(&["--http-addr", "localhost:4040"]).linger(), LINGER);
        assert_eq!(parsed(&["--http-addr", ":4040", "--linger", "0"]).linger(), Duration::ZERO);
    }
}
