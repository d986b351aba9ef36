//! What the relays brought: a table for electors alone, one for the label that follows them, and a
//! line of JSON a relay.

use std::fmt;

use serde_json::{Value, json};

use super::{Change, End, Outcome, Relay};
use crate::handover::elector::Make;
use crate::recorder::Moment;
use crate::report::{Series, round, verdict};

/// A clean hand-over between two of ours, from the release to the next holder: the median, in
/// milliseconds.
const RELEASED_TARGET: f64 = 100.0;
/// The same after a crash, over the duration of the Lease: the longest.
const KILLED_TARGET: f64 = 500.0;
/// From the Lease that names another to the label of that one's pod: the median.
const LABELLED_TARGET: f64 = 50.0;
/// From the end of a Lease that was not renewed to the end of the label: the longest.
const UNLABELLED_TARGET: f64 = 1000.0;

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (make, end, timing) = (self.make, self.end, self.timing());
        let observed = if self.observed { ", label follows" } else { "" };
        write!(f, "{make}, {end}, {timing}, {} changes{observed}", self.changes)
    }
}

/// One relay in numbers. What began it is the release or, of a holder that was killed, the end of
/// its Lease: its last renewal and the lease duration.
struct Summary<'a> {
    outcome: &'a Outcome,
    patch: Series,
    signal_to_taken: Series,
    begin_to_taken: Series,
    begin_to_unlabelled: Series,
    taken_to_labelled: Series,
    begin_to_labelled: Series,
}

impl<'a> Summary<'a> {
    fn new(outcome: &'a Outcome) -> Self {
        let relay = outcome.relay;
        let begin = |change: &Change| match relay.end {
            End::Released => change.released.map(|moment| moment.at),
            End::Killed => Some(change.renewed.at + relay.timing().lease_duration),
        };
        let since_begin = |what: fn(&Change) -> Option<Moment>| {
            let took = |change: &Change| Some(what(change)?.at.saturating_duration_since(begin(change)?));
            Series::new(outcome.changes.iter().filter_map(took))
        };
        let since_taken =
            |change: &Change| Some(change.labelled?.at.saturating_duration_since(change.taken.at));
        let since_signal = |change: &Change| change.taken.at.saturating_duration_since(change.signalled);
        Self {
            patch: Series::new(outcome.patches.iter().copied()),
            signal_to_taken: Series::new(outcome.changes.iter().map(since_signal)),
            begin_to_taken: since_begin(|change| Some(change.taken)),
            begin_to_unlabelled: since_begin(|change| change.unlabelled),
            taken_to_labelled: Series::new(outcome.changes.iter().filter_map(since_taken)),
            begin_to_labelled: since_begin(|change| change.labelled),
            outcome,
        }
    }

    /// What is asked of it, and whether it is so. Nothing is asked of client-go.
    fn target(&self) -> String {
        let relay = self.outcome.relay;
        let judge =
            |what: &str, took: f64, target: f64| format!("{what} ≤ {target} {}", verdict(took <= target));
        match (relay.observed, relay.end, relay.make) {
            (true, End::Released, _) => {
                judge("to the label p50", self.taken_to_labelled.percentile(50), LABELLED_TARGET)
            }
            (true, End::Killed, _) => {
                judge("label gone max", self.begin_to_unlabelled.max(), UNLABELLED_TARGET)
            }
            (false, End::Released, Make::Ours) => {
                judge("p50", self.begin_to_taken.percentile(50), RELEASED_TARGET)
            }
            (false, End::Killed, Make::Ours) => judge("max", self.begin_to_taken.max(), KILLED_TARGET),
            (false, _, Make::ClientGo) => "none".to_owned(),
        }
    }

    fn line(&self) -> String {
        let relay = self.outcome.relay;
        let times: Vec<&Series> = if relay.observed {
            vec![
                &self.begin_to_taken,
                &self.begin_to_unlabelled,
                &self.taken_to_labelled,
                &self.begin_to_labelled,
            ]
        } else {
            vec![&self.signal_to_taken, &self.begin_to_taken]
        };
        let series =
            |s: &&Series| format!("{:6.1} {:6.1} {:6.1}", s.percentile(50), s.percentile(99), s.max());
        let times: Vec<_> = times.iter().map(series).collect();
        let two = if relay.observed { format!(" │ {:>6}", self.outcome.doubles) } else { String::new() };
        format!(
            "{:<9} {:<8} {:<10} {:>4} │ {:5.1} │ {}{two} │ {:<29} │ {:>4}",
            relay.make,
            relay.end,
            relay.timing(),
            self.outcome.changes.len(),
            self.patch.percentile(50),
            times.join(" │ "),
            self.target(),
            self.outcome.load,
        )
    }

    fn json(&self) -> Value {
        let relay = self.outcome.relay;
        let of = |series: &Series| json!({ "p50": round(series.percentile(50)), "p99": round(series.percentile(99)), "max": round(series.max()) });
        let label = relay.observed.then(|| {
            json!({
                "gone": of(&self.begin_to_unlabelled),
                "moved_after_taken": of(&self.taken_to_labelled),
                "moved": of(&self.begin_to_labelled),
                "two_labels": self.outcome.doubles,
            })
        });
        json!({
            "electors": relay.make.to_string(),
            "end": relay.end.to_string(),
            "timing": relay.timing().to_string(),
            "changes": self.outcome.changes.len(),
            "patch_ms": of(&self.patch),
            "taken_after_signal_ms": of(&self.signal_to_taken),
            "taken_ms": of(&self.begin_to_taken),
            "label_ms": label,
            "target": self.target(),
            "load": self.outcome.load,
        })
    }
}

/// One relay: a line of its table.
pub(crate) fn line(outcome: &Outcome) -> String {
    Summary::new(outcome).line()
}

/// Prints everything.
pub(crate) fn print(outcomes: &[Outcome]) {
    let summaries: Vec<_> = outcomes.iter().map(Summary::new).collect();
    println!(
        "\nHand-over between electors in milliseconds, to the event of the next holder in the Lease; it begins with the release or, of a\nholder that was killed, when its Lease has run out: the lease duration after the event of its last renewal\n"
    );
    println!(
        "                                    │ PATCH │      from the signal │   from the beginning │                               │"
    );
    println!(
        "electors  end      lease     number │   p50 │    p50    p99    max │    p50    p99    max │ target                        │ load"
    );
    print_lines(&summaries, false);
    println!("\nThe label that follows, on the events of the pods, from the same beginnings\n");
    println!(
        "                                    │ PATCH │       to next holder │       old label gone │ new label since then │ from the beginning  │    two │                               │"
    );
    println!(
        "electors  end      lease     number │   p50 │    p50    p99    max │    p50    p99    max │    p50    p99    max │    p50    p99    max │ labels │ target                        │ load"
    );
    print_lines(&summaries, true);
    println!();
    for summary in &summaries {
        println!("{}", summary.json());
    }
}

fn print_lines(summaries: &[Summary<'_>], observed: bool) {
    for summary in summaries.iter().filter(|summary| summary.outcome.relay.observed == observed) {
        println!("{}", summary.line());
    }
}
