//! Between API objects and the values of `election`: parsing, once, and the way back. No judgement.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    Condition as ApiCondition, MicroTime, ObjectMeta, OwnerReference, Time,
};
use kube::core::{Selector, SelectorExt};
use kube::{Resource, ResourceExt};

use crate::api::{
    self, ADOPT_ANNOTATION, Budget, Controller, EXCLUDE_ANNOTATION, ElectionGroup, ElectionGroupStatus,
    Failback, GROUP_ANNOTATION, IDENTITY_ANNOTATION, PRIORITY_ANNOTATION, Pod, SWITCHOVER_ANNOTATION,
    Service, TERM_ANNOTATION, WhenNoCandidate,
};
use crate::planner::lease::LeaseContent;
use crate::planner::services::{SeenBudget as BudgetView, SeenService as ServiceView};
use crate::planner::snapshot::{
    Condition, ElectionMode, GroupPolicy, GroupStatus, LeaderChange, LeaderRecord, Membership, Owner,
    PodPhase, RecordedLeader, Refusal, Role, SeenGroup, SeenPod as PodView, Stamp, Unfenced,
};
use crate::planner::{Identity, Micros, Millis, Term, Version};

/// The label that a group writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleLabel {
    /// Its key.
    pub key: String,
    /// Its value on the leader.
    pub leader: String,
    /// Its value on the others; none: they carry no label.
    pub follower: Option<String>,
}

/// The spec of a group, parsed.
#[derive(Clone, Debug)]
pub struct CompiledSpec {
    /// The label it writes.
    pub role: RoleLabel,
    /// The name of its Lease.
    pub lease_name: String,
    selector: Option<Selector>,
    index_keys: Vec<Option<(String, String)>>,
    preference: Vec<(Selector, i64)>,
    node_silent: Option<Millis>,
    policy: Result<GroupPolicy, Refusal>,
}

/// Name and UID of an object.
pub fn identity<K: Resource>(object: &K) -> Identity {
    Identity::new(object.name_any(), object.uid().unwrap_or_default())
}

