//! Everything a plan is made from: one group, its pods and its Lease, as this operator sees them.

use std::collections::{BTreeMap, BTreeSet};

use super::group::{ElectionMode, GroupPolicy, SeenGroup};
use super::lease::{LeaseClaim, SeenLease};
use super::pod::{GonePod, Membership, Owner, PodPhase, Role, SeenPod};
use super::route::{RouteRefusal, SeenRoute, SeenSlice, SliceObject};
use super::service::{SeenBudget, SeenService, Warning};
use super::status::LeaderRecord;
use crate::{Identity, Micros, Millis, Term, Version};

/// A change of leader every millisecond for a month: no real term is so far above that of the
/// record.
const UNLIKELY_RISE: u64 = 1 << 32;

/// One group as seen at one moment. Equal snapshots give equal plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The moment of the plan, on the monotonic clock of this process.
    pub now: Millis,
    /// The same moment on the wall clock, for the times that people read.
    pub wall: Micros,
    /// The group itself.
    pub group: SeenGroup,
    /// Pods that the group selects, that it owns, or that the record names. In any order.
    pub pods: Vec<SeenPod>,
    /// Pods that are proved to be deleted, by UID. A UID never comes back.
    pub gone: BTreeMap<String, GonePod>,
    /// The Lease of the group's Lease name.
    pub lease: Option<SeenLease>,
    /// The group version that the applier held when it began the last fresh list of all pods. A
    /// list counts for the record of that version alone: terms may repeat after a user empties the
    /// status.
    pub listed_for: Option<Version>,
    /// The Services in `spec.routing`, in its order.
    pub routes: Vec<SeenRoute>,
    /// Slices of the group that no Service in `spec.routing` needs.
    pub unrouted: Vec<SeenSlice>,
    /// The API server refused the last write of a slice.
    pub route_refusal: Option<RouteRefusal>,
    /// The Services that select by the group's role label.
    pub services: Vec<SeenService>,
    /// The `PodDisruptionBudget`s that guard the leader and no follower.
    pub budgets: Vec<SeenBudget>,
    /// The warnings that this operator has already given.
    pub warned: BTreeSet<Warning>,
    /// When this operator first saw the term of the present record.
    pub record_seen_at: Millis,
    /// When `failover.cooldownSeconds` began: this operator saw the term of the present record
    /// appear. Zero if the term was there before the operator started.
    pub cooldown_from: Millis,
    /// When this operator last saw the status change.
    pub reported_at: Millis,
    /// Another writer made that change.
    pub reported_by_other: bool,
}

impl Snapshot {
    /// The same snapshot at a later moment, if nothing happens until then.
    #[must_use]
    pub fn later(&self, moment: Millis) -> Self {
        let span = i64::try_from(moment.since(self.now).0.saturating_mul(1000)).unwrap_or(i64::MAX);
        Self { now: moment, wall: Micros(self.wall.0.saturating_add(span)), ..self.clone() }
    }

    /// The pod of this identity, by UID (S5).
    #[must_use]
    pub fn pod(&self, id: &Identity) -> Option<&SeenPod> {
        self.pods.iter().find(|pod| pod.id.uid == id.uid)
    }

    /// The present record.
    #[must_use]
    pub const fn record(&self) -> Option<&LeaderRecord> {
        self.group.status.record.as_ref()
    }

    /// The recorded leader's identity.
    #[must_use]
    pub fn leader_id(&self) -> Option<&Identity> {
        self.record().and_then(LeaderRecord::leader_id)
    }

    /// A moment of the monotonic clock, on the wall clock.
    #[must_use]
    pub fn wall_at(&self, moment: Millis) -> Micros {
        self.wall.before(self.now.since(moment))
    }

    /// The slices of the group that exist.
    pub fn slices(&self) -> impl Iterator<Item = &SliceObject> {
        let routed = self.routes.iter().flat_map(|route| &route.slices);
        routed.chain(&self.unrouted).filter_map(|slice| slice.object.as_ref())
    }

    /// The highest term seen anywhere: on the record, on pods, on the Lease, on slices.
    #[must_use]
    pub fn highest_term(&self) -> Term {
        let pods =
            self.pods.iter().filter(|pod| !matches!(pod.owner, Owner::Other(_))).filter_map(|pod| pod.term);
        let record = self.record().map(|record| record.term);
        let others = record.into_iter().chain(self.group.status.lost_term).chain(self.term_of_lease());
        let slices = self.slices().filter_map(|slice| slice.term);
        pods.chain(others).chain(slices).max().unwrap_or_default()
    }

