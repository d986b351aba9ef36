//! Operators and companions of a group in Nominated mode that are wrong on purpose. The kernel finds
//! two COMMANDs that run at once. The judge finds revisions of Lease and pods that must not be.

use std::sync::Arc;
use std::time::Duration;

use election_operator::planner::plan::{Intent, NewNomination, NominationAction, Plan};
use election_operator::planner::seen::{GroupView, Snapshot};
use election_operator::planner::{Millis, Term, plan};
use kube::api::DeleteParams;
use serde_json::json;
use testkit::feed::Journal;
use testkit::judge::{Judge, Pod};
use testkit::random::Random;
use tokio::time::Instant;

use super::companions::{Crew, Mistake};
use super::{MOMENT, Planner, Running, broken, insist, never_fences, rewritten};
use crate::commands::Commands;
use crate::world::{PATIENCE, PODS, Shares, World, merge};

const GROUP: &str = "g0";

/// How often the fault strikes at most that shows what is wrong.
const TRIES: usize = 8;

/// The pause between two looks at what was found.
const LOOK: Duration = Duration::from_millis(200);

/// What happens to the holder of the Lease. It is not Ready any more, or its pod is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Unready,
    /// Its companion reaches the API server no more.
    Cut,
    /// The take of the next one is lost, and its companion is cut off.
    NextIsCut,
    /// Its companion is cut off, and its pod deleted by force.
    CutAndPodDeleted,
    /// Its companion is cut off, and the Lease deleted.
    CutAndLeaseDeleted,
}

impl Fault {
    const ALL: [Self; 5] =
        [Self::Unready, Self::Cut, Self::NextIsCut, Self::CutAndPodDeleted, Self::CutAndLeaseDeleted];
}

/// The plan that the present state would have with this change.
fn misread(view: &GroupView, change: impl FnOnce(&mut Snapshot)) -> Plan {
    let GroupView::Present(snapshot) = view else { return plan(view) };
    let mut misread = snapshot.clone();
    change(&mut misread);
    plan(&GroupView::Present(misread))
}

/// As if no holder had ever renewed.
fn clears_before_the_end(view: &GroupView) -> Plan {
    misread(view, |seen| seen.lease.iter_mut().for_each(|lease| lease.changed_at = Millis::default()))
}

fn takes_a_deleted_pod_for_ended(view: &GroupView) -> Plan {
    misread(view, |seen| seen.gone.values_mut().for_each(|pod| pod.had_ended = true))
}

/// As if each Lease had been there for long.
fn knows_no_quarantine(view: &GroupView) -> Plan {
    misread(view, |seen| seen.lease.iter_mut().for_each(|lease| lease.uid_seen_at = Millis::default()))
}

fn nominates(view: &GroupView, change: impl Fn(&mut NewNomination)) -> Plan {
    rewritten(view, |steps| {
        for intent in steps.iter_mut().flat_map(|step| &mut step.intents) {
            let Intent::WriteNomination(write) = intent else { continue };
            match &mut write.action {
                NominationAction::Nominate(nomination) | NominationAction::ClearAndNominate(nomination) => {
                    change(nomination);
                }
                NominationAction::Create | NominationAction::Clear => {}
            }
        }
    })
}

fn nominates_in_the_first_term_only(view: &GroupView) -> Plan {
    nominates(view, |nomination| nomination.term = Term::new(1).expect("a term"))
}

fn nominates_another_than_it_records(view: &GroupView) -> Plan {
    let GroupView::Present(snapshot) = view else { return plan(view) };
    nominates(view, |nomination| {
        let mut others = snapshot.pods.iter().filter(|pod| pod.id.uid != nomination.nominee.uid);
        if let Some(other) = others.next() {
            nomination.nominee = other.id.clone();
        }
    })
}

/// One group, one operator, three companions, and what was found of them.
struct Trial {
    world: World,
    _operator: Running,
    commands: Arc<Commands>,
    crew: Crew,
    judge: Judge,
    looks: usize,
}

impl Trial {
    async fn new(name: &str, planner: Planner, mistake: Mistake) -> Self {
        let shares = Shares { observed: 0, nominated: 1 };
        let world = World::new(name, 1, shares, &mut Random::new(1)).await;
        // A nominee that is cut off makes way while it could still run.
        let spec = json!({ "spec": { "failover": { "nomineeSeconds": 1 } } });
        merge(&world.groups, GROUP, spec).await.expect("a group can be changed");
        let commands = Arc::new(Commands::new(&world.namespace));
        let crew = Crew::new(&world.namespace, mistake, commands.clone());
        let operator = Running::start(&world.namespace, planner).await;
        Self { world, _operator: operator, commands, crew, judge: Judge::default(), looks: 0 }
    }

    /// The faults strike, one after the other, until something is found. Returns what was.
    async fn run(mut self, faults: impl IntoIterator<Item = Fault>) -> (Vec<String>, Judge) {
        self.serve_all().await;
        self.until_started(0).await;
        for fault in faults {
            if !self.found().await.is_empty() {
                break;
            }
            self.strike(fault).await;
        }
        let found = self.found().await;
        drop(self.crew);
        self.world.end().await;
        (found, self.judge)
    }

