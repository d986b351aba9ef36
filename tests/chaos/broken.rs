//! Operators that are wrong on purpose: the judge must find each of them out, on the real control
//! plane and under nothing worse than a few switches, which the right one passes.
//!
//! They are the whole operator but for its planner. This is the only part of the test that knows
//! the crate. In Nominated mode, companions are wrong, too ([`nominated`]).

mod companions;
mod nominated;

use std::sync::Arc;
use std::time::Duration;

use election_operator::clock::Clock;
use election_operator::controller::checks::Health;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::{self, OperatorOptions};
use election_operator::metrics::Metrics;
use election_operator::planner::Term;
use election_operator::planner::plan;
use election_operator::planner::plan::{Intent, Plan, Step};
use election_operator::planner::seen::{ElectionMode, GroupView, Owner};
use kube::Client;
use serde_json::json;
use testkit::cluster::{config, read};
use testkit::feed::Journal;
use testkit::judge::Judge;
use testkit::random::Random;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::control_plane::operator_kubeconfig;
use crate::world::{AUTHOR, Shares, World};

type Planner = fn(&GroupView) -> Plan;

const SWITCHES: usize = 6;

/// The pods of the group, where they elect.
const ELECTING: [&str; 3] = ["g0-0", "g0-1", "g0-2"];

/// Time for an operator to do what it has to.
const MOMENT: Duration = Duration::from_millis(300);

/// The right plan, with other steps.
fn rewritten(view: &GroupView, change: impl FnOnce(&mut Vec<Step>)) -> Plan {
    match plan(view) {
        Plan::Write(mut steps) => {
            change(&mut steps);
            Plan::Write(steps)
        }
        sleep @ Plan::Sleep(_) => sleep,
    }
}

/// The promotion comes before whatever else should come first.
fn promotes_before_it_fences(view: &GroupView) -> Plan {
    rewritten(view, |steps| {
        let promotes = |intent: &Intent| matches!(intent, Intent::Promote(_));
        let fences = |intent: &Intent| matches!(intent, Intent::Fence(_));
        let promotion = steps.iter().position(|step| step.intents.iter().any(promotes));
        let fence = steps.iter().position(|step| step.intents.iter().any(fences));
        if let Some((promotion, fence)) = promotion.zip(fence) {
            steps.swap(promotion, fence);
        }
    })
}

fn never_fences(view: &GroupView) -> Plan {
    rewritten(view, |steps| {
        for step in steps {
            step.intents.retain(|intent| !matches!(intent, Intent::Fence(_)));
        }
    })
}

/// All of it in the first term.
fn never_raises_the_term(view: &GroupView) -> Plan {
    let first = Term::default().next().expect("there is a first term");
    rewritten(view, |steps| {
        for intent in steps.iter_mut().flat_map(|step| &mut step.intents) {
            match intent {
                Intent::WriteStatus(status) => {
                    status.record.iter_mut().for_each(|record| record.term = first);
                }
                Intent::Fence(write) | Intent::Promote(write) | Intent::LabelFollower(write) => {
                    write.term = first;
                }
                Intent::WriteLease(write) => write.term = first,
                _ => {}
            }
        }
    })
}

fn promotes_in_a_term_of_its_own(view: &GroupView) -> Plan {
    rewritten(view, |steps| {
        for intent in steps.iter_mut().flat_map(|step| &mut step.intents) {
            if let Intent::Promote(write) = intent {
                write.term = write.term.next().expect("terms do not end here");
            }
        }
    })
}

/// As if the pods did not elect, and the Lease were its own.
fn elects_by_itself(view: &GroupView) -> Plan {
    let GroupView::Present(snapshot) = view else { return plan(view) };
    let mut managed = snapshot.clone();
    if let Ok(policy) = &mut managed.group.policy {
        policy.mode = ElectionMode::Managed;
    }
    if let Some(lease) = &mut managed.lease {
        lease.content.owner = Owner::Ours;
    }
    plan(&GroupView::Present(managed))
}

fn takes_the_next_pod_for_the_holder(view: &GroupView) -> Plan {
    let GroupView::Present(snapshot) = view else { return plan(view) };
    let mut misread = snapshot.clone();
    for holder in misread.lease.iter_mut().filter_map(|lease| lease.content.holder.as_mut()) {
        if let Some(at) = ELECTING.iter().position(|pod| pod == holder) {
            ELECTING[(at + 1) % ELECTING.len()].clone_into(holder);
        }
    }
    plan(&GroupView::Present(misread))
}

/// An operator in this process.
struct Running {
    task: JoinHandle<()>,
    _stop: watch::Sender<bool>,
}

