//! Services and `PodDisruptionBudget`s that select by the role label, and what can be wrong with them.

use super::pod::Role;
use crate::planner::Identity;
use crate::planner::names::event_reason;

/// A Service that selects by the key of the group's role label, and otherwise at least one of the group's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenService {
    /// Name and UID.
    pub id: Identity,
    /// Whom the value that it selects means.
    pub role: Role,
    /// That value.
    pub value: String,
    /// `publishNotReadyAddresses`.
    pub publishes_not_ready: bool,
    /// Another group whose pods it selects, too: it asks for nothing but a role that both give.
    pub other_group: Option<String>,
}

/// A `PodDisruptionBudget` that guards the leader and no follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenBudget {
    /// Name and UID.
    pub id: Identity,
    /// A single pod that it guards cannot be evicted.
    pub keeps_a_single_pod: bool,
}

/// What is wrong with a Service or a budget. Said once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The Service, or the budget.
    pub object: Identity,
    /// What is wrong with it.
    pub problem: SelectionProblem,
}

/// What can be wrong with a Service or a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelectionProblem {
    /// It selects a value of the role label that the group gives to no pod.
    NeverMatches,
    /// It reaches the leader also while that is not Ready or terminating.
    ReachesNotReady,
    /// It reaches the pods of another group, too.
    ReachesOtherGroup,
    /// No eviction of the leader is ever allowed.
    KeepsLeader,
}

impl SelectionProblem {
    /// Every problem of a Service.
    pub(in crate::planner) const OF_SERVICES: [Self; 3] =
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
