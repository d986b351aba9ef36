//! Services and `PodDisruptionBudget`s that select by the role label and cannot work as their user
//! intends. The operator judges them, and never writes them.

use super::Identity;
use super::plan::{EventDraft, Intent};
use super::seen::{Role, Snapshot};

use super::seen::{SeenService, SelectionProblem, Warning};

/// The text of the warning, if the Service has this problem.
fn note(problem: SelectionProblem, service: &SeenService) -> Option<String> {
    let SeenService { id: Identity { name, .. }, role, value, publishes_not_ready, other_group } = service;
    let given = matches!(role, Role::Leader | Role::Follower);
    match problem {
        SelectionProblem::NeverMatches => (!given).then(|| {
            format!(
                "Service {name} selects pods of this group with the role {value:?}, which the group gives to none: \
                 it never has an endpoint"
            )
        }),
        SelectionProblem::ReachesNotReady => (*role == Role::Leader && *publishes_not_ready).then(|| {
            format!(
                "Service {name} has publishNotReadyAddresses: it sends traffic to a leader that is not Ready or \
                 terminating"
            )
        }),
        SelectionProblem::ReachesOtherGroup => other_group.as_ref().filter(|_| given).map(|other| {
            format!(
                "Service {name} selects nothing but the role {value:?}, which group {other} gives, too: it reaches \
                 the pods of both; add a label that only the pods of one have"
            )
        }),
        SelectionProblem::KeepsLeader => None,
    }
}

/// The warnings that this operator has not given yet.
#[must_use]
pub fn warnings(view: &Snapshot) -> Vec<Intent> {
    let services = view.services.iter().flat_map(|service| {
        let found = SelectionProblem::OF_SERVICES
            .into_iter()
            .filter_map(|problem| Some((problem, note(problem, service)?)));
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