impl Running {
    async fn start(namespace: &str, planner: Planner) -> Self {
        let config = config(read(&operator_kubeconfig())).await;
        let mut single = config.clone();
        single.default_retry = false;
        let (stop, stopped) = watch::channel(false);
        let options = OperatorOptions {
            planner,
            watching: Client::try_from(config).expect("a client can be made"),
            writing: Client::try_from(single).expect("a client can be made"),
            namespaces: vec![namespace.to_owned()],
            permit: WritePermit::always(),
            instance: None,
            metrics: Arc::new(Metrics::default()),
            health: Arc::new(Health::new(Clock::start())),
        };
        let task =
            tokio::spawn(async { controller::run(options, stopped).await.expect("the watches go on") });
        Self { task, _stop: stop }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes, though an operator that never comes to rest writes all the time, too.
async fn insist<T>(write: impl AsyncFn() -> kube::Result<T>) -> T {
    loop {
        match write().await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            other => return other.expect("the test itself can write"),
        }
    }
}

/// Who carries the leader label of the group, as soon as that is another pod, or the Lease of the
/// pods is not theirs any more.
async fn labelled(world: &World, other_than: &str) -> String {
    let what = format!("a labelled pod other than {other_than:?}");
    let leader = |journal: &Journal| {
        let present = journal.present();
        let group = present.group("g0")?;
        let mut leaders = present.leaders(group).map(|pod| pod.name.clone());
        let other = leaders.find(|leader| leader != other_than);
        let is_theirs = |group: &String| present.lease(group).is_none_or(|lease| lease.is_written_by(AUTHOR));
        let taken = !world.observed().iter().all(is_theirs);
        other.or_else(|| taken.then(|| other_than.to_owned()))
    };
    world.feed.until(&what, leader).await
}

/// A few switches of one group: its leader gets not Ready, or another one is asked for.
async fn judged(name: &str, planner: Planner) -> Judge {
    let world = World::new(name, 1, Shares::default(), &mut Random::new(1)).await;
    let operator = Running::start(&world.namespace, planner).await;
    let mut leader = labelled(&world, "").await;
    let mut former = String::new();
    for number in 0..SWITCHES {
        let next = if number.is_multiple_of(2) {
            insist(async || world.set_ready(&leader, false).await).await;
            let next = labelled(&world, &leader).await;
            insist(async || world.set_ready(&leader, true).await).await;
            next
        } else {
            // One that has been Ready for a while: the operator may not know yet that the former
            // leader is again.
            let target = ["g0-0", "g0-1", "g0-2"].into_iter().find(|pod| ![&*leader, &*former].contains(pod));
            insist(async || world.ask_to_switch("g0", target.expect("there are three")).await).await;
            labelled(&world, &leader).await
        };
        former = std::mem::replace(&mut leader, next);
    }
    judge(world, operator).await
}

/// A few switches of one group whose pods elect: its Lease is handed over, or let go and taken
/// again.
async fn judged_observed(name: &str, planner: Planner) -> Judge {
    let world = World::new(name, 1, Shares { observed: 1, nominated: 0 }, &mut Random::new(1)).await;
    let operator = Running::start(&world.namespace, planner).await;
    let mut leader = String::new();
    for (number, next) in ELECTING.into_iter().cycle().take(SWITCHES).enumerate() {
        if number.is_multiple_of(2) {
            insist(async || world.give_lease("g0", "").await).await;
            tokio::time::sleep(MOMENT).await;
        }
        insist(async || world.give_lease("g0", next).await).await;
        leader = labelled(&world, &leader).await;
    }
    judge(world, operator).await
}

/// All of it, once what is under way is done.
async fn judge(world: World, operator: Running) -> Judge {
    tokio::time::sleep(MOMENT).await;
    drop(operator);
    let mut judge = Judge::default();
    let revisions = world.take(&json!({ "metadata": { "annotations": { "chaos": "end" } } })).await;
    world.show(&revisions, &mut judge, |_| false);
    world.end().await;
    judge
}

/// The names of the promises that were broken, each once.
fn broken(judge: &Judge) -> Vec<&str> {
    let promises = judge.violations().filter_map(|what| what.split_once(':'));
    let mut broken: Vec<_> = promises.map(|(promise, _)| promise).collect();
    broken.sort_unstable();
    broken.dedup();
    broken
}

fn is_found_out(name: &str, judge: &Judge, promise: &str) {
    println!("{name}: {judge}; broken: {:?}", broken(judge));
    assert!(broken(judge).contains(&promise), "{name} was not found out: {judge}");
}

fn is_right(name: &str, judge: &Judge) {
    println!("{name}: {judge}");
    assert_eq!(judge.violations().len(), 0, "{}", judge.evidence());
    assert!(judge.promotions() > 3, "{judge}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane of its own: make chaos"]
async fn each_broken_operator_is_found_out_and_the_right_one_is_not() {
    is_right("right", &judged("right", plan).await);
    let table: [(&str, Planner, &str); 4] = [
        ("promotes-before-it-fences", promotes_before_it_fences, "S1"),
        ("never-fences", never_fences, "S1"),
        ("never-raises-the-term", never_raises_the_term, "S2"),
        ("promotes-in-a-term-of-its-own", promotes_in_a_term_of_its_own, "S3"),
    ];
    for (name, planner, promise) in table {
        is_found_out(name, &judged(name, planner).await, promise);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane of its own: make chaos"]
async fn each_broken_operator_of_pods_that_elect_is_found_out_and_the_right_one_is_not() {
    is_right("right-observed", &judged_observed("right-observed", plan).await);
    let table: [(&str, Planner, &str); 3] = [
        ("never-fences-observed", never_fences, "S1"),
        ("takes-the-next-pod-for-the-holder", takes_the_next_pod_for_the_holder, "S3"),
        ("elects-by-itself", elects_by_itself, "Lease"),
    ];
    for (name, planner, promise) in table {
        is_found_out(name, &judged_observed(name, planner).await, promise);
    }
}
