//! Arbitrary snapshots, biased towards the interesting ones. There are few pods and few UIDs, and
//! their terms and times are near each other. Pods have owners of all kinds, and records that match
//! them or do not.
//!
//! The cache guarantees some facts for every snapshot, so these hold here too. UIDs and versions
//! are unique. A gone pod is not in the list. No time lies in the future. A pod that the group does
//! not select is present for one of two reasons. The group owns it, or its record names it.

use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::routes::some_routes;
use super::*;
use planner::seen::SeenService;
use planner::seen::{Condition, LeaderChange, Refusal, Stamp};

/// Every identity that a snapshot may have: two generations of `a` and of `b`, and one `c`.
pub fn universe() -> Vec<Identity> {
    ["a/1", "a/2", "b/3", "b/4", "c/5"].map(|text| Identity::parse(text).expect("a test's identity")).to_vec()
}

fn terms() -> impl Strategy<Value = Term> {
    let usual = (0u64..7).prop_map(term);
    let last = select(vec![Term::MAX, term(Term::MAX.get() - 1)]);
    prop_oneof![60 => usual, 1 => last]
}

/// A moment that is not in the future.
fn past() -> impl Strategy<Value = Millis> {
    let ago = prop_oneof![Just(0u64), 1..5u64, 900..1100u64, 1900..8100u64, Just(60_000u64), Just(NOW.0)];
    ago.prop_map(|ago| Millis(NOW.0 - ago))
}

fn spans() -> impl Strategy<Value = Millis> {
    prop_oneof![3 => Just(0u64), 1 => 1..4u64, 1 => 1000..9000u64, 1 => Just(3_600_000u64)].prop_map(Millis)
}

fn policies() -> impl Strategy<Value = GroupPolicy> {
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.15));
    let times = (spans(), spans(), spans(), 1..8u64, 3..20u32);
    let mode = prop_oneof![3 => Just(ElectionMode::Managed), 2 => Just(ElectionMode::Observed)];
    let others = (select(vec![0usize, 1, 2, 10]), mode, weighted(0.3, spans()));
    (flags, times, others).prop_map(|(flags, times, (history_limit, mode, failback_after))| {
        let (followers_are_labelled, clear_without_candidate, paused) = flags;
        let (not_ready, min_ready, cooldown, renew, lease_duration_seconds) = times;
        let renew = Millis::from_seconds(renew);
        GroupPolicy {
            mode,
            lease_name: "orders".to_owned(),
            lease_duration_seconds,
            renew,
            role_key: "role".to_owned(),
            followers_are_labelled,
            nominee_timeout: Millis::from_seconds(5),
            not_ready,
            min_ready,
            cooldown,
            clear_without_candidate,
            failback_after,
            paused,
            history_limit,
        }
    })
}

fn owners() -> impl Strategy<Value = Owner> {
    let other = Identity::new("other", "other-uid");
    let vanished = select(vec!["old-uid", "older-uid"]).prop_map(|uid| Identity::new("orders", uid));
    prop_oneof![
        4 => Just(Owner::None),
        8 => Just(Owner::Ours),
        1 => Just(Owner::Other(other)),
        1 => vanished.prop_map(Owner::Vanished),
    ]
}

fn memberships() -> impl Strategy<Value = Membership> {
    let claimed = select(vec!["elder", "eldest"]).prop_map(|name| Membership::ClaimedBy(name.to_owned()));
    prop_oneof![16 => Just(Membership::Selected), 1 => claimed, 2 => Just(Membership::Deselected)]
}

fn roles() -> impl Strategy<Value = Role> {
    prop_oneof![
        2 => Just(Role::Absent),
        3 => Just(Role::Leader),
        4 => Just(Role::Follower),
        1 => Just(Role::Other),
    ]
}

fn phases() -> impl Strategy<Value = PodPhase> {
    prop_oneof![8 => Just(PodPhase::Running), 1 => Just(PodPhase::NotRunning), 1 => Just(PodPhase::Finished)]
}

