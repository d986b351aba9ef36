//! Services that select by the role label and cannot work as they are meant: judged, never written.

use std::fmt;

use super::plan::Notice;
use super::snapshot::{Role, Snapshot};
use super::{Identity, plan::Intent};

/// A Service that selects by the key of the group's role label, and otherwise at least one of the group's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name and UID.
    pub id: Identity,
    /// Whom the value that it selects means.
    pub role: Role,
    /// That value.
    pub value: String,
    /// `publishNotReadyAddresses`.
    pub publishes_not_ready: bool,
}

/// What is wrong with a Service. Said once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The Service.
    pub service: Identity,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What can be wrong with a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// It selects a value of the role label that the group gives to no pod.
    NeverMatches,
    /// It reaches the leader also while that is not Ready or terminating.
    ReachesNotReady,
}

impl Problem {
    /// Every problem.
    pub const ALL: [Self; 2] = [Self::NeverMatches, Self::ReachesNotReady];

    /// The reason of the Event.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NeverMatches => "ServiceNeverMatches",
            Self::ReachesNotReady => "ServiceReachesNotReady",
        }
    }

    fn is_of(self, service: &Service) -> bool {
        match self {
            Self::NeverMatches => !matches!(service.role, Role::Leader | Role::Follower),
            Self::ReachesNotReady => service.role == Role::Leader && service.publishes_not_ready,
        }
    }
}

/// The note of a warning.
struct Note<'a>(Problem, &'a Service);

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problem, Service { id, value, .. }) = self;
        match problem {
            Problem::NeverMatches => write!(
                f,
                "Service {} selects pods of this group with the role {value:?}, which the group gives to none: it never \
                 has an endpoint",
                id.name
            ),
            Problem::ReachesNotReady => write!(
                f,
                "Service {} has publishNotReadyAddresses: it sends traffic to a leader that is not Ready or terminating",
                id.name
            ),
        }
    }
}

/// The warnings that were not given yet.
#[must_use]
pub fn warnings(view: &Snapshot) -> Vec<Intent> {
    let all = view.services.iter().flat_map(|service| Problem::ALL.map(|problem| (problem, service)));
    let found = all.filter(|(problem, service)| problem.is_of(service));
    let new = found.map(|(problem, service)| {
        let note = Note(problem, service).to_string();
        let notice = Notice { reason: problem.reason().to_owned(), warning: true, note, pod: None };
        (Warning { service: service.id.clone(), problem }, notice)
    });
    let new = new.filter(|(warning, _)| !view.warned.contains(warning));
    new.map(|(warning, notice)| Intent::Warn(warning, notice)).collect()
}
