//! Builders shared by the tests of the pure planner: small groups, and plans in words.
#![allow(dead_code, unreachable_pub, clippy::must_use_candidate)] // each test crate uses a part of this

pub mod arbitrary;
pub mod nominated;
pub mod routes;
pub mod tables;

use std::collections::{BTreeMap, BTreeSet};

use planner::plan::{
    Fact, Intent, LeaseAction, LeaseWrite, NewNomination, NominationAction, NominationWrite, Plan, RouteWrite,
};
use planner::plan_group;
use planner::seen::{
    ElectionMode, GonePod, GroupPolicy, GroupStatus, LeaderRecord, Membership, Owner, PodNetwork, PodPhase,
    RecordedLeader, Role, SeenGroup, SeenPod, Snapshot, Unfenced,
};
use planner::seen::{LeaseContent, SeenLease};
use planner::{Identity, Micros, Millis, Term, Version};

/// The monotonic time at which every test begins.
pub const NOW: Millis = Millis(1_000_000);
/// The same moment as wall-clock time: a whole second.
pub const WALL: Micros = Micros(1_800_000_000_000_000);
/// A moment long before `NOW`.
pub const LONG_AGO: Millis = Millis(10_000);

pub fn term(value: u64) -> Term {
    Term::new(value).expect("a term of a test is at most 2^53")
}

pub fn id(name: &str) -> Identity {
    Identity::new(name, format!("{name}-uid"))
}

pub fn group_id() -> Identity {
    Identity::new("orders", "group-uid")
}

pub fn policy() -> GroupPolicy {
    GroupPolicy {
        mode: ElectionMode::Managed,
        lease_name: "orders".to_owned(),
        lease_duration_seconds: 15,
        renew: Millis::from_seconds(5),
        role_key: "role".to_owned(),
        followers_are_labelled: true,
        not_ready: Millis(0),
        nominee_timeout: Millis::from_seconds(5),
        min_ready: Millis(0),
        cooldown: Millis(0),
        clear_without_candidate: false,
        failback_after: None,
        paused: false,
        history_limit: 10,
    }
}

/// An eligible pod without an owner.
pub fn pod(name: &str) -> SeenPod {
    SeenPod {
        id: id(name),
        version: Version(100 + u64::from(name.bytes().fold(0u8, u8::wrapping_add))),
        seen_at: Millis(0),
        identity: None,
        membership: Membership::Selected,
        role: Role::Absent,
        other_role: None,
        released_by_controller: false,
        term: None,
        owner: Owner::None,
        phase: PodPhase::Running,
        ended: false,
        ready: true,
        ready_seen_at: LONG_AGO,
        ready_since_seconds: Some(1_000),
        terminating: false,
        standing_changed_at: LONG_AGO,
        disrupted: false,
        excluded: false,
        of_job: false,
        ignored: None,
        weight: 0,
        revision: None,
        created_seconds: 500,
        node: Some("node-1".to_owned()),
        host_network: false,
        node_silent_from: None,
        ip: Some("10.0.0.1".to_owned()),
        network: PodNetwork::default(),
    }
}

/// An eligible pod that the group owns, with the follower label of that term.
pub fn follower(name: &str, of: u64) -> SeenPod {
    SeenPod { role: Role::Follower, term: Some(term(of)), owner: Owner::Ours, ..pod(name) }
}

/// An eligible pod that the group owns, with the leader label of that term.
pub fn leader(name: &str, of: u64) -> SeenPod {
    SeenPod { role: Role::Leader, term: Some(term(of)), owner: Owner::Ours, ..pod(name) }
}

/// The pod deleted and created again: the same name, another UID, no labels.
pub fn recreated(mut pod: SeenPod) -> SeenPod {
    pod.id.uid.push_str("-2");
    SeenPod {
        version: Version(pod.version.0 + 1000),
        role: Role::Absent,
        term: None,
        owner: Owner::None,
        ..pod
    }
}

/// The pod after `change`.
pub fn with(mut pod: SeenPod, change: impl FnOnce(&mut SeenPod)) -> SeenPod {
    change(&mut pod);
    pod
}

