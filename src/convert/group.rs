//! The spec of a group, compiled once for each edit.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};

use super::status::status;
use super::{identity, version};
use crate::api::{
    self, Budget, ElectionGroup, Failback, PRIORITY_ANNOTATION, Pod, SWITCHOVER_ANNOTATION, Service,
    WhenNoCandidate,
};
use crate::planner::Millis;
use crate::planner::seen::{ElectionMode, GroupPolicy, Refusal, Role, SeenGroup};
use crate::planner::seen::{SeenBudget, SeenService};

/// The role label of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleLabel {
    /// Its key.
    pub key: String,
    /// Its value on the leader.
    pub leader: String,
    /// Its value on followers. None: followers have no role label.
    pub follower: Option<String>,
}

/// A compiled spec: parsed selectors, the index, the policy.
#[derive(Clone, Debug)]
pub struct CompiledSpec {
    /// The role label.
    pub role: RoleLabel,
    /// The name of the Lease.
    pub lease_name: String,
    /// The namespace of the Lease, if it is another one than that of the group.
    pub lease_namespace: Option<String>,
    selector: Option<Selector>,
    index_keys: Vec<Option<(String, String)>>,
    preference: Vec<(Selector, i64)>,
    node_patience: Option<Millis>,
    routed_services: Vec<String>,
    policy: Result<GroupPolicy, Refusal>,
}

