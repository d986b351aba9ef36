//! One of several operators: it stands for election, is active while it leads, and ends when it
//! loses.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::go_duration::{self, BoolFlag};
use crate::controller::CannotGoOn;
use crate::controller::permit::WritePermit;
use crate::elector::Access;
use crate::elector::{
    ActiveTerm, BuildError, ConfigError, ElectorConfig, ElectorMetrics, Ending, LeaderElector, LeaderView,
    LossReason, RunError, default_identity,
};

/// The flags of the election among operators, named as in the components of Kubernetes.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct LeaderElectionArgs {
    /// Stand for election among several operators: one is active, the others are ready to take
    /// over. With `false` this operator is active at once. That is as safe, but then every operator
    /// writes.
    #[arg(long, bool_flag = true)]
    pub leader_elect: bool,

    /// The name of the Lease of this election.
    #[arg(long, value_name = "NAME", default_value = "election-operator")]
    leader_elect_resource_name: String,

    /// The namespace of this Lease. Default: the operator's own, or that of the kubeconfig's
    /// context.
    #[arg(long, value_name = "NAMESPACE")]
    leader_elect_resource_namespace: Option<String>,

    /// How long the other operators wait without seeing a renewal before one takes over. After a
    /// crash no group fails over for so long. Safety does not depend on it. Whole seconds.
    #[arg(long, value_name = "DURATION", default_value = "6s", value_parser = go_duration::duration)]
    leader_elect_lease_duration: Duration,

    /// How long the active operator goes on without a renewal before it ends.
    #[arg(long, value_name = "DURATION", default_value = "4s", value_parser = go_duration::duration)]
    leader_elect_renew_deadline: Duration,

    /// The pause between two tries.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = go_duration::duration)]
    leader_elect_retry_period: Duration,
}

/// Why an operator cannot take part, or ended.
#[derive(Debug, thiserror::Error)]
pub enum OperatorElectionError {
    /// The flags make no sense together.
    #[error("the flags --leader-elect-…: {0}")]
    Flags(#[from] ConfigError),
    /// The elector could not be made.
    #[error(transparent)]
    Build(BuildError),
    /// The elector could not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Another operator may be active by now. This process ends at once, and is restarted as a
    /// standby.
    #[error("lost the Lease {lease} ({}): another operator may be active by now", reason.as_str())]
    Lost {
        /// Namespace and name of the Lease.
        lease: String,
        /// Why it was lost.
        reason: LossReason,
    },
    /// The operator itself failed.
    #[error(transparent)]
    Operate(#[from] CannotGoOn),
}

impl From<BuildError> for OperatorElectionError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Config(error) => Self::Flags(error),
            other => Self::Build(other),
        }
    }
}

/// One operator in the election.
#[derive(Debug)]
pub struct OperatorElection {
    elector: LeaderElector,
    active_term: Arc<OnceLock<ActiveTerm>>,
    begun: watch::Sender<bool>,
}

impl OperatorElection {
    /// Prepares the election without taking part yet.
    ///
    /// # Errors
    /// If the flags make no sense, or no client can be made.
    pub fn new(args: &LeaderElectionArgs, kube: Access) -> Result<Self, OperatorElectionError> {
        let own = &kube.config().default_namespace;
        let namespace = args.leader_elect_resource_namespace.as_ref().unwrap_or(own);
        let identity = default_identity();
        let config = ElectorConfig {
            lease_duration: args.leader_elect_lease_duration,
            renew_deadline: args.leader_elect_renew_deadline,
            retry_period: args.leader_elect_retry_period,
            once: true,
            ..ElectorConfig::new(namespace, &args.leader_elect_resource_name, identity)
        };
        let elector = LeaderElector::new(kube, config)?;
        Ok(Self { elector, active_term: Arc::default(), begun: watch::Sender::new(false) })
    }

    /// The permit to write, valid while this operator leads.
    #[must_use]
    pub fn permit(&self) -> WritePermit {
        let active_term = self.active_term.clone();
        WritePermit::when(self.begun.subscribe(), move || {
            active_term.get().is_some_and(ActiveTerm::is_leader)
        })
    }

    /// The metrics of this election, to be registered.
    #[must_use]
    pub fn metrics(&self) -> ElectorMetrics {
        self.elector.metrics()
    }

    /// The line of this election for `/readyz`.
    pub fn readiness_line(&self) -> impl Fn() -> Result<String, String> + Send + Sync + use<> {
        let state = self.elector.view();
        move || part(&state.borrow())
    }

    /// Runs `operator`, which becomes active when this replica leads. When `operator` has ended,
    /// the Lease is released.
    ///
    /// # Errors
    /// Why the run ended, unless `operator` ended without an error.
    pub async fn run(
        self,
        operator: impl Future<Output = Result<(), CannotGoOn>>,
    ) -> Result<(), OperatorElectionError> {
        let Self { elector, active_term, begun } = self;
        let lease = format!("{}/{}", elector.config().namespace, elector.config().name);
        let (done, stop) = oneshot::channel::<()>();
        let stop = async {
            // If the sender is dropped without a message, the operator has failed and the process
            // is about to end.
            let _ = stop.await;
        };
        let lead = |term: ActiveTerm| {
            tracing::info!(%lease, identity = term.identity(), "this operator is the active one now");
            let _ = active_term.set(term.clone());
            begun.send_replace(true);
            async move { term.lost().await }
        };
        let standing = elector.run(stop, lead);
        let (mut standing, mut operator) = (std::pin::pin!(standing), std::pin::pin!(operator));
        tokio::select! {
            ended = &mut operator => ended?,
            ended = &mut standing => return Err(lost(ended?.ending, lease.clone())),
        }
        let _ = done.send(());
        standing.await?;
        Ok(())
    }
}

fn lost(ending: Ending, lease: String) -> OperatorElectionError {
    OperatorElectionError::Lost { lease, reason: ending.reason() }
}

fn part(state: &LeaderView) -> Result<String, String> {
    match (state.is_leader(), state.problem(), state.holder()) {
        (true, ..) => Ok("active\n".to_owned()),
        (_, Some(trouble), _) => {
            Err(format!("cannot take part in the election among operators: {trouble}\n"))
        }
        (_, None, Some(holder)) => Ok(format!("standing by for {holder}\n")),
        (_, None, None) => Ok("standing by: no operator is active\n".to_owned()),
    }
}