/// A group that was created just now, without status and Lease.
pub fn fresh(pods: impl IntoIterator<Item = SeenPod>) -> Snapshot {
    Snapshot {
        now: NOW,
        wall: WALL,
        group: SeenGroup {
            id: group_id(),
            version: Version(7),
            generation: 1,
            policy: Ok(policy()),
            status: GroupStatus::default(),
            switchover: None,
        },
        pods: pods.into_iter().collect(),
        gone: BTreeMap::new(),
        lease: None,
        listed_for: None,
        routes: Vec::new(),
        unrouted: Vec::new(),
        route_refusal: None,
        services: Vec::new(),
        budgets: Vec::new(),
        warned: BTreeSet::new(),
        record_seen_at: LONG_AGO,
        cooldown_from: LONG_AGO,
        reported_at: LONG_AGO,
        reported_by_other: false,
    }
}

pub fn record(name: &str, of: u64) -> LeaderRecord {
    let leader = RecordedLeader { id: id(name), node: None, ip: None, since: Micros(WALL.0 - 1) };
    LeaderRecord { leader: Some(leader), term: term(of), unfenced: Unfenced::NONE }
}

/// The Lease as the operator itself writes it, renewed just now.
pub fn lease(holder: &str, of: u64) -> SeenLease {
    let record = LeaseContent {
        uid: "lease-uid".to_owned(),
        version: Version(50),
        owner: Owner::Ours,
        holder: Some(holder.to_owned()),
        duration_seconds: Some(15),
        transitions: 3,
        term: Some(term(of)),
        adopt: None,
        times: (Some(1), Some(2)),
        ..LeaseContent::default()
    };
    SeenLease { change_was_seen: true, ..SeenLease::first_seen(record, NOW) }
}

/// A group led by `name` in term `of`. It needs no write if `pods` match that.
pub fn led(name: &str, of: u64, pods: impl IntoIterator<Item = SeenPod>) -> Snapshot {
    let mut snapshot = fresh(pods);
    snapshot.group.status.record = Some(record(name, of));
    snapshot.lease = Some(lease(name, of));
    snapshot
}

/// `a` leads in term 3, `b` and `c` follow, and no write is due.
pub fn steady() -> Snapshot {
    let group = led("a", 3, [leader("a", 3), follower("b", 3), follower("c", 3)]);
    Snapshot { reported_at: LONG_AGO, ..settled(group) }
}

pub fn pod_mut<'a>(snapshot: &'a mut Snapshot, name: &str) -> &'a mut SeenPod {
    snapshot.pods.iter_mut().find(|pod| pod.id.name == name).expect("the test's pod is there")
}

/// The operator has just seen that the pod is not Ready.
pub fn unready(snapshot: &mut Snapshot, name: &str) {
    let now = snapshot.now;
    let pod = pod_mut(snapshot, name);
    (pod.ready, pod.ready_seen_at) = (false, now);
}

pub fn policy_mut(snapshot: &mut Snapshot) -> &mut GroupPolicy {
    snapshot.group.policy.as_mut().expect("the test's policy is valid")
}

/// The watch has delivered the pod's DELETED event.
pub fn delete(snapshot: &mut Snapshot, name: &str) {
    let at = snapshot.now;
    snapshot.pods.retain(|pod| pod.id.name != name);
    snapshot.gone.insert(id(name).uid, GonePod { at, was_terminating: false, had_ended: false });
}

/// Applies the plan to the snapshot, as if every write succeeded.
pub fn apply(snapshot: &mut Snapshot, plan: &Plan) {
    for intent in plan.intents() {
        snapshot.project(intent);
    }
}

/// Plans and applies until a plan is empty, and returns the plans.
pub fn settle(snapshot: &mut Snapshot) -> Vec<Plan> {
    let mut plans = Vec::new();
    loop {
        let next = plan_group(snapshot);
        if next.steps().is_empty() {
            return plans;
        }
        apply(snapshot, &next);
        plans.push(next);
        assert!(plans.len() < 9, "never comes to rest: {:#?}", plans.last());
    }
}

pub fn settled(mut snapshot: Snapshot) -> Snapshot {
    settle(&mut snapshot);
    snapshot
}

