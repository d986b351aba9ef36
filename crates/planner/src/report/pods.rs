//! What the status says of single pods: who could lead, in which order, and what the others lack.

use super::lack;
use crate::eligibility::{Ineligible, most_preferred};
use crate::seen::{CandidateReport, ElectionMode, GroupPolicy, SeenPod, Snapshot};

/// The number of pods in the status. A status is written and stored whole.
pub const MAX_PODS: usize = 16;

/// The reason of a pod that could lead.
const ELIGIBLE: &str = "Eligible";

/// The candidates: first those that could lead, in the order of preference, then the others by
/// name.
pub(super) fn reports(view: &Snapshot, policy: &GroupPolicy) -> Vec<CandidateReport> {
    let candidates = view.pods.iter().filter(|pod| pod.is_candidate());
    let (eligible, others): (Vec<_>, Vec<_>) = candidates.partition(|pod| lack(view, policy, pod).is_none());
    // The pods of an Observed group elect by themselves.
    let is_ranked = policy.mode != ElectionMode::Observed;
    let eligible = most_preferred(view, eligible, MAX_PODS).into_iter().enumerate();
    let eligible = eligible.map(|(place, pod)| {
        let rank = is_ranked.then_some(place + 1);
        CandidateReport { name: pod.id.name.clone(), rank, reason: ELIGIBLE.to_owned() }
    });
    eligible.chain(unfit(view, policy, others)).take(MAX_PODS).collect()
}

fn unfit(view: &Snapshot, policy: &GroupPolicy, mut pods: Vec<&SeenPod>) -> Vec<CandidateReport> {
    pods.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let told = pods.into_iter().take(MAX_PODS).filter_map(|pod| {
        let reason = reason(lack(view, policy, pod)?).to_owned();
        Some(CandidateReport { name: pod.id.name.clone(), rank: None, reason })
    });
    told.collect()
}

/// A pod that starts is not Ready all along: one reason, and one write of the status less.
const fn reason(ineligible: Ineligible) -> &'static str {
    match ineligible {
        Ineligible::NotRunning => Ineligible::NotReady.as_str(),
        other => other.as_str(),
    }
}
