//! Operators and companions of Nominated mode that are wrong on purpose do not get through.
//!
//! An operator is wrong by its planner. A companion is wrong by its habits. Conditions and contents
//! that neither can change are changed on the way to the API server.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use election_operator::planner::Millis;
use election_operator::planner::plan;
use election_operator::planner::plan::{Intent, NominationAction, Plan, PodWrite, Step};
use election_operator::planner::seen::{GroupView, Role, Snapshot};
use serde_json::{Value, json};
use testkit::api_server::{Call, Verb};
use testkit::json::At;
use testkit::kind::Kind;

use super::book::{Mangle, OPERATORS};
use super::companion::Habit;
use super::{Cast, Mode, Planner, simulate_with};

/// The seeds that are tried until one finds the fault.
const SEEDS: u64 = 3000;

/// The lowest seed of those that were tried whose run breaks one of these laws.
fn find(cast: Cast, laws: &[&str]) -> Option<(u64, String)> {
    let next = AtomicU64::new(0);
    let found: Mutex<Option<(u64, String)>> = Mutex::default();
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return;
            }
            let failure = simulate_with(Mode::Nominated, seed, cast).result.err();
            let failure = failure.filter(|failure| laws.iter().any(|law| failure.starts_with(law)));
            if let Some(failure) = failure {
                next.store(SEEDS, Ordering::Relaxed);
                let mut found = found.lock().unwrap();
                if found.as_ref().is_none_or(|(lowest, _)| seed < *lowest) {
                    *found = Some((seed, failure));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(search);
        }
    });
    found.into_inner().unwrap()
}

fn is_found_out(what: &str, cast: Cast, laws: &[&str]) {
    let found = find(cast, laws);
    println!("{what}: {found:?}");
    assert!(found.is_some(), "no seed shows that {what}: {laws:?}");
}

/// The plan of an operator that sees its group otherwise than it is.
fn misled(view: &GroupView, change: impl Fn(&mut Snapshot)) -> Plan {
    let mut view = view.clone();
    if let GroupView::Present(snapshot) = &mut view {
        change(snapshot);
    }
    plan(&view)
}

fn clears_before_the_lease_has_run_out(view: &GroupView) -> Plan {
    misled(view, |snapshot| {
        if let Some(lease) = &mut snapshot.lease {
            let seconds = u64::try_from(lease.content.duration_seconds.unwrap_or(0)).unwrap_or(0);
            lease.changed_at = Millis(lease.changed_at.0 - seconds * 500);
        }
    })
}

fn takes_a_deletion_for_an_end(view: &GroupView) -> Plan {
    misled(view, |snapshot| snapshot.gone.values_mut().for_each(|gone| gone.had_ended = true))
}

fn knows_no_quarantine(view: &GroupView) -> Plan {
    misled(view, |snapshot| {
        snapshot.lease.iter_mut().for_each(|lease| lease.uid_seen_at = Millis::default());
    })
}

fn nominates_in_a_lease_that_is_not_recorded(view: &GroupView) -> Plan {
    misled(view, |snapshot| {
        if let (Some(lease), Some(recorded)) = (&snapshot.lease, &mut snapshot.group.status.recorded_lease) {
            recorded.uid.clone_from(&lease.content.uid);
        }
    })
}

fn nominates_again_in_the_same_term(view: &GroupView) -> Plan {
    let mut steps = plan(view).into_steps();
    let term =
        view.present().and_then(|snapshot| snapshot.lease.as_ref()).and_then(|lease| lease.content.term);
    for intent in steps.iter_mut().flat_map(|step| &mut step.intents) {
        let Intent::WriteNomination(write) = intent else { continue };
        let (NominationAction::Nominate(nomination) | NominationAction::ClearAndNominate(nomination)) =
            &mut write.action
        else {
            continue;
        };
        nomination.term = term.unwrap_or(nomination.term);
    }
    Plan::of(steps)
}

fn promotes_a_nominee(view: &GroupView) -> Plan {
    let mut steps = plan(view).into_steps();
    let nominates = |intent: &Intent| matches!(intent, Intent::WriteNomination(_));
    let record = view.present().and_then(Snapshot::record);
    let leader = record.and_then(|record| Some((view.present()?.pod(record.leader_id()?)?, record.term)));
    if let Some((pod, term)) = leader.filter(|(pod, _)| pod.role != Role::Leader)
        && steps.iter().flat_map(|step| &step.intents).any(nominates)
    {
        let write = PodWrite { pod: pod.id.clone(), version: pod.version, term };
        steps.push(Step { intents: vec![Intent::Promote(write)], ..Step::default() });
    }
    Plan::of(steps)
}

