//! One call for a program that works only while it leads, as client-go's users write `RunOrDie`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use kube::Config;
use kube::config::InferConfigError;

use super::access::Access;
use super::active_term::ActiveTerm;
use super::config::{ElectorConfig, pod_identity};
use super::decisions::Ending;
use super::decisions::loss::LossReason;
use super::health::HealthCheck;
use super::health_server::HealthServer;
use super::leader_elector::{BuildError, LeaderElector, RunError};

/// What only the program knows of its health. An error is what `/healthz` then says.
pub type Liveness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What [`run_or_die`] is told.
#[derive(Clone)]
pub struct Options {
    /// The Lease, the identity, the timing. [`ElectorConfig::once`] is always on: who has lost its Lease is started again
    /// by its kubelet.
    pub config: ElectorConfig,
    /// How to reach the API server; none: as kube infers it.
    pub access: Option<Access>,
    /// Asked for `/healthz` while this process leads.
    pub liveness: Option<Liveness>,
    /// Where to serve `/healthz`; none: nowhere.
    pub health_addr: Option<SocketAddr>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Options {
    /// For one Lease, with [`pod_identity`] and client-go's customary timing.
    ///
    /// # Errors
    /// If no identity can be made up.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> io::Result<Self> {
        let config = ElectorConfig::new(namespace, name, pod_identity()?);
        Ok(Self { config, access: None, liveness: None, health_addr: None })
    }
}

/// Why the program is to end.
#[derive(Debug, thiserror::Error)]
pub enum Died {
    /// Nothing says where the cluster is.
    #[error("no cluster found: {0}")]
    Infer(#[from] InferConfigError),
    /// The elector could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It could not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Health cannot be served.
    #[error("cannot serve health at {address}: {source}")]
    BindHealth {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Leadership was lost: work has ended, and another may lead.
    #[error("lost the Lease {lease}: {}", reason.as_str())]
    Lost {
        /// Namespace and name.
        lease: String,
        /// Why.
        reason: LossReason,
    },
}

/// Stands for election, runs `work` once while this process leads, and ends with it, with `stop`, or with the loss of
/// leadership. The program is to end then, too; its exit code says whether that was a loss.
///
/// Returns what `work` returned, if it ended by itself or in time after `stop`.
///
/// ```no_run
/// use election_operator::elector::{Options, run_or_die};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut options = Options::new("shop", "orders")?;
/// options.health_addr = Some(([0, 0, 0, 0], 8080).into());
/// let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
/// run_or_die(options, stop, |guard| async move { guard.lost().await }).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If it cannot start, and when leadership is lost.
pub async fn run_or_die<F: Future>(
    options: Options,
    stop: impl Future<Output = ()>,
    work: impl FnMut(ActiveTerm) -> F,
) -> Result<Option<F::Output>, Died> {
    let access = match options.access {
        Some(access) => access,
        None => Config::infer().await?.into(),
    };
    let elector = LeaderElector::new(access, ElectorConfig { once: true, ..options.config })?;
    let lease = format!("{}/{}", elector.config().namespace, elector.config().name);
    let _server = match options.health_addr {
        Some(address) => {
            let check = answer(&elector, options.liveness);
            let server = HealthServer::start(address, check).await;
            Some(server.map_err(|source| Died::BindHealth { address, source })?)
        }
        None => None,
    };
    let ended = elector.run(stop, work).await?;
    match ended.ending {
        Ending::Lost(reason) => Err(Died::Lost { lease, reason }),
        Ending::Stopped | Ending::WorkEnded => Ok(ended.output),
    }
}

/// A standby is healthy: what it does not do cannot hang.
fn answer(elector: &LeaderElector, liveness: Option<Liveness>) -> Liveness {
    let (state, health) = (elector.state(), elector.health());
    Arc::new(move || {
        health.check(HealthCheck::TOLERANCE).map_err(|unhealthy| unhealthy.to_string())?;
        let leads = state.borrow().is_leader();
        match &liveness {
            Some(liveness) if leads => liveness(),
            _ => Ok(()),
        }
    })
}