impl CompiledSpec {
    /// Parses the spec.
    #[must_use]
    pub fn new(group: &ElectionGroup) -> Self {
        let spec = &group.spec;
        let follower = Some(spec.role_label.follower.clone()).filter(|value| !value.is_empty());
        let selector = parse_selector("spec.selector", &spec.selector);
        let preference: Result<Vec<_>, _> = spec
            .preference
            .iter()
            .enumerate()
            .map(|(i, entry)| {
                let selector = parse_selector(&format!("spec.preference[{i}].selector"), &entry.selector)?;
                Ok((selector, i64::from(entry.weight)))
            })
            .collect();
        let policy = match (&selector, &preference) {
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal.clone()),
            _ => Ok(policy(group)),
        };
        let node_silent_seconds = spec.failover.node_silent_seconds;
        Self {
            role: RoleLabel {
                key: spec.role_label.key.clone(),
                leader: spec.role_label.leader.clone(),
                follower,
            },
            lease_name: group.lease_name(),
            lease_namespace: group.other_lease_namespace().map(str::to_owned),
            index_keys: selector.as_ref().map(index_keys).unwrap_or_default(),
            selector: selector.ok(),
            preference: preference.unwrap_or_default(),
            node_patience: (node_silent_seconds > 0)
                .then(|| Millis::from_seconds(u64::from(node_silent_seconds))),
            routed_services: spec.routing.services.clone(),
            policy,
        }
    }

    /// The selector matches the pod.
    #[must_use]
    pub fn selects(&self, pod: &Pod) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(pod.labels()))
    }

    /// The selector, if it could be parsed.
    #[must_use]
    pub const fn selector(&self) -> Option<&Selector> {
        self.selector.as_ref()
    }

    /// Labels of which each selected pod has one. `None` if the selector requires no such label.
    #[must_use]
    pub fn index_keys(&self) -> &[Option<(String, String)>] {
        &self.index_keys
    }

    /// How long a node may be silent. None: the group ignores nodes.
    #[must_use]
    pub const fn node_patience(&self) -> Option<Millis> {
        self.node_patience
    }

    /// The Services whose traffic the group routes.
    #[must_use]
    pub const fn routed_services(&self) -> &[String] {
        self.routed_services.as_slice()
    }

    /// The group routes a Service.
    #[must_use]
    pub const fn routes(&self) -> bool {
        !self.routed_services.is_empty()
    }

    /// The default duration of a Lease that the pods hold. None in Managed mode, in which the
    /// operator holds it.
    #[must_use]
    pub fn held_duration(&self) -> Option<Millis> {
        let policy = self.policy.as_ref().ok().filter(|policy| policy.mode != ElectionMode::Managed);
        policy.map(GroupPolicy::lease_duration)
    }

    /// The group for the planner.
    #[must_use]
    pub fn group(&self, group: &ElectionGroup) -> SeenGroup {
        let mut policy = self.policy.clone();
        if let Ok(policy) = &mut policy {
            // An annotation may have changed since the spec was compiled.
            policy.paused = group.is_paused();
        }
        SeenGroup {
            id: identity(group),
            version: version(group),
            generation: group.metadata.generation.unwrap_or_default(),
            policy,
            status: status(group),
            switchover: group.annotations().get(SWITCHOVER_ANNOTATION).cloned(),
        }
    }

    /// The Service may select pods of this group by the role label.
    ///
    /// This excludes Services that require another value of the label that all pods of the group
    /// have. Most Services of a namespace belong to other applications: this check spares a search
    /// through thousands of pods.
    #[must_use]
    pub fn may_be_selected_by(&self, service: &Service) -> bool {
        let Some(selector) = service.spec.selector.as_ref() else { return false };
        let may_match = |label: &Option<(String, String)>| match label {
            Some((key, value)) => selector.get(key).is_none_or(|wanted| wanted == value),
            None => true,
        };
        selector.contains_key(&self.role.key) && self.index_keys.iter().any(may_match)
    }

    /// The Service for the planner, if it selects by the role label and its other labels select any
    /// of `pods`.
    #[must_use]
    pub fn service<'a>(
        &self,
        service: &Service,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Option<SeenService> {
        let selector = service.spec.selector.as_ref().filter(|_| self.may_be_selected_by(service))?;
        let value = selector.get(&self.role.key)?;
        let others = || selector.iter().filter(|(key, _)| **key != self.role.key);
        let selects = |pod: &Pod| others().all(|(key, value)| pod.labels().get(key) == Some(value));
        pods.into_iter().any(selects).then(|| SeenService {
            id: identity(service),
            role: self.role(selector),
            value: value.clone(),
            publishes_not_ready: service.spec.publish_not_ready_addresses,
            other_group: None,
        })
    }

    /// The Service selects by one label, and that is the role label of this group.
    #[must_use]
    pub fn is_all_that_selects(&self, service: &Service) -> bool {
        let Some(selector) = service.spec.selector.as_ref().filter(|selector| selector.len() == 1) else {
            return false;
        };
        matches!(self.role(selector), Role::Leader | Role::Follower)
    }

    /// The budget selects by the role label.
    #[must_use]
    pub fn may_be_guarded_by(&self, budget: &Budget) -> bool {
        let Some(selector) = budget.spec.selector.as_ref() else { return false };
        let labels = selector.match_labels.iter().flatten().map(|(key, _)| key);
        let expressions = selector.match_expressions.iter().flatten().map(|expression| &expression.key);
        labels.chain(expressions).any(|key| *key == self.role.key)
    }

    /// The budget for the planner, if it guards any of `pods` as a leader and not as a follower.
    #[must_use]
    pub fn budget<'a>(&self, budget: &Budget, pods: impl IntoIterator<Item = &'a Pod>) -> Option<SeenBudget> {
        let selector = budget.spec.selector.clone().filter(|_| self.may_be_guarded_by(budget))?;
        let selector: Selector = selector.try_into().ok()?;
        let guards = |pod: &Pod, role: Option<&String>| {
            let mut labels = pod.labels().clone();
            labels.remove(&self.role.key);
            labels.extend(role.map(|role| (self.role.key.clone(), role.clone())));
            selector.matches(&labels)
        };
        let as_leader_only =
            |pod: &Pod| guards(pod, Some(&self.role.leader)) && !guards(pod, self.role.follower.as_ref());
        let keeps_a_single_pod = budget.spec.keeps_a_single_pod();
        pods.into_iter().any(as_leader_only).then(|| SeenBudget { id: identity(budget), keeps_a_single_pod })
    }

    pub(super) fn role(&self, labels: &BTreeMap<String, String>) -> Role {
        match labels.get(&self.role.key) {
            None => Role::Absent,
            Some(value) if *value == self.role.leader => Role::Leader,
            Some(value) if self.role.follower.as_ref() == Some(value) => Role::Follower,
            Some(_) => Role::Other,
        }
    }

    /// The preference of the pod. This tries each preference of the group: cache the result.
    #[must_use]
    pub fn weight(&self, pod: &Pod) -> i64 {
        let matching = self.preference.iter().filter(|(selector, _)| selector.matches(pod.labels()));
        let own = pod.annotations().get(PRIORITY_ANNOTATION).and_then(|text| text.parse::<i32>().ok());
        matching.map(|(_, weight)| weight).sum::<i64>() + i64::from(own.unwrap_or_default())
    }
}

