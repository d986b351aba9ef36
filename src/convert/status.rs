//! The status of a group, both ways.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition as ApiCondition, MicroTime, Time};

use super::{micro_time, micros};
use crate::api::{self, ElectionGroup, ElectionGroupStatus};
use crate::planner::snapshot::{
    Condition, GroupStatus, LeaderChange, LeaderRecord, RecordedLeader, Stamp, Unfenced,
};
use crate::planner::{Identity, Micros, Term};

/// The record in a group's status. A leader that no pod can be, one without UID say, or a term that is none, is no
/// record.
#[must_use]
pub fn record(group: &ElectionGroup) -> Option<LeaderRecord> {
    let status = group.status.as_ref()?;
    let term = recorded_term(status)?;
    let leader = match &status.leader {
        None => None,
        Some(leader) => Some(RecordedLeader {
            id: Identity::parse(&Identity::new(&leader.name, &leader.uid).to_string())?,
            node: leader.node_name.clone(),
            ip: leader.pod_ip.clone(),
            since: leader.since.as_ref().map(micros).unwrap_or_default(),
        }),
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

pub(super) fn status(group: &ElectionGroup) -> GroupStatus {
    let Some(status) = &group.status else {
        return GroupStatus::default();
    };
    let count = |number: Option<i32>| number.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let record = record(group);
    GroupStatus {
        lost_term: if record.is_none() { recorded_term(status) } else { None },
        record,
        observed_generation: status.observed_generation,
        candidates: count(status.candidates),
        eligible: count(status.eligible),
        lease: status.lease.clone(),
        conditions: status.conditions.iter().map(condition).collect(),
        history: status.history.iter().map(change).collect(),
    }
}

pub(super) fn condition(condition: &ApiCondition) -> Condition {
    Condition {
        kind: condition.type_.clone(),
        holds: condition.status == "True",
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        generation: condition.observed_generation,
        changed_at_seconds: condition.last_transition_time.0.as_second(),
    }
}

fn change(change: &api::Change) -> LeaderChange {
    let time = |time: &Option<MicroTime>| time.as_ref().map(micros);
    LeaderChange {
        term: u64::try_from(change.term).ok().and_then(Term::new).unwrap_or_default(),
        leader: change.leader.clone(),
        previous: change.previous.clone(),
        reason: change.reason.clone(),
        detected_at: time(&change.detected_at).unwrap_or_default(),
        elected_at: time(&change.elected_at).unwrap_or_default(),
        labelled_at: time(&change.labelled_at).map(Stamp::At),
    }
}

/// A status as the API has it; `now` is what stands for the moment of the write.
#[must_use]
pub fn api_status(status: &GroupStatus, now: Micros) -> ElectionGroupStatus {
    let record = status.record.as_ref();
    let number = |count: usize| i32::try_from(count).ok();
    ElectionGroupStatus {
        observed_generation: status.observed_generation,
        term: record.map(|record| record.term).or(status.lost_term).map(api_term),
        leader: match record {
            None => status.lost_term.map(|_| api::Leader::default()),
            Some(record) => record.leader.as_ref().map(api_leader),
        },
        candidates: number(status.candidates),
        eligible: number(status.eligible),
        unfenced: match record.map(|record| &record.unfenced) {
            None => Vec::new(),
            Some(Unfenced::All) => vec!["*".to_owned()],
            Some(Unfenced::Pods(pods)) => pods.iter().map(ToString::to_string).collect(),
        },
        lease: status.lease.clone(),
        conditions: status.conditions.iter().map(api_condition).collect(),
        history: status.history.iter().map(|change| api_change(change, now)).collect(),
    }
}

fn api_leader(leader: &RecordedLeader) -> api::Leader {
    api::Leader {
        name: leader.id.name.clone(),
        uid: leader.id.uid.clone(),
        node_name: leader.node.clone(),
        pod_ip: leader.ip.clone(),
        since: micro_time(leader.since),
    }
}

fn api_term(term: Term) -> i64 {
    i64::try_from(term.get()).unwrap_or(i64::MAX)
}

fn api_condition(condition: &Condition) -> ApiCondition {
    let time = Timestamp::from_second(condition.changed_at_seconds).unwrap_or_default();
    ApiCondition {
        type_: condition.kind.clone(),
        status: if condition.holds { "True" } else { "False" }.to_owned(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        observed_generation: condition.generation,
        last_transition_time: Time(time),
    }
}

fn api_change(change: &LeaderChange, now: Micros) -> api::Change {
    api::Change {
        term: api_term(change.term),
        leader: change.leader.clone(),
        previous: change.previous.clone(),
        reason: change.reason.clone(),
        detected_at: micro_time(change.detected_at),
        elected_at: micro_time(change.elected_at),
        labelled_at: change.labelled_at.and_then(|stamp| match stamp {
            Stamp::At(at) => micro_time(at),
            Stamp::WhenWritten => micro_time(now),
        }),
    }
}
