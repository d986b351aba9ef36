//! The planner's intents as requests of the model.

use planner::plan::{Fact, Intent, LeaseWrite, NominationWrite, PodWrite, RouteWrite};
use planner::reason::Reason;
use planner::seen::{GroupStatus, LeaderRecord, Unfenced};
use planner::{Identity, Term, Version};

use crate::objects::{
    EVERY_POD, EndpointObject, GENERATIONS, GroupObject, LeaseObject, NominationObject, PodAction,
    RecordObject, RecordedLease, Request,
};
use crate::seen_snapshot::{Writer, number};
use crate::world::Rule;

/// The slot of the pod that does not lead any more in this term, because its Lease expired.
fn given_up(status: &GroupStatus) -> Option<u8> {
    let (record, newest) = (status.record.as_ref()?, status.history.first()?);
    let expired = newest.reason == Reason::LeaseExpired.as_str() && newest.term <= record.term;
    newest.previous.as_deref().filter(|_| expired && record.leader.is_none()).map(number)
}

fn small(term: Term) -> u8 {
    u8::try_from(term.get()).unwrap_or(u8::MAX) // far beyond the bounds
}

pub fn pod_request(pod: &Identity, version: Version, action: PodAction, term: u8, group: u8) -> Request {
    let version = u8::try_from(version.0).expect("few versions");
    Request::Pod { uid: number(&pod.uid), version, action, term, group }
}

