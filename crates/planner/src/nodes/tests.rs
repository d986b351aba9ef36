//! Which nodes are silent, rule by rule.

use super::*;

const PATIENCE: Millis = Millis(35_000);
const USUAL: Option<i32> = Some(40);

fn hear(beats: &mut Heartbeats, nodes: &[&str], now: u64) {
    for node in nodes {
        // Versions rise with time.
        beats.hear(node, Version(now + 1), renew_interval(USUAL), Millis(now));
    }
}

fn heard_at(now: u64, nodes: &[&str]) -> Heartbeats {
    let mut beats = Heartbeats::default();
    hear(&mut beats, nodes, now);
    beats
}

fn is_silent(beats: &mut Heartbeats, node: &str, now: u64) -> bool {
    beats.look(Millis(now)).silent_from(node, PATIENCE).is_some_and(|from| from <= Millis(now))
}

/// These nodes send a heartbeat every 10 s from `from` on, until before `until`.
fn keep_hearing(beats: &mut Heartbeats, nodes: &[&str], from: u64, until: u64) {
    (from..until).step_by(10_000).for_each(|now| hear(beats, nodes, now));
}

#[test]
fn a_node_is_silent_after_the_patience_and_heard_again_at_once() {
    let mut beats = heard_at(0, &["a", "b", "c"]);
    keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
    assert!(!is_silent(&mut beats, "c", 34_999));
    assert!(is_silent(&mut beats, "c", 35_000));
    let interval = renew_interval(USUAL);
    assert_eq!(beats.hear("c", Version(40_000), interval, Millis(40_000)), Some(Millis(40_000)));
    assert!(!is_silent(&mut beats, "c", 40_000));
}

#[test]
fn one_lost_renewal_is_no_silence_whatever_the_patience() {
    let mut beats = heard_at(0, &["a", "b", "c"]);
    keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
    let look = beats.look(Millis(20_800));
    for patience in [1, 15] {
        assert_eq!(look.silent_from("c", Millis::from_seconds(patience)), Some(Millis(25_000)));
    }
}

#[test]
fn a_node_that_renews_more_rarely_is_not_silent_sooner_than_it_says() {
    let mut beats = heard_at(0, &["a", "b"]);
    beats.hear("lazy", Version(1), renew_interval(Some(120)), Millis(0));
    keep_hearing(&mut beats, &["a", "b"], 10_000, 90_000);
    assert!(!is_silent(&mut beats, "lazy", 74_999));
    assert!(is_silent(&mut beats, "lazy", 75_000));
}

#[test]
fn a_lease_that_says_nothing_of_use_is_renewed_as_usual() {
    for seconds in [None, Some(0), Some(-40), Some(40)] {
        assert_eq!(renew_interval(seconds), Millis::from_seconds(10), "{seconds:?}");
    }
    assert_eq!(renew_interval(Some(120)), Millis::from_seconds(30));
    assert_eq!(renew_interval(Some(i32::MAX)), Millis(250 * 2_147_483_647));
}

#[test]
fn only_a_silence_that_may_have_counted_is_told() {
    let mut beats = heard_at(0, &["a"]);
    let mut tell = |version, now| beats.hear("a", Version(version), renew_interval(USUAL), Millis(now));
    assert_eq!(tell(2, 24_999), Some(Millis(0)));
    assert_eq!(tell(3, 49_999), Some(Millis(25_000)));
    assert_eq!(tell(3, 90_000), None);
}

#[test]
fn a_known_version_in_a_fresh_list_is_no_sign_of_life() {
    let mut beats = heard_at(0, &["a", "b", "c"]);
    keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
    assert_eq!(beats.hear("c", Version(1), renew_interval(USUAL), Millis(34_000)), None);
    assert!(is_silent(&mut beats, "c", 35_000));
}

#[test]
fn most_nodes_late_at_once_silences_nobody_and_counting_starts_afresh() {
    let mut beats = heard_at(0, &["a", "b", "c"]);
    assert!(!is_silent(&mut beats, "c", 40_000));
    hear(&mut beats, &["a"], 41_000);
    hear(&mut beats, &["b"], 42_000);
    assert!(!is_silent(&mut beats, "c", 42_000));
    keep_hearing(&mut beats, &["a", "b"], 51_000, 80_000);
    assert!(!is_silent(&mut beats, "c", 76_999));
    assert!(is_silent(&mut beats, "c", 77_000));
}

/// The first of them is due when the others are not, and one node was silent before.
#[test]
fn nodes_that_fall_silent_together_are_most_nodes_before_the_first_of_them_is_due() {
    let nodes = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let mut beats = heard_at(0, &nodes);
    keep_hearing(&mut beats, &nodes[1..], 10_000, 30_000);
    hear(&mut beats, &nodes[6..], 30_000);
    for (node, at) in ["b", "c", "d", "e", "f"].into_iter().zip([30_000, 31_000, 32_000, 33_000, 33_000]) {
        hear(&mut beats, &[node], at);
    }
    for now in (34_000..120_000).step_by(500) {
        if now % 10_000 == 0 {
            hear(&mut beats, &nodes[6..], now);
        }
        assert!(!is_silent(&mut beats, "b", now), "at {now}");
    }
}

