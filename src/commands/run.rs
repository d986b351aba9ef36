//! `election-operator run`: the operator.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::Config;
use tokio::sync::watch;

use super::connect::{ConnectError, Connection};
use super::go_duration::BoolFlag;
use super::operator_election::{self, OperatorElection, OperatorElectionError};
use super::signals::{self, Signals};
use crate::clock::Clock;
use crate::controller::{self, OperatorOptions, checks::Health, permit::WritePermit, watches};
use crate::http;
use crate::lines::{self, complain};
use crate::metrics::{Metrics, process};
use crate::planner::plan;
use crate::telemetry::{self, LogFormat};

/// The arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    #[command(flatten)]
    connection: Connection,

    /// A namespace to watch; may be given several times. Default: all namespaces.
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,

    #[command(flatten)]
    replica: operator_election::LeaderElectionArgs,

    /// Where to serve /livez, /readyz and /metrics: `HOST:PORT`, or `:PORT` for all addresses, IPv6
    /// and IPv4.
    #[arg(long, value_name = "ADDRESS", default_value = ":8080")]
    http_addr: http::Address,

    /// Whether /metrics has series for each group: about ten lines a group.
    #[arg(long, bool_flag = true)]
    group_metrics: bool,

    /// The format of log lines. The environment variable `RUST_LOG` sets what is logged; default:
    /// `info,kube_runtime=error,kube_client=off`.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// Why the operator could not start or go on.
#[derive(Debug, thiserror::Error)]
enum RunCommandError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot make a client: {0}")]
    BuildClient(#[from] kube::Error),
    #[error("cannot serve http at {address}: {source}; choose another --http-addr")]
    BindHttp { address: http::Address, source: std::io::Error },
    #[error(transparent)]
    Replica(#[from] OperatorElectionError),
    #[error("cannot listen for signals: {0}")]
    ListenForSignals(#[source] std::io::Error),
}

/// Runs the operator until SIGTERM, SIGINT, SIGQUIT or SIGHUP; a second signal ends it at once.
pub async fn run(args: RunArgs) -> ExitCode {
    telemetry::start(args.log_format);
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            // A `RUST_LOG` that lets nothing through must not hide why the process ended.
            if !tracing::enabled!(tracing::Level::ERROR) {
                complain(&format!("error: {error}"));
            }
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: RunArgs) -> Result<(), RunCommandError> {
    let access = args.connection.access().await?;
    let access = access.with(|config| config.connect_timeout = Some(Duration::from_secs(2)));
    let replica = if args.replica.leader_elect {
        Some(OperatorElection::new(&args.replica, access.clone())?)
    } else {
        None
    };
    let metrics = Metrics::with(|registry| {
        if let Some(replica) = &replica {
            replica.metrics().register(registry);
        }
        process::register(registry);
    });
    let metrics = if args.group_metrics { metrics.with_group_series() } else { metrics };
    let metrics = Arc::new(metrics);
    let health = Arc::new(Health::new(Clock::start()));
    let address = args.http_addr;
    let listener = address.listen().map_err(|source| RunCommandError::BindHttp { address, source })?;
    let routes = http::routes(metrics.clone(), readiness(health.clone(), replica.as_ref()));
    let (stop, stopped) = watch::channel(false);
    let signals = signals::listen().map_err(RunCommandError::ListenForSignals)?;
    let options = OperatorOptions {
        planner: plan,
        writing: access.clone().client()?,
        watching: access.with(for_watches).client()?,
        namespaces: args.namespaces,
        instance: std::env::var("POD_NAME").ok(),
        permit: replica.as_ref().map_or_else(WritePermit::always, OperatorElection::permit),
        metrics,
        health,
    };
    tokio::spawn(stop_on(signals, stop));
    tokio::select! {
        ended = operate(replica, options, stopped) => ended?,
        () = http::serve(listener, routes) => {}
    }
    tracing::info!("stopped");
    Ok(())
}

async fn operate(
    replica: Option<OperatorElection>,
    options: OperatorOptions,
    stopped: watch::Receiver<bool>,
) -> Result<(), OperatorElectionError> {
    let operator = controller::run(options, stopped);
    match replica {
        Some(replica) => replica.run(operator).await,
        None => Ok(operator.await?),
    }
}

/// An operator is ready if it could take over: its cache is synced, and it takes part in the
/// election.
fn readiness(health: Arc<Health>, replica: Option<&OperatorElection>) -> http::Readiness {
    let part = replica.map(OperatorElection::readiness_line);
    Arc::new(move || {
        let part = part.as_ref().map_or_else(|| Ok(String::new()), |part| part());
        match (health.readiness(), part) {
            (Ok(ready), Ok(part)) => Ok(ready + &part),
            (Ok(_), Err(trouble)) => Err(format!("not ready\n{trouble}")),
            (Err(problems), Ok(part) | Err(part)) => Err(problems + &part),
        }
    })
}

/// Bounds a watch request without an answer. If the server's host is gone, TCP would wait for
/// minutes.
fn for_watches(config: &mut Config) {
    config.read_timeout = Some(watches::SILENCE);
    config.reset_reader_on_write = true;
}

async fn stop_on(mut signals: Signals, stop: watch::Sender<bool>) {
    signals.next().await;
    tracing::info!("stopping: plans under way are finished; a second signal ends at once");
    stop.send_replace(true);
    signals.next().await;
    tracing::warn!("second signal: ending at once");
    lines::exit(signals::INTERRUPTED);
}