/// The version of an object.
pub fn version<K: Resource>(object: &K) -> Version {
    Version(object.resource_version().and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// The group whose mark a pod carries. What is not `<name>/<uid>` is no mark.
#[must_use]
pub fn owner(pod: &Pod) -> Option<Identity> {
    Identity::parse(pod.annotations().get(GROUP_ANNOTATION)?)
}

/// Nothing that an election looks at differs.
#[must_use]
pub fn same_but_version(a: &Pod, b: &Pod) -> bool {
    let (x, y) = (&a.metadata, &b.metadata);
    (x.uid.as_ref(), x.labels.as_ref(), x.annotations.as_ref(), x.deletion_timestamp.is_some())
        == (y.uid.as_ref(), y.labels.as_ref(), y.annotations.as_ref(), y.deletion_timestamp.is_some())
        && a.controller == b.controller
        && a.spec == b.spec
        && a.status == b.status
}

/// What makes a pod unfit other than its Ready condition; compared to know since when.
#[must_use]
pub fn standing(pod: &Pod) -> (bool, bool, bool) {
    (pod.is_terminating(), pod.is_finished(), is_excluded(pod) || is_of_job(pod))
}

fn is_excluded(pod: &Pod) -> bool {
    pod.annotations().get(EXCLUDE_ANNOTATION).is_some_and(|value| value == "true")
}

/// A Job owns it, and it does not ask to be a candidate all the same.
fn is_of_job(pod: &Pod) -> bool {
    let asks = pod.annotations().get(EXCLUDE_ANNOTATION).is_some_and(|value| value == "false");
    pod.controller == Some(Controller::Job) && !asks
}

/// The labels by which the controllers of pods tell one revision of their template from the next.
const REVISIONS: [&str; 3] = ["controller-revision-hash", "pod-template-hash", "rollouts-pod-template-hash"];

/// An `exclude` that is neither true nor false, or a `priority` that is no integer.
fn ignored(pod: &Pod) -> Option<String> {
    let annotation = |key| pod.annotations().get(key).map(|value| (key, value));
    let exclude =
        annotation(EXCLUDE_ANNOTATION).filter(|(_, value)| !["true", "false"].contains(&value.as_str()));
    let priority = annotation(PRIORITY_ANNOTATION).filter(|(_, value)| value.parse::<i32>().is_err());
    let (key, value) = exclude.or(priority)?;
    Some(format!("{key}={value:.63}"))
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
        let patience = spec.failover.node_silent_seconds;
        Self {
            role: RoleLabel {
                key: spec.role_label.key.clone(),
                leader: spec.role_label.leader.clone(),
                follower,
            },
            lease_name: group.lease_name(),
            index_keys: selector.as_ref().map(index_keys).unwrap_or_default(),
            selector: selector.ok(),
            preference: preference.unwrap_or_default(),
            node_silent: (patience > 0).then(|| Millis::from_seconds(u64::from(patience))),
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

    /// Labels of which every selected pod has one; `None` where no such label is known.
    #[must_use]
    pub fn index_keys(&self) -> &[Option<(String, String)>] {
        &self.index_keys
    }

    /// How long a node may be silent; none: nodes do not matter.
    #[must_use]
    pub const fn node_patience(&self) -> Option<Millis> {
        self.node_silent
    }

    /// For how long a Lease of the pods is valid that does not say it itself; none if the operator owns the Lease.
    #[must_use]
    pub fn observed_duration(&self) -> Option<Millis> {
        let policy = self.policy.as_ref().ok().filter(|policy| policy.mode == ElectionMode::Observed);
        policy.map(GroupPolicy::lease_duration)
    }

    /// The group for the planner.
    #[must_use]
    pub fn group(&self, group: &ElectionGroup) -> SeenGroup {
        SeenGroup {
            id: identity(group),
            version: version(group),
            generation: group.metadata.generation.unwrap_or_default(),
            policy: self.policy.clone(),
            status: status(group),
            switchover: group.annotations().get(SWITCHOVER_ANNOTATION).cloned(),
        }
    }

    /// The pod for the planner, but for what only the store knows: membership, mark, local times.
    #[must_use]
    pub fn pod(&self, pod: &Pod) -> PodView {
        self.pod_of_weight(pod, self.weight(pod))
    }

    /// The same, where its weight is known already.
    #[must_use]
    pub fn pod_of_weight(&self, pod: &Pod, weight: i64) -> PodView {
        let labels = pod.labels();
        let revision = REVISIONS.iter().find_map(|key| labels.get(*key));
        PodView {
            id: identity(pod),
            version: version(pod),
            seen_at: Millis::default(),
            identity: pod.annotations().get(IDENTITY_ANNOTATION).cloned(),
            membership: Membership::Selected,
            role: self.role(labels),
            other_role: labels.get(&self.role.key).filter(|_| self.role(labels) == Role::Other).cloned(),
            released_by_controller: false,
            term: pod.annotations().get(TERM_ANNOTATION).and_then(|text| Term::parse(text)),
            owner: Owner::None,
            phase: match pod.phase() {
                api::Phase::Running => PodPhase::Running,
                _ if pod.is_finished() => PodPhase::Finished,
                _ => PodPhase::NotRunning,
            },
            ready: pod.is_ready(),
            ready_seen_at: Millis::default(),
            ready_since_seconds: pod.ready_since(),
            terminating: pod.is_terminating(),
            standing_changed_at: Millis::default(),
            disrupted: pod.status.disruption_target,
            excluded: is_excluded(pod),
            of_job: is_of_job(pod),
            ignored: ignored(pod),
            weight,
            revision: revision.cloned(),
            created_seconds: pod.creation_timestamp().map_or(0, |time| time.0.as_second()),
            node: pod.spec.node_name.clone(),
            host_network: pod.spec.host_network,
            node_silent_from: None,
            ip: pod.status.pod_ip.clone(),
        }
    }

    /// The Service may select pods of this group by the role label: it asks for no other value of the label that they all
    /// have. Most Services of a namespace are of other applications, and this tells without a look at thousands of pods.
    #[must_use]
    pub fn may_be_selected_by(&self, service: &Service) -> bool {
        let Some(selector) = service.spec.selector.as_ref() else { return false };
        let fits = |label: &Option<(String, String)>| match label {
            Some((key, value)) => selector.get(key).is_none_or(|wanted| wanted == value),
            None => true,
        };
        selector.contains_key(&self.role.key) && self.index_keys.iter().any(fits)
    }

    /// The Service for the planner, if it selects by the role label and otherwise any of `pods`.
    #[must_use]
    pub fn service<'a>(
        &self,
        service: &Service,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Option<ServiceView> {
        let selector = service.spec.selector.as_ref().filter(|_| self.may_be_selected_by(service))?;
        let value = selector.get(&self.role.key)?;
        let others = || selector.iter().filter(|(key, _)| **key != self.role.key);
        let selects = |pod: &Pod| others().all(|(key, value)| pod.labels().get(key) == Some(value));
        pods.into_iter().any(selects).then(|| ServiceView {
            id: identity(service),
            role: self.role(selector),
            value: value.clone(),
            publishes_not_ready: service.spec.publish_not_ready_addresses,
            other_group: None,
        })
    }

    /// The group gives its pods the one label that the Service selects.
    #[must_use]
    pub fn is_all_that_selects(&self, service: &Service) -> bool {
        let Some(selector) = service.spec.selector.as_ref().filter(|selector| selector.len() == 1) else {
            return false;
        };
        matches!(self.role(selector), Role::Leader | Role::Follower)
    }

    /// The budget speaks of the role label.
    #[must_use]
    pub fn may_be_guarded_by(&self, budget: &Budget) -> bool {
        let Some(selector) = budget.spec.selector.as_ref() else { return false };
        let labels = selector.match_labels.iter().flatten().map(|(key, _)| key);
        let expressions = selector.match_expressions.iter().flatten().map(|expression| &expression.key);
        labels.chain(expressions).any(|key| *key == self.role.key)
    }

    /// The budget for the planner, if it guards any of `pods` as the leader and not as a follower.
    #[must_use]
    pub fn budget<'a>(&self, budget: &Budget, pods: impl IntoIterator<Item = &'a Pod>) -> Option<BudgetView> {
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
        pods.into_iter().any(as_leader_only).then(|| BudgetView { id: identity(budget), keeps_a_single_pod })
    }

    fn role(&self, labels: &BTreeMap<String, String>) -> Role {
        match labels.get(&self.role.key) {
            None => Role::Absent,
            Some(value) if *value == self.role.leader => Role::Leader,
            Some(value) if self.role.follower.as_ref() == Some(value) => Role::Follower,
            Some(_) => Role::Other,
        }
    }

    /// How much the pod is preferred: as many selectors are tried as the group has preferences.
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

/// Why a group is not served whose record the API server does not keep.
#[must_use]
pub fn record_not_kept() -> Refusal {
    let message = "the API server does not keep the record in status as the operator writes it: apply the CRD of this \
                   release, or exempt electiongroups/status from the webhook that changes it, and restart the operator";
    Refusal { reason: "RecordNotKept", message: message.to_owned() }
}

fn policy(group: &ElectionGroup) -> GroupPolicy {
    let spec = &group.spec;
    let seconds = |seconds: u32| Millis::from_seconds(u64::from(seconds));
    GroupPolicy {
        mode: match spec.mode {
            api::Mode::Managed => ElectionMode::Managed,
            api::Mode::Observed => ElectionMode::Observed,
        },
        lease_name: group.lease_name(),
        lease_duration_seconds: spec.lease_duration_seconds(),
        renew: seconds(spec.lease_renew_seconds()),
        role_key: spec.role_label.key.clone(),
        followers_are_labelled: !spec.role_label.follower.is_empty(),
        not_ready: seconds(spec.failover.not_ready_seconds),
        min_ready: seconds(spec.failover.min_ready_seconds),
        cooldown: seconds(spec.failover.cooldown_seconds),
        clear_without_candidate: spec.failover.when_no_candidate == WhenNoCandidate::Clear,
        failback_after: match spec.failback {
            Failback::Never => None,
            Failback::WhenSteady => Some(seconds(spec.failback_quiet_seconds)),
        },
        paused: spec.paused,
        history_limit: usize::try_from(spec.history_limit).unwrap_or(usize::MAX),
    }
}

/// The record in a group's status. A leader that no pod can be, one without UID say, or a term that is none, is no
/// record.
#[must_use]
pub fn record(group: &ElectionGroup) -> Option<LeaderRecord> {
    let status = group.status.as_ref()?;
    let term = recorded_term(status)?;
    let leader = match &status.leader {
        None => None,
        Some(leader) => Some(RecordedLeader {
            id: Identity::parse(&Identity::new(&leader.name, &leader.uid).to_string())?,
            node: leader.node_name.clone(),
            ip: leader.pod_ip.clone(),
            since: leader.since.as_ref().map(micros).unwrap_or_default(),
        }),
    };
    let pods: Option<Vec<_>> = status.unfenced.iter().map(|text| Identity::parse(text)).collect();
    let unfenced = pods.map_or(Unfenced::All, |mut pods| {
        pods.sort();
        Unfenced::Pods(pods)
    });
    Some(LeaderRecord { leader, term, unfenced })
}

fn recorded_term(status: &ElectionGroupStatus) -> Option<Term> {
    status.term.and_then(|term| u64::try_from(term).ok()).and_then(Term::new)
}

fn status(group: &ElectionGroup) -> GroupStatus {
    let Some(status) = &group.status else {
        return GroupStatus::default();
    };
    let count = |number: Option<i32>| number.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let record = record(group);
    GroupStatus {
        lost_term: if record.is_none() { recorded_term(status) } else { None },
        record,
        observed_generation: status.observed_generation,
        candidates: count(status.candidates),
        eligible: count(status.eligible),
        lease: status.lease.clone(),
        conditions: status.conditions.iter().map(condition).collect(),
        history: status.history.iter().map(change).collect(),
    }
}

fn condition(condition: &ApiCondition) -> Condition {
    Condition {
        kind: condition.type_.clone(),
        holds: condition.status == "True",
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        generation: condition.observed_generation,
        changed_at_seconds: condition.last_transition_time.0.as_second(),
    }
}

fn change(change: &api::Change) -> LeaderChange {
    let time = |time: &Option<MicroTime>| time.as_ref().map(micros);
    LeaderChange {
        term: u64::try_from(change.term).ok().and_then(Term::new).unwrap_or_default(),
        leader: change.leader.clone(),
        previous: change.previous.clone(),
        reason: change.reason.clone(),
        detected_at: time(&change.detected_at).unwrap_or_default(),
        elected_at: time(&change.elected_at).unwrap_or_default(),
        labelled_at: time(&change.labelled_at).map(Stamp::At),
    }
}

/// A status as the API has it; `now` is what stands for the moment of the write.
#[must_use]
pub fn api_status(status: &GroupStatus, now: Micros) -> ElectionGroupStatus {
    let record = status.record.as_ref();
    let number = |count: usize| i32::try_from(count).ok();
    ElectionGroupStatus {
        observed_generation: status.observed_generation,
        term: record.map(|record| record.term).or(status.lost_term).map(api_term),
        leader: match record {
            None => status.lost_term.map(|_| api::Leader::default()),
            Some(record) => record.leader.as_ref().map(api_leader),
        },
        candidates: number(status.candidates),
        eligible: number(status.eligible),
        unfenced: match record.map(|record| &record.unfenced) {
            None => Vec::new(),
            Some(Unfenced::All) => vec!["*".to_owned()],
            Some(Unfenced::Pods(pods)) => pods.iter().map(ToString::to_string).collect(),
        },
        lease: status.lease.clone(),
        conditions: status.conditions.iter().map(api_condition).collect(),
        history: status.history.iter().map(|change| api_change(change, now)).collect(),
    }
}

fn api_leader(leader: &RecordedLeader) -> api::Leader {
    api::Leader {
        name: leader.id.name.clone(),
        uid: leader.id.uid.clone(),
        node_name: leader.node.clone(),
        pod_ip: leader.ip.clone(),
        since: micro_time(leader.since),
    }
}

fn api_term(term: Term) -> i64 {
    i64::try_from(term.get()).unwrap_or(i64::MAX)
}

fn api_condition(condition: &Condition) -> ApiCondition {
    let time = Timestamp::from_second(condition.changed_at_seconds).unwrap_or_default();
    ApiCondition {
        type_: condition.kind.clone(),
        status: if condition.holds { "True" } else { "False" }.to_owned(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        observed_generation: condition.generation,
        last_transition_time: Time(time),
    }
}

fn api_change(change: &LeaderChange, now: Micros) -> api::Change {
    api::Change {
        term: api_term(change.term),
        leader: change.leader.clone(),
        previous: change.previous.clone(),
        reason: change.reason.clone(),
        detected_at: micro_time(change.detected_at),
        elected_at: micro_time(change.elected_at),
        labelled_at: change.labelled_at.and_then(|stamp| match stamp {
            Stamp::At(at) => micro_time(at),
            Stamp::WhenWritten => micro_time(now),
        }),
    }
}

fn micros(time: &MicroTime) -> Micros {
    Micros(time.0.as_microsecond())
}

/// A moment as the API writes it; none outside of the years that it can write.
#[must_use]
pub fn micro_time(moment: Micros) -> Option<MicroTime> {
    Timestamp::from_microsecond(moment.0).ok().map(MicroTime)
}

/// A Lease as the planner sees it.
#[must_use]
pub fn lease_record(lease: &Lease) -> LeaseContent {
    let spec = lease.spec.as_ref();
    let time = |time: Option<&MicroTime>| time.map(|time| time.0.as_microsecond());
    LeaseContent {
        uid: lease.uid().unwrap_or_default(),
        version: version(lease),
        owner: Owner::None,
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        duration_seconds: spec.and_then(|spec| spec.lease_duration_seconds),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or_default(),
        term: lease.annotations().get(TERM_ANNOTATION).and_then(|text| Term::parse(text)),
        adopt: lease.annotations().get(ADOPT_ANNOTATION).cloned(),
        times: (
            time(spec.and_then(|spec| spec.acquire_time.as_ref())),
            time(spec.and_then(|spec| spec.renew_time.as_ref())),
        ),
    }
}

/// The groups that own a Lease. What no group can be named is none.
pub fn owners(lease: &Lease) -> impl Iterator<Item = Identity> {
    let groups = lease.owner_references().iter().filter(|owner| is_group(owner));
    groups.filter_map(|owner| Identity::parse(&Identity::new(&*owner.name, &*owner.uid).to_string()))
}

/// The owner is an `ElectionGroup`, of whatever version.
#[must_use]
pub fn is_group(owner: &OwnerReference) -> bool {
    let (group, _) = owner.api_version.split_once('/').unwrap_or_default();
    group == ElectionGroup::group(&()) && owner.kind == ElectionGroup::kind(&())
}

/// The keys of the labels that the API server attributes to `manager`.
#[must_use]
pub fn labels_written_by(manager: &str, metadata: &ObjectMeta) -> Vec<String> {
    let entries = metadata.managed_fields.iter().flatten();
    let own =
        entries.filter(|entry| entry.manager.as_deref() == Some(manager) && entry.subresource.is_none());
    let labels =
        own.filter_map(|entry| entry.fields_v1.as_ref()?.0.pointer("/f:metadata/f:labels")?.as_object());
    labels
        .flat_map(|labels| labels.keys())
        .filter_map(|key| key.strip_prefix("f:").map(str::to_owned))
        .collect()
}
