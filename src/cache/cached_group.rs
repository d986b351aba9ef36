//! One group, with what this process remembers of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::ElectionGroup;
use crate::convert::{self, CompiledSpec};
use crate::planner::ownership::LeaseInterest;
use crate::planner::seen::{CandidateReport, GonePod, RouteRefusal, Unfenced, Warning};
use crate::planner::{Identity, Millis, Version};

/// Fields without a comment are those of the [`Snapshot`](crate::planner::seen::Snapshot).
#[derive(Debug)]
pub(super) struct CachedGroup {
    pub(super) object: ElectionGroup,
    pub(super) spec: CompiledSpec,
    /// The weights of the pods that the group selects, by name of the pod.
    pub(super) pods: BTreeMap<String, i64>,
    /// The Services that may select its pods by the role label, by name.
    pub(super) services: BTreeSet<String>,
    /// The budgets that select by the role label, by name.
    pub(super) budgets: BTreeSet<String>,
    pub(super) gone: BTreeMap<String, GonePod>,
    pub(super) listed_for: Option<Version>,
    pub(super) warned: BTreeSet<Warning>,
    pub(super) record_seen_at: Millis,
    pub(super) cooldown_from: Millis,
    pub(super) reported_at: Millis,
    /// The version at which the status last changed.
    pub(super) reported_version: Version,
    /// The version that this process's last report produced.
    pub(super) own_report: Option<Version>,
    pub(super) route_refusal: Option<RouteRefusal>,
    /// The API server does not keep the record as the operator writes it.
    pub(super) record_is_not_kept: bool,
    /// What was last written of single pods, if the API server has cut it: the CRD is an earlier one.
    pub(super) cut_pods: Vec<CandidateReport>,
    /// When the cache got this version of the object.
    pub(super) learned_at: Millis,
}

/// The number of gone pods from which on those outside of the record are forgotten.
const MAX_GONE_PODS: usize = 100;

fn term(group: &ElectionGroup) -> Option<i64> {
    group.status.as_ref().and_then(|status| status.term)
}

impl CachedGroup {
    pub(super) fn new(object: ElectionGroup, spec: CompiledSpec, now: Millis) -> Self {
        Self {
            object,
            spec,
            pods: BTreeMap::new(),
            services: BTreeSet::new(),
            budgets: BTreeSet::new(),
            gone: BTreeMap::new(),
            listed_for: None,
            warned: BTreeSet::new(),
            record_seen_at: now,
            cooldown_from: Millis::default(),
            reported_at: Millis::default(),
            reported_version: Version::default(),
            own_report: None,
            route_refusal: None,
            record_is_not_kept: false,
            cut_pods: Vec::new(),
            learned_at: now,
        }
    }

    /// The same group with an edited spec. Its pods are those that it selected before.
    pub(super) fn respecified(self, object: ElectionGroup, spec: CompiledSpec, now: Millis) -> Self {
        let same_term = term(&self.object) == term(&object);
        let (record_seen_at, cooldown_from) =
            if same_term { (self.record_seen_at, self.cooldown_from) } else { (now, now) };
        let Self { pods, gone, listed_for, warned, reported_version, own_report, .. } = self;
        let new = Self { reported_version, own_report, ..Self::new(object, spec, now) };
        // Rules that wait for quiet count from an edit, too.
        Self { pods, gone, listed_for, warned, record_seen_at, cooldown_from, reported_at: now, ..new }
    }

    pub(super) fn id(&self) -> Identity {
        convert::identity(&self.object)
    }

    pub(super) fn is(&self, id: &Identity) -> bool {
        let metadata = &self.object.metadata;
        metadata.uid.as_ref() == Some(&id.uid) && metadata.name.as_ref() == Some(&id.name)
    }

    /// The same group at a newer version, its spec unchanged.
    pub(super) fn update(&mut self, object: ElectionGroup, now: Millis) {
        if term(&self.object) != term(&object) {
            (self.record_seen_at, self.cooldown_from) = (now, now);
        }
        if self.object.status != object.status {
            (self.reported_at, self.reported_version) = (now, convert::version(&object));
        }
        self.object = object;
        self.learned_at = now;
    }

    /// What decides whether a change of its Lease wakes the group.
    pub(super) fn lease_interest(&self) -> LeaseInterest {
        LeaseInterest {
            held_duration: self.spec.held_duration(),
            has_leader: self.object.status.as_ref().is_some_and(|status| status.leader.is_some()),
            is_paused: self.object.is_paused(),
        }
    }

    /// A Service or a budget was changed or deleted: warnings about it may be repeated.
    pub(super) fn forget_warnings(&mut self, object: &Identity) {
        self.warned.retain(|warning| warning.object.uid != object.uid);
    }

    /// The pods that the record names.
    pub(super) fn recorded(&self) -> Vec<Identity> {
        let record = convert::record(&self.object);
        let Some(record) = record else { return Vec::new() };
        let unfenced = match record.unfenced {
            Unfenced::All => Vec::new(),
            Unfenced::Pods(pods) => pods,
        };
        unfenced.into_iter().chain(record.leader.map(|leader| leader.id)).collect()
    }

    /// Remembers a gone pod for as long as the record names it, and others up to a limit.
    pub(super) fn note_gone(&mut self, uid: &str, gone: GonePod) {
        if self.gone.len() >= MAX_GONE_PODS {
            let recorded = self.recorded();
            self.gone.retain(|uid, _| recorded.iter().any(|id| id.uid == *uid));
        }
        self.gone.entry(uid.to_owned()).or_insert(gone);
    }
}
