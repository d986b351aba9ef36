//! Services and `PodDisruptionBudget`s that select by the role label and cannot work as they are meant: judged, never
//! written.

use super::plan::EventDraft;
use super::snapshot::{Role, Snapshot};
use super::{Identity, plan::Intent};

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
    const OF_SERVICES: [Self; 3] = [Self::NeverMatches, Self::ReachesNotReady, Self::ReachesOtherGroup];

    /// The reason of the Event.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NeverMatches => "ServiceNeverMatches",
            Self::ReachesNotReady => "ServiceReachesNotReady",
            Self::ReachesOtherGroup => "ServiceReachesOtherGroup",
            Self::KeepsLeader => "DisruptionBudgetKeepsLeader",
        }
    }

    /// What there is to say of a Service, if it has this problem.
    fn note(self, service: &SeenService) -> Option<String> {
        let SeenService { id: Identity { name, .. }, role, value, publishes_not_ready, other_group } =
            service;
        let given = matches!(role, Role::Leader | Role::Follower);
        match self {
            Self::NeverMatches => (!given).then(|| {
                format!(
                    "Service {name} selects pods of this group with the role {value:?}, which the group gives to none: \
                     it never has an endpoint"
                )
            }),
            Self::ReachesNotReady => (*role == Role::Leader && *publishes_not_ready).then(|| {
                format!(
                    "Service {name} has publishNotReadyAddresses: it sends traffic to a leader that is not Ready or \
                     terminating"
                )
            }),
            Self::ReachesOtherGroup => other_group.as_ref().filter(|_| given).map(|other| {
                format!(
                    "Service {name} selects nothing but the role {value:?}, which group {other} gives, too: it reaches \
                     the pods of both; add a label that only the pods of one have"
                )
            }),
            Self::KeepsLeader => None,
        }
    }
}

/// The warnings that were not given yet.
#[must_use]
pub fn warnings(view: &Snapshot) -> Vec<Intent> {
    let services = view.services.iter().flat_map(|service| {
        let found = SelectionProblem::OF_SERVICES
            .into_iter()
            .filter_map(|problem| Some((problem, problem.note(service)?)));
        found.map(|(problem, note)| (Warning { object: service.id.clone(), problem }, note))
    });
    let budgets = view.budgets.iter().filter(|budget| budget.keeps_a_single_pod).map(|budget| {
        let note = format!(
            "PodDisruptionBudget {} guards the leader alone and allows no disruption: its eviction is refused for ever, \
             and so is the drain of its node; select all pods of the group",
            budget.id.name
        );
        (Warning { object: budget.id.clone(), problem: SelectionProblem::KeepsLeader }, note)
    });
    let new = services.chain(budgets).filter(|(warning, _)| !view.warned.contains(warning));
    new.map(|(warning, note)| {
        let reason = warning.problem.reason().to_owned();
        Intent::WarnOnce(warning, EventDraft { reason, warning: true, note, pod: None })
    })
    .collect()
}