/// The API server that two of three nodes talk to is gone. Each node renews at a moment of its own,
/// so the first one is due while the other has just been late.
#[test]
fn two_of_three_nodes_that_fall_silent_together_keep_their_leaders() {
    for apart in [0, 3_000, 9_999] {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        hear(&mut beats, &["b"], 20_000);
        hear(&mut beats, &["c"], 20_000 + apart);
        for now in (20_000 + apart..300_000).step_by(500) {
            hear(&mut beats, &["a"], now);
            let silent = ["b", "c"].map(|node| is_silent(&mut beats, node, now));
            assert_eq!(silent, [false; 2], "at {now}, {apart} ms apart");
        }
    }
}

#[test]
fn half_of_the_nodes_are_not_most() {
    let mut beats = heard_at(0, &["a", "b", "c", "d"]);
    keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
    assert!(is_silent(&mut beats, "c", 35_000) && is_silent(&mut beats, "d", 35_000));
}

#[test]
fn a_node_that_is_gone_counts_as_silent_from_when_it_would_have_anyway() {
    for gone_from_a_list in [false, true] {
        let mut beats = heard_at(0, &["a", "b", "c"]);
        if gone_from_a_list {
            beats.keep(&["a", "b"].map(str::to_owned).into(), Millis(5_000));
        } else {
            beats.forget("c", Millis(5_000));
        }
        keep_hearing(&mut beats, &["a", "b"], 10_000, 40_000);
        assert!(!is_silent(&mut beats, "c", 34_999));
        assert!(is_silent(&mut beats, "c", 35_000));
        // Back, with a Lease of its own again.
        hear(&mut beats, &["c"], 40_000);
        assert!(!is_silent(&mut beats, "c", 40_000));
    }
}

#[test]
fn nodes_that_are_gone_are_no_part_of_most_nodes() {
    let mut beats = heard_at(0, &["a", "b", "c", "d", "e"]);
    for node in ["c", "d", "e"] {
        beats.forget(node, Millis(5_000));
    }
    keep_hearing(&mut beats, &["a"], 10_000, 40_000);
    assert!(is_silent(&mut beats, "b", 35_000), "one of two is not most");
}

/// A look at each of thousands of late nodes, for each group and each heartbeat, held the lock of
/// all failovers when nodes came back.
#[test]
fn a_late_node_is_sorted_once_and_not_at_each_look() {
    let mut beats = heard_at(0, &["a", "b", "c"]);
    hear(&mut beats, &["a"], 12_000);
    let sorted = |beats: &Heartbeats| (beats.on_time.len(), beats.late.len());
    assert_eq!(sorted(&beats), (3, 0), "no node is late yet");
    beats.look(Millis(12_501));
    assert_eq!(sorted(&beats), (1, 2));
    hear(&mut beats, &["b"], 13_000);
    assert_eq!(sorted(&beats), (2, 1));
    keep_hearing(&mut beats, &["a", "b"], 20_000, 310_000);
    assert_eq!(sorted(&beats), (2, 0), "the third is left behind");
    hear(&mut beats, &["c"], 310_000);
    beats.forget("a", Millis(310_000));
    assert_eq!(sorted(&beats), (2, 0));
}

#[test]
fn leases_that_nodes_have_left_behind_are_no_part_of_most_nodes() {
    let mut beats = heard_at(0, &["a", "b", "c", "left", "over", "for", "good"]);
    keep_hearing(&mut beats, &["a", "b"], 10_000, 400_000);
    keep_hearing(&mut beats, &["c"], 300_000, 310_000);
    assert!(is_silent(&mut beats, "c", 399_000));
    assert!(!is_silent(&mut beats, "a", 399_000));
}

#[test]
fn a_process_that_was_stopped_for_long_takes_itself_for_cut_off() {
    let mut beats = heard_at(0, &["a", "b", "c"]);
    assert!(!is_silent(&mut beats, "c", 3_600_000));
    hear(&mut beats, &["a"], 3_600_001);
    assert!(!is_silent(&mut beats, "c", 3_600_002));
}

#[test]
fn a_node_that_is_gone_is_forgotten_in_the_end() {
    let mut beats = heard_at(0, &["a", "b"]);
    beats.forget("a", Millis(0));
    beats.forget("b", REMEMBERED);
    assert_eq!(beats.look(REMEMBERED).silent_from("a", PATIENCE), None);
}

#[test]
fn a_node_never_heard_is_not_silent() {
    assert_eq!(heard_at(0, &["a"]).look(Millis(0)).silent_from("b", PATIENCE), None);
}
