//! The writes that the present record still needs.

use std::collections::BTreeSet;

use super::fence::{endpoint_gap, fences, may_be_fenced, promotion, unconfirmed, write_to};
use super::lease::lease_write;
use super::nominate::nomination_write;
use super::record;
use super::tidy::{must_release, wants_follower_label};
use crate::Identity;
use crate::names::event_reason;
use crate::nominated_mode;
use crate::plan::{EventDraft, Fact, Intent, LeaseWrite, NominationWrite, RouteWrite, Step};
use crate::route::{self, routes};
use crate::seen::{GroupPolicy, GroupStatus, LeaderRecord, Owner, Role, SeenPod, Snapshot};

/// The writes that the present record still needs, computed once a record.
pub(super) struct Outstanding<'a> {
    view: &'a Snapshot,
    pub(super) record: &'a LeaderRecord,
    /// Pods to fence.
    fences: Vec<&'a SeenPod>,
    /// The leader, if it is to be promoted.
    promotion: Option<&'a SeenPod>,
    lease: Option<LeaseWrite>,
    nomination: Option<NominationWrite>,
    /// The live read of a Lease that the record does not name, if the leader stops serving for it.
    lease_unchanged: Option<Intent>,
    /// Slices to write.
    routes: Vec<RouteWrite>,
    /// Pods to release, or to give the follower label.
    tidy: Vec<&'a SeenPod>,
    /// The term of the record is not high enough for these writes: a record with a higher term must
    /// come first.
    pub(super) is_overtaken: bool,
}

impl<'a> Outstanding<'a> {
    /// None without a record.
    pub(super) fn of(view: &'a Snapshot, policy: &GroupPolicy) -> Option<Self> {
        let record = view.record()?;
        let leader = record.leader_id();
        let is_to_tidy =
            |pod: &&SeenPod| must_release(pod, policy, leader) || wants_follower_label(view, pod, leader);
        let mut outstanding = Self {
            view,
            record,
            fences: fences(view, record),
            promotion: promotion(view, record),
            lease: lease_write(view, policy, record),
            nomination: nomination_write(view, policy, record),
            lease_unchanged: None,
            routes: routes(view, record),
            tidy: view.pods.iter().filter(is_to_tidy).collect(),
            is_overtaken: false,
        };
        outstanding.is_overtaken = outstanding.is_overtaken();
        outstanding.lease_unchanged =
            outstanding.loses_lease().then(|| record::lease_unchanged(view, policy));
        Some(outstanding)
    }

    /// The leader is to serve no more, because another Lease is there than the record names.
    fn loses_lease(&self) -> bool {
        let leads = |pod: &&SeenPod| self.record.leader_id() == Some(&pod.id);
        let stops = self.fences.iter().any(leads) || !self.routes.is_empty();
        let is_other = nominated_mode::applies(self.view) && nominated_mode::of_record(self.view).is_none();
        is_other && stops
    }

    /// A pod, Lease or slice to be written has a higher term than the record (*not above*), or a pod that
    /// does not lead carries the leader label with this term.
    fn is_overtaken(&self) -> bool {
        let term = Some(self.record.term);
        let claims_current_term = |pod: &SeenPod| {
            let labelled = pod.role == Role::Leader && may_be_fenced(pod);
            labelled && self.record.leader_id() != Some(&pod.id) && pod.term >= term
        };
        let lease_is_above = self.lease.is_some() && self.view.term_of_lease() > term;
        lease_is_above
            || nominated_mode::is_overtaken(self.view, self.record)
            || route::is_above(self.view, &self.routes, self.record.term)
            || self.view.pods.iter().any(claims_current_term)
            || self.pods().any(|pod| pod.term > term)
    }

