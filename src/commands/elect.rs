//! `election-operator elect`: makes one process a candidate in an election.

mod args;
pub mod companion;
pub mod http;
pub mod liveness;
pub mod report;
pub mod signal_router;
pub mod work;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::{Mutex, broadcast, watch};
use tokio::task::JoinSet;

use super::connect::ConnectError;
use super::own_pod::{OwnPod, UnknownPod};
use super::signals;
use crate::elector::{BuildError, ConfigError, Ending, LeaderElector, RunError};
use crate::http::{Address, serve};
use crate::lines::complain;
use crate::telemetry;
pub use args::ElectArgs;
use companion::NoSocket;
use report::Report;
use signal_router::SignalRouter;
use work::CommandWork;

/// The exit code for a wrong flag.
const USAGE: u8 = 2;

/// The log filter when `RUST_LOG` is not set. The elector logs only problems, as its events are
/// printed anyway. kube logs nothing: it does not say which request failed, nor whether that
/// matters.
const LOGGED: &str = "warn,election_operator::commands=info,election_operator::http=info,kube_client=off";

/// How many signals may wait for the command.
const MESSAGES: usize = 16;

/// Why the election could not start or go on.
#[derive(Debug, thiserror::Error)]
enum ElectError {
    #[error("{flag}: {source}")]
    Flag { flag: &'static str, source: ConfigError },
    #[error("--nominated: {0}")]
    UnknownPod(#[from] UnknownPod),
    #[error("--id cannot be used with --nominated: POD_NAME and POD_UID say which pod this is")]
    NominatedId,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    NoSocket(#[from] NoSocket),
    #[error("cannot listen for signals: {0}")]
    ListenForSignals(#[source] io::Error),
    #[error("cannot write events to {target}: {source}; choose another --events-to")]
    OpenEvents { target: String, source: io::Error },
    #[error("cannot serve http at {address}: {source}; choose another --http-addr")]
    BindHttp { address: Address, source: io::Error },
}

/// Takes part in the election until SIGTERM, SIGINT or SIGQUIT, or until the command has ended.
pub async fn run(args: ElectArgs) -> ExitCode {
    telemetry::start_with(args.output.log_format(), LOGGED);
    match elect(args).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(error.status())
        }
    }
}

impl ElectError {
    const fn status(&self) -> u8 {
        match self {
            Self::Flag { .. } | Self::UnknownPod(_) | Self::NominatedId => USAGE,
            _ => 1,
        }
    }
}

async fn elect(args: ElectArgs) -> Result<u8, ElectError> {
    let pod = args.pod()?;
    let config = args.elector(pod.as_ref())?;
    let kube = args.connection.access().await?;
    let events = args.events()?;
    let mut report = Report::new(args.output, events);
    let elector = LeaderElector::new(kube, config)?.on_notice(move |notice| report.tell(notice));
    let alone = Alone { pod, is_duplicate: Arc::default() };
    let Some(address) = args.http_addr else { return lead(elector, &args, alone).await };
    let listener = address.listen().map_err(|source| ElectError::BindHttp { address, source })?;
    let sources = http::Sources::of(&elector, args.liveness.clone(), alone.is_duplicate.clone());
    let mut server = JoinSet::new();
    server.spawn(serve(listener, http::routes(sources)));
    lead(elector, &args, alone).await
}

/// What a companion needs to be the only one of its pod.
struct Alone {
    pod: Option<OwnPod>,
    is_duplicate: Arc<AtomicBool>,
}

async fn lead(elector: LeaderElector, args: &ElectArgs, alone: Alone) -> Result<u8, ElectError> {
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
    let sole = match &alone.pod {
        Some(pod) => {
            let lease = (args.lease_lock_namespace.as_str(), args.lease_lock_name.as_str());
            let sole = companion::until_sole(pod, lease, &mut asked, &alone.is_duplicate).await?;
            let Some(sole) = sole else { return Ok(0) };
            Some(sole)
        }
        None => None,
    };
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
        sole,
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
