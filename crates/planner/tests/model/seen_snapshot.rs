//! The planner's snapshot of what an operator of the model knows.

use std::collections::BTreeMap;

use planner::reason::Reason;
use planner::seen::{
    ElectionMode, GonePod, GroupStatus, LeaderChange, LeaderRecord, Membership, Owner, PodPhase,
    RecordedLeader, Role, SeenPod, SliceObject, Snapshot, Stamp, Unfenced,
};
use planner::seen::{LeaseContent, SeenLease};
use planner::{Identity, Millis, Version};

use crate::nominated::recorded_lease;
use crate::objects::{EVERY_POD, GENERATIONS, GroupObject, Label, OTHER_GROUP, PodObject};
use crate::operator_state::{Listed, Operator, Times};
use crate::support::routes::{other_slice, routed, slice_object};
use crate::support::{LONG_AGO, NOW, WALL, fresh, pod, term};
use crate::world::Rule;

pub fn number(text: &str) -> u8 {
    text.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number at the end")
}

pub fn name(slot: u8) -> String {
    format!("pod{slot}")
}

pub fn group_identity(uid: u8) -> Identity {
    Identity::new(if uid == OTHER_GROUP { "other" } else { "orders" }, format!("group{uid}"))
}

/// The identity of a pod. With identity by name the UID says no more than the name.
pub fn identity(uid: u8, without: Option<Rule>) -> Identity {
    let by_name = without == Some(Rule::IdentityByUid);
    let uid_text = if by_name { format!("name{}", uid / GENERATIONS) } else { format!("uid{uid}") };
    Identity::new(name(uid / GENERATIONS), uid_text)
}

pub struct Writer<'a> {
    pub op: &'a Operator,
    pub group: GroupObject,
    pub without: Option<Rule>,
}

