//! What `/readyz` and the log report: watches that are not synced or fail, and refused requests.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::watcher;

use crate::cache::Scope;
use crate::clock::Clock;
use crate::metrics::WatchFigures;
use crate::planner::Millis;

/// A part of the operator that can fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The watch of `ElectionGroup`s.
    Groups,
    /// The watch of pods.
    Pods,
    /// The watch of Leases.
    Leases,
    /// The watch of node Leases. While it fails, no node counts as silent.
    Nodes,
    /// The watch of Services. While it fails, no Service is warned of.
    Services,
    /// The watch of `PodDisruptionBudget`s. While it fails, no budget is warned of.
    Budgets,
    /// The watch of the operator's `EndpointSlice`s. Before its first list, no Service is routed.
    Slices,
    /// Requests of this verb and kind.
    Requests(&'static str, &'static str),
}

/// A check in one scope. Checks of different scopes work or fail independently.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopedCheck {
    /// What is checked.
    pub check: Check,
    /// Where.
    pub scope: Scope,
}

impl ScopedCheck {
    /// Requests of this verb and kind in a namespace.
    #[must_use]
    pub fn requests(verb: &'static str, kind: &'static str, namespace: &str) -> Self {
        let scope = Scope::Namespace(namespace.to_owned());
        Self { check: Check::Requests(verb, kind), scope }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Groups => f.write_str("watch electiongroups.election-operator.io"),
            Self::Pods => f.write_str("watch pods"),
            Self::Leases => f.write_str("watch leases.coordination.k8s.io"),
            Self::Nodes => f.write_str("watch leases.coordination.k8s.io in kube-node-lease"),
            Self::Services => f.write_str("watch services"),
            Self::Budgets => f.write_str("watch poddisruptionbudgets.policy"),
            Self::Slices => f.write_str("watch endpointslices.discovery.k8s.io"),
            Self::Requests(verb, kind) => write!(f, "{verb} {kind}"),
        }
    }
}

/// How long a refusal counts that is not repeated. The worker sends a request again that it still
/// needs, after 10 s at the latest.
const REFUSAL: Millis = Millis::from_seconds(60);

#[derive(Debug, Default)]
struct CheckState {
    synced: bool,
    problem: Option<Problem>,
    /// Objects that exist and cannot be read, and why.
    unreadable: BTreeMap<ObjectName, String>,
    /// When the watch last had an event.
    heard_at: Option<Millis>,
}

#[derive(Debug)]
struct Problem {
    text: String,
    /// When it last occurred.
    at: Millis,
}

/// Namespace and name of an object.
type ObjectName = (String, String);

/// Unreadable objects of one watch that are remembered by name.
const MAX_UNREADABLE: usize = 1_000;

/// Unreadable objects of one watch that `/readyz` names.
const MAX_NAMED: usize = 10;

/// The state of all checks.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    checks: Mutex<BTreeMap<ScopedCheck, CheckState>>,
}

impl Health {
    /// No check has a state yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, checks: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ScopedCheck, CheckState>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The operator is not ready before the required watches of this scope are synced.
    pub fn require_watches(&self, scope: &Scope) {
        for check in Check::REQUIRED {
            self.lock().entry(ScopedCheck { check, scope: scope.clone() }).or_default();
        }
    }

    /// The first list of a watch is complete. True once for each scope: with the last one of its
    /// required watches.
    #[must_use]
    pub fn mark_synced(&self, watch: &ScopedCheck) -> bool {
        let ScopedCheck { check, scope } = watch;
        let mut checks = self.lock();
        let was_synced = std::mem::replace(&mut checks.entry(watch.clone()).or_default().synced, true);
        let mut required = checks.iter().filter(|(at, _)| at.check.is_required() && at.scope == *scope);
        let is_last = !was_synced && check.is_required() && required.all(|(_, state)| state.synced);
        if is_last {
            tracing::info!(namespace = scope.log_field(), "all watches are complete: serving groups");
        }
        is_last
    }

    /// The check works (again).
    pub fn report_ok(&self, at: &ScopedCheck) {
        let mut checks = self.lock();
        let state = checks.get_mut(at);
        if let Some(state) = state.filter(|state| state.problem.is_some()) {
            state.problem = None;
            tracing::info!(part = %at.check, namespace = at.scope.log_field(), "works again");
        }
    }

    /// A watch failed. It is tried again.
    pub fn report_error(&self, at: &ScopedCheck, error: &watcher::Error) {
        let problem = match api_status(error) {
            Some(status) if status.code == 404 => {
                "the API server does not serve this kind: is the CRD installed?".to_owned()
            }
            Some(status) => status.message.clone(),
            None => format!("{error:#}"),
        };
        self.report_problem(at, problem);
    }

    /// The check fails for this reason.
    pub fn report_problem(&self, at: &ScopedCheck, problem: String) {
        let mut checks = self.lock();
        let state = checks.entry(at.clone()).or_default();
        if state.problem.as_ref().is_none_or(|known| known.text != problem) {
            let namespace = at.scope.log_field();
            tracing::warn!(part = %at.check, namespace, problem, "does not work; it is tried again");
        }
        state.problem = Some(Problem { text: problem, at: self.clock.now() });
    }

    /// A watch had an event.
    pub fn report_event(&self, at: &ScopedCheck) {
        self.lock().entry(at.clone()).or_default().heard_at = Some(self.clock.now());
    }

    /// An object of a watch cannot be read.
    pub fn report_unreadable(&self, at: &ScopedCheck, name: (String, String), why: &str) {
        let mut checks = self.lock();
        let unreadable = &mut checks.entry(at.clone()).or_default().unreadable;
        if unreadable.get(&name).is_some_and(|known| known == why) {
            return;
        }
        tracing::error!(
            part = %at.check,
            namespace = name.0,
            name = name.1,
            why,
            "an object cannot be read: it is left alone"
        );
        if unreadable.len() < MAX_UNREADABLE || unreadable.contains_key(&name) {
            unreadable.insert(name, why.chars().take(200).collect());
        }
    }