/// The names of the pods with the leader label, sorted.
pub fn labelled(snapshot: &Snapshot) -> Vec<&str> {
    let pods = snapshot.pods.iter().filter(|pod| pod.role == Role::Leader);
    let mut names: Vec<_> = pods.map(|pod| pod.id.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// The plan in words: one line for each step, with its intents sorted and joined by commas.
pub fn told(snapshot: &Snapshot) -> Vec<String> {
    let mut view = snapshot.clone();
    let mut lines = Vec::new();
    for step in plan_group(snapshot).steps() {
        let mut words: Vec<_> = step.intents.iter().map(|intent| word(&mut view, intent)).collect();
        words.sort();
        let gap = if step.after_fence == Millis(0) {
            String::new()
        } else {
            format!("{} ms; ", step.after_fence.0)
        };
        lines.push(gap + &words.join(", "));
    }
    lines
}

fn word(view: &mut Snapshot, intent: &Intent) -> String {
    let word = match intent {
        Intent::WriteStatus(status) => status_word(view, status),
        Intent::Confirm(Fact::PodGone(pod)) => format!("confirm pod {} gone", pod.name),
        Intent::Confirm(Fact::GroupGone(group)) => format!("confirm group {} gone", group.name),
        Intent::Confirm(Fact::GroupExists(group)) => format!("confirm group {} exists", group.name),
        Intent::Confirm(Fact::PodUnchanged(pod, _)) => format!("confirm pod {} unchanged", pod.name),
        Intent::Confirm(Fact::Record { .. }) => "confirm record".to_owned(),
        Intent::Confirm(Fact::Lease { .. }) => "confirm lease".to_owned(),
        Intent::Confirm(Fact::NodeSilent(node)) => format!("confirm node {node} silent"),
        Intent::Confirm(Fact::NoOtherSlices { service, .. }) => {
            format!("confirm no other slices of {service}")
        }
        Intent::ListPods(term) => format!("list {term}"),
        Intent::Fence(write) => format!("fence {} {}", write.pod.name, write.term),
        Intent::Promote(write) => format!("promote {} {}", write.pod.name, write.term),
        Intent::LabelFollower(write) => format!("follower {} {}", write.pod.name, write.term),
        Intent::Release(pod, _) => format!("release {}", pod.name),
        Intent::WriteLease(write) => lease_word(write),
        Intent::WriteNomination(write) => nomination_word(write),
        Intent::Route(write) => route_word(write),
        Intent::CreateSlice(slice, _) => format!("create slice of {}", slice.service),
        Intent::DeleteSlice(slice, ..) => format!("delete slice of {}", slice.service),
        Intent::DropSwitchover => "drop switchover".to_owned(),
        Intent::AnnounceChange(change) => format!("change {}", change.reason),
        Intent::PublishEvent(notice) | Intent::WarnOnce(_, notice) => format!("event {}", notice.reason),
    };
    view.project(intent);
    word
}

fn route_word(write: &RouteWrite) -> String {
    let pods: Vec<_> = write.content.endpoints.iter().map(|endpoint| endpoint.pod.name.as_str()).collect();
    let pod = if pods.is_empty() { "nothing".to_owned() } else { pods.join(" and ") };
    let not_ready =
        if write.content.endpoints.iter().all(|endpoint| endpoint.ready) { "" } else { " not ready" };
    format!("route {} to {pod}{not_ready} {}", write.slice.service, write.term)
}

fn lease_word(write: &LeaseWrite) -> String {
    let turn = match write.action {
        LeaseAction::Take => "take",
        LeaseAction::Renew => "renew",
        LeaseAction::Release => "release",
    };
    let holder = write.holder.as_ref().map_or("-", |pod| &pod.name);
    format!("{turn} lease {holder} {}", write.term)
}

fn nomination_word(write: &NominationWrite) -> String {
    let to = |nomination: &NewNomination| format!("{} {}", nomination.nominee.name, nomination.term);
    match &write.action {
        NominationAction::Create => "create lease".to_owned(),
        NominationAction::Nominate(nomination) => format!("nominate {}", to(nomination)),
        NominationAction::ClearAndNominate(nomination) => format!("clear and nominate {}", to(nomination)),
        NominationAction::Clear => "clear lease".to_owned(),
    }
}

fn status_word(view: &Snapshot, status: &GroupStatus) -> String {
    let key = |status: &GroupStatus| {
        let record = status.record.as_ref()?;
        Some((record.leader_id().map(|id| id.uid.clone()), record.term))
    };
    if key(&view.group.status) == key(status) {
        return "status".to_owned();
    }
    let Some(record) = &status.record else {
        return "record lost".to_owned();
    };
    let leader = record.leader_id().map_or("nobody", |id| id.name.as_str());
    let unfenced = match &record.unfenced {
        Unfenced::All => "*".to_owned(),
        Unfenced::Pods(pods) => pods.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>().join(" "),
    };
    format!("record {leader} {} [{unfenced}]", record.term)
}
