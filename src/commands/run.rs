//! `election-operator run`: the operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::controller::{self, Options, health::Health};
use crate::election::plan::plan;
use crate::http;
use crate::metrics::Metrics;
use crate::telemetry::{self, LogFormat};

/// The arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The kubeconfig file. Without it: `KUBECONFIG`, else ~/.kube/config, else the service account of the pod.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The context to use of the kubeconfig. Without it: its current context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,

    /// A namespace to look after; may be given several times. Without it: all namespaces.
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,

    /// Where to serve /livez, /readyz and /metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    http_addr: SocketAddr,

    /// How log lines look. The environment variable `RUST_LOG` says what is logged; default: info.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// Why the operator could not start, or go on.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("cannot read {path}: {source}; is --kubeconfig right?")]
    ReadKubeconfig { path: PathBuf, source: kube::config::KubeconfigError },
    #[error("cannot use the kubeconfig: {0}; is --context right?")]
    UseKubeconfig(#[from] kube::config::KubeconfigError),
    #[error("no cluster found: {0}; give --kubeconfig or set KUBECONFIG")]
    InferConfig(#[from] kube::config::InferConfigError),
    #[error("cannot make a client: {0}")]
    BuildClient(#[from] kube::Error),
    #[error("cannot serve http at {address}: {source}; choose another --http-addr")]
    BindHttp { address: SocketAddr, source: std::io::Error },
    #[error("the http server has ended: {source}")]
    ServeHttp { source: std::io::Error },
    #[error(transparent)]
    WatchEnded(#[from] controller::WatchEnded),
    #[error("cannot listen for signals: {0}")]
    ListenForSignals(#[source] std::io::Error),
}

/// Runs the operator until SIGTERM or SIGINT; a second signal ends it at once.
pub async fn run(args: Args) -> ExitCode {
    telemetry::start(args.log_format);
    match serve(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: Args) -> Result<(), RunError> {
    let mut config = config(&args).await?;
    config.connect_timeout = Some(Duration::from_secs(2));
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let readiness: http::Readiness = {
        let health = health.clone();
        Arc::new(move || health.readiness())
    };
    let address = args.http_addr;
    let http = http::serve(address, metrics.clone(), readiness).await;
    let http = http.map_err(|source| RunError::BindHttp { address, source })?;
    let (stop, stopped) = watch::channel(false);
    let signals = signals().map_err(RunError::ListenForSignals)?;
    let options = Options {
        planner: plan,
        writing: Client::try_from(single_try(config.clone()))?,
        watching: Client::try_from(config)?,
        namespaces: args.namespaces,
        instance: std::env::var("POD_NAME").ok(),
        metrics,
        health,
    };
    tokio::spawn(stop_on(signals, stop));
    tokio::select! {
        ended = controller::run(options, stopped) => ended?,
        ended = http => {
            let source = ended.err().unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into());
            return Err(RunError::ServeHttp { source });
        }
    }
    tracing::info!("stopped");
    Ok(())
}

async fn config(args: &Args) -> Result<Config, RunError> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    Ok(match &args.kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path);
            let read = read.map_err(|source| RunError::ReadKubeconfig { path: path.clone(), source })?;
            Config::from_custom_kubeconfig(read, &options).await?
        }
        None if args.context.is_some() => Config::from_kubeconfig(&options).await?,
        None => Config::infer().await?,
    })
}

/// For writes: never repeated behind the caller's back.
fn single_try(mut config: Config) -> Config {
    config.default_retry = false;
    config
}

fn signals() -> std::io::Result<(Signal, Signal)> {
    Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
}

async fn stop_on((mut terminate, mut interrupt): (Signal, Signal), stop: watch::Sender<bool>) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping: plans under way are finished; a second signal ends at once");
    stop.send_replace(true);
    next().await;
    tracing::warn!("second signal: ending at once");
    std::process::exit(130);
}
