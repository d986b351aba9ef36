use serde_json::Value;

use super::*;
use crate::commands::output::Line;

const HELD: i32 = 10;

fn record(holder: &str, renewed: i64) -> LeaseContent {
    LeaseContent {
        uid: "uid".to_owned(),
        holder: Some(holder.to_owned()),
        duration_seconds: Some(HELD),
        times: (None, Some(renewed)),
        ..LeaseContent::default()
    }
}

/// One step of a story, at a second of the local clock.
#[expect(clippy::large_enum_variant, reason = "stories are short")]
enum StoryStep {
    List,
    See(LeaseContent),
    Listed,
    Gone,
    Wake,
}
use StoryStep::{Gone, List, Listed, See, Wake};

fn told(wanted: &[&str], story: Vec<(u64, StoryStep)>) -> Vec<String> {
    let mut log = LeaseLog::new(wanted.iter().map(|name| (*name).to_owned()));
    let steps = story.into_iter().flat_map(|(second, step)| {
        let now = Millis::from_seconds(second);
        match step {
            List => {
                log.list();
                Vec::new()
            }
            See(record) => log.see("orders", record, now).into_iter().collect(),
            Listed => log.listed(now),
            Gone => log.gone("orders", now).into_iter().collect(),
            Wake => log.expire(now),
        }
    });
    steps.map(|event| event.text()).collect()
}

#[test]
fn each_change_is_told_once_and_renewals_are_not() {
    let story = vec![
        (1, See(record("a", 1))),
        (6, See(record("a", 2))),
        (8, See(record("b", 3))),
        (12, See(record("b", 4))),
        (13, See(record("", 5))),
        (14, See(record("", 5))),
        (15, See(LeaseContent { holder: None, ..record("", 5) })),
        (16, See(record("c", 6))),
        (18, Gone),
    ];
    assert_eq!(
        told(&[], story),
        [
            "orders: held by a, transition 0",
            "orders: held by b, transition 0; a held it for 7.000 s",
            "orders: released; b held it for 5.000 s",
            "orders: held by c, transition 0",
            "orders: deleted; c held it for 2.000 s",
        ]
    );
}

#[test]
fn a_holder_that_does_not_renew_expires_once_after_its_own_duration() {
    let silent = LeaseContent { version: crate::planner::Version(9), ..record("a", 2) };
    let story = vec![
        (1, See(record("a", 1))),
        (10, Wake),
        (10, See(record("a", 2))),
        (19, See(silent.clone())),
        (20, Wake),
        (21, Wake),
        (22, See(silent)),
        (23, See(record("a", 3))),
        (24, See(record("b", 4))),
    ];
    assert_eq!(
        told(&[], story),
        [
            "orders: held by a, transition 0",
            "orders: expired, no renewal was seen in time; a held it for 19.000 s",
            "orders: held by a, transition 0",
            "orders: held by b, transition 0; a held it for 1.000 s",
        ]
    );
}

#[test]
fn a_times_own_clock_counts_for_nothing() {
    let story =
        vec![(1, See(record("a", i64::MAX))), (5, See(record("a", i64::MIN))), (14, Wake), (15, Wake)];
    assert_eq!(told(&[], story).len(), 2, "held at 1, expired at 15 and not before");
}

#[test]
fn what_was_there_at_the_first_look_may_have_held_for_longer() {
    let story = vec![(1, List), (1, See(record("a", 1))), (1, Listed), (4, See(record("", 2)))];
    assert_eq!(
        told(&[], story),
        ["orders: held by a, transition 0", "orders: released; a held it for at least 3.000 s"]
    );
}

#[test]
fn what_a_new_list_lacks_was_deleted() {
    let story = vec![(1, See(record("a", 1))), (2, List), (3, Listed), (4, List), (5, Listed)];
    assert_eq!(
        told(&["orders"], story),
        ["orders: held by a, transition 0", "orders: deleted; a held it for 2.000 s"]
    );
}

#[test]
fn a_name_that_does_not_exist_is_told() {
    let story = vec![(1, List), (1, Listed), (2, See(record("", 1))), (3, Gone), (4, List), (4, Listed)];
    assert_eq!(
        told(&["orders"], story),
        ["orders: does not exist", "orders: free", "orders: does not exist"]
    );
}

#[test]
fn other_names_are_not_told() {
    assert_eq!(told(&["payments"], vec![(1, See(record("a", 1))), (20, Wake)]), [""; 0]);
}

#[test]
fn the_next_wake_up_is_the_first_expiry_and_none_if_nobody_holds() {
    let mut log = LeaseLog::new([]);
    assert_eq!(log.next_expiry(), None);
    log.see("a", record("x", 1), Millis::from_seconds(3));
    log.see("b", record("y", 1), Millis::from_seconds(2));
    log.see("c", record("", 1), Millis::from_seconds(1));
    assert_eq!(log.next_expiry(), Some(Millis::from_seconds(12)));
    log.expire(Millis::from_seconds(12));
    assert_eq!(log.next_expiry(), Some(Millis::from_seconds(13)));
    log.expire(Millis::from_seconds(13));
    assert_eq!(log.next_expiry(), None);
}

#[test]
fn json_names_the_event_the_lease_and_the_span() {
    let mut log = LeaseLog::new([]);
    let at = |millis| Millis(millis);
    let first = log.see("orders", record("a", 1), at(1000)).unwrap();
    let second = log.see("orders", record("b", 2), at(2500)).unwrap();
    let third = log.see("orders", record("", 3), at(2600)).unwrap();
    let json = |event: LeaseEvent| Value::Object(event.json());
    assert_eq!(
        json(first),
        serde_json::json!({ "lease": "orders", "event": "held", "holder": "a", "transitions": 0 })
    );
    assert_eq!(
        json(second),
        serde_json::json!({
            "lease": "orders", "event": "held", "holder": "b", "transitions": 0,
            "previous": { "holder": "a", "heldSeconds": 1.5, "atLeast": false },
        })
    );
    assert_eq!(
        json(third),
        serde_json::json!({
            "lease": "orders", "event": "released", "holder": "b", "heldSeconds": 0.1, "atLeast": false,
        })
    );
}