    /// There is the Lease, all pods can lead, and each has its companion.
    async fn serve_all(&mut self) {
        let able = |journal: &Journal| {
            let present = journal.present();
            let pods: Vec<Pod> = present.pods().filter(|pod| pod.able).cloned().collect();
            (pods.len() as u64 == PODS && present.lease(GROUP).is_some()).then_some(pods)
        };
        let pods = self.world.feed.until("a Lease, and three pods that can lead", able).await;
        self.crew.serve(pods).await;
    }

    async fn strike(&mut self, fault: Fault) {
        let starts = self.starts();
        let holder = starts.last().expect("a COMMAND was started");
        let (pod, uid) = holder.split_once('_').expect("a holder is a pod and its UID");
        match fault {
            Fault::Unready => {}
            Fault::NextIsCut => self.crew.cut_at_next_take(),
            Fault::Cut | Fault::CutAndPodDeleted | Fault::CutAndLeaseDeleted => self.crew.cut(uid),
        }
        let world = &self.world;
        if fault == Fault::CutAndPodDeleted {
            insist(async || world.delete_pod(pod, true).await).await;
        } else {
            insist(async || world.set_ready(pod, false).await).await;
        }
        if fault == Fault::CutAndLeaseDeleted {
            insist(async || world.leases.delete(GROUP, &DeleteParams::default()).await).await;
        }
        self.until_started(starts.len()).await;
        let mut restarted = self.crew.mend();
        if fault == Fault::CutAndPodDeleted {
            insist(async || self.world.create_pod(pod).await).await;
            restarted.retain(|name| name != pod);
        } else {
            restarted.push(pod.to_owned());
        }
        self.restart(&restarted).await;
        self.serve_all().await;
    }

    /// A pod whose companion was silent is nominated again once it was not Ready.
    async fn restart(&self, pods: &[String]) {
        for ready in [false, true] {
            for pod in pods {
                insist(async || self.world.set_ready(pod, ready).await).await;
            }
            tokio::time::sleep(MOMENT).await;
        }
    }

    /// Waits until more than `before` were started, the last one by a companion that is not cut off,
    /// or something is found.
    async fn until_started(&mut self, before: usize) {
        let patience = Instant::now() + PATIENCE;
        while Instant::now() < patience {
            let starts = self.starts();
            let is_held = starts.last().is_some_and(|holder| !self.crew.is_cut(holder));
            if !self.found().await.is_empty() || starts.len() > before && is_held {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
        panic!("no COMMAND is started after {:?}", self.starts());
    }

    /// Who was started, in order.
    fn starts(&self) -> Vec<String> {
        self.commands.log_of(GROUP).starts().into_iter().map(str::to_owned).collect()
    }

    /// The promises that were broken so far.
    async fn found(&mut self) -> Vec<String> {
        self.looks += 1;
        let note = json!({ "metadata": { "annotations": { "chaos": self.looks.to_string() } } });
        let revisions = self.world.take(&note).await;
        self.world.show(&revisions, &mut self.judge, |_| false);
        let by_judge = broken(&self.judge).into_iter().map(str::to_owned);
        let by_kernel = self.commands.log_of(GROUP).problem().map(str::to_owned);
        by_judge.chain(by_kernel).collect()
    }
}

async fn is_found_out(name: &str, planner: Planner, mistake: Mistake, fault: Fault, promise: &str) {
    let started = Instant::now();
    let (found, judge) = Trial::new(name, planner, mistake).await.run([fault; TRIES]).await;
    println!("{name}: {judge}; broken after {:.1} s: {found:?}", started.elapsed().as_secs_f64());
    let is_found = found.iter().any(|found| found.starts_with(promise));
    assert!(is_found, "{name} was not found out: {judge}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane of its own: make chaos"]
async fn each_broken_companion_and_operator_of_nominees_is_found_out_and_the_right_ones_are_not() {
    let all = Fault::ALL.into_iter().chain(Fault::ALL);
    let (found, judge) = Trial::new("right-nominated", plan, Mistake::None).await.run(all).await;
    println!("right-nominated: {judge}");
    assert!(found.is_empty(), "{found:?}\n{}", judge.evidence());
    assert!(judge.promotions() > 3, "{judge}");

    let companions = [
        ("takes-without-nomination", Mistake::TakesWithoutNomination, Fault::Unready, "X3"),
        ("runs-without-answer", Mistake::RunsWithoutAnswer, Fault::NextIsCut, "X1"),
        ("releases-early", Mistake::ReleasesEarly, Fault::Unready, "X1"),
        ("outlives-its-time", Mistake::OutlivesItsTime, Fault::Cut, "X1"),
    ];
    for (name, mistake, fault, promise) in companions {
        is_found_out(name, plan, mistake, fault, promise).await;
    }
    let operators: [(&str, Planner, Fault, &str); 6] = [
        ("clears-before-the-end", clears_before_the_end, Fault::Cut, "X1"),
        ("takes-a-deleted-pod-for-ended", takes_a_deleted_pod_for_ended, Fault::CutAndPodDeleted, "X1"),
        ("knows-no-quarantine", knows_no_quarantine, Fault::CutAndLeaseDeleted, "X1"),
        ("nominates-in-the-first-term-only", nominates_in_the_first_term_only, Fault::Unready, "X4"),
        ("nominates-another-than-it-records", nominates_another_than_it_records, Fault::Unready, "X4"),
        ("never-fences-nominated", never_fences, Fault::Unready, "S1"),
    ];
    for (name, planner, fault, promise) in operators {
        is_found_out(name, planner, Mistake::None, fault, promise).await;
    }
}
