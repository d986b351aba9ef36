//! The status of a group: the record of who leads, and the report for people.

use crate::planner::names::{condition, condition_reason};
use crate::planner::{Identity, Micros, Term};

/// `status`: the record of who leads, and the report for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatus {
    /// The record; none before the first election, or if it was lost.
    pub record: Option<LeaderRecord>,
    /// The term of a record that names a leader who cannot be known: somebody edited it. It is no record any more, but
    /// the next one has a higher term (S2).
    pub lost_term: Option<Term>,
    /// `metadata.generation` that this status answers.
    pub observed_generation: Option<i64>,
    /// Pods selected and not finished.
    pub candidates: usize,
    /// Candidates who could lead now.
    pub eligible: usize,
    /// The name of the Lease.
    pub lease: Option<String>,
    /// Conditions, one of a kind.
    pub conditions: Vec<Condition>,
    /// Changes of leader, newest first.
    pub history: Vec<LeaderChange>,
}

impl GroupStatus {
    /// When it was written, the group was refused or paused.
    #[must_use]
    pub fn is_held_back(&self) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|c| {
            (c.kind == condition::ACCEPTED && !c.holds)
                || (c.kind == condition::READY && c.reason == condition_reason::PAUSED)
        })
    }
}

/// Who leads in which term, and which pods an earlier operator may still be about to promote.
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
    /// Since when it is recorded.
    pub since: Micros,
}

/// Pods that an earlier operator may still be about to promote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfenced {
    /// Any pod of the group: there was no earlier record to tell which.
    All,
    /// Exactly these, sorted.
    Pods(Vec<Identity>),
}

impl Unfenced {
    /// Nobody.
    pub const NONE: Self = Self::Pods(Vec::new());

    /// Nobody is left to be fenced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Pods(pods) if pods.is_empty())
    }
}

/// A `metav1.Condition` without its generation.
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

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// The term it began.
    pub term: Term,
    /// Name of the new leader, if there is one.
    pub leader: Option<String>,
    /// Name of the leader before, if there was one.
    pub previous: Option<String>,
    /// Why; kept as text, so that an entry of a newer version survives.
    pub reason: String,
    /// When this operator first saw the cause.
    pub detected_at: Micros,
    /// When the record was made.
    pub elected_at: Micros,
    /// When the labels had followed.
    pub labelled_at: Option<Stamp>,
}

/// A time for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// That moment.
    At(Micros),
    /// The moment of the write that carries it.
    WhenWritten,
}
