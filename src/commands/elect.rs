//! `election-operator elect`: one process that takes part in an election.

pub mod http;
pub mod report;
pub mod work;

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::connect::{ConnectError, Connection};
use super::flags;
use super::output::Output;
use super::signals::{self, Signals};
use crate::elector::{BuildError, ConfigError, ElectorConfig, LeaderElector, RunError, default_identity};
use crate::telemetry::{self, LogFormat};
use report::Report;
use work::Work;

/// What a wrong flag ends with.
const USAGE: u8 = 2;

/// What is logged if `RUST_LOG` does not say: of the elector only trouble, as its events are told anyway; of kube nothing, as
/// it says of a failed request neither which nor whether that matters.
const LOGGED: &str = "warn,election_operator::commands=info,kube_client=off";

/// How much longer than the command's grace period the Lease is kept while the command ends.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// The arguments of `elect`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Durations are written as in Go: 15s, 1m30s, 400ms.

Exit codes: that of COMMAND (128 and the signal's number if a signal ended it); without one 0 after SIGTERM or SIGINT;
1 the election could not start; 2 a flag is missing or wrong; 125 COMMAND could not be started; 126 COMMAND is no
program; 127 COMMAND was not found; 130 after a second signal while no COMMAND runs.

Examples:
  election-operator elect --lease-name orders --lease-namespace shop
  election-operator elect --lease-name orders --lease-namespace shop -- ./worker --once
  curl localhost:4040/leader    # with --http-addr 127.0.0.1:4040")]
pub struct Args {
    /// The name of the Lease.
    #[arg(long, visible_aliases = ["lock-name", "lease-name"], value_name = "NAME")]
    lease_lock_name: String,

    /// The namespace of the Lease.
    #[arg(long, visible_aliases = ["lock-namespace", "lease-namespace"], value_name = "NAMESPACE")]
    lease_lock_namespace: String,

    /// Who this is: unique among all candidates. Without: the pod's name, else the host's name, `_` and a random UUID.
    #[arg(long, env = "POD_NAME", value_name = "IDENTITY")]
    id: Option<String>,

    #[command(flatten)]
    connection: Connection,

    /// How long others wait without seeing a renewal before they take the Lease. Whole seconds.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = flags::duration)]
    lease_duration: Duration,

    /// How long the leader goes on without a renewal before it gives up.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = flags::duration)]
    renew_deadline: Duration,

    /// The pause between two tries.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = flags::duration)]
    retry_period: Duration,

    /// Give the Lease back at the end, so that another can lead at once.
    #[arg(
        long,
        value_name = "BOOL",
        default_value_t = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set
    )]
    release_on_cancel: bool,

    /// Where to serve /leader, /leader?watch, /is-leader, /healthz and /metrics. Without: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    http_addr: Option<SocketAddr>,

    /// Run COMMAND again when it ends, instead of stepping down and ending with its exit code.
    #[arg(long, requires = "command")]
    restart: bool,

    /// How long COMMAND may take to end after SIGTERM, as far as the Lease lasts; then it is killed.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = flags::duration)]
    grace_period: Duration,

    /// How events and log lines look. Events go to standard output; with COMMAND, to standard error.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,

    /// What to run while leading. It gets `ELECT_IDENTITY`, `ELECT_LEASE`, `ELECT_TERM` and `ELECT_ACQUIRED_VERSION`, and
    /// nothing on its input.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Why there was no election.
