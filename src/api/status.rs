//! The status of an `ElectionGroup`: the leader record, and the report for people.
//!
//! Users can edit a status. Every status that the API server accepts must parse, or the group could
//! no longer be watched. A malformed field reads as absent, and a malformed entry of a list is left
//! out.

#![expect(unreachable_pub, reason = "the derive of KubeSchema copies each type into a function")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{lenient, schema};
use crate::planner::names::condition;

/// Who leads, and what the operator made of the group.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy_status)]
pub struct ElectionGroupStatus {
    /// The `metadata.generation` that this status answers.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Rises with every change of leader and never falls: an integer from 0 to 2^53.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,

    /// The leader. Absent: there is none.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub leader: Option<Leader>,

    /// How many pods the group selects that are neither finished, nor being deleted, nor a Job's.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub candidates: Option<i32>,

    /// How many of the candidates could lead now.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub eligible: Option<i32>,

    /// The candidates, at most 16: those that could lead in the order of preference, then the
    /// others by name.
    #[serde(default, deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub pods: Vec<Candidate>,

    /// Pods that must be seen without the leader label before the leader gets it, each `<pod
    /// name>/<uid>`, or `*` for every pod of the group. Empty except in the middle of a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub unfenced: Vec<String>,

    /// The name of the group's Lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,

    /// The UID of the Lease in which the leader is nominated. Nominated mode.
    #[serde(
        rename = "leaseUID",
        default,
        deserialize_with = "lenient::field",
        skip_serializing_if = "Option::is_none"
    )]
    pub lease_uid: Option<String>,

    /// For how many seconds the leader of this term takes the Lease. Nominated mode.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i64>,

    /// For how many seconds at most a pod may still hold a Lease of this group, an earlier one
    /// included. Nominated mode.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub longest_lease_duration_seconds: Option<i64>,

    /// Pods that did not take the Lease when they were nominated, each `<pod name>/<uid>`, until
    /// they are not Ready once. Nominated mode.
    #[serde(default, deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub silent_nominees: Vec<String>,

    /// The state of the group: `Accepted`, `CandidatesAvailable`, `LeaderElected`, the summary
    /// `Ready`; `Routed` in a group that routes Services, `Stalled` while the group is refused,
    /// `Reconciling` while a change is under way.
    #[serde(default, deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The latest changes of leader, newest first; `spec.historyLimit` says how many.
    #[serde(default, deserialize_with = "lenient::list", skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub history: Vec<Change>,
}

/// Whether one pod could lead.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy_status)]
pub struct Candidate {
    /// The name of the pod.
    #[serde(default)]
    pub name: String,

    /// Its place in the order of preference. Absent: it could not lead now, or the pods elect.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub rank: Option<i32>,

    /// `Eligible`, or why it could not lead now: `NotReady`, `ReadyTooShort` (minReadySeconds),
    /// `Excluded`, `Disrupted` (an eviction is near), `NodeSilent`, `OtherGroup` (another group
    /// owns it), `RoleLabelInUse` (it has a role that the group never writes), `NoCompanion` (it did
    /// not take the Lease when it was nominated).
    #[serde(default)]
    pub reason: String,
}

/// The status of a group that no operator has served yet, as the API server fills it in.
#[must_use]
pub fn unserved_status() -> ElectionGroupStatus {
    let ready = Condition {
        type_: condition::READY.to_owned(),
        status: "Unknown".to_owned(),
        reason: "Pending".to_owned(),
        message: "waiting for the operator".to_owned(),
        observed_generation: None,
        last_transition_time: Time(jiff::Timestamp::UNIX_EPOCH),
    };
    ElectionGroupStatus { conditions: vec![ready], ..ElectionGroupStatus::default() }
}

/// The recorded leader.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy_status)]
pub struct Leader {
    /// The name of its pod.
    #[serde(default)]
    pub name: String,

    /// The UID of its pod.
    #[serde(default)]
    pub uid: String,

    /// The node it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,

    /// Its IP address.
    #[serde(default, rename = "podIP", skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<String>,

    /// Since when it leads.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub since: Option<MicroTime>,
}

/// One change of leader.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy_status)]
pub struct Change {
    /// The term that began with it.
    #[serde(default)]
    pub term: i64,

    /// The name of the new leader's pod. Absent: nobody leads from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,

    /// The name of the pod that led before. Absent: nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,

    /// Why the leader changed.
    #[serde(default)]
    pub reason: String,

    /// When the operator saw the cause.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub detected_at: Option<MicroTime>,

    /// When the new leader was recorded.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub elected_at: Option<MicroTime>,

    /// When the label had followed. Absent: it has not yet, or the change was overtaken by the
    /// next.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub labelled_at: Option<MicroTime>,

    /// When the Services of `spec.routing` had followed. Absent: they have not yet, or the group
    /// routes none.
    #[serde(default, deserialize_with = "lenient::field", skip_serializing_if = "Option::is_none")]
    pub routed_at: Option<MicroTime>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(json: &str) -> ElectionGroupStatus {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_status_that_a_user_has_edited_still_parses() {
        let status = parse(
            r#"{
                "observedGeneration": 1.5, "term": 18446744073709551615, "candidates": -99999999999,
                "leader": {"name": "orders-1", "since": "2026-02-30T25:00:00Z"},
                "unfenced": ["*"], "eligible": null, "surprise": {},
                "conditions": [{"type": "Ready", "lastTransitionTime": "soon"},
                               {"type": "Accepted", "lastTransitionTime": "2026-11-21T01:02:03Z"}],
                "history": [{"reason": "Tea"}, {"term": "seven"}, {"term": 7, "electedAt": 12}]
            }"#,
        );
        assert_eq!(status.term, None);
        assert_eq!(status.observed_generation, None);
        assert_eq!(status.candidates, None);
        let leader = status.leader.unwrap();
        assert_eq!((leader.name.as_str(), leader.uid.as_str(), leader.since), ("orders-1", "", None));
        assert_eq!(status.unfenced, ["*"]);
        assert_eq!(status.conditions.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), ["Accepted"]);
        assert_eq!(status.history.iter().map(|change| change.term).collect::<Vec<_>>(), [0, 7]);
    }

    #[test]
    fn a_list_of_unfenced_pods_that_cannot_be_read_is_an_error_and_never_an_empty_list() {
        assert!(serde_json::from_str::<ElectionGroupStatus>(r#"{"unfenced": [1]}"#).is_err());
    }

    #[test]
    fn a_status_survives_being_written_and_read() {
        let time = "2026-11-21T01:02:03.456789Z";
        let json = json!({
            "observedGeneration": 2,
            "term": 7,
            "leader": {"name": "orders-1", "uid": "u", "nodeName": "n", "podIP": "10.0.0.1", "since": time},
            "candidates": 3,
            "eligible": 2,
            "pods": [{"name": "orders-1", "rank": 1, "reason": "Eligible"}, {"name": "orders-0", "reason": "NotReady"}],
            "unfenced": ["orders-0/v"],
            "lease": "orders",
            "conditions": [{"type": "Ready", "status": "True", "reason": "r", "message": "m",
                            "observedGeneration": 2, "lastTransitionTime": "2026-11-21T01:02:03Z"}],
            "history": [{"term": 7, "leader": "orders-1", "previous": "orders-0", "reason": "LeaderDeleted",
                         "detectedAt": time, "electedAt": time, "labelledAt": time, "routedAt": time}],
        });
        let status = parse(&json.to_string());
        assert_eq!(serde_json::to_value(status).unwrap(), json);
    }
}
