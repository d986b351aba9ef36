//! Another namespace, whose group goes on failing over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::feed::{Journal, What};
use testkit::json::At;
use testkit::kind::Kind;

use super::account::Tenant;
use crate::harness::cluster::Cluster;
use crate::harness::{Operator, World};

/// Another namespace, with a group `orders` of three pods.
pub(super) struct Neighbour {
    pub(super) world: World,
    /// How long each failover took since the figures were told, from the event of the cause to that
    /// of the new label.
    failovers: Vec<Duration>,
    /// How long each label PATCH took meanwhile, made during the failovers, one at a time.
    patches: Vec<Duration>,
    /// The failovers since the figures were told, each measured by the patches made during it.
    ratios: Vec<f64>,
    /// The same of all failovers but those before anything happened.
    pub(super) all_ratios: Vec<f64>,
}

impl Neighbour {
    pub(super) async fn new(name: &str) -> Self {
        let world = World::new(name).await;
        world.pods(&["a", "b", "c"]).await;
        world.pod_with("yardstick", json!({ "metadata": { "labels": { "app": "yardstick" } } })).await;
        world.group("orders", json!({})).await;
        Self { world, failovers: Vec::new(), patches: Vec::new(), ratios: Vec::new(), all_ratios: Vec::new() }
    }

    /// An operator that looks after this namespace and that of the tenant.
    pub(super) fn operator(&self, tenant: &Tenant) -> Operator {
        let namespaces = [&*self.world.namespace, &*tenant.namespace];
        Operator::spawn_for(&self.world, &Cluster::find().operator, &namespaces)
    }

    /// One failover, and label patches as long as it takes.
    pub(super) async fn fail_over(&mut self) {
        let is_over = AtomicBool::new(false);
        let failing = async {
            let took = fail_over(&self.world).await;
            is_over.store(true, Ordering::Relaxed);
            took
        };
        let patching = async {
            let mut patches = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                patches.push(self.patch(patches.len()).await);
            }
            patches
        };
        let (failover, patches) = futures::join!(failing, patching);
        let patch = percentile(&millis(&patches), 50);
        self.ratios.push(1000.0 * failover.as_secs_f64() / patch);
        self.failovers.push(failover);
        self.patches.extend(patches);
    }

    async fn patch(&self, number: usize) -> Duration {
        let role = if number.is_multiple_of(2) { "one" } else { "other" };
        let patch =
            json!({ "metadata": { "labels": { "role": role }, "annotations": { "test/role": role } } });
        let start = Instant::now();
        self.world.patch(Kind::Pod, "yardstick", patch).await;
        start.elapsed()
    }

    pub(super) async fn fail_over_times(&mut self, times: usize, what: &str) {
        for _ in 0..times {
            self.fail_over().await;
        }
        self.tell(what);
    }

    /// One failover after the other until `work` is done, and some at least.
    pub(super) async fn fail_over_during(
        &mut self,
        what: &str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let start = Instant::now();
        let work = tokio::spawn(work);
        while !work.is_finished() || self.failovers.len() < 10 {
            self.fail_over().await;
        }
        work.await.unwrap();
        self.tell(&format!("{what}, {:.0} s", start.elapsed().as_secs_f64()));
    }

    /// Prints the figures since the last time.
    pub(super) fn tell(&mut self, what: &str) {
        let failovers = millis(&std::mem::take(&mut self.failovers));
        let patches = millis(&std::mem::take(&mut self.patches));
        let ratios = std::mem::take(&mut self.ratios);
        println!(
            "{what}: {} failovers in {:.1} / {:.1} PATCHes (p50 / p99), {:.0} / {:.0} ms; \
             a PATCH took {:.1} / {:.1} ms",
            ratios.len(),
            percentile(&ratios, 50),
            percentile(&ratios, 99),
            percentile(&failovers, 50),
            percentile(&failovers, 99),
            percentile(&patches, 50),
            percentile(&patches, 99),
        );
        self.all_ratios.extend(ratios);
    }

    /// Everybody has been looked after, and the operator has kept within its bounds.
    pub(super) async fn finish(self, operator: &Operator) {
        assert_memory(operator);
        if !self.all_ratios.is_empty() {
            println!(
                "all {} failovers: {:.1} / {:.1} PATCHes (p50 / p99)",
                self.all_ratios.len(),
                percentile(&self.all_ratios, 50),
                percentile(&self.all_ratios, 99),
            );
        }
        self.world.finish().await;
    }
}

/// Who leads, and since which revision.
pub(super) fn leader(journal: &Journal) -> Option<(String, u64, Instant)> {
    let last = journal.steps().pop().filter(|step| step.what == What::Gained)?;
    Some((last.pod, last.number, last.seen))
}

/// The leader gets not Ready, and is well again when another one leads. Returns how long that took.
pub(super) async fn fail_over(world: &World) -> Duration {
    let (old, since, _) = world.recorder.until("a leader", leader).await;
    let patched = world.set_ready(&old, false).await;
    let version: u64 = patched.text("/metadata/resourceVersion").parse().unwrap();
    let what = format!("another leader than {old} in {}", world.namespace);
    let new = |journal: &Journal| {
        let cause = journal.of(Kind::Pod).rfind(|revision| revision.number == version)?.seen;
        let (_, number, seen) = leader(journal)?;
        (number > since).then(|| seen.saturating_duration_since(cause))
    };
    let took = world.recorder.until(&what, new).await;
    world.set_ready(&old, true).await;
    took
}

fn millis(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(|duration| 1000.0 * duration.as_secs_f64()).collect()
}

/// The value that so many percent of these are not above.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

/// What the chart allows the operator.
fn memory_limit_bytes() -> u64 {
    let values = include_str!("../../../charts/election-operator/values.yaml");
    let mut lines = values.lines().skip_while(|line| *line != "  limits:");
    let memory = lines.find_map(|line| line.trim().strip_prefix("memory: ")?.strip_suffix("Mi"));
    memory.and_then(|mib| mib.parse::<u64>().ok()).expect("the chart limits the memory, in Mi") << 20
}

pub(super) fn assert_memory(operator: &Operator) {
    let (peak, limit) = (operator.peak_memory_bytes(), memory_limit_bytes());
    println!("memory of the operator: at most {} MiB of {} MiB", peak >> 20, limit >> 20);
    assert!(peak < limit, "{peak} bytes, of {limit}");
}
