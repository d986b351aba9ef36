//! The status of a group, both ways, field by field.
//!
//! Each source is destructured in full: a new field does not compile before it is mapped.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as ApiCondition, MicroTime, Time};

use super::{micro_time, micros};
use crate::api::{self, ElectionGroup, ElectionGroupStatus, unserved_status};
use crate::planner::seen::{
    CandidateReport, Condition, GroupStatus, LeaderChange, LeaderRecord, RecordedLeader, RecordedLease,
    Stamp, Unfenced,
};
use crate::planner::{Identity, Micros, Term};

/// The record in a group's status.
///
/// There is no record if its term is none, or if no pod can be its leader: one without a UID, say.
#[must_use]
pub fn record(group: &ElectionGroup) -> Option<LeaderRecord> {
    record_in(group.status.as_ref()?)
}

fn record_in(status: &ElectionGroupStatus) -> Option<LeaderRecord> {
    let term = recorded_term(status)?;
    let leader = match &status.leader {
        None => None,
        Some(leader) => Some(recorded_leader(leader)?),
    };
    let pods: Option<Vec<_>> = status.unfenced.iter().map(|text| Identity::parse(text)).collect();
    let unfenced = pods.map_or(Unfenced::All, |mut pods| {
        pods.sort();
        Unfenced::Pods(pods)
    });
    Some(LeaderRecord { leader, term, unfenced })
}

fn recorded_term(status: &ElectionGroupStatus) -> Option<Term> {
    status.term.and_then(|term| u64::try_from(term).ok()).and_then(Term::new)
}

fn recorded_leader(leader: &api::Leader) -> Option<RecordedLeader> {
    let api::Leader { name, uid, node_name, pod_ip, since } = leader;
    Some(RecordedLeader {
        id: Identity::parse(&Identity::new(name, uid).to_string())?,
        node: node_name.clone(),
        ip: pod_ip.clone(),
        since: since.as_ref().map(micros).unwrap_or_default(),
    })
}

/// The status for the planner. Counts that make no sense differ from each right count.
pub(super) fn status(group: &ElectionGroup) -> GroupStatus {
    let Some(status) = group.status.as_ref().filter(|status| **status != unserved_status()) else {
        return GroupStatus::default();
    };
    let record = record_in(status);
    let ElectionGroupStatus {
        observed_generation,
        candidates,
        eligible,
        pods,
        lease,
        silent_nominees,
        conditions,
        history,
        // In the recorded Lease:
        lease_uid: _,
        lease_duration_seconds: _,
        longest_lease_duration_seconds: _,
        // In the record:
        term: _,
        leader: _,
        unfenced: _,
    } = status;
    let count = |number: Option<i32>| number.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    GroupStatus {
        lost_term: if record.is_none() { recorded_term(status) } else { None },
        record,
        observed_generation: *observed_generation,
        candidates: count(*candidates),
        eligible: count(*eligible),
        pods: pods.iter().map(candidate).collect(),
        lease: lease.clone(),
        recorded_lease: recorded_lease(status),
        silent_nominees: silent_nominees.iter().filter_map(|text| Identity::parse(text)).collect(),
        // The operator writes True and False.
        conditions: conditions.iter().filter(|c| c.status != "Unknown").map(condition).collect(),
        history: history.iter().map(change).collect(),
    }
}

/// A Lease without a UID or a duration is none: the next one is in quarantine.
fn recorded_lease(status: &ElectionGroupStatus) -> Option<RecordedLease> {
    let seconds = |number: Option<i64>| number.and_then(|n| u32::try_from(n).ok());
    let duration_seconds = seconds(status.lease_duration_seconds)?;
    let longest = seconds(status.longest_lease_duration_seconds)?;
    let uid = status.lease_uid.clone().filter(|uid| !uid.is_empty())?;
    Some(RecordedLease { uid, duration_seconds, longest_seconds: longest.max(duration_seconds) })
}

fn candidate(pod: &api::Candidate) -> CandidateReport {
    let api::Candidate { name, rank, reason } = pod;
    let rank = rank.and_then(|rank| usize::try_from(rank).ok());
    CandidateReport { name: name.clone(), rank, reason: reason.clone() }
}

fn api_candidate(pod: &CandidateReport) -> api::Candidate {
    let CandidateReport { name, rank, reason } = pod;
    let rank = rank.and_then(|rank| i32::try_from(rank).ok());
    api::Candidate { name: name.clone(), rank, reason: reason.clone() }
}

fn condition(condition: &ApiCondition) -> Condition {
    let ApiCondition { type_, status, reason, message, observed_generation, last_transition_time } =
        condition;
    Condition {
        kind: type_.clone(),
        holds: status == "True",
        reason: reason.clone(),
        message: message.clone(),
        generation: *observed_generation,
        changed_at_seconds: last_transition_time.0.as_second(),
    }
}

