//! The operator: one task a group, which observes, plans and applies, and sleeps until something happens.
//!
//! Reads are in [`watches`] and [`live_reads`], writes in [`apply`], judgement in [`crate::planner`]. Safety (S1) does
//! not depend on there being one operator: every write is conditional on what it was decided on.

pub mod apply;
pub mod checks;
pub mod error;
pub mod label_contest;
pub mod live_reads;
pub mod permit;
mod reconcile;
pub mod requests;
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
use self::checks::{Check, Health};
use self::permit::WritePermit;
use self::reconcile::Reconciler;
use self::requests::Requests;
use self::workers::Workers;
use crate::cache::{self, Cache, WentBackwards};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::planner::plan::Plan;
use crate::planner::snapshot::Snapshot;

/// Under this name the API server keeps what this operator wrote.
pub const FIELD_MANAGER: &str = "election-operator";

/// How long the Events that are left are waited for in the end.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// What an operator needs.
pub struct OperatorOptions {
    /// Decides what to do: [`crate::planner::plan::plan`], and only tests of the tests give another one.
    pub planner: fn(&Snapshot) -> Plan,
    /// For the watches; may retry by itself.
    pub watching: Client,
    /// For single requests; must not retry by itself.
    pub writing: Client,
    /// The namespaces to look after; empty: all.
    pub namespaces: Vec<String>,
    /// The name of this process in Events.
    pub instance: Option<String>,
    /// Whether it may write.
    pub active: WritePermit,
    /// Where to count.
    pub metrics: Arc<Metrics>,
    /// Where to tell what does not work.
    pub health: Arc<Health>,
}

/// Runs the operator until `stop` changes to true; plans that are being carried out are finished.
///
/// # Errors
/// If it cannot go on: a watch ended, or the versions of the API server's objects went backwards.
pub async fn run(options: OperatorOptions, mut stop: watch::Receiver<bool>) -> Result<(), CannotGoOn> {
    let clock = Clock::start();
    let (wake, mut called) = cache::wakes::wakes();
    let store = Arc::new(Cache::new(clock, wake));
    let health = options.health.clone();
    let active = options.active;
    let requests = Requests::new(options.writing.clone(), active.clone(), health.clone());
    let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: options.instance };
    let metrics = options.metrics.clone();
    let counted = store.clone();
    metrics.count_with(move || counted.count());
    let told = health.clone();
    metrics.ask_watches_with(move || told.watches());
    let (events, telling) = EventQueue::new(requests.clone(), reporter, metrics.clone());
    let mut telling = JoinSet::from_iter([telling]);
    let applier = Applier::new(clock, requests, store.clone(), events, metrics.clone());

    let mut watches = JoinSet::new();
    let everywhere = options.namespaces.is_empty();
    let scopes = options.namespaces.into_iter().map(Some);
    let scopes: Vec<_> = if everywhere { vec![None] } else { scopes.collect() };
    for namespace in &scopes {
        for part in [Check::Groups, Check::Pods, Check::Leases] {
            health.require(part, namespace.as_deref().unwrap_or_default());
        }
    }
    for namespace in scopes {
        watches.spawn(watches::watch(options.watching.clone(), namespace, store.clone(), health.clone()));
    }
    watches.spawn(watches::watch_nodes(options.watching, store.clone(), health.clone()));

    let planner = options.planner;
    let picture = store.clone();
    let desk = Reconciler {
        planner,
        clock,
        store,
        applier,
        active,
        metrics,
        health,
        everywhere,
        stop: stop.clone(),
    };
    let work = async {
        let mut groups =
            Workers { reconciler: Arc::new(desk), members: Arc::default(), tasks: JoinSet::new() };
        loop {
            tokio::select! {
                biased; // A simulated run can be repeated only if no branch is chosen by chance.
                _ = stop.wait_for(|stop| *stop) => break,
                Some(ended) = groups.tasks.join_next() => died(ended),
                group = called.next() => groups.wake(group),
            }
        }
        groups.wake_all();
        while let Some(ended) = groups.tasks.join_next().await {
            died(ended);
        }
    };
    tokio::select! {
        () = work => {
            let _ = tokio::time::timeout(LAST_EVENTS, telling.join_next()).await;
            Ok(())
        }
        found = picture.until_backwards() => Err(found.into()),
        Some(ended) = watches.join_next() => {
            died(ended);
            Err(CannotGoOn::WatchEnded)
        }
    }
}

/// Why the process cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CannotGoOn {
    /// A watch has ended, which none should.
    #[error("a watch has ended, which none should")]
    WatchEnded,
    /// What is newer can no longer be told from what is older.
    #[error(transparent)]
    WentBackwards(#[from] WentBackwards),
}

/// A task that panicked must not leave a process behind that looks alive.
fn died(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}
