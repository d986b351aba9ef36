//! The operator. One worker for each group looks at the cache, plans, applies, and sleeps until the
//! next change or moment.
//!
//! The loop is in `reconcile`, reads are in [`watches`] and [`live_reads`], writes in [`apply`],
//! judgement in [`crate::planner`]. Safety (S1) does not depend on a single operator: each write is
//! conditional on the versions that it was decided on.

pub mod apply;
mod backoff;
pub mod checks;
pub mod error;
pub mod fair_slots;
pub mod group_figures;
pub mod label_contest;
pub mod live_reads;
mod pace;
pub mod permit;
mod reconcile;
pub mod requests;
mod watched_kind;
pub mod watches;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::runtime::events::Reporter;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::apply::Applier;
use self::apply::events::EventQueue;
use self::checks::Health;
use self::permit::WritePermit;
use self::reconcile::Context;
use self::requests::Requests;
use self::workers::Workers;
use crate::cache::{self, Cache, Scope, WentBackwards};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::planner::plan::Plan;
use crate::planner::seen::GroupView;

/// The field manager of this operator in `managedFields`.
pub const FIELD_MANAGER: &str = "election-operator";

/// How long the operator waits for its last Events before it ends.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// The parts and settings of an operator.
pub struct OperatorOptions {
    /// The planner: [`crate::planner::plan()`], or a broken one that a test must find out.
    pub planner: fn(&GroupView) -> Plan,
    /// The client of the watches. It may retry by itself.
    pub watching: Client,
    /// The client of single requests. It must not retry: a late write could outlive its condition.
    pub writing: Client,
    /// The namespaces to serve. Empty: all.
    pub namespaces: Vec<String>,
    /// The name of this process in Events.
    pub instance: Option<String>,
    /// Whether this operator may write.
    pub permit: WritePermit,
    /// The metrics to fill.
    pub metrics: Arc<Metrics>,
    /// The state that `/readyz` reports.
    pub health: Arc<Health>,
}

/// Runs the operator until `stop` changes to true. Plans that are being carried out are finished.
///
/// # Errors
/// If the operator cannot go on: a watch ended, or versions of API objects went backwards.
pub async fn run(options: OperatorOptions, stop: watch::Receiver<bool>) -> Result<(), CannotGoOn> {
    let clock = Clock::start();
    let (wake, woken) = cache::wakes::wakes();
    let cache = Arc::new(Cache::new(clock, wake).serving(&options.namespaces));
    let OperatorOptions { permit, health, metrics, .. } = &options;
    let (counted, synced) = (cache.clone(), health.clone());
    metrics.count_with(move || counted.count());
    let known = cache.clone();
    metrics.groups_from(move || known.map_groups(group_figures::group_figures));
    metrics.watch_figures_from(move || synced.watches());
    let requests = Requests::new(options.writing.clone(), permit.clone(), health.clone());
    let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: options.instance.clone() };
    let (events, publishing) = EventQueue::new(requests.clone(), reporter, metrics.clone());
    let mut publishing = JoinSet::from_iter([publishing]);
    let applier = Applier::new(clock, requests, cache.clone(), events, metrics.clone());
    let mut watches = start_watches(&options, &cache);
    let workers = Workers::new(Arc::new(Context {
        planner: options.planner,
        clock,
        cache: cache.clone(),
        applier,
        permit: options.permit,
        metrics: options.metrics,
        health: options.health,
        stop,
    }));
    tokio::select! {
        () = workers.run(woken) => {
            let _ = tokio::time::timeout(LAST_EVENTS, publishing.join_next()).await;
            Ok(())
        }
        found = cache.until_backwards() => Err(found.into()),
        Some(ended) = watches.join_next() => {
            resume_panic(ended);
            Err(CannotGoOn::WatchEnded)
        }
    }
}

/// Starts the watches of the named namespaces, or of all of them, and the watch of nodes.
fn start_watches(options: &OperatorOptions, cache: &Arc<Cache>) -> JoinSet<()> {
    let OperatorOptions { watching: client, health, namespaces, .. } = options;
    let named = namespaces.iter().cloned().map(Scope::Namespace);
    let scopes: Vec<_> = if namespaces.is_empty() { vec![Scope::Cluster] } else { named.collect() };
    for scope in &scopes {
        health.require_watches(scope);
    }
    let mut watches = JoinSet::new();
    for scope in scopes {
        watches.spawn(watches::watch(client.clone(), scope, cache.clone(), health.clone()));
    }
    watches.spawn(watches::watch_nodes(client.clone(), cache.clone(), health.clone()));
    watches
}

/// Why the operator cannot go on. End the process.
#[derive(Debug, thiserror::Error)]
pub enum CannotGoOn {
    /// A watch has ended. None ever should.
    #[error("a watch has ended, which none should")]
    WatchEnded,
    /// Versions do not order objects any more.
    #[error(transparent)]
    WentBackwards(#[from] WentBackwards),
}

/// Ends the process if the task panicked: a process without that task must not look alive.
fn resume_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
