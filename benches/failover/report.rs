//! What a run brought: tables to read, and one line of JSON a scenario to keep.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::anatomy::STRETCHES;
use crate::recorder::Moment;
use crate::scenario::{Cause, Outcome, Steady};

/// The targets, in medians of a label PATCH.
const P50_TARGET: f64 = 4.0;
const P99_TARGET: f64 = 8.0;
/// An endpoint that comes this late is a stall.
const STALL: Duration = Duration::from_millis(900);

/// Durations in order.
pub(crate) struct Series(Vec<Duration>);

impl Series {
    pub(crate) fn new(durations: impl IntoIterator<Item = Duration>) -> Self {
        let mut durations: Vec<_> = durations.into_iter().collect();
        durations.sort_unstable();
        Self(durations)
    }

    /// The nearest rank, in milliseconds; 0 of nothing.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).map_or(0.0, |duration| milliseconds(*duration))
    }

    pub(crate) fn max(&self) -> f64 {
        self.percentile(100)
    }

    fn json(&self, unit: f64) -> Value {
        let of = |percent| json!({ "ms": round(self.percentile(percent)), "patches": round(self.percentile(percent) / unit) });
        json!({ "p50": of(50), "p99": of(99), "max": of(100) })
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

pub(crate) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// One scenario in numbers.
struct Summary<'a> {
    outcome: &'a Outcome,
    patch: Series,
    label: Series,
    endpoint: Series,
    lost: usize,
    stalls: usize,
}

impl<'a> Summary<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let after =
            |moment: Option<Moment>, cause: Moment| Some(moment?.at.saturating_duration_since(cause.at));
        let label = outcome.switches.iter().filter_map(|switch| after(switch.label, switch.cause));
        let endpoint: Vec<_> =
            outcome.switches.iter().filter_map(|switch| after(switch.endpoint, switch.cause)).collect();
        let lost = outcome.switches.len() - endpoint.len();
        Self {
            patch: Series::new(outcome.patches.iter().copied()),
            label: Series::new(label),
            stalls: endpoint.iter().filter(|took| **took >= STALL).count() + lost,
            endpoint: Series::new(endpoint),
            lost,
            outcome,
        }
    }

    fn ratio(&self, percent: usize) -> f64 {
        self.label.percentile(percent) / self.patch.percentile(50)
    }

    /// The two targets are for a leader that fails; where the old leader is a ready endpoint, the
    /// operator waits.
    fn verdict(&self, met: bool) -> &'static str {
        let failed = matches!(self.outcome.scenario.cause, Cause::Deleted | Cause::NotReady);
        if failed { verdict(met) } else { "" }
    }

    fn line(&self) -> String {
        let scenario = &self.outcome.scenario;
        let series =
            |s: &Series| format!("{:5.1} {:6.1} {:6.1}", s.percentile(50), s.percentile(99), s.max());
        format!(
            "{:>6}  {:<11} {:>4} │ {:5.1} {:5.1} │ {} │ {:4.1} {:<6} {:4.1} {:<6} │ {} │ {:>2} {:<6} │ {:>3} │ {:>4}",
            scenario.groups,
            scenario.cause,
            self.outcome.switches.len(),
            self.patch.percentile(50),
            self.patch.percentile(99),
            series(&self.label),
            self.ratio(50),
            self.verdict(self.ratio(50) <= P50_TARGET),
            self.ratio(99),
            self.verdict(self.ratio(99) <= P99_TARGET),
            series(&self.endpoint),
            self.stalls,
            verdict(self.stalls == 0),
            self.outcome.doubles,
            self.outcome.load,
        )
    }

    fn anatomy(&self) -> Option<Vec<(&'static str, f64)>> {
        let anatomies = &self.outcome.anatomies;
        let median =
            |index: usize| Series::new(anatomies.iter().map(|anatomy| anatomy.0[index])).percentile(50);
        let stretches = STRETCHES.into_iter().enumerate();
        (!anatomies.is_empty()).then(|| stretches.map(|(index, name)| (name, median(index))).collect())
    }

    fn json(&self) -> Value {
        let unit = self.patch.percentile(50);
        let scenario = &self.outcome.scenario;
        let anatomy = self.anatomy().into_iter().flatten();
        json!({
            "groups": scenario.groups,
            "cause": scenario.cause.to_string(),
            "switches": self.outcome.switches.len(),
            "lost": self.lost,
            "patch": self.patch.json(unit),
            "label": self.label.json(unit),
            "endpoint": self.endpoint.json(unit),
            "stalls": self.stalls,
            "two_labels": self.outcome.doubles,
            "requests": self.outcome.requests,
            "anatomy_ms": anatomy.map(|(name, took)| (name.to_owned(), round(took).into())).collect::<serde_json::Map<_, _>>(),
            "steady": self.outcome.steady.as_ref().map(steady_json),
            "memory_bytes": self.outcome.crowd.map(|(before, after)| json!({
                "before": before, "after": after, "bystanders": scenario.bystanders,
            })),
            "load": self.outcome.load,
        })
    }
}

