//! The status of a group: the record of who leads, and the report for people.

use crate::names::{condition, condition_reason};
use crate::{Identity, Micros, Term};

/// `status`: the record of who leads, and the report for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatus {
    /// The record. None before the first election, and after the record was lost.
    pub record: Option<LeaderRecord>,
    /// The term of a record that an edit made unusable: its leader has no valid name or UID. The
    /// next record gets a higher term (S2).
    pub lost_term: Option<Term>,
    /// `metadata.generation` that this status answers.
    pub observed_generation: Option<i64>,
    /// The number of pods that are selected and not finished.
    pub candidates: usize,
    /// The number of candidates that could lead now.
    pub eligible: usize,
    /// What is said of single candidates.
    pub pods: Vec<CandidateReport>,
    /// The name of the Lease.
    pub lease: Option<String>,
    /// The Lease that the record nominates in (Nominated).
    pub recorded_lease: Option<RecordedLease>,
    /// Nominees that left a free Lease untaken, and that were not seen to restart since
    /// (Nominated). The latest is last.
    pub silent_nominees: Vec<Identity>,
    /// Conditions, one per type.
    pub conditions: Vec<Condition>,
    /// Changes of leader, newest first.
    pub history: Vec<LeaderChange>,
}

impl GroupStatus {
    /// The group was refused or paused when this status was written.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|c| {
            (c.kind == condition::ACCEPTED && !c.holds)
                || (c.kind == condition::READY && c.reason == condition_reason::PAUSED)
        })
    }
}

/// Who leads in which term, and which pods an operator with an earlier record may still promote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderRecord {
    /// The leader, if there is one.
    pub leader: Option<RecordedLeader>,
    /// The term.
    pub term: Term,
    /// Pods that must be fenced before the leader is promoted.
    pub unfenced: Unfenced,
}

impl LeaderRecord {
    /// The leader's identity.
    #[must_use]
    pub fn leader_id(&self) -> Option<&Identity> {
        self.leader.as_ref().map(|leader| &leader.id)
    }

    /// The record names the pod, by UID (S5): as the leader, or as unfenced.
    #[must_use]
    pub fn names(&self, pod: &Identity) -> bool {
        let is_unfenced = match &self.unfenced {
            Unfenced::All => true,
            Unfenced::Pods(pods) => pods.iter().any(|unfenced| unfenced.uid == pod.uid),
        };
        is_unfenced || self.leader_id().is_some_and(|leader| leader.uid == pod.uid)
    }
}

/// The Lease of a Nominated group, as its record names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLease {
    /// The UID of the Lease. No other Lease is nominated in.
    pub uid: String,
    /// The duration that the leader of the record takes the Lease with.
    pub duration_seconds: u32,
    /// The longest duration with which any pod may still hold a Lease of this group.
    pub longest_seconds: u32,
}

/// The recorded leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLeader {
    /// Name and UID of the pod.
    pub id: Identity,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its address.
    pub ip: Option<String>,
    /// When the record first named this leader.
    pub since: Micros,
}

/// Pods that an operator with an earlier record may still promote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfenced {
    /// Any pod of the group: no earlier record tells which.
    All,
    /// Exactly these, sorted.
    Pods(Vec<Identity>),
}

impl Unfenced {
    /// No pod.
    pub const NONE: Self = Self::Pods(Vec::new());

    /// No pod is left to be fenced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Pods(pods) if pods.is_empty())
    }
}

/// What the status says of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateReport {
    /// The name of the pod.
    pub name: String,
    /// Its place in the order of preference. None: it could not lead, or the pods elect.
    pub rank: Option<usize>,
    /// Whether it could lead, or why not. Kept as text: a newer version may know other reasons.
    pub reason: String,
}

/// A `metav1.Condition`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`.
    pub kind: String,
    /// `status`: True or False.
    pub holds: bool,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `observedGeneration`.
    pub generation: Option<i64>,
    /// `lastTransitionTime`, in seconds since the Unix epoch.
    pub changed_at_seconds: i64,
}

/// A change of leader: one entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// The term that began with it.
    pub term: Term,
    /// Name of the new leader, if there is one.
    pub leader: Option<String>,
    /// Name of the previous leader, if there was one.
    pub previous: Option<String>,
    /// Why. Kept as text, so that an entry written by a newer version survives.
    pub reason: String,
    /// When this operator first saw the cause.
    pub detected_at: Micros,
    /// When the operator made the record.
    pub elected_at: Micros,
    /// When the labels followed the record. None while they have not.
    pub labelled_at: Option<Stamp>,
    /// When the slices of `spec.routing` followed the record. None while they have not.
    pub routed_at: Option<Stamp>,
}

/// A time for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// That moment.
    At(Micros),
    /// The moment of the write that carries it: the applier fills it in.
    WhenWritten,
}