    /// Drops terms from pods, Lease and slices that no operator can have written. A single annotation by
    /// hand would use up all possible terms.
    #[must_use]
    pub fn without_unlikely_terms(mut self) -> Self {
        let recorded = self.record().map(|record| record.term).or(self.group.status.lost_term);
        let last = recorded.unwrap_or_default().get().saturating_add(UNLIKELY_RISE);
        let terms = self.pods.iter_mut().map(|pod| &mut pod.term);
        let routed = self.routes.iter_mut().flat_map(|route| &mut route.slices);
        let slices = routed.chain(&mut self.unrouted).filter_map(|slice| slice.object.as_mut());
        let terms = terms.chain(slices.map(|slice| &mut slice.term));
        for term in terms.chain(self.lease.as_mut().map(|lease| &mut lease.content.term)) {
            *term = term.filter(|term| term.get() <= last);
        }
        self
    }

    /// The term of a Lease that this group or a deleted group has written. In Observed mode it
    /// does not count. A Lease without owner does: a restore from a backup drops the ownerReference.
    #[must_use]
    pub fn term_of_lease(&self) -> Option<Term> {
        let electing = self.group.policy.as_ref().is_ok_and(|policy| policy.mode != ElectionMode::Observed);
        let lease = &self.lease.as_ref()?.content;
        let counts = lease.is_ours_to_write() || (electing && lease.owner == Owner::None);
        lease.term.filter(|_| counts)
    }

    /// A pod of this group that carries the leader label and that another existing group owns. Only
    /// that group can take the label away.
    #[must_use]
    pub fn labelled_by_another(&self) -> Option<(&SeenPod, &Identity)> {
        let pods = self.pods.iter().filter_map(|pod| match &pod.owner {
            Owner::Other(owner) => Some((pod, owner)),
            _ => None,
        });
        let labelled = |pod: &SeenPod| pod.role == Role::Leader && pod.membership == Membership::Selected;
        pods.filter(|(pod, _)| labelled(pod)).min_by_key(|(pod, _)| &pod.id)
    }

    /// What this group may do with its Lease.
    #[must_use]
    pub fn lease_claim(&self, policy: &GroupPolicy) -> LeaseClaim {
        let Some(lease) = self.lease.as_ref().filter(|_| policy.mode != ElectionMode::Observed) else {
            return LeaseClaim::Ours;
        };
        let nominated = policy.mode == ElectionMode::Nominated;
        let of_record = if nominated {
            let recorded = self.group.status.recorded_lease.as_ref();
            recorded.is_some_and(|recorded| recorded.uid == lease.content.uid)
        } else {
            self.record().is_some_and(|record| {
                let holder = record.leader_id().map(|leader| leader.name.as_str());
                lease.content.term == Some(record.term) && lease.holder() == holder
            })
        };
        // Such a Lease may be free for long, between a release and the next take.
        let of_other = nominated && matches!(lease.content.owner, Owner::Other(_));
        let unowned = lease.content.owner == Owner::None;
        let written =
            lease.content.term.is_some() || lease.content.adopt.as_ref() == Some(&self.group.id.name);
        match lease.content {
            // The Lease of a deleted group is ours, too: no holder renews it.
            _ if lease.content.is_ours_to_write() || (unowned && of_record) => LeaseClaim::Ours,
            _ if of_other || lease.is_held(policy.lease_duration(), self.now) => LeaseClaim::HeldByOther,
            _ if unowned && !written => LeaseClaim::NeverOurs,
            _ => LeaseClaim::Ours,
        }
    }

    /// The name of an older group that has a pod this group selects too. A pod that finished or
    /// terminates does not count.
    #[must_use]
    pub fn overlapped_by(&self) -> Option<&str> {
        self.pods
            .iter()
            .filter(|pod| pod.phase != PodPhase::Finished && !pod.terminating)
            .filter_map(|pod| match &pod.membership {
                Membership::ClaimedBy(group) => Some(group.as_str()),
                _ => None,
            })
            .min()
    }

    /// The role label of a follower: `roleLabel.follower` may be empty.
    #[must_use]
    pub fn follower_role(&self) -> Role {
        let labelled = self.group.policy.as_ref().is_ok_and(|policy| policy.followers_are_labelled);
        if labelled { Role::Follower } else { Role::Absent }
    }
}
