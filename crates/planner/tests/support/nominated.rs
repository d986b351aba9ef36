//! Arbitrary groups of Nominated mode, and companions that do what companions do.

use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use planner::seen::RecordedLease;

use super::arbitrary::{snapshots, universe};
use super::*;

const UIDS: [&str; 2] = ["lease-uid", "other-uid"];

prop_compose! {
    fn seen_leases()(
        uid in prop_oneof![4 => Just(UIDS[0]), 1 => Just(UIDS[1])],
        owner in prop_oneof![8 => Just(Owner::Ours), 1 => Just(Owner::None),
            1 => Just(Owner::Vanished(Identity::new("old", "old-uid")))],
        holder in weighted(0.6, prop_oneof![6 => select(universe()), 1 => Just(Identity::new("z", "gone"))]),
        nominee in weighted(0.5, prop_oneof![6 => select(universe()), 1 => Just(group_id())]),
        of_term in of(0u64..7),
        duration in prop_oneof![6 => Just(Some(15)), 1 => Just(None), 1 => (1..40i32).prop_map(Some)],
        ages in (0..30_000u64, 0..30_000u64, 0..30_000u64),
    ) -> SeenLease {
        let content = LeaseContent {
            uid: uid.to_owned(),
            version: Version(50),
            owner,
            holder: holder.map(|pod| format!("{}_{}", pod.name, pod.uid)),
            nominee,
            duration_seconds: duration,
            term: of_term.map(term),
            times: (None, Some(3)),
            ..LeaseContent::default()
        };
        let ago = |age: u64| Millis(NOW.0 - age);
        SeenLease {
            changed_at: ago(ages.0),
            nominee_seen_at: ago(ages.1),
            ..SeenLease::first_seen(content, ago(ages.2))
        }
    }
}

fn recorded_leases() -> impl Strategy<Value = RecordedLease> {
    let uid = prop_oneof![4 => Just(UIDS[0]), 1 => Just(UIDS[1])];
    (uid, 3..30u32, 0..30u32).prop_map(|(uid, duration_seconds, more)| RecordedLease {
        uid: uid.to_owned(),
        duration_seconds,
        longest_seconds: duration_seconds + more,
    })
}

/// Any snapshot of a group in Nominated mode. At times its Lease says what the record says.
pub fn nominated_snapshots() -> impl Strategy<Value = Snapshot> {
    let lease = (weighted(0.9, seen_leases()), weighted(0.8, recorded_leases()), 0..3u8);
    let silent = (subsequence(universe(), 0..=2), subsequence(universe(), 0..=1));
    (snapshots(), lease, silent).prop_map(|(mut snapshot, (lease, recorded, agrees), (silent, ended))| {
        if let Ok(policy) = &mut snapshot.group.policy {
            policy.mode = ElectionMode::Nominated;
        }
        for pod in &mut snapshot.pods {
            pod.ended = pod.phase == PodPhase::Finished && ended.contains(&pod.id);
        }
        for (uid, gone) in &mut snapshot.gone {
            gone.had_ended = ended.iter().any(|id| id.uid == *uid);
        }
        snapshot.lease = lease;
        snapshot.group.status.recorded_lease = recorded;
        snapshot.group.status.silent_nominees = silent;
        if agrees > 0 {
            agree(&mut snapshot, agrees == 1);
        }
        snapshot
    })
}

/// The Lease has the record's nomination: taken, or not yet.
fn agree(snapshot: &mut Snapshot, taken: bool) {
    let Some((leader, of)) = snapshot.record().and_then(|r| Some((r.leader_id()?.clone(), r.term))) else {
        return;
    };
    let Some(lease) = &mut snapshot.lease else { return };
    lease.content.term = Some(of);
    lease.content.nominee = (!taken).then(|| leader.clone());
    if taken {
        lease.content.holder = Some(format!("{}_{}", leader.name, leader.uid));
    }
}

/// Any snapshot of any mode.
pub fn every_snapshot() -> impl Strategy<Value = Snapshot> {
    prop_oneof![3 => snapshots(), 2 => nominated_snapshots()]
}

/// The companions' next step: a holder that is asked to end releases, a nominee of a free Lease
/// takes it. False: they have nothing to do.
pub fn companions_act(snapshot: &mut Snapshot) -> bool {
    let now = snapshot.now;
    let Some(lease) = &mut snapshot.lease else { return false };
    let mut content = lease.content.clone();
    content.version.0 += 1;
    let Some(nominee) = content.nominee.clone() else { return false };
    if !content.is_free() {
        content.holder = Some(String::new());
    } else if snapshot.pods.iter().any(|pod| pod.id.uid == nominee.uid) {
        content.holder = Some(format!("{}_{}", nominee.name, nominee.uid));
        content.nominee = None;
        content.duration_seconds = content.nominated_seconds.and_then(|seconds| i32::try_from(seconds).ok());
        content.times = (Some(4), Some(4));
    } else {
        return false;
    }
    lease.note(content, now);
    true
}
