//! The metrics of leader elections. All electors of a process share them, each with its name as a
//! label.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LeaseLabels {
    name: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RenewLabels {
    name: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LossLabels {
    name: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    name: String,
    class: &'static str,
}

/// The metrics of leader elections. Clones are the same metrics.
#[derive(Clone, Debug)]
pub struct ElectorMetrics {
    master_status: Family<LeaseLabels, Gauge<i64, AtomicI64>>,
    slowpath: Family<LeaseLabels, Counter>,
    transitions: Family<LeaseLabels, Counter>,
    renew_duration: Family<RenewLabels, Histogram, fn() -> Histogram>,
    deadline_remaining: Family<LeaseLabels, Gauge<f64, AtomicU64>>,
    lost: Family<LossLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
}

impl Default for ElectorMetrics {
    fn default() -> Self {
        let buckets: fn() -> Histogram =
            || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
        Self {
            master_status: Family::default(),
            slowpath: Family::default(),
            transitions: Family::default(),
            renew_duration: Family::new_with_constructor(buckets),
            deadline_remaining: Family::default(),
            lost: Family::default(),
            errors: Family::default(),
        }
    }
}

impl ElectorMetrics {
    /// Registers the metrics in `registry`, under client-go's prefix.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("leader_election");
        registry.register("master_status", "1 while this process leads", self.master_status.clone());
        registry.register("slowpath", "Renewals that needed a read", self.slowpath.clone());
        registry.register("transitions", "Changes of holder seen", self.transitions.clone());
        registry.register(
            "renew_duration_seconds",
            "How long a write that renews took, by result",
            self.renew_duration.clone(),
        );
        registry.register(
            "deadline_remaining_seconds",
            "What was left until leadership would have been lost, when a renewal last ended; \
             0 while not leading",
            self.deadline_remaining.clone(),
        );
        registry.register("lost", "Terms that ended, by reason", self.lost.clone());
        registry.register("errors", "Requests about the Lease that failed, by class", self.errors.clone());
    }

    pub(super) fn leads(&self, name: &str, leads: bool) {
        let name = LeaseLabels { name: name.to_owned() };
        self.master_status.get_or_create(&name).set(i64::from(leads));
        if !leads {
            self.deadline_remaining.get_or_create(&name).set(0.0);
        }
    }

    pub(super) fn renewed(&self, name: &str, result: &'static str, seconds: f64, remaining: f64) {
        let name = name.to_owned();
        self.deadline_remaining.get_or_create(&LeaseLabels { name: name.clone() }).set(remaining);
        self.renew_duration.get_or_create(&RenewLabels { name, result }).observe(seconds);
    }

    pub(super) fn new_holder(&self, name: &str) {
        self.transitions.get_or_create(&LeaseLabels { name: name.to_owned() }).inc();
    }

    pub(super) fn slow_path(&self, name: &str) {
        self.slowpath.get_or_create(&LeaseLabels { name: name.to_owned() }).inc();
    }

    pub(super) fn lost(&self, name: &str, reason: &'static str) {
        self.lost.get_or_create(&LossLabels { name: name.to_owned(), reason }).inc();
    }

    pub(super) fn failed(&self, name: &str, class: &'static str) {
        self.errors.get_or_create(&ErrorLabels { name: name.to_owned(), class }).inc();
    }
}
