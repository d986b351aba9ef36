//! A user requests another leader by annotation.

use super::*;

fn requested(name: &str) -> Snapshot {
    let mut group = steady();
    group.group.switchover = Some(name.to_owned());
    group
}

#[test]
fn a_switchover_of_a_leaderless_group_decides_which_pod_is_elected() {
    let mut group = fresh([pod("a"), pod("b")]);
    group.group.switchover = Some("b".to_owned());
    assert_eq!(told(&group), ["record b 1 [*]", "list 1"]);
    settle(&mut group);
    assert_eq!((labelled(&group), group.group.switchover.is_none()), (vec!["b"], true));
    assert_eq!(group.group.status.history[0].reason, "Switchover");
}

#[test]
fn a_switchover_waits_behind_the_fence_for_the_pod_that_needs_it_longest() {
    let mut group = requested("c");
    let copied = pod_mut(&mut group, "b");
    (copied.role, copied.ready) = (Role::Leader, false);
    assert_eq!(told(&group)[1..3], ["fence a 4, fence b 4, take lease c 4", "10 ms; promote c 4"]);
}

#[test]
fn a_switchover_of_a_group_that_is_not_served_is_refused_and_not_done_later() {
    let mut unparsed = requested("c");
    let message = "spec.selector: nonsense".to_owned();
    unparsed.group.policy = Err(Refusal { reason: "InvalidSelector", message });
    let mut held = requested("c");
    let lease = &mut held.lease.as_mut().unwrap().content;
    (lease.owner, lease.holder) = (Owner::None, Some("somebody".to_owned()));
    for (group, reason) in [(unparsed, "InvalidSelector"), (held, "LeaseHeldByOther")] {
        assert_eq!(told(&group)[0], "drop switchover", "{reason}");
        let mut refused = group.clone();
        let plans = settle(&mut refused);
        let notes = plans.iter().flat_map(Plan::intents);
        let note = notes.filter_map(|intent| match intent {
            Intent::PublishEvent(notice) if notice.is_answer() => Some(notice.note.clone()),
            _ => None,
        });
        let text =
            format!("the switchover request was refused and removed: the group is not served: {reason}");
        assert_eq!(note.collect::<Vec<_>>(), [text]);
        assert_eq!(labelled(&refused), ["a"]);
    }
}

#[test]
fn a_switchover_to_an_eligible_pod_is_done_once_and_the_request_removed() {
    let mut group = requested("c");
    assert_eq!(
        told(&group),
        [
            "record c 4 [a]",
            "fence a 4, take lease c 4",
            "10 ms; promote c 4",
            "drop switchover",
            "status",
            "change Switchover"
        ]
    );
    let plans = settle(&mut group);
    assert_eq!((labelled(&group), plans.len()), (vec!["c"], 1));
    assert_eq!(group.group.switchover, None);
    assert_eq!(group.group.status.history[0].reason, "Switchover");
}

#[test]
fn a_half_done_switchover_is_finished_and_not_refused() {
    for limit in [10, 0] {
        let mut group = steady();
        policy_mut(&mut group).history_limit = limit;
        unready(&mut group, "a");
        settle(&mut group);
        assert_eq!((labelled(&group), group.group.status.history.len()), (vec!["b"], limit.min(1)));
        group.group.switchover = Some("c".to_owned());
        let whole = plan_group(&group);
        group.project(&whole.steps()[0].intents[0]);
        let plans = settle(&mut group);
        assert_eq!(events(&plans), ["Switchover"], "history limit {limit}");
        assert_eq!((labelled(&group), &group.group.switchover), (vec!["c"], &None));
    }
}

#[test]
fn a_switchover_whose_target_is_lost_half_way_leaves_the_label_with_an_eligible_pod() {
    let table: [(fn(&mut Snapshot), &[&str]); 3] = [
        (|g| delete(g, "c"), &["LeaderDeleted", "SwitchoverRefused"]),
        (|g| pod_mut(g, "c").ready = false, &["LeaderNotReady", "SwitchoverRefused"]),
        (|g| pod_mut(g, "c").terminating = true, &["LeaderTerminating", "SwitchoverRefused"]),
    ];
    for (loss, expected) in table {
        for steps in 1..=3 {
            let mut group = requested("c");
            let whole = plan_group(&group);
            for intent in whole.steps()[..steps].iter().flat_map(|step| &step.intents) {
                group.project(intent);
            }
            loss(&mut group);
            let plans = settle(&mut group);
            assert_eq!(events(&plans), *expected, "after {steps} steps");
            assert_eq!((labelled(&group), &group.group.switchover), (vec!["a"], &None));
        }
    }
}

#[test]
fn a_half_done_switchover_gives_way_to_a_newer_request() {
    for steps in 1..=3 {
        let mut group = requested("c");
        let whole = plan_group(&group);
        for intent in whole.steps()[..steps].iter().flat_map(|step| &step.intents) {
            group.project(intent);
        }
        group.group.switchover = Some("b".to_owned());
        settle(&mut group);
        assert_eq!((labelled(&group), &group.group.switchover), (vec!["b"], &None));
        assert_eq!(group.record().unwrap().term, term(5));
    }
}

#[test]
fn an_impossible_switchover_is_refused_with_an_event_and_removed_and_nothing_else_changes() {
    let table: [(&str, fn(&mut Snapshot)); 7] = [
        ("a", |_| ()),
        ("nobody", |_| ()),
        ("b", |g| pod_mut(g, "b").ready = false),
        ("b", |g| pod_mut(g, "b").terminating = true),
        ("b", |g| pod_mut(g, "b").excluded = true),
        ("b", |g| policy_mut(g).paused = true),
        ("b", |g| pod_mut(g, "c").membership = Membership::ClaimedBy("older".into())),
    ];
    for (name, change) in table {
        let mut group = steady();
        change(&mut group);
        settle(&mut group);
        group.group.switchover = Some(name.to_owned());
        assert_eq!(told(&group), ["drop switchover", "event SwitchoverRefused"]);
        settle(&mut group);
        assert_eq!((labelled(&group), &group.group.switchover), (vec!["a"], &None));
    }
}

#[test]
fn a_switchover_to_the_pod_that_leads_by_an_earlier_one_is_refused() {
    let mut group = requested("c");
    settle(&mut group);
    group.group.switchover = Some("c".to_owned());
    assert_eq!(told(&group), ["drop switchover", "event SwitchoverRefused"]);
}

#[test]
fn a_switchover_without_a_term_left_is_refused() {
    let mut group = requested("c");
    group.group.status.record.as_mut().unwrap().term = Term::MAX;
    pod_mut(&mut group, "a").term = Some(Term::MAX);
    group.lease.as_mut().unwrap().content.term = Some(Term::MAX);
    let said = events(&settle(&mut group));
    assert!(said.contains(&"SwitchoverRefused".to_owned()), "{said:?}");
}

#[test]
fn a_switchover_names_the_newest_pod_of_that_name() {
    let mut group = requested("c");
    group.pods.push(recreated(pod("c")));
    let policy = group.group.policy.clone().unwrap();
    assert_eq!(switchover_verdict(&group, &policy), SwitchoverVerdict::Grant(recreated(pod("c")).id));
}
