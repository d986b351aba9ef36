//! The judge's own tests. Each is a little history.

mod nominated;
mod routes;

use std::time::Duration;

use super::{Group, Judge, Lease, Mode, Object, Pod, Revision, Selector};

/// Each step is one revision.
#[derive(Default)]
struct Story {
    judge: Judge,
    number: u64,
    group: Group,
}

impl Story {
    /// Two pods and a group that selects them.
    fn new() -> Self {
        Self { group: group("u"), ..Self::default() }.pod("a", "", "").pod("b", "", "").say_group()
    }

    /// The pods elect.
    fn observed() -> Self {
        let group = Group { mode: Mode::Observed, ..group("u") };
        Self { group, ..Self::default() }.pod("a", "", "").say_group()
    }

    /// The pod `a` leads in term 1.
    fn led() -> Self {
        Self::new().record("a", 1).lease("a", 1).pod("a", "leader", "1")
    }

    fn push(mut self, object: Object, gone: bool, by_user: bool) -> Self {
        self.number += 1;
        let at = Duration::from_secs(self.number);
        self.judge.see(&Revision { number: self.number, object, gone, at }, by_user);
        self
    }

    fn pod(self, name: &str, role: &str, term: &str) -> Self {
        self.push(Object::Pod(pod(name, role, term)), false, false)
    }

    fn by_user(self, name: &str, role: &str, term: &str) -> Self {
        self.push(Object::Pod(pod(name, role, term)), false, true)
    }

    fn gone(self, name: &str) -> Self {
        self.push(Object::Pod(pod(name, "leader", "1")), true, false)
    }

    fn say_group(self) -> Self {
        let group = self.group.clone();
        self.push(Object::Group(Box::new(group)), false, false)
    }

    /// A user writes the group as it is now.
    fn user_says_group(self) -> Self {
        let group = self.group.clone();
        self.push(Object::Group(Box::new(group)), false, true)
    }

    fn record(mut self, leader: &str, term: u64) -> Self {
        (self.group.leader, self.group.term) = (leader.to_owned(), Some(term));
        self.group.unfenced.clear();
        self.say_group()
    }

    /// A record that lists a pod as not fenced yet.
    fn record_before_fence(mut self, leader: &str, term: u64, unfenced: &str) -> Self {
        (self.group.leader, self.group.term) = (leader.to_owned(), Some(term));
        self.group.unfenced = vec![unfenced.to_owned()];
        self.say_group()
    }

    fn lease(self, holder: &str, term: u64) -> Self {
        let lease = Lease { term: Some(term), ..lease(holder) };
        self.push(Object::Lease(lease), false, false)
    }

    /// A pod takes the Lease, or lets it go.
    fn takes_lease(self, holder: &str) -> Self {
        self.push(Object::Lease(lease(holder)), false, true)
    }

    /// The names of the broken promises, with the numbers of S3.
    fn found(&self) -> Vec<String> {
        let found = self.judge.violations().map(|what| {
            let part = what.strip_suffix(')').and_then(|what| what.rsplit_once(" ("));
            let name = what.split(':').next().unwrap();
            part.map_or(name.to_owned(), |(_, part)| format!("{name}.{part}"))
        });
        found.collect()
    }

    #[track_caller]
    fn breaks(&self, expected: &[&str]) {
        assert_eq!(self.found(), expected, "{}", self.judge.evidence());
    }
}

fn selector(app: &str) -> Selector {
    Selector::read(&serde_json::json!({ "matchLabels": { "app": app } }))
}

fn group(uid: &str) -> Group {
    Group {
        name: "g".into(),
        uid: uid.into(),
        selector: selector("g"),
        role_key: "role".into(),
        leader_value: "leader".into(),
        lease: "g".into(),
        ..Group::default()
    }
}

