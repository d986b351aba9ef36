//! Operators that die, stall, or are two.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::feed::{Journal, Revision, What};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World};

const PODS: [&str; 4] = ["a", "b", "c", "d"];

/// What is seen first of a switch that is under way. An operator is struck there.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Recorded,
    Fenced,
    LeaseMoved,
    Promoted,
    After(Duration),
}

impl Moment {
    fn of(number: u64) -> Self {
        match number % 5 {
            0 => Self::Recorded,
            1 => Self::Fenced,
            2 => Self::LeaseMoved,
            3 => Self::Promoted,
            _ => Self::After(Duration::from_millis(number * 7 % 40)),
        }
    }

    /// Waits for it, in the switch that follows the revision `start`.
    async fn await_in(self, world: &World, start: u64) {
        if let Self::After(delay) = self {
            tokio::time::sleep(delay).await;
            return;
        }
        let seen = |journal: &Journal| {
            let mut revisions = journal.all().filter(|revision| revision.number > start);
            let steps = || journal.steps().into_iter().filter(|step| step.number > start);
            match self {
                Self::Recorded => {
                    let term = |group: &Revision| group.object.number("/status/term");
                    let old = journal.of(Kind::Group).rfind(|group| group.number <= start).map(term)?;
                    revisions.any(|new| new.kind == Kind::Group && term(new) > old)
                }
                Self::LeaseMoved => {
                    let old = journal.of(Kind::Lease).rfind(|lease| lease.number <= start)?;
                    let holder = old.object.text("/spec/holderIdentity");
                    revisions.any(|new| {
                        new.kind == Kind::Lease && new.object.text("/spec/holderIdentity") != holder
                    })
                }
                Self::Fenced => steps().any(|step| step.what != What::Gained),
                _ => steps().any(|step| step.what == What::Gained),
            }
            .then_some(())
        };
        world.recorder.until(&format!("{self:?}"), seen).await;
    }
}

/// The name, uid and term of the leader, when the group is Ready in a term above `above`.
async fn until_ready_above(world: &World, above: i64) -> (String, i64) {
    let group = world
        .until(Kind::Group, "orders", &format!("Ready in a term above {above}"), |group| {
            group.has("Ready", "True") && group.number("/status/term") > above
        })
        .await;
    (group.text("/status/leader/name").to_owned(), group.number("/status/term"))
}

/// Makes the leader unable to lead. Returns the revision before which nothing of the switch happened.
async fn strike(world: &World, leader: &str, number: u64) -> u64 {
    world.recorder.catch_up().await;
    let start = world.recorder.journal().all().last().map_or(0, |revision| revision.number);
    if number.is_multiple_of(2) {
        world.set_ready(leader, false).await;
    } else {
        world.delete(Kind::Pod, leader).await;
    }
    start
}

/// Makes it a candidate again.
async fn heal(world: &World, pod: &str, number: u64) {
    if number.is_multiple_of(2) {
        world.set_ready(pod, true).await;
    } else {
        world.pod(pod).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_operator_killed_in_the_middle_of_fifty_switches_never_leaves_two_leaders() {
    let world = World::new("crash-fifty").await;
    let mut operator = world.elected(&PODS, json!({})).await;
    let (mut leader, mut term) = until_ready_above(&world, 0).await;
    for number in 0..50 {
        let start = strike(&world, &leader, number).await;
        Moment::of(number).await_in(&world, start).await;
        operator.kill();
        operator = Operator::spawn(&world);
        let (next, next_term) = until_ready_above(&world, term).await;
        assert_ne!(next, leader);
        heal(&world, &leader, number).await;
        (leader, term) = (next, next_term);
    }
    drop(operator);
    // Each switch was made once: who restarts goes on with the record it finds.
    let leaders = world.finish().await.leaders();
    assert_eq!(leaders.len(), 51, "{leaders:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_outage_longer_than_the_lease_moves_nothing() {
    let world = World::new("crash-outage").await;
    let lease = json!({ "lease": { "durationSeconds": 3, "renewSeconds": 1 } });
    let mut operator = world.elected(&["a", "b"], lease).await;
    operator.kill();
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    // The outage itself.
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.until_endpoint("a").await;
    let untouched = world.get(Kind::Lease, "orders").await.unwrap();
    assert_eq!(untouched.text("/metadata/resourceVersion"), lease.text("/metadata/resourceVersion"));
    let _operator = Operator::start(&world).await;
    let renewed = |now: &Value| now.text("/spec/renewTime") > lease.text("/spec/renewTime");
    let renewed = world.until(Kind::Lease, "orders", "renewed", renewed).await;
    assert_eq!((renewed.text("/spec/holderIdentity"), renewed.number("/spec/leaseTransitions")), ("a", 0));
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.number("/status/term"), 1);
    assert_eq!(world.finish().await.steps().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_leader_lost_during_an_outage_is_replaced_after_it() {
    let world = World::new("crash-meanwhile").await;
    let mut operator = world.elected(&["a", "b"], json!({})).await;
    operator.kill();
    world.delete(Kind::Pod, "a").await;
    world.until(Kind::Pod, "a", "gone", Value::is_null).await;
    let _operator = Operator::start(&world).await;
    let group = world.until_led_by("orders", "b").await;
    assert_eq!(group.text("/status/history/0/reason"), "LeaderDeleted", "{group:#}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn two_operators_at_once_make_one_leader() {
    let world = World::new("crash-two").await;
    let _first = world.elected(&PODS, json!({})).await;
    let _second = Operator::start(&world).await;
    let (mut leader, mut term) = until_ready_above(&world, 0).await;
    for number in 0..10 {
        strike(&world, &leader, number).await;
        let (next, next_term) = until_ready_above(&world, term).await;
        heal(&world, &leader, number).await;
        (leader, term) = (next, next_term);
    }
    world.until_quiet(Duration::from_secs(1)).await;
    world.until(Kind::Group, "orders", "Ready", |group| group.has("Ready", "True")).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_operator_that_stalls_in_a_switch_and_wakes_up_later_changes_nothing() {
    let world = World::new("crash-stalled").await;
    let stalled = world.elected(&PODS, json!({})).await;
    let (mut leader, mut term) = until_ready_above(&world, 0).await;
    for number in 0..8 {
        let start = strike(&world, &leader, number).await;
        Moment::of(number).await_in(&world, start).await;
        stalled.freeze();
        let successor = Operator::start(&world).await;
        let (next, next_term) = until_ready_above(&world, term).await;
        heal(&world, &leader, number).await;
        // One more switch behind its back, away from the pod that it was about to promote.
        strike(&world, &next, number).await;
        let (last, last_term) = until_ready_above(&world, next_term).await;
        heal(&world, &next, number).await;
        stalled.thaw();
        world.until_quiet(Duration::from_millis(500)).await;
        let (now, now_term) = until_ready_above(&world, next_term).await;
        assert_eq!((now, now_term), (last.clone(), last_term));
        drop(successor);
        (leader, term) = (last, last_term);
    }
    world.finish().await;
}
