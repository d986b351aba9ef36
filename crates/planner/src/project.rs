//! What a snapshot becomes once the writes of a plan have succeeded.

use super::plan::{Fact, Intent, LeaseWrite, NominationWrite, PodWrite, RouteWrite};
use super::seen::{
    GonePod, GroupStatus, LeaseContent, Membership, Owner, Role, SeenLease, SeenSlice, SliceContent,
    SliceName, SliceObject, Snapshot, Stamp,
};
use super::{Identity, Version};

impl Snapshot {
    /// What this snapshot becomes when `intent` succeeds, as far as a plan can know. Writes produce
    /// versions that no plan can know: the applier carries them on.
    pub fn project(&mut self, intent: &Intent) {
        match intent {
            Intent::WriteStatus(status) => self.project_status(status),
            Intent::Confirm(Fact::PodGone(pod)) => self.project_gone(pod),
            Intent::ListPods(_) => self.listed_for = Some(self.group.version),
            Intent::Fence(write) | Intent::LabelFollower(write) => {
                self.project_role(write, self.follower_role());
            }
            Intent::Promote(write) => self.project_role(write, Role::Leader),
            Intent::Release(pod, _) => self.project_release(pod),
            Intent::WriteLease(write) => self.project_lease(write),
            Intent::WriteNomination(write) => self.project_nomination(write),
            Intent::WarnOnce(warning, _) => {
                self.warned.insert(warning.clone());
            }
            Intent::Route(write) => self.project_route(write),
            Intent::CreateSlice(slice, headless) => self.project_slice(slice, *headless),
            Intent::DeleteSlice(slice, ..) => self.project_no_slice(slice),
            Intent::DropSwitchover => self.group.switchover = None,
            Intent::Confirm(_) | Intent::AnnounceChange(_) | Intent::PublishEvent(_) => {}
        }
    }

    fn project_status(&mut self, status: &GroupStatus) {
        if self.record().map(|record| record.term) != status.record.as_ref().map(|record| record.term) {
            self.note_new_term();
        }
        self.listed_for = None;
        let now = self.wall;
        (self.reported_at, self.reported_by_other) = (self.now, false);
        self.group.status = status.clone();
        for change in &mut self.group.status.history {
            for stamp in change.labelled_at.iter_mut().chain(&mut change.routed_at) {
                if *stamp == Stamp::WhenWritten {
                    *stamp = Stamp::At(now);
                }
            }
        }
    }

    /// The term of the record is new at this moment.
    pub(super) fn note_new_term(&mut self) {
        (self.record_seen_at, self.cooldown_from) = (self.now, self.now);
    }

    fn project_gone(&mut self, pod: &Identity) {
        let gone = GonePod { at: self.now, was_terminating: false, had_ended: false };
        self.gone.entry(pod.uid.clone()).or_insert(gone);
    }

    fn project_role(&mut self, write: &PodWrite, role: Role) {
        if let Some(pod) = self.pods.iter_mut().find(|pod| pod.id.uid == write.pod.uid) {
            pod.role = role;
            pod.term = Some(write.term);
            pod.owner = Owner::Ours;
        }
    }

    fn project_release(&mut self, id: &Identity) {
        if let Some(pod) = self.pods.iter_mut().find(|pod| pod.id.uid == id.uid) {
            if pod.role != Role::Other {
                pod.role = Role::Absent;
            }
            pod.term = None;
            pod.owner = Owner::None;
            pod.released_by_controller = false;
        }
        let leader = self.leader_id().cloned();
        self.pods.retain(|pod| {
            let recorded = leader.as_ref().is_some_and(|leader| leader.uid == pod.id.uid);
            pod.membership != Membership::Deselected || pod.owner != Owner::None || recorded
        });
    }

    fn slice_mut(&mut self, name: &SliceName) -> Option<&mut SeenSlice> {
        let routed = self.routes.iter_mut().flat_map(|route| &mut route.slices);
        routed.chain(&mut self.unrouted).find(|slice| slice.name == *name)
    }

    fn project_route(&mut self, write: &RouteWrite) {
        if let Some(object) = self.slice_mut(&write.slice).and_then(|slice| slice.object.as_mut()) {
            object.term = Some(write.term);
            object.content.clone_from(&write.content);
        }
        self.route_refusal = None;
    }

    fn project_slice(&mut self, name: &SliceName, headless: bool) {
        if let Some(slice) = self.slice_mut(name) {
            let content = SliceContent { headless, ..SliceContent::default() };
            slice.object = Some(SliceObject { uid: String::new(), version: Version(0), term: None, content });
        }
    }

    fn project_no_slice(&mut self, name: &SliceName) {
        self.unrouted.retain(|slice| slice.name != *name);
        for route in &mut self.routes {
            route.others.retain(|other| other.name != *name);
        }
        if let Some(slice) = self.slice_mut(name) {
            slice.object = None;
        }
    }

    fn project_lease(&mut self, write: &LeaseWrite) {
        let content = LeaseContent {
            uid: write.base.as_ref().map(|(uid, _)| uid.clone()).unwrap_or_default(),
            version: write.base.as_ref().map(|(_, version)| *version).unwrap_or_default(),
            owner: Owner::Ours,
            holder: write.holder.as_ref().map(|pod| pod.name.clone()),
            duration_seconds: i32::try_from(write.duration_seconds).ok(),
            transitions: write.transitions,
            term: Some(write.term),
            adopt: self.lease.as_ref().and_then(|lease| lease.content.adopt.clone()),
            nominee: None,
            nominated_seconds: None,
            times: self.lease.as_ref().map(|lease| lease.content.times).unwrap_or_default(),
        };
        self.lease = Some(SeenLease { change_was_seen: true, ..SeenLease::first_seen(content, self.now) });
    }

    fn project_nomination(&mut self, write: &NominationWrite) {
        let created = || SeenLease::first_seen(LeaseContent::default(), self.now);
        let seen = self.lease.take().filter(|_| write.base.is_some());
        let mut seen = seen.unwrap_or_else(created);
        let mut content = LeaseContent { owner: Owner::Ours, ..seen.content.clone() };
        if let Some(nomination) = write.action.nomination() {
            content.nominee = Some(nomination.nominee.clone());
            content.term = Some(nomination.term);
            content.nominated_seconds = Some(nomination.duration_seconds);
        }
        if write.action.clears() {
            content.holder = None;
        }
        seen.note(content, self.now);
        self.lease = Some(seen);
    }
}
