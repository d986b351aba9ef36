//! Services and `PodDisruptionBudget`s that select by the role label, and what can be wrong with
//! them.

use super::pod::Role;
use crate::Identity;
use crate::names::event_reason;

/// A Service that selects by the key of the group's role label, and apart from that at least one
/// pod of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenService {
    /// Name and UID.
    pub id: Identity,
    /// The role that the selected value means.
    pub role: Role,
    /// The selected value of the role label.
    pub value: String,
    /// `publishNotReadyAddresses`.
    pub publishes_not_ready: bool,
    /// Another group whose pods the Service selects too: it selects by nothing but a role that both
    /// groups give.
    pub other_group: Option<String>,
}

/// A `PodDisruptionBudget` that guards the leader and no follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBudget {
    /// Name and UID.
    pub id: Identity,
    /// The budget lets no eviction of a single guarded pod pass.
    pub keeps_a_single_pod: bool,
}

/// A problem of a Service or a budget. Each is told once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The Service or the budget.
    pub object: Identity,
    /// The problem.
    pub problem: SelectionProblem,
}

/// What can be wrong with a Service or a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelectionProblem {
    /// The Service selects a role that the group gives to no pod.
    NeverMatches,
    /// The Service reaches the leader even while it is not Ready or terminates.
    ReachesNotReady,
    /// The Service reaches the pods of another group, too.
    ReachesOtherGroup,
    /// The budget never allows an eviction of the leader.
    KeepsLeader,
}

impl SelectionProblem {
    /// All problems that a Service can have.
    pub(crate) const OF_SERVICES: [Self; 3] =
        [Self::NeverMatches, Self::ReachesNotReady, Self::ReachesOtherGroup];

    /// The reason of the Event.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NeverMatches => event_reason::SERVICE_NEVER_MATCHES,
            Self::ReachesNotReady => event_reason::SERVICE_REACHES_NOT_READY,
            Self::ReachesOtherGroup => event_reason::SERVICE_REACHES_OTHER_GROUP,
            Self::KeepsLeader => event_reason::DISRUPTION_BUDGET_KEEPS_LEADER,
        }
    }
}
