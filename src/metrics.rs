//! The metrics of the operator. Labels come from closed sets, but for those of one group.

pub mod groups;
pub mod process;

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::groups::{GroupFigures, GroupSeries};
use crate::clock::Clock;

/// How old figures may be that are read under the locks of plans. Frequent scrapes must not slow
/// plans down.
const FIGURES_AGE: Duration = Duration::from_secs(1);

/// All metrics that `/metrics` shows.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    leader_changes: Family<ReasonLabel, Counter>,
    failover_seconds: Histogram,
    phase_seconds: Family<PhaseLabel, Histogram>,
    reconciles: Family<OutcomeLabel, Counter>,
    reconcile_seconds: Histogram,
    writes: Family<WriteLabels, Counter>,
    dropped_events: Counter,
    groups: Gauge<i64, AtomicI64>,
    candidates: Gauge<i64, AtomicI64>,
    unreadable: Family<KindLabel, Gauge<i64, AtomicI64>>,
    silent_seconds: Family<KindLabel, Gauge<f64, AtomicU64>>,
    count: OnceASecond<(usize, usize)>,
    group_series: Option<Arc<GroupSeries>>,
    watches: OnScrape<Vec<WatchFigures>>,
    clock: Clock,
}

/// A source of figures that takes the locks of plans. Scrapes ask it once a second at most.
struct OnceASecond<T> {
    source: OnceLock<Box<dyn Fn() -> T + Send + Sync>>,
    last: Mutex<Option<(Duration, Arc<T>)>>,
}

impl<T> Default for OnceASecond<T> {
    fn default() -> Self {
        Self { source: OnceLock::new(), last: Mutex::default() }
    }
}

impl<T> OnceASecond<T> {
    /// The figures, at most a second old. None if there is no source.
    fn get(&self, now: Duration) -> Option<Arc<T>> {
        let source = self.source.get()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, figures)) if now.saturating_sub(*at) < FIGURES_AGE => Some(figures.clone()),
            _ => Some(last.insert((now, Arc::new(source()))).1.clone()),
        }
    }
}

impl<T> fmt::Debug for OnceASecond<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnceASecond")
    }
}

/// The figures of the watches of one kind.
#[derive(Clone, Copy, Debug)]
pub struct WatchFigures {
    /// The kind.
    pub kind: &'static str,
    /// How many of its objects cannot be read.
    pub unreadable: usize,
    /// Seconds since the last event. None: no event yet.
    pub silent_seconds: Option<f64>,
}

/// A source of figures, called at each scrape.
struct OnScrape<T>(OnceLock<Box<dyn Fn() -> T + Send + Sync>>);

impl<T> Default for OnScrape<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> fmt::Debug for OnScrape<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asked")
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

/// A phase of a change of leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailoverPhase {
    /// From when the cause was seen to the decision.
    Detect,
    /// The write of the record.
    Record,
    /// From the record to the last fence.
    Fence,
    /// From the record to the last slice, beside the fences.
    Route,
    /// From the decision to the sight of the nominee's take (Nominated): the earlier leader's end,
    /// release and take.
    Take,
    /// From the last fence, or from that sight, to the leader label.
    Label,
}

impl FailoverPhase {
    const ALL: [Self; 6] = [Self::Detect, Self::Record, Self::Fence, Self::Route, Self::Take, Self::Label];

    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Record => "record",
            Self::Fence => "fence",
            Self::Route => "route",
            Self::Take => "take",
            Self::Label => "label",
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("election_operator");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of this program", build);
        let metrics = Self {
            registry: Registry::default(),
            leader_changes: Family::<ReasonLabel, Counter<u64, AtomicU64>>::default(),
            failover_seconds: Histogram::new([
                0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0,
            ]),
            phase_seconds: Family::new_with_constructor(|| {
                Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 60.0])
            }),
            reconciles: Family::default(),
            reconcile_seconds: Histogram::new([
                0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
            ]),
            writes: Family::default(),
            dropped_events: Counter::default(),
            groups: Gauge::default(),
            candidates: Gauge::default(),
            unreadable: Family::default(),
            silent_seconds: Family::default(),
            count: OnceASecond::default(),
            group_series: None,
            watches: OnScrape::default(),
            clock: Clock::start(),
        };
        for phase in FailoverPhase::ALL {
            let _ = metrics.phase_seconds.get_or_create(&PhaseLabel { phase: phase.as_str() });
        }
        metrics.register_changes(registry);
        metrics.register_objects(registry);
        Self { registry: all, ..metrics }
    }
}

impl Metrics {
    /// What the operator does: changes of leader, plans, writes.
    fn register_changes(&self, registry: &mut Registry) {
        registry.register("leader_changes", "Changes of leader by reason", self.leader_changes.clone());
        registry.register(
            "failover_seconds",
            "From when the cause of a change was seen to the new leader label",
            self.failover_seconds.clone(),
        );
        registry.register(
            "failover_phase_seconds",
            "The phases of a change of leader: where the time goes",
            self.phase_seconds.clone(),
        );
        registry.register("reconciles", "Plans carried out, by outcome", self.reconciles.clone());
        registry.register(
            "reconcile_duration_seconds",
            "How long carrying out a plan took",
            self.reconcile_seconds.clone(),
        );
        registry.register("writes", "Requests that write, by kind and result", self.writes.clone());
        registry.register(
            "dropped_events",
            "Events that were not written, as too many waited: the Events API is slow or away",
            self.dropped_events.clone(),
        );
    }