#[derive(Debug, thiserror::Error)]
enum ElectError {
    #[error("{flag}: {source}")]
    Flag { flag: &'static str, source: ConfigError },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot make up an identity: {0}; give --id")]
    MakeIdentity(#[source] io::Error),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error("cannot listen for signals: {0}")]
    ListenForSignals(#[source] io::Error),
    #[error("cannot serve http at {address}: {source}; choose another --http-addr")]
    BindHttp { address: SocketAddr, source: io::Error },
    #[error("the http server has ended: {0}")]
    ServeHttp(#[source] io::Error),
}

/// Takes part in the election until SIGTERM or SIGINT, or until the command has ended.
pub async fn run(args: Args) -> ExitCode {
    let format = match args.output {
        Output::Text => LogFormat::Text,
        Output::Json => LogFormat::Json,
    };
    telemetry::start_with(format, LOGGED);
    match elect(args).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if matches!(error, ElectError::Flag { .. }) { USAGE } else { 1 })
        }
    }
}

async fn elect(args: Args) -> Result<u8, ElectError> {
    let config = args.elector()?;
    let kube = args.connection.access().await?;
    let mut report = Report::new(args.output, !args.command.is_empty());
    let elector = LeaderElector::new(kube, config)?.on_notice(move |notice| report.tell(notice));
    let http = match args.http_addr {
        Some(address) => {
            let server = http::serve(address, http::Sources::of(&elector)).await;
            Some(server.map_err(|source| ElectError::BindHttp { address, source })?)
        }
        None => None,
    };
    let serving = async {
        match http {
            Some(server) => server.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        status = lead(elector, &args) => status,
        ended = serving => {
            let source = ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
            Err(ElectError::ServeHttp(source))
        }
    }
}

async fn lead(elector: LeaderElector, args: &Args) -> Result<u8, ElectError> {
    let signals = signals::listen().map_err(ElectError::ListenForSignals)?;
    let (stop, stopped) = watch::channel(false);
    let (kill, _) = watch::channel(false);
    tokio::spawn(stop_on(signals, stop, kill.clone()));
    let mut asked = stopped.clone();
    let asked = async move {
        let _ = asked.wait_for(|asked| *asked).await;
    };
    if args.command.is_empty() {
        elector.run(asked, async |guard| guard.lost().await).await?;
        return Ok(0);
    }
    let work = Arc::new(Work {
        command: args.command.clone(),
        grace: args.grace_period,
        restart: args.restart,
        update: elector.config().limit_update_period(),
        pause: args.retry_period,
        stopped,
        kill,
    });
    let ended = elector.run(asked, |guard| work.lead(guard)).await?;
    Ok(ended.output.flatten().unwrap_or(0))
}

/// The first signal asks to end. A second one kills the command; if none runs, it ends this process, and the Lease, if it was
/// not given back yet, is left to run out.
async fn stop_on(mut signals: Signals, stop: watch::Sender<bool>, kill: watch::Sender<bool>) {
    signals.next().await;
    tracing::info!("stopping; a second signal kills the command, or ends this process at once if none runs");
    stop.send_replace(true);
    loop {
        signals.next().await;
        if kill.send(true).is_err() {
            tracing::warn!("second signal: ending at once");
            std::process::exit(signals::INTERRUPTED);
        }
        tracing::warn!("second signal: the command is killed");
    }
}

impl Args {
    fn elector(&self) -> Result<ElectorConfig, ElectError> {
        let identity = match &self.id {
            Some(id) => id.clone(),
            None => default_identity().map_err(ElectError::MakeIdentity)?,
        };
        let (namespace, name) = (&self.lease_lock_namespace, &self.lease_lock_name);
        let config = ElectorConfig {
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
            release_on_stop: self.release_on_cancel,
            drain_timeout: self.grace_period.saturating_add(DRAIN_MARGIN),
            ..ElectorConfig::new(namespace, name, identity)
        };
        match config.validate() {
            Ok(()) => Ok(config),
            Err(source) => Err(ElectError::Flag { flag: self.flag_of(source), source }),
        }
    }

    /// The flag to look at when this is wrong.
    const fn flag_of(&self, error: ConfigError) -> &'static str {
        match error {
            ConfigError::LeaseDurationTooShort | ConfigError::LeaseDurationNotWholeSeconds => {
                "--lease-duration"
            }
            ConfigError::RetryPeriodZero => "--retry-period",
            ConfigError::NoLock if self.lease_lock_name.is_empty() => "--lease-lock-name",
            ConfigError::NoLock => "--lease-lock-namespace",
            ConfigError::NoIdentity => "--id",
            ConfigError::RenewDeadlineTooShort
            | ConfigError::NoRoomForSkew
            | ConfigError::RenewOrRequestZero
            | ConfigError::ClockSkewOutOfRange
            | ConfigError::NoRoomForTwoTries
            | ConfigError::NoRoomForASecond => "--renew-deadline",
        }
    }
}