prop_compose! {
    fn health()(
        phase in phases(),
        ready in prop::bool::weighted(0.8),
        ready_seen_at in past(),
        terminating in prop::bool::weighted(0.1),
        standing_changed_at in past(),
        disrupted in prop::bool::weighted(0.05),
        excluded in prop::bool::weighted(0.1),
        of_job in prop::bool::weighted(0.05),
        seen_at in past(),
        identity in weighted(0.2, select(vec!["id-1", "somebody", "a"])),
        silence in weighted(0.2, prop_oneof![Just(0u64), 1..3000u64, 5_000..90_000u64]),
    ) -> SeenPod {
        let node_silent_from = silence.map(|span| Millis(NOW.0 - 2000 + span));
        let identity = identity.map(str::to_owned);
        SeenPod {
            phase, ready, seen_at, identity, ready_seen_at, terminating, standing_changed_at,
            disrupted, excluded, of_job, node_silent_from, ..pod("x")
        }
    }
}

prop_compose! {
    fn pods_of(identity: Identity, version: u64)(
        health in health(),
        membership in memberships(),
        role in roles(),
        of_term in weighted(0.8, terms()),
        owner in owners(),
        weight in select(vec![0i64, 0, 0, 1, -1000, i64::MAX, i64::MIN]),
        revision in of(select(vec!["r1", "r2"])),
        created_seconds in 0..3i64,
        ready_since_seconds in of(0..3i64),
        released_by_controller in prop::bool::weighted(0.02),
    ) -> SeenPod {
        let released_by_controller = released_by_controller && owner == Owner::Ours;
        let other_role = (role == Role::Other).then(|| "worker".to_owned());
        let revision = revision.map(str::to_owned);
        let (id, version, term) = (identity.clone(), Version(version), of_term);
        SeenPod {
            id, version, membership, role, other_role, released_by_controller, term, owner, weight,
            revision, created_seconds, ready_since_seconds, ..health
        }
    }
}

fn some_pods() -> impl Strategy<Value = Vec<SeenPod>> {
    let chosen = subsequence(universe(), 0..=4).prop_shuffle();
    chosen.prop_flat_map(|ids| {
        let pods = ids.into_iter().enumerate();
        pods.map(|(at, id)| pods_of(id, 100 + at as u64)).collect::<Vec<_>>()
    })
}

fn unfenced() -> impl Strategy<Value = Unfenced> {
    prop_oneof![
        3 => Just(Unfenced::NONE),
        4 => subsequence(universe(), 1..=3).prop_map(Unfenced::Pods),
        2 => Just(Unfenced::All),
    ]
}

prop_compose! {
    fn records()(
        leader in weighted(0.85, (select(universe()), of(select(vec!["a", "b"])))),
        term in terms(),
        unfenced in unfenced(),
    ) -> LeaderRecord {
        let leader = leader.map(|(mut id, renamed)| {
            // Now and then a user edits the name in the status.
            if let Some(name) = renamed.filter(|_| term.get() == 6) {
                name.clone_into(&mut id.name);
            }
            RecordedLeader { id, node: None, ip: None, since: Micros(WALL.0 - 5) }
        });
        LeaderRecord { leader, term, unfenced }
    }
}

prop_compose! {
    fn changes()(
        term in terms(),
        leader in of(select(vec!["a", "b", "c"])),
        switchover in any::<bool>(),
        labelled in any::<bool>(),
    ) -> LeaderChange {
        LeaderChange {
            term,
            leader: leader.map(str::to_owned),
            previous: None,
            reason: if switchover { "Switchover" } else { "LeaderDeleted" }.to_owned(),
            detected_at: WALL,
            elected_at: WALL,
            labelled_at: labelled.then_some(Stamp::At(WALL)),
            routed_at: None,
        }
    }
}

fn some_conditions() -> impl Strategy<Value = Vec<Condition>> {
    let kinds = vec!["Accepted", "CandidatesAvailable", "LeaderElected", "Ready", "Unknown"];
    let condition = |kind: &str, holds| Condition {
        kind: kind.to_owned(),
        holds,
        reason: "Before".to_owned(),
        message: String::new(),
        generation: Some(1),
        changed_at_seconds: 7,
    };
    (subsequence(kinds, 0..=5), any::<bool>())
        .prop_map(move |(kinds, holds)| kinds.into_iter().map(|kind| condition(kind, holds)).collect())
}

prop_compose! {
    fn statuses()(
        record in weighted(0.85, records()),
        history in vec(changes(), 0..3),
        conditions in some_conditions(),
        candidates in 0..3usize,
    ) -> GroupStatus {
        GroupStatus { record, history, conditions, candidates, ..GroupStatus::default() }
    }
}