#[test]
fn an_operator_that_nominates_wrongly_is_found_out() {
    let planners: [(&str, Planner, &[&str]); 6] = [
        ("a Lease is cleared early", clears_before_the_lease_has_run_out, &["X1"]),
        ("a deleted pod counts as ended", takes_a_deletion_for_an_end, &["X1"]),
        ("there is no quarantine", knows_no_quarantine, &["X1"]),
        ("an unrecorded Lease is nominated in", nominates_in_a_lease_that_is_not_recorded, &["X1"]),
        ("a term is nominated twice", nominates_again_in_the_same_term, &["X4"]),
        ("a nominee is promoted", promotes_a_nominee, &["S3", "X2"]),
    ];
    for (what, planner, laws) in planners {
        is_found_out(what, Cast { planner, ..Cast::RIGHT }, laws);
    }
}

#[test]
fn a_companion_with_a_wrong_habit_is_found_out() {
    let habits: [(&str, Habit, &[&str]); 5] = [
        ("a Lease is released early", Habit::ReleasesEarly, &["X1", "X7"]),
        ("two processes of a pod run", Habit::StartsBeside, &["X1", "X7"]),
        ("clocks count as equal", Habit::TrustsClocks, &["X1"]),
        ("no guard kills a command", Habit::WithoutGuard, &["X1"]),
        ("a pod that is not nominated takes the Lease", Habit::Stands, &["X3"]),
    ];
    for (what, habit, laws) in habits {
        is_found_out(what, Cast { habit, ..Cast::RIGHT }, laws);
    }
}

fn writes_lease(instance: usize, call: &Call, verb: Verb) -> bool {
    let is_companion = verb == Verb::Update;
    call.kind == Kind::Lease && call.verb == verb && (instance >= OPERATORS) == is_companion
}

fn holder(lease: &Value) -> &str {
    lease.text("/spec/holderIdentity")
}

/// An operator writes the Lease whatever it has become.
fn no_condition_of_operators(instance: usize, call: &mut Call, _: Option<&Value>) {
    if writes_lease(instance, call, Verb::Patch) {
        call.body["metadata"]["resourceVersion"] = Value::Null;
        call.body["metadata"]["uid"] = Value::Null;
    }
}

/// A companion writes what it wrote on an earlier version.
fn on_the_present_version(call: &mut Call, before: Option<&Value>) {
    if let Some(before) = before {
        for key in ["resourceVersion", "uid"] {
            call.body["metadata"][key] = before["metadata"][key].clone();
        }
    }
}

fn no_condition_of_takes(instance: usize, call: &mut Call, before: Option<&Value>) {
    if writes_lease(instance, call, Verb::Update) && !holder(&call.body).is_empty() {
        on_the_present_version(call, before);
    }
}

fn no_condition_of_releases(instance: usize, call: &mut Call, before: Option<&Value>) {
    if writes_lease(instance, call, Verb::Update) && holder(&call.body).is_empty() {
        on_the_present_version(call, before);
    }
}

fn a_creation_that_nominates(instance: usize, call: &mut Call, _: Option<&Value>) {
    if writes_lease(instance, call, Verb::Create) {
        call.body["metadata"]["annotations"] = json!({ "election-operator.io/nominee": "db-0/db-0-1" });
    }
}

fn a_take_that_leaves_the_nominee(instance: usize, call: &mut Call, before: Option<&Value>) {
    let Some(before) = before.filter(|_| writes_lease(instance, call, Verb::Update)) else { return };
    if holder(before).is_empty() {
        call.body["metadata"]["annotations"] = before["metadata"]["annotations"].clone();
    }
}

#[test]
fn a_write_of_the_lease_without_its_condition_or_with_more_than_it_may_is_found_out() {
    let mangles: [(&str, Mangle, &[&str]); 5] = [
        ("operators write without condition", no_condition_of_operators, &["X1", "X4"]),
        ("companions take without condition", no_condition_of_takes, &["X1", "X3"]),
        ("companions release without condition", no_condition_of_releases, &["X1", "X3", "X4"]),
        ("a creation nominates", a_creation_that_nominates, &["X5"]),
        ("a take leaves the nominee", a_take_that_leaves_the_nominee, &["X3"]),
    ];
    for (what, mangle, laws) in mangles {
        is_found_out(what, Cast { mangle: Some(mangle), ..Cast::RIGHT }, laws);
    }
}