fn index_keys(selector: &Selector) -> Vec<Option<(String, String)>> {
    let keys = selector.clone().into_iter().find_map(|expression| match expression {
        kube::core::Expression::Equal(key, value) => Some(vec![Some((key, value))]),
        kube::core::Expression::In(key, values) => {
            Some(values.into_iter().map(|value| Some((key.clone(), value))).collect())
        }
        _ => None,
    });
    keys.unwrap_or_else(|| vec![None])
}

fn parse_selector(
    field: &str,
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
) -> Result<Selector, Refusal> {
    let refuse = |why: String| Refusal { reason: "InvalidSelector", message: format!("{field}: {why}") };
    let parsed: Selector = selector.clone().try_into().map_err(|error| refuse(format!("{error}")))?;
    if parsed.selects_all() {
        return Err(refuse("needs at least one requirement".to_owned()));
    }
    Ok(parsed)
}

/// The refusal of a group whose Lease is in a namespace that this operator does not serve.
#[must_use]
pub fn lease_not_served(namespace: &str) -> Refusal {
    let message = format!(
        "the Lease is in namespace {namespace}, which this operator does not serve: name it among the operator's \
         namespaces, or recreate the group without lease.namespace"
    );
    Refusal { reason: "LeaseNamespaceNotServed", message }
}

/// The refusal of a group whose record the API server does not keep.
#[must_use]
pub fn record_not_kept() -> Refusal {
    let message = "the API server does not keep the record in status as the operator writes it: \
                   apply the CRD of this release, or exempt electiongroups/status from the webhook \
                   that changes it, and restart the operator";
    Refusal { reason: "RecordNotKept", message: message.to_owned() }
}

fn policy(group: &ElectionGroup) -> GroupPolicy {
    let spec = &group.spec;
    let seconds = |seconds: u32| Millis::from_seconds(u64::from(seconds));
    GroupPolicy {
        mode: match spec.mode {
            api::Mode::Managed => ElectionMode::Managed,
            api::Mode::Observed => ElectionMode::Observed,
            api::Mode::Nominated => ElectionMode::Nominated,
        },
        lease_name: match group.other_lease_namespace() {
            Some(namespace) => format!("{namespace}/{}", group.lease_name()),
            None => group.lease_name(),
        },
        lease_duration_seconds: spec.lease_duration_seconds(),
        renew: seconds(spec.lease_renew_seconds()),
        role_key: spec.role_label.key.clone(),
        followers_are_labelled: !spec.role_label.follower.is_empty(),
        not_ready: seconds(spec.failover.not_ready_seconds),
        nominee_timeout: seconds(spec.failover.nominee_seconds),
        min_ready: seconds(spec.failover.min_ready_seconds),
        cooldown: seconds(spec.failover.cooldown_seconds),
        clear_without_candidate: spec.failover.when_no_candidate == WhenNoCandidate::Clear,
        failback_after: match spec.failback {
            Failback::Never => None,
            Failback::WhenSteady => Some(seconds(spec.failback_quiet_seconds)),
        },
        paused: group.is_paused(),
        history_limit: usize::try_from(spec.history_limit).unwrap_or(usize::MAX),
    }
}
