//! One call for a program that works only while it leads, like `RunOrDie` of client-go.

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
use super::health_server::{HealthServer, Liveness};
use super::leader_elector::{BuildError, LeaderElector, RunError};

/// The settings of [`run_or_die`].
///
/// Settings may be added: end a literal with `..Options::new(…)`.
#[derive(Clone)]
pub struct Options {
    /// The Lease, the identity and the timing. [`ElectorConfig::once`] is always on: after a loss
    /// the kubelet restarts the program.
    pub config: ElectorConfig,
    /// How to reach the API server. None: kube finds out.
    pub access: Option<Access>,
    /// `/healthz` calls this while the process leads.
    pub liveness: Option<Liveness>,
    /// Where to serve `/healthz`. None: nowhere.
    pub health_addr: Option<SocketAddr>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Options {
    /// Settings for one Lease, with [`pod_identity`] and client-go's customary timing.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let config = ElectorConfig::new(namespace, name, pod_identity());
        Self { config, access: None, liveness: None, health_addr: None }
    }
}

/// Why the program must end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Died {
    /// No configuration says where the cluster is.
    #[error("no cluster found: {0}")]
    Infer(#[from] InferConfigError),
    /// The elector could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The elector could not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Health cannot be served.
    #[error("cannot serve health at {address}: {source}")]
    BindHealth {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Leadership was lost: work has ended, and another process may lead.
    #[error("lost the Lease {lease}: {}", reason.as_str())]
    Lost {
        /// Namespace and name of the Lease.
        lease: String,
        /// Why.
        reason: LossReason,
    },
}

/// Stands for election and runs `work` once while this process leads. It ends with `work`, with
/// `stop`, or with the loss of leadership. The program must end then, too; its exit code says
/// whether leadership was lost.
///
/// Returns the output of `work`, if it ended by itself or in time after `stop`.
///
/// ```no_run
/// use lease_elector::{Options, run_or_die};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut options = Options::new("shop", "orders");
/// options.health_addr = Some(([0, 0, 0, 0], 8080).into());
/// let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
/// run_or_die(options, stop, |term| async move { term.lost().await }).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the elector cannot start, and when leadership is lost.
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

/// A standby is healthy: it does no work that could hang.
fn answer(elector: &LeaderElector, liveness: Option<Liveness>) -> Liveness {
    let (state, health) = (elector.view(), elector.health());
    Arc::new(move || {
        health.check(HealthCheck::TOLERANCE).map_err(|unhealthy| unhealthy.to_string())?;
        let leads = state.borrow().is_leader();
        match &liveness {
            Some(liveness) if leads => liveness(),
            _ => Ok(()),
        }
    })
}