impl Writer<'_> {
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = fresh(self.pods());
        snapshot.group.id = group_identity(self.group.uid);
        snapshot.group.version = Version(self.group.version.into());
        if let Ok(policy) = &mut snapshot.group.policy {
            policy.mode = match self.group {
                GroupObject { observed: true, .. } => ElectionMode::Observed,
                GroupObject { nominated: true, .. } => ElectionMode::Nominated,
                _ => ElectionMode::Managed,
            };
            policy.lease_duration_seconds = self.group.seconds.into();
        }
        let lease = recorded_lease(Some(self.group));
        let silent = (0..15).filter(|uid| lease.silent & (1 << uid) != 0);
        snapshot.group.status = GroupStatus {
            record: self.record(),
            history: self.history(),
            recorded_lease: self.lease_in_status(lease),
            silent_nominees: silent.map(|uid| identity(uid, self.without)).collect(),
            ..GroupStatus::default()
        };
        snapshot.gone = self.gone();
        snapshot.lease = self.lease();
        snapshot.listed_for = (self.op.listed == Listed::Copy).then_some(snapshot.group.version);
        snapshot.record_seen_at = LONG_AGO;
        if self.group.observed {
            self.set_times(&mut snapshot);
        }
        if !self.group.routed {
            return snapshot;
        }
        let mut snapshot = routed(snapshot, self.slice());
        let rival = self.op.knows_rival.then(|| other_slice(Owner::Other(group_identity(OTHER_GROUP))));
        snapshot.routes[0].others.extend(rival);
        snapshot
    }

    /// Sets the times at which the operator saw things. Only their order matters.
    fn set_times(&self, snapshot: &mut Snapshot) {
        let Times { expired, first_look, lease_after_record, pods_after_lease, .. } = self.op.times;
        let Some(lease) = &mut snapshot.lease else { return };
        let changed_at = Millis(NOW.0 - if expired { 15_000 } else { 1_000 });
        (lease.changed_at, lease.change_was_seen) = (changed_at, !first_look);
        let (before, after) = (Millis(changed_at.0 - 1), Millis(changed_at.0 + 1));
        snapshot.record_seen_at = if lease_after_record { before } else { after };
        for pod in &mut snapshot.pods {
            let late = pods_after_lease & (1 << PodObject::slot(number(&pod.id.uid))) != 0;
            pod.seen_at = if late { after } else { Millis(0) };
        }
    }

    /// The history: only an expired Lease has an effect later.
    fn history(&self) -> Vec<LeaderChange> {
        let record = self.group.record.into_iter();
        let given_up = record.filter_map(|record| Some((record.term, record.given_up?)));
        let change = given_up.map(|(of, slot)| LeaderChange {
            term: term(of.into()),
            leader: None,
            previous: Some(name(slot)),
            reason: Reason::LeaseExpired.as_str().to_owned(),
            detected_at: WALL,
            elected_at: WALL,
            routed_at: None,
            labelled_at: Some(Stamp::At(WALL)),
        });
        change.collect()
    }

    fn is_named(&self, uid: u8) -> bool {
        self.group
            .record
            .is_some_and(|record| record.leader == Some(uid) || record.unfenced & (1 << uid) != 0)
    }

    fn pods(&self) -> Vec<SeenPod> {
        let known = self.op.pods.iter().flatten();
        known
            .filter(|pod| self.group.selects(**pod) || pod.owner == self.group.uid || self.is_named(pod.uid))
            .map(|p| self.pod(*p))
            .collect()
    }

    /// How the operator's own group sees the owner with this UID.
    pub fn owner_of(&self, group: u8) -> Owner {
        match group {
            0 => Owner::None,
            group if group == self.group.uid => Owner::Ours,
            _ if self.without == Some(Rule::NotAnothers) => Owner::None,
            OTHER_GROUP if self.op.knows_other => Owner::Other(group_identity(OTHER_GROUP)),
            group => Owner::Vanished(group_identity(group)),
        }
    }

    fn pod(&self, object: PodObject) -> SeenPod {
        let owner = self.owner_of(object.owner);
        let role = match object.label {
            Label::None => Role::Absent,
            Label::Leader => Role::Leader,
            Label::Follower => Role::Follower,
        };
        let cap =
            self.group.record.filter(|_| self.without == Some(Rule::NotAbove)).map(|record| record.term);
        let of = object.term.map(|of| term(of.min(cap.unwrap_or(of)).into()));
        let selected = self.group.selects(object);
        let membership = if selected { Membership::Selected } else { Membership::Deselected };
        let id = identity(object.uid, self.without);
        let version = Version(object.version.into());
        SeenPod {
            id,
            version,
            membership,
            role,
            term: of,
            owner,
            phase: if object.ended { PodPhase::Finished } else { PodPhase::Running },
            ended: object.ended,
            ready: object.ready,
            ready_seen_at: NOW,
            ..pod("any")
        }
    }

    fn record(&self) -> Option<LeaderRecord> {
        let record = self.group.record?;
        let leader = record.leader.map(|uid| RecordedLeader {
            id: identity(uid, self.without),
            node: Some("node-1".to_owned()),
            ip: Some("10.0.0.1".to_owned()),
            since: crate::support::WALL,
        });
        let named = (0..15).filter(|uid| record.unfenced & (1 << uid) != 0);
        let unfenced = if record.unfenced & EVERY_POD != 0 {
            Unfenced::All
        } else {
            Unfenced::Pods(named.map(|uid| identity(uid, self.without)).collect())
        };
        Some(LeaderRecord { leader, term: term(record.term.into()), unfenced })
    }

    fn gone(&self) -> BTreeMap<String, GonePod> {
        let by_name = self.without == Some(Rule::IdentityByUid);
        let proved = (0..15).filter(|uid| self.op.gone & (1 << uid) != 0);
        let slot_is_empty = |uid: &u8| self.op.pods.get(PodObject::slot(*uid)).is_some_and(Option::is_none);
        let any_ended = self.without == Some(Rule::DeletionProvesNothing);
        let had_ended = |uid: u8| any_ended || self.op.ended & (1 << uid) != 0;
        let gone = |uid| GonePod { at: NOW, was_terminating: false, had_ended: had_ended(uid) };
        proved
            .filter(|uid| !by_name || slot_is_empty(uid))
            .map(|uid| (identity(uid, self.without).uid, gone(uid)))
            .collect()
    }

    fn slice(&self) -> Option<SliceObject> {
        let slice = self.op.slice?;
        let cap = self.group.record.filter(|_| self.without == Some(Rule::NotAboveOnSlices));
        let of = slice.term.map(|of| of.min(cap.map_or(of, |record| record.term)));
        let endpoint = slice.endpoint.map(|endpoint| SeenPod {
            id: identity(endpoint.pod, self.without),
            ready: endpoint.ready,
            ..pod("any")
        });
        Some(SliceObject {
            uid: format!("slice{}", slice.uid),
            version: Version(slice.version.into()),
            ..slice_object(endpoint.as_ref(), of.map(u64::from))
        })
    }

    fn lease(&self) -> Option<SeenLease> {
        let lease = self.op.lease?;
        if self.group.nominated {
            return Some(self.nominated_lease(lease));
        }
        let record = LeaseContent {
            uid: "lease-uid".to_owned(),
            version: Version(lease.version.into()),
            owner: self.owner_of(lease.owner),
            holder: lease.holder.map(name),
            duration_seconds: Some(15),
            transitions: 0,
            term: Some(term(lease.term.into())),
            adopt: None,
            ..LeaseContent::default()
        };
        Some(SeenLease { change_was_seen: true, ..SeenLease::first_seen(record, NOW) })
    }
}