impl Writer<'_> {
    /// The UID of a pod in numbers. With identity by name, the pod that the copy has under that
    /// name.
    fn uid(&self, id: &Identity) -> u8 {
        let number = number(&id.uid);
        if self.without != Some(Rule::IdentityByUid) {
            return number;
        }
        let copy = self.op.pods[usize::from(number)];
        copy.map_or(number * GENERATIONS, |pod| pod.uid)
    }

    pub fn request(&self, intent: &Intent) -> Option<Request> {
        match intent {
            Intent::WriteStatus(status) => self.status(status),
            Intent::Confirm(Fact::PodGone(pod)) => Some(Request::ConfirmPodGone(self.uid(pod))),
            Intent::Confirm(Fact::GroupGone(group)) => Some(Request::ConfirmGroupGone(number(&group.uid))),
            Intent::Confirm(Fact::GroupExists(group)) => {
                Some(Request::ConfirmGroupExists(number(&group.uid)))
            }
            Intent::Confirm(Fact::PodUnchanged(pod, version)) => {
                let version = u8::try_from(version.0).expect("few versions");
                Some(Request::ConfirmPodUnchanged { uid: self.uid(pod), version })
            }
            Intent::Confirm(Fact::Record { group, leader, term }) => {
                let leader = leader.as_ref().map(|leader| self.uid(leader));
                Some(Request::ConfirmRecord { group: number(&group.uid), leader, term: small(*term) })
            }
            Intent::ListPods(_) => Some(self.list()),
            Intent::Fence(_) if self.without == Some(Rule::Fence) => None,
            Intent::Fence(write) => Some(self.pod_write(write, PodAction::Fence)),
            Intent::Promote(write) => Some(self.pod_write(write, PodAction::Promote)),
            Intent::LabelFollower(write) => Some(self.pod_write(write, PodAction::LabelFollower)),
            Intent::Release(pod, version) => {
                let pod = Identity::new(pod.name.clone(), format!("uid{}", self.uid(pod)));
                Some(pod_request(&pod, *version, PodAction::Release, 0, self.group.uid))
            }
            Intent::WriteLease(_) if self.without == Some(Rule::LeaseBeforePromotion) => None,
            Intent::WriteLease(write) => Some(self.lease_write(write)),
            Intent::WriteNomination(write) => Some(self.nomination(write)),
            Intent::Confirm(Fact::Lease { seen, .. }) => {
                let version =
                    seen.as_ref().map(|(_, version)| u8::try_from(version.0).expect("few versions"));
                Some(Request::ConfirmLease { seen: version })
            }
            Intent::Route(write) => Some(self.route(write)),
            Intent::CreateSlice(..) => Some(self.creation()),
            Intent::Confirm(Fact::NoOtherSlices { .. }) => Some(Request::ConfirmAlone),
            Intent::Confirm(Fact::NodeSilent(_))
            | Intent::DeleteSlice(..)
            | Intent::DropSwitchover
            | Intent::AnnounceChange(_)
            | Intent::PublishEvent(_)
            | Intent::WarnOnce(..) => None,
        }
    }

    fn list(&self) -> Request {
        let GroupObject { uid: group, version, .. } = self.group;
        Request::List { group, version, after_write: false }
    }

    fn pod_write(&self, write: &PodWrite, action: PodAction) -> Request {
        let pod = Identity::new(write.pod.name.clone(), format!("uid{}", self.uid(&write.pod)));
        pod_request(&pod, write.version, action, small(write.term), self.group.uid)
    }

    fn lease_write(&self, write: &LeaseWrite) -> Request {
        let base = write.base.as_ref().map(|(_, version)| u8::try_from(version.0).expect("few versions"));
        let holder = write.holder.as_ref().map(|pod| number(&pod.name));
        Request::Lease { base, holder, term: small(write.term), group: self.group.uid }
    }

    fn nomination(&self, write: &NominationWrite) -> Request {
        let base = write.base.as_ref().map(|(_, version)| u8::try_from(version.0).expect("few versions"));
        let record = self.group.record.filter(|_| self.without == Some(Rule::CreateEmpty) && base.is_none());
        let granted = record.and_then(|record| {
            let RecordObject { leader, term, lease, .. } = record;
            Some(NominationObject { nominee: leader?, term, seconds: lease.seconds })
        });
        let planned = write.action.nomination().map(|nomination| NominationObject {
            nominee: if nomination.nominee.uid.starts_with("uid") {
                self.uid(&nomination.nominee)
            } else {
                LeaseObject::NO_POD
            },
            term: small(nomination.term),
            seconds: u8::try_from(nomination.duration_seconds).expect("short durations"),
        });
        let clears = base.is_some() && write.action.clears();
        Request::NewNomination { base, clears, nomination: planned.or(granted), group: self.group.uid }
    }

    /// What the status says of the Lease and of silent nominees (Nominated).
    fn recorded_lease(&self, status: &GroupStatus) -> RecordedLease {
        let silent = status.silent_nominees.iter().fold(0, |set, id| set | (1 << self.uid(id)));
        let Some(lease) = &status.recorded_lease else {
            return RecordedLease { silent, ..RecordedLease::default() };
        };
        let seconds = u8::try_from(lease.duration_seconds).expect("short durations");
        let longest = u8::try_from(lease.longest_seconds).expect("short durations");
        let longest = if self.without == Some(Rule::KeepLongest) { seconds } else { longest };
        RecordedLease { uid: number(&lease.uid), seconds, longest, silent }
    }

    fn route(&self, write: &RouteWrite) -> Request {
        let endpoint = write
            .content
            .endpoints
            .first()
            .map(|endpoint| EndpointObject { pod: self.uid(&endpoint.pod), ready: endpoint.ready });
        let version = u8::try_from(write.version.0).expect("few versions");
        Request::Route { slice: number(&write.uid), version, term: small(write.term), endpoint }
    }

    /// The slice is created empty, or (without that rule) with the leader that the copies tell.
    fn creation(&self) -> Request {
        let record = self.group.record.filter(|_| self.without == Some(Rule::EmptyCreation));
        let leader = record.and_then(|record| record.leader);
        let endpoint = leader.map(|pod| EndpointObject { pod, ready: true });
        Request::CreateSlice { term: record.map(|record| record.term), endpoint }
    }

    fn status(&self, status: &GroupStatus) -> Option<Request> {
        let record = status.record.as_ref().map(|record| RecordObject {
            given_up: given_up(status).filter(|_| self.group.observed),
            lease: self.recorded_lease(status),
            ..self.record_object(record)
        });
        let GroupObject { uid: group, version, .. } = self.group;
        let again = |(before, after): (RecordObject, RecordObject)| {
            before.leader == after.leader && before.term < after.term && before.leader.is_some()
        };
        if self.without == Some(Rule::RecordAgain) && self.group.record.zip(record).is_some_and(again) {
            return None;
        }
        Some(Request::Status { group, version, record })
    }

    fn record_object(&self, record: &LeaderRecord) -> RecordObject {
        let leader = record.leader_id().map(|id| self.uid(id));
        let mut unfenced = match &record.unfenced {
            Unfenced::All => EVERY_POD,
            Unfenced::Pods(pods) => pods.iter().fold(0, |set, id| set | (1 << self.uid(id))),
        };
        let previous = self.group.record.and_then(|before| before.leader);
        if unfenced != 0 && self.without == Some(Rule::InheritUnfenced) && self.group.record.is_some() {
            let moved = previous.filter(|previous| Some(*previous) != leader);
            unfenced = moved.map_or(0, |previous| 1 << previous);
        }
        if self.without == Some(Rule::EveryPodUnfenced) {
            unfenced &= !EVERY_POD;
        }
        let lease = RecordedLease::default();
        RecordObject { leader, term: small(record.term), unfenced, given_up: None, lease }
    }
}