    /// What it sees: groups, pods, and objects that it cannot read.
    fn register_objects(&self, registry: &mut Registry) {
        registry.register("groups", "ElectionGroups seen", self.groups.clone());
        registry.register(
            "candidates",
            "Pods that groups select, neither finished nor being deleted",
            self.candidates.clone(),
        );
        registry.register(
            "unreadable_objects",
            "Objects that are there and cannot be read, by kind: they are left alone, and named in \
             the log and by /readyz",
            self.unreadable.clone(),
        );
        registry.register(
            "watch_silent_seconds",
            "How long ago a watch last told of an object, by kind: leases and nodeleases are \
             renewed all the time, the others may be at rest for long",
            self.silent_seconds.clone(),
        );
    }

    /// These metrics, and those that `register` adds.
    #[must_use]
    pub fn with(register: impl FnOnce(&mut Registry)) -> Self {
        let mut metrics = Self::default();
        register(&mut metrics.registry);
        metrics
    }

    /// These metrics, with series for each group.
    #[must_use]
    pub fn with_group_series(mut self) -> Self {
        let series = Arc::new(GroupSeries::new(self.clock));
        let registry = self.registry.sub_registry_with_prefix("election_operator");
        registry.register_collector(Box::new(series.clone()));
        self.group_series = Some(series);
        self
    }

    /// A change of leader is complete.
    pub fn leader_changed(&self, reason: &'static str, failover_seconds: f64) {
        self.leader_changes.get_or_create(&ReasonLabel { reason }).inc();
        self.failover_seconds.observe(failover_seconds);
    }

    /// A phase of a change of leader is done.
    pub fn phase_done(&self, phase: FailoverPhase, seconds: f64) {
        self.phase_seconds.get_or_create(&PhaseLabel { phase: phase.as_str() }).observe(seconds);
    }

    /// A plan was carried out, or has failed with `outcome`.
    pub fn reconciled(&self, outcome: &'static str, seconds: f64) {
        self.reconciles.get_or_create(&OutcomeLabel { outcome }).inc();
        self.reconcile_seconds.observe(seconds);
    }

    /// A write was answered.
    pub fn wrote(&self, kind: &'static str, result: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, result }).inc();
    }

    /// An Event was dropped.
    pub fn dropped_event(&self) {
        self.dropped_events.inc();
    }

    /// Sets the source of the counts of groups and candidates. Scrapes call it once a second at
    /// most.
    pub fn count_with(&self, count: impl Fn() -> (usize, usize) + Send + Sync + 'static) {
        // An operator has one cache for its whole life.
        let _ = self.count.source.set(Box::new(count));
    }

    /// Sets the source of the figures of groups, if there are series for each group. Scrapes call
    /// it once a second at most.
    pub fn groups_from(&self, groups: impl Fn() -> Vec<GroupFigures> + Send + Sync + 'static) {
        if let Some(series) = &self.group_series {
            series.read_from(groups);
        }
    }

    /// Sets the source of the figures of the watches. Each scrape calls it.
    pub fn watch_figures_from(&self, watches: impl Fn() -> Vec<WatchFigures> + Send + Sync + 'static) {
        let _ = self.watches.0.set(Box::new(watches));
    }

    /// Everything, as `OpenMetrics` text.
    ///
    /// # Errors
    /// Only if formatting fails, which writing to a `String` does not.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        if let Some(count) = self.count.get(Duration::from_millis(self.clock.now().0)) {
            let (groups, candidates) = *count;
            self.groups.set(i64::try_from(groups).unwrap_or(i64::MAX));
            self.candidates.set(i64::try_from(candidates).unwrap_or(i64::MAX));
        }
        for WatchFigures { kind, unreadable, silent_seconds } in
            self.watches.0.get().map(|watches| watches()).unwrap_or_default()
        {
            let label = KindLabel { kind };
            self.unreadable.get_or_create(&label).set(i64::try_from(unreadable).unwrap_or(i64::MAX));
            if let Some(seconds) = silent_seconds {
                self.silent_seconds.get_or_create(&label).set(seconds);
            }
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_stock_is_counted_once_a_second_however_often_it_is_asked_for() {
        let metrics = Metrics::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        metrics.count_with(move || (counted.fetch_add(1, Ordering::SeqCst), 0));
        let at = |millis| {
            let _ = metrics.count.get(Duration::from_millis(millis));
            asked.load(Ordering::SeqCst)
        };
        assert_eq!([at(5000), at(5001), at(5999), at(6000), at(6001)], [1, 1, 1, 2, 2]);
    }
}