fn pod(name: &str, role: &str, term: &str) -> Pod {
    let labels = [("app", "g"), ("role", role)].into_iter().filter(|(_, value)| !value.is_empty());
    Pod {
        uid: name.to_owned(),
        name: name.to_owned(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        term: term.to_owned(),
        group: if term.is_empty() { String::new() } else { "g/u".to_owned() },
        able: true,
        ..Pod::default()
    }
}

fn lease(holder: &str) -> Lease {
    Lease { name: "g".into(), uid: "l".into(), holder: holder.into(), ..Lease::default() }
}

#[test]
fn a_switch_in_the_right_order_breaks_nothing() {
    let story = Story::led().record("b", 2).lease("b", 2).pod("a", "follower", "2").pod("b", "leader", "2");
    story.gone("b").breaks(&[]);
    let story = Story::led();
    assert_eq!((story.judge.promotions(), story.judge.followed()), (1, 0));
}

#[test]
fn a_pod_that_the_lease_names_by_any_rule_may_be_promoted() {
    for holder in ["a", "a_1", "also-a", "also-a_x", "a-5", "node", "node-1"] {
        let a = Pod { identity: "also-a".into(), host: "node".into(), ..pod("a", "", "") };
        let story = Story::observed().push(Object::Pod(a), false, false);
        let story = story.takes_lease(holder).takes_lease("").record("a", 1).pod("a", "leader", "1");
        story.breaks(&[]);
        assert_eq!(story.judge.followed(), 1);
    }
}

/// Its record is of an operator whose copy of the pods is old. The pod is promoted once it is selected again.
#[test]
fn a_pod_that_the_lease_names_while_it_is_not_selected_may_be_promoted_later() {
    let mut other = pod("a", "", "");
    other.labels.insert("app".into(), "other".into());
    let story = Story::observed().push(Object::Pod(other), false, true).takes_lease("a").record("a", 1);
    let story = story.push(Object::Pod(pod("a", "", "")), false, true).pod("a", "leader", "1");
    story.breaks(&[]);
}

#[test]
fn a_promotion_that_no_lease_asked_for_is_found() {
    let other = Story::observed().pod("b", "", "").takes_lease("b").record("a", 1);
    other.pod("a", "leader", "1").breaks(&["S3.5"]);
    // b was named before it existed.
    let before = Story::observed().takes_lease("b").takes_lease("a").pod("b", "", "").record("b", 1);
    before.pod("b", "leader", "1").breaks(&["S3.5"]);
    // The record came first.
    let late = Story::observed().record("a", 1).takes_lease("a").pod("a", "leader", "1");
    late.breaks(&["S3.5"]);
    // Either of two pods may be meant.
    let twin = |name| Object::Pod(Pod { identity: "twin".into(), ..pod(name, "", "") });
    let twins = Story::observed().push(twin("a"), false, false).push(twin("b"), false, false);
    twins.takes_lease("twin").record("a", 1).pod("a", "leader", "1").breaks(&["S3.5"]);
}

#[test]
fn a_lease_of_the_pods_that_an_operator_writes_is_found() {
    Story::observed().lease("a", 1).breaks(&["Lease"]);
    Story::led().lease("a", 1).breaks(&[]);
}

#[test]
fn two_leader_labels_at_one_revision_are_found() {
    let story = Story::led().record_before_fence("b", 2, "a/a").lease("b", 2).pod("b", "leader", "2");
    story.pod("a", "follower", "2").breaks(&["S1"]);
}

#[test]
fn a_leader_that_is_gone_is_no_second_one() {
    Story::led().gone("a").record("b", 2).lease("b", 2).pod("b", "leader", "2").breaks(&[]);
}

#[test]
fn a_leader_that_is_not_selected_any_more_is_still_one() {
    let mut a = pod("a", "leader", "1");
    a.labels.insert("app".into(), "other".into());
    let story = Story::led().push(Object::Pod(a), false, true).record("b", 2).lease("b", 2);
    story.pod("b", "leader", "2").breaks(&["S1"]);
}

#[test]
fn a_leader_that_an_earlier_group_left_behind_is_still_one() {
    let mut story = Story::led();
    let deleted = Object::Group(Box::new(story.group.clone()));
    story.group = group("v");
    let story = story.push(deleted, true, true).say_group().record("b", 1).lease("b", 1);
    let b = Pod { group: "g/v".into(), ..pod("b", "leader", "1") };
    story.push(Object::Pod(b), false, false).breaks(&["S1"]);
}

#[test]
fn a_leader_of_an_earlier_group_that_a_user_lets_a_group_select_is_the_users() {
    let old = Pod { group: "g/earlier".into(), ..pod("old", "leader", "9") };
    let mut outside = old.clone();
    outside.labels.insert("app".into(), "other".into());
    let by_label = Story::new().push(Object::Pod(outside.clone()), false, true);
    let by_label = by_label.push(Object::Pod(old), false, true);
    by_label.record("a", 1).lease("a", 1).pod("a", "leader", "1").breaks(&[]);

    let mut by_selector = Story::new().push(Object::Pod(outside), false, true);
    by_selector.group.selector = Selector::read(&serde_json::json!({
        "matchExpressions": [{ "key": "app", "operator": "In", "values": ["g", "other"] }],
    }));
    by_selector.user_says_group().record("a", 1).lease("a", 1).pod("a", "leader", "1").breaks(&[]);
}

#[test]
fn two_promotions_in_one_term_are_found() {
    let story = Story::led().record("b", 1).lease("b", 1).pod("a", "follower", "1");
    story.pod("b", "leader", "1").breaks(&["S2"]);
}

#[test]
fn a_term_that_falls_or_vanishes_is_found_unless_a_user_did_it() {
    Story::led().record("a", 3).record("a", 2).breaks(&["S2"]);
    let mut vanished = Story::led();
    (vanished.group.leader, vanished.group.term) = (String::new(), None);
    vanished.say_group().breaks(&["S2"]);
    let mut emptied = Story::led();
    (emptied.group.leader, emptied.group.term) = (String::new(), None);
    let emptied = emptied.user_says_group();
    emptied.record("b", 1).lease("b", 1).pod("a", "follower", "1").pod("b", "leader", "1").breaks(&[]);
}

#[test]
fn a_promotion_before_its_record_is_found() {
    let story = Story::led().pod("a", "follower", "2").lease("b", 2).pod("b", "leader", "2").record("b", 2);
    story.breaks(&["S3.1"]);
}

#[test]
fn a_promotion_in_another_term_than_the_records_is_found() {
    Story::led().record("a", 2).lease("a", 2).pod("a", "leader", "3").breaks(&["S3.1"]);
}

#[test]
fn a_promotion_before_the_lease_names_the_pod_is_found() {
    Story::new().record("a", 1).pod("a", "leader", "1").lease("a", 1).breaks(&["S3.4"]);
    // Another pod of that name held it, in an earlier term.
    Story::led().record("a", 2).pod("a", "leader", "2").breaks(&["S3.4"]);
}

/// The operator that recorded `a` stalls before its promotion.
#[test]
fn a_late_promotion_is_excused_until_the_fence_and_no_longer() {
    let recorded = || Story::new().record("a", 1).lease("a", 1);
    for unfenced in ["a/a", "*"] {
        let listed = recorded().record_before_fence("b", 2, unfenced);
        listed.pod("a", "leader", "1").breaks(&[]);
    }
    recorded().record("b", 2).pod("a", "leader", "1").breaks(&["S3.2"]);
    let other = recorded().record_before_fence("b", 2, "c/c");
    other.pod("a", "leader", "1").breaks(&["S3.2"]);
    let fenced = recorded().record_before_fence("b", 2, "a/a").pod("a", "follower", "2");
    fenced.pod("a", "leader", "1").breaks(&["S3.3"]);
}

#[test]
fn a_pod_labelled_by_a_user_is_not_judged_until_an_operator_writes_it() {
    let labelled = Story::led().by_user("b", "leader", "");
    labelled.breaks(&[]);
    // Its readiness changes, say: no mark does.
    let still = labelled.pod("b", "leader", "");
    still.breaks(&[]);
    let written = still.record_before_fence("b", 2, "a/a").lease("b", 2).pod("b", "leader", "2");
    written.breaks(&["S1"]);
}

#[test]
fn a_pod_born_with_the_leader_label_is_not_judged_until_an_operator_writes_it() {
    let born = Story::led().pod("c", "leader", "");
    born.breaks(&[]);
    born.record_before_fence("c", 2, "a/a").lease("c", 2).pod("c", "leader", "2").breaks(&["S1"]);
}

#[test]
fn a_label_of_a_user_that_clean_up_leaves_is_still_the_users() {
    let cleaned = Story::led().pod("b", "follower", "1").by_user("b", "leader", "1").pod("b", "leader", "");
    cleaned.breaks(&[]);
    let written = cleaned.record_before_fence("b", 2, "a/a").lease("b", 2).pod("b", "leader", "2");
    written.breaks(&["S1"]);
}

#[test]
fn a_label_is_kept_when_the_record_is_lost_also_where_the_pods_elect() {
    let labelled = || Story::observed().by_user("a", "leader", "").record("a", 1);
    labelled().pod("a", "leader", "1").breaks(&[]);
    // There was a record before.
    labelled().record("a", 2).pod("a", "leader", "2").breaks(&["S3.5"]);
}

#[test]
fn a_healthy_leader_that_is_moved_is_found_where_moves_are_judged() {
    let story = || Story { judge: Judge::of_moves(), ..Story::default() };
    let led = || {
        let story = Story { group: group("u"), ..story() }.pod("a", "", "").pod("b", "", "").say_group();
        story.record("a", 1).lease("a", 1).pod("a", "leader", "1")
    };
    led().record("b", 2).breaks(&["L2"]);
    led().record("", 2).breaks(&["L2"]);
    let ill = Object::Pod(Pod { able: false, ..pod("a", "leader", "1") });
    led().push(ill, false, false).record("b", 2).breaks(&[]);
    led().gone("a").record("b", 2).breaks(&[]);
    let mut asked = led();
    asked.group.switchover = true;
    let mut moved = asked.user_says_group().record("b", 2);
    moved.breaks(&[]);
    moved.group.switchover = false;
    moved.say_group().record("a", 3).breaks(&["L2"]);
}

#[test]
fn time_without_a_label_counts_while_a_pod_could_lead() {
    let story = Story::led().pod("a", "follower", "1").record("b", 2).lease("b", 2).pod("b", "leader", "2");
    // From the group's first revision to the first label, and from the fence to the next one.
    assert_eq!(story.judge.closed_gaps(), [Duration::from_secs(3), Duration::from_secs(3)]);
}

#[test]
fn a_group_is_settled_when_labels_record_lease_and_report_agree() {
    let mut story = Story::led();
    assert!(story.judge.present.is_settled("g").is_err(), "it is not Ready");
    story.group.ready = true;
    let story = story.say_group();
    assert_eq!(story.judge.present.is_settled("g"), Ok(()));
    assert!(story.lease("b", 1).judge.present.is_settled("g").is_err());
}