prop_compose! {
    pub fn leases()(
        owner in prop_oneof![7 => Just(Owner::Ours), 3 => owners()],
        holder in prop_oneof![
            1 => Just(None),
            1 => Just(Some("")),
            8 => select(vec!["a", "b", "c", "a_1", "b_", "_a", "id-1", "somebody"]).prop_map(Some),
        ],
        duration_seconds in prop_oneof![
            6 => Just(Some(15)),
            1 => Just(None),
            2 => (-1..20i32).prop_map(Some),
        ],
        transitions in select(vec![0, 1, i32::MAX]),
        term in of(terms()),
        adopted in prop::bool::weighted(0.2),
        changed_at in past(),
        change_was_seen in prop::bool::weighted(0.8),
    ) -> SeenLease {
        let content = LeaseContent {
            uid: "lease-uid".to_owned(),
            version: Version(50),
            owner,
            holder: holder.map(str::to_owned),
            duration_seconds,
            transitions,
            term,
            adopt: adopted.then(|| "orders".to_owned()),
            times: (None, Some(3)),
            ..LeaseContent::default()
        };
        SeenLease { change_was_seen, ..SeenLease::first_seen(content, changed_at) }
    }
}

fn groups() -> impl Strategy<Value = SeenGroup> {
    let refusal = Refusal { reason: "InvalidSelector", message: "bad".to_owned() };
    let policy = prop_oneof![30 => policies().prop_map(Ok), 1 => Just(Err(refusal))];
    let switchover = weighted(0.15, select(vec!["a", "b", "c", "nobody"]));
    (policy, statuses(), switchover).prop_map(|(policy, status, switchover)| SeenGroup {
        id: group_id(),
        version: Version(7),
        generation: 1,
        policy,
        status,
        switchover: switchover.map(str::to_owned),
    })
}

fn some_services() -> impl Strategy<Value = Vec<SeenService>> {
    let service =
        (roles(), any::<bool>(), any::<bool>()).prop_map(|(role, publishes_not_ready, shared)| SeenService {
            id: Identity::new("orders", "service-uid"),
            role,
            value: "whatever".to_owned(),
            publishes_not_ready,
            other_group: shared.then(|| "other".to_owned()),
        });
    weighted(0.2, service).prop_map(|service| service.into_iter().collect())
}

/// Any snapshot that keeps the guarantees above.
pub fn snapshots() -> impl Strategy<Value = Snapshot> {
    let others =
        (weighted(0.8, leases()), past(), past(), 0..3u8, subsequence(universe(), 0..=3), any::<bool>());
    (groups(), some_pods(), others, some_services(), some_routes(&universe())).prop_map(
        |(group, pods, others, services, routes)| {
            let (lease, record_seen_at, reported_at, listed, gone, was_terminating) = others;
            let listed_for = match listed {
                0 => None,
                1 => Some(Version(6)),
                _ => Some(group.version),
            };
            let mut snapshot = Snapshot {
                now: NOW,
                wall: WALL,
                group,
                pods,
                gone: BTreeMap::new(),
                lease,
                listed_for,
                routes: Vec::new(),
                unrouted: Vec::new(),
                route_refusal: None,
                services,
                budgets: Vec::new(),
                warned: BTreeSet::new(),
                record_seen_at,
                cooldown_from: record_seen_at,
                reported_at,
                reported_by_other: false,
            };
            let absent = gone.into_iter().filter(|id| snapshot.pod(id).is_none());
            snapshot.gone =
                absent.map(|id| (id.uid, GonePod { at: NOW, was_terminating, had_ended: false })).collect();
            drop_unseen_pods(&mut snapshot);
            routes.enter(&mut snapshot);
            snapshot
        },
    )
}

fn drop_unseen_pods(snapshot: &mut Snapshot) {
    let named = named_by_record(snapshot);
    snapshot.pods.retain(|pod| {
        let owned = pod.owner == Owner::Ours;
        pod.membership != Membership::Deselected || owned || named.contains(&pod.id.uid)
    });
}

fn named_by_record(snapshot: &Snapshot) -> Vec<String> {
    let Some(record) = snapshot.record() else {
        return Vec::new();
    };
    let unfenced = match &record.unfenced {
        Unfenced::All => &[],
        Unfenced::Pods(pods) => pods.as_slice(),
    };
    record.leader_id().into_iter().chain(unfenced).map(|id| id.uid.clone()).collect()
}