pub(crate) const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn steady_json(steady: &Steady) -> Value {
    json!({
        "seconds": steady.seconds,
        "requests": steady.requests,
        "processor_seconds": steady.processor_seconds.map(round),
        "memory_bytes": steady.memory,
    })
}

/// The times of one scenario: a line of the first table.
pub(crate) fn line(outcome: &Outcome) -> String {
    Summary::new(outcome).line()
}

/// Prints everything.
pub(crate) fn print(outcomes: &[Outcome]) {
    let summaries: Vec<_> = outcomes.iter().map(Summary::new).collect();
    print_times(&summaries);
    print_anatomies(&summaries);
    print_requests(&summaries);
    print_costs(&summaries);
    println!();
    for summary in &summaries {
        println!("{}", summary.json());
    }
}

fn print_times(summaries: &[Summary<'_>]) {
    println!(
        "\nFailover in milliseconds, from the event of the cause; targets: p50 ≤ {P50_TARGET} and p99 ≤ {P99_TARGET} medians of a label PATCH, no stall\n"
    );
    println!(
        "                         │ label PATCH │   to the new label   │ in medians of a PATCH     │  to the new endpoint │           │ two │"
    );
    println!(
        "groups  cause     number │   p50   p99 │   p50    p99    max │ p50         p99         │   p50    p99    max │ stalls    │ labels │ load"
    );
    for summary in summaries {
        println!("{}", summary.line());
    }
}

fn print_anatomies(summaries: &[Summary<'_>]) {
    println!("\nWhere the time to the label goes: medians in milliseconds, by the API server's log\n");
    for summary in summaries {
        let Some(stretches) = summary.anatomy() else { continue };
        let scenario = &summary.outcome.scenario;
        let inside = Series::new(summary.outcome.patches_inside.iter().copied()).percentile(50);
        let words: Vec<_> = stretches.iter().map(|(name, took)| format!("{name} {took:.1}")).collect();
        println!("{:>6}  {:<11} {}", scenario.groups, scenario.cause, words.join(", "));
        println!(
            "{:>19} label PATCH: {inside:.1} in the API server, {:.1} for its client",
            "",
            summary.patch.percentile(50)
        );
    }
}

fn print_requests(summaries: &[Summary<'_>]) {
    println!(
        "\nRequests of the operator a switch (with many groups: the renewals of all groups in that time, too)\n"
    );
    for summary in summaries {
        let Some(requests) = &summary.outcome.requests else { continue };
        let scenario = &summary.outcome.scenario;
        println!(
            "{:>6}  {:<11} {}",
            scenario.groups,
            scenario.cause,
            each(requests, summary.outcome.switches.len())
        );
    }
}

fn print_costs(summaries: &[Summary<'_>]) {
    println!("\nSteady state\n");
    for summary in summaries {
        let groups = summary.outcome.scenario.groups;
        if let Some(steady) = &summary.outcome.steady {
            let processor = steady.processor_seconds.map_or_else(String::new, |seconds| {
                format!(", {:.2} % of a processor", seconds / steady.seconds as f64 * 100.0)
            });
            let memory =
                steady.memory.map_or_else(String::new, |bytes| format!(", {:.1} MiB", mebibytes(bytes)));
            let requests = steady.requests.as_ref().map(|requests| each(requests, steady.seconds));
            println!("{groups:>6} groups: {} a second{processor}{memory}", requests.unwrap_or_default());
        }
        if let Some((before, after)) = summary.outcome.crowd {
            let pods = summary.outcome.scenario.bystanders;
            println!(
                "{groups:>6} groups and {pods} pods of no group more: {:.1} MiB after {:.1} MiB, {} bytes a pod",
                mebibytes(after),
                mebibytes(before),
                after.saturating_sub(before) / pods as u64
            );
        }
    }
}

fn each(counts: &BTreeMap<String, usize>, of: usize) -> String {
    let words: Vec<_> =
        counts.iter().map(|(what, count)| format!("{what} {:.2}", *count as f64 / of as f64)).collect();
    words.join(", ")
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