    /// An object of a watch can be read, or was deleted.
    pub fn report_readable(&self, at: &ScopedCheck, name: &(String, String)) {
        let mut checks = self.lock();
        if let Some(state) = checks.get_mut(at)
            && state.unreadable.remove(name).is_some()
        {
            tracing::info!(
                part = %at.check,
                namespace = name.0,
                name = name.1,
                "an object can be read again, or is gone"
            );
        }
    }

    /// A fresh list has the objects for which `is_listed` is true.
    pub fn keep_unreadable(&self, at: &ScopedCheck, is_listed: impl Fn(&(String, String)) -> bool) {
        if let Some(state) = self.lock().get_mut(at) {
            state.unreadable.retain(|name, _| is_listed(name));
        }
    }

    /// The figures of the watches, for metrics.
    #[must_use]
    pub fn watches(&self) -> Vec<WatchFigures> {
        let now = self.clock.now();
        let mut figures: BTreeMap<&'static str, WatchFigures> = BTreeMap::new();
        for (ScopedCheck { check, .. }, state) in &*self.lock() {
            let Some(kind) = check.watched() else { continue };
            let entry =
                figures.entry(kind).or_insert(WatchFigures { kind, unreadable: 0, silent_seconds: None });
            entry.unreadable += state.unreadable.len();
            let silent_for =
                state.heard_at.map(|heard| Duration::from_millis(now.since(heard).0).as_secs_f64());
            // Of several watches of a kind, the longest silence counts.
            entry.silent_seconds = match (entry.silent_seconds, silent_for) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            };
        }
        figures.into_values().collect()
    }

    /// The last group of a namespace was deleted: its refused requests do not matter any more.
    pub fn forget_requests(&self, namespace: &str) {
        let is_here = |scope: &Scope| scope.namespace() == Some(namespace);
        self.lock().retain(|at, _| !matches!(at.check, Check::Requests(..)) || !is_here(&at.scope));
    }

    /// The text for `/readyz`.
    ///
    /// # Errors
    /// The same, while a check fails that serving groups needs.
    pub fn readiness(&self) -> Result<String, String> {
        let mut checks = self.lock();
        let now = self.clock.now();
        checks.retain(|at, state| !at.check.is_outdated(state, now));
        let mut blocked = checks.is_empty();
        let (mut text, mut details) = (String::new(), String::new());
        for (ScopedCheck { check, scope }, state) in &*checks {
            let namespace = scope.namespace().map(|name| format!(" in namespace {name}")).unwrap_or_default();
            // An unreadable object concerns its user alone. All other groups are served.
            for ((space, name), why) in state.unreadable.iter().take(MAX_NAMED) {
                let _ = writeln!(details, "{check}: {space}/{name} cannot be read: {why}");
            }
            let more = state.unreadable.len().saturating_sub(MAX_NAMED);
            if more > 0 {
                let _ = writeln!(details, "{check}{namespace}: {more} more cannot be read");
            }
            let line = match &state.problem {
                Some(problem) => format!("{check}{namespace}: {}\n", problem.text),
                None if check.is_required() && !state.synced => {
                    format!("{check}{namespace}: not complete yet\n")
                }
                None => continue,
            };
            blocked |= check.is_needed_to_serve();
            text.push_str(&line);
        }
        text.push_str(&details);
        if blocked { Err(format!("not ready\n{text}")) } else { Ok(format!("ready\n{text}")) }
    }
}

impl Check {
    /// The kind that it watches, if it is a watch.
    const fn watched(self) -> Option<&'static str> {
        match self {
            Self::Groups => Some("electiongroups"),
            Self::Pods => Some("pods"),
            Self::Leases => Some("leases"),
            Self::Nodes => Some("nodeleases"),
            Self::Services => Some("services"),
            Self::Budgets => Some("poddisruptionbudgets"),
            Self::Slices => Some("endpointslices"),
            Self::Requests(..) => None,
        }
    }

    /// The watches of a scope that must be synced before its groups are served.
    const REQUIRED: [Self; 3] = [Self::Groups, Self::Pods, Self::Leases];

    fn is_required(self) -> bool {
        Self::REQUIRED.contains(&self)
    }

    /// While it fails the operator is not ready. Without the other watches everything works but
    /// what depends on them alone.
    fn is_needed_to_serve(self) -> bool {
        self.is_required() || matches!(self, Self::Requests(..))
    }

    /// A refused request that was not repeated for long: no group needs it any more.
    fn is_outdated(self, state: &CheckState, now: Millis) -> bool {
        let problem = state.problem.as_ref().filter(|_| matches!(self, Self::Requests(..)));
        problem.is_some_and(|problem| problem.at + REFUSAL <= now)
    }
}

/// The answer of the API server, if there is one.
#[must_use]
pub fn api_status(error: &watcher::Error) -> Option<&kube::core::Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_without_groups_lacks_nothing_but_its_watches() {
        let health = Health::new(Clock::start());
        for namespace in ["left", "kept"] {
            let at = ScopedCheck::requests("patch", "pods", namespace);
            health.report_problem(&at, "refused".to_owned());
        }
        let at = ScopedCheck { check: Check::Pods, scope: Scope::Namespace("left".to_owned()) };
        health.report_problem(&at, "refused, too".to_owned());
        health.forget_requests("left");
        let told = health.readiness();
        assert_eq!(
            told,
            Err("not ready\nwatch pods in namespace left: refused, too\npatch pods in namespace kept: refused\n"
                .to_owned())
        );
    }
}