    /// The pods to be written.
    fn pods(&self) -> impl Iterator<Item = &'a SeenPod> {
        self.fences.iter().chain(&self.promotion).chain(&self.tidy).copied()
    }

    /// The groups that pods, or the Lease, are to be taken over from: they seem to be deleted.
    fn vanished_owners(&self) -> BTreeSet<Identity> {
        let lease = self.view.lease.as_ref().filter(|_| self.lease.is_some() || self.nomination.is_some());
        let owners = self.pods().map(|pod| &pod.owner).chain(lease.map(|lease| &lease.content.owner));
        let vanished = owners.filter_map(|owner| match owner {
            Owner::Vanished(group) => Some(group.clone()),
            _ => None,
        });
        vanished.collect()
    }

    /// Events about labels that a user or another program changed: they are no change of leader.
    pub(super) fn repairs(&self, status_before: &GroupStatus) -> Vec<EventDraft> {
        let newest = self.view.group.status.history.first();
        let switching = newest.is_some_and(|c| c.term == self.record.term && c.labelled_at.is_none());
        // After an edit of the spec, labels differ because the user ordered it.
        let edited = status_before.observed_generation != Some(self.view.group.generation);
        if switching || edited {
            return Vec::new();
        }
        let given = self.promotion.filter(|pod| pod.role != Role::Leader);
        let given = given.map(|pod| (pod, format!("gave the leader label back to pod {}", pod.id.name)));
        let leads = |pod: &SeenPod| self.record.leader_id() == Some(&pod.id);
        let taken = self.fences.iter().filter(|pod| pod.role == Role::Leader && !leads(pod));
        let taken = taken.map(|pod| {
            (*pod, format!("took the leader label from pod {}, which does not lead", pod.id.name))
        });
        let events = given.into_iter().chain(taken).map(|(pod, note)| {
            let pod = Some(pod.id.name.clone());
            EventDraft { reason: event_reason::LABEL_REPAIRED.to_owned(), warning: true, note, pod }
        });
        events.collect()
    }

    /// Steps 2 and 3: labels, Lease and slices follow the record. `record_written`: this plan wrote it.
    ///
    /// Before pods are taken over from groups that seem to be deleted, live reads confirm the
    /// deletions, and then the record. The record is read even by the plan that wrote it: a later
    /// record may have found those groups there.
    pub(super) fn steps(self, record_written: bool) -> Vec<Step> {
        let mut first: Vec<_> =
            self.vanished_owners().into_iter().map(|group| Intent::Confirm(Fact::GroupGone(group))).collect();
        let takes_over = !first.is_empty();
        first.extend(self.lease_unchanged);
        let confirm_record = || record::confirm(self.view, self.record);
        let write = |pod: &SeenPod| write_to(pod, self.record.term);
        let mut intents: Vec<_> = self.fences.iter().map(|pod| Intent::Fence(write(pod))).collect();
        intents.extend(unconfirmed(self.view, self.record));
        intents.extend(self.lease.map(Intent::WriteLease));
        intents.extend(self.nomination.map(Intent::WriteNomination));
        let is_to_confirm = !takes_over && !record_written;
        let confirms_first = is_to_confirm && !self.routes.is_empty();
        if self.promotion.is_some() && is_to_confirm && !confirms_first {
            intents.push(confirm_record());
        }
        let unconfirmed = route::unconfirmed(self.view, self.record, &self.routes);
        let mut routes: Vec<_> =
            self.routes.into_iter().map(|write| Intent::Route(Box::new(write))).collect();
        if unconfirmed.is_none() {
            intents.append(&mut routes);
        }
        intents.extend(unconfirmed);
        let gap = self.fences.iter().filter_map(|pod| endpoint_gap(pod)).max();
        let gap = gap.filter(|_| !route::is_routed_by_slices(self.view)).unwrap_or_default();
        let promote = self.promotion.map(|pod| Intent::Promote(write(pod)));
        vec![
            Step::of(first),
            Step::of((takes_over || confirms_first).then(confirm_record)),
            Step::of(intents),
            Step::of(routes),
            Step { after_fence: gap, ..Step::of(promote) },
        ]
    }
}