fn change(change: &api::Change) -> LeaderChange {
    let api::Change { term, leader, previous, reason, detected_at, elected_at, labelled_at, routed_at } =
        change;
    let time = |time: &Option<MicroTime>| time.as_ref().map(micros);
    LeaderChange {
        term: u64::try_from(*term).ok().and_then(Term::new).unwrap_or_default(),
        leader: leader.clone(),
        previous: previous.clone(),
        reason: reason.clone(),
        detected_at: time(detected_at).unwrap_or_default(),
        elected_at: time(elected_at).unwrap_or_default(),
        labelled_at: time(labelled_at).map(Stamp::At),
        routed_at: time(routed_at).map(Stamp::At),
    }
}

/// The status for the API. `now` is the time of the write, for [`Stamp::WhenWritten`].
#[must_use]
pub fn api_status(status: &GroupStatus, now: Micros) -> ElectionGroupStatus {
    let GroupStatus {
        record,
        lost_term,
        observed_generation,
        candidates,
        eligible,
        pods,
        lease,
        recorded_lease,
        silent_nominees,
        conditions,
        history,
    } = status;
    let (term, leader, unfenced) = api_record(record.as_ref(), *lost_term);
    let number = |count: usize| i32::try_from(count).ok();
    ElectionGroupStatus {
        observed_generation: *observed_generation,
        term,
        leader,
        candidates: number(*candidates),
        eligible: number(*eligible),
        pods: pods.iter().map(api_candidate).collect(),
        unfenced,
        lease: lease.clone(),
        lease_uid: recorded_lease.as_ref().map(|lease| lease.uid.clone()),
        lease_duration_seconds: recorded_lease.as_ref().map(|lease| lease.duration_seconds.into()),
        longest_lease_duration_seconds: recorded_lease.as_ref().map(|lease| lease.longest_seconds.into()),
        silent_nominees: silent_nominees.iter().map(ToString::to_string).collect(),
        conditions: conditions.iter().map(api_condition).collect(),
        history: history.iter().map(|change| api_change(change, now)).collect(),
    }
}

/// Term, leader and unfenced pods. A lost record keeps its term and an empty leader, as it was
/// read.
fn api_record(
    record: Option<&LeaderRecord>,
    lost_term: Option<Term>,
) -> (Option<i64>, Option<api::Leader>, Vec<String>) {
    let Some(LeaderRecord { leader, term, unfenced }) = record else {
        return (lost_term.map(api_term), lost_term.map(|_| api::Leader::default()), Vec::new());
    };
    let unfenced = match unfenced {
        Unfenced::All => vec!["*".to_owned()],
        Unfenced::Pods(pods) => pods.iter().map(ToString::to_string).collect(),
    };
    (Some(api_term(*term)), leader.as_ref().map(api_leader), unfenced)
}

fn api_leader(leader: &RecordedLeader) -> api::Leader {
    let RecordedLeader { id: Identity { name, uid }, node, ip, since } = leader;
    api::Leader {
        name: name.clone(),
        uid: uid.clone(),
        node_name: node.clone(),
        pod_ip: ip.clone(),
        since: micro_time(*since),
    }
}

fn api_term(term: Term) -> i64 {
    i64::try_from(term.get()).unwrap_or(i64::MAX)
}

fn api_condition(condition: &Condition) -> ApiCondition {
    let Condition { kind, holds, reason, message, generation, changed_at_seconds } = condition;
    let time = Timestamp::from_second(*changed_at_seconds).unwrap_or_default();
    ApiCondition {
        type_: kind.clone(),
        status: if *holds { "True" } else { "False" }.to_owned(),
        reason: reason.clone(),
        message: message.clone(),
        observed_generation: *generation,
        last_transition_time: Time(time),
    }
}

fn api_change(change: &LeaderChange, now: Micros) -> api::Change {
    let LeaderChange { term, leader, previous, reason, detected_at, elected_at, labelled_at, routed_at } =
        change;
    let stamp = |stamp: &Stamp| match stamp {
        Stamp::At(at) => micro_time(*at),
        Stamp::WhenWritten => micro_time(now),
    };
    api::Change {
        term: api_term(*term),
        leader: leader.clone(),
        previous: previous.clone(),
        reason: reason.clone(),
        detected_at: micro_time(*detected_at),
        elected_at: micro_time(*elected_at),
        labelled_at: labelled_at.as_ref().and_then(stamp),
        routed_at: routed_at.as_ref().and_then(stamp),
    }
}
