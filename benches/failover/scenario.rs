//! One scenario: so many groups, and switches of one cause, one after the other, round robin.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::anatomy::Anatomy;
use crate::audit::{AuditLog, Request};
use crate::cluster::Cluster;
use crate::operator::{self, Operator};
use crate::recorder::{PodState, Recorder, Sight};
use crate::switch::Switch;
use crate::world::{World, YARDSTICK};

/// A switch that takes longer is counted as lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// Rest between a switch and the PATCH after it, and between that and the next switch.
const REST: Duration = Duration::from_millis(50);

/// Why the leader has to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Its pod is deleted by force. The API server shows it as terminating, and at once as gone.
    Deleted,
    /// It is not Ready any more.
    NotReady,
    /// Its pod is deleted as `kubectl delete` and evictions do: it is terminating for a while, and
    /// a ready endpoint until it has lost the label.
    Terminating,
    /// A user asks for a switch: the leader is well, and a ready endpoint.
    Switchover,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Deleted => "deleted",
            Self::NotReady => "not-ready",
            Self::Terminating => "terminating",
            Self::Switchover => "switchover",
        })
    }
}

impl FromStr for Cause {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Deleted, Self::NotReady, Self::Terminating, Self::Switchover];
        all.into_iter().find(|cause| cause.to_string() == text).ok_or(())
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) groups: usize,
    pub(crate) cause: Cause,
    pub(crate) switches: usize,
    /// Seconds of rest to watch before the switches.
    pub(crate) steady: usize,
    /// Pods of no group to add in the end.
    pub(crate) bystanders: usize,
}

/// What the operator does while nothing happens.
#[derive(Debug)]
pub(crate) struct Steady {
    pub(crate) seconds: usize,
    pub(crate) requests: Option<BTreeMap<String, usize>>,
    pub(crate) processor_seconds: Option<f64>,
    pub(crate) memory: Option<u64>,
}

/// What a scenario brought.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) scenario: Scenario,
    pub(crate) switches: Vec<Switch>,
    /// How long each label PATCH took, for its client.
    pub(crate) patches: Vec<Duration>,
    /// The same, for the API server.
    pub(crate) patches_inside: Vec<Duration>,
    /// Revisions with two leader labels.
    pub(crate) doubles: usize,
    pub(crate) requests: Option<BTreeMap<String, usize>>,
    pub(crate) anatomies: Vec<Anatomy>,
    pub(crate) steady: Option<Steady>,
    /// Resident memory before and after the bystanders came.
    pub(crate) crowd: Option<(u64, u64)>,
    pub(crate) load: String,
}

impl Scenario {
    pub(crate) async fn run(self, cluster: &Cluster) -> Outcome {
        let mut world = World::new(cluster, &format!("{}-{}", self.groups, self.cause)).await;
        let recorder = Recorder::start(&cluster.admin_client().await, &world.namespace);
        let operator = Operator::start(cluster, &world.namespace);
        let groups: Vec<_> = (0..self.groups).map(|number| format!("g{number:03}")).collect();
        world.populate(&groups, "Managed").await;
        for group in &groups {
            settle(&recorder, group).await;
        }
        let steady = if self.steady > 0 { Some(self.rest(cluster, &world, &operator).await) } else { None };

        let log = AuditLog::from_now(cluster.audit_log.as_ref());
        let (mut switches, mut patches) = (Vec::new(), Vec::new());
        for (number, group) in groups.iter().cycle().take(self.switches).enumerate() {
            let leader = settle(&recorder, group).await;
            tokio::time::sleep(REST).await;
            patches.push(world.time_patch(number).await);
            tokio::time::sleep(REST).await;
            let mut switch = self.switch(&world, &recorder, &leader).await;
            tokio::time::sleep(2 * REST).await;
            switch.done = SystemTime::now();
            switches.push(switch);
            self.restore(&world, &recorder, &leader).await;
        }
        if let Some(last) = switches.last() {
            settle(&recorder, &last.group).await;
        }
        let load = operator::load();
        let requests = match &log {
            Some(log) => Some(log.requests(&world.namespace).await),
            None => None,
        };
        let all = requests.as_deref().unwrap_or_default();
        let anatomies = switches.iter().filter_map(|switch| Anatomy::of(switch, all)).collect();
        let inside = all.iter().filter(|request| request.name == YARDSTICK).map(Request::took).collect();
        let crowd = if self.bystanders > 0 { self.crowd(&world, &operator).await } else { None };
        Outcome {
            scenario: self,
            patches,
            patches_inside: inside,
            doubles: recorder.read(|journal| journal.doubles),
            requests: requests.as_deref().map(|requests| {
                counted(requests, |request| switches.iter().any(|switch| switch.caused(request)))
            }),
            switches,
            anatomies,
            steady,
            crowd,
            load,
        }
    }

    /// Brings one switch about and sees it through.
    async fn switch(self, world: &World, recorder: &Recorder, leader: &PodState) -> Switch {
        let start = recorder.read(|journal| journal.sights.len());
        match self.cause {
            Cause::Deleted => world.delete(&leader.name).await,
            Cause::Terminating => world.terminate(&leader.name).await,
            Cause::NotReady => world.set_ready(&leader.name, false).await,
            Cause::Switchover => {
                let other = |pod: &&PodState| pod.name != leader.name;
                let follower = recorder.read(|journal| {
                    journal.members(&leader.group).into_iter().filter(other).map(|pod| pod.name.clone()).min()
                });
                world.ask_to_switch(&leader.group, &follower.expect("there is a follower")).await;
            }
        }
        let caused =
            recorder.until(PATIENCE, |journal| journal.first(start, |sight| self.shows(leader, sight)));
        let cause = caused.await.expect("the cause is seen");
        let labelled = recorder.until(PATIENCE, |journal| {
            let new = journal.sights[start..].iter().find_map(|(_, sight)| new_leader(leader, sight))?;
            let is_it = |sight: &Sight| new_leader(leader, sight).is_some();
            Some((new.clone(), journal.first(start, is_it)?))
        });
        let (group, old, done) = (leader.group.clone(), leader.name.clone(), SystemTime::now());
        let Some((new, label)) = labelled.await else {
            return Switch { group, old, new: String::new(), cause, label: None, endpoint: None, done };
        };
        let only: Vec<String> = new.ip.into_iter().collect();
        let shows = |sight: &Sight| matches!(sight, Sight::Endpoints { service, ready } if *service == leader.group && *ready == only);
        let endpoint = recorder.until(PATIENCE, |journal| journal.first(start, shows)).await;
        Switch { group, old, new: new.name, cause, label: Some(label), endpoint, done }
    }

    fn shows(self, leader: &PodState, sight: &Sight) -> bool {
        match (self.cause, sight) {
            (Cause::Switchover, Sight::Group(group)) => group.name == leader.group && group.asked_to_switch,
            (_, Sight::Pod { pod, deleted }) if pod.uid == leader.uid => match self.cause {
                Cause::Deleted | Cause::Terminating => *deleted || pod.terminating,
                Cause::NotReady => !pod.ready,
                Cause::Switchover => false,
            },
            _ => false,
        }
    }

    /// Brings the group back to three pods that are well.
    async fn restore(self, world: &World, recorder: &Recorder, old: &PodState) {
        if self.cause == Cause::Terminating {
            world.let_go(&old.name).await;
        }
        match self.cause {
            Cause::Deleted | Cause::Terminating => {
                let gone = recorder.until(PATIENCE, |journal| {
                    let there = journal.pods.get(&old.name);
                    there.is_none_or(|pod| pod.uid != old.uid).then_some(())
                });
                gone.await.expect("a deleted pod goes");
                world.create_pod(&old.name, &old.group).await;
            }
            Cause::NotReady => world.set_ready(&old.name, true).await,
            Cause::Switchover => {}
        }
    }

    async fn rest(self, cluster: &Cluster, world: &World, operator: &Operator) -> Steady {
        // What the first election left to do is done by then.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let log = AuditLog::from_now(cluster.audit_log.as_ref());
        let before = operator.processor_seconds();
        tokio::time::sleep(Duration::from_secs(self.steady as u64)).await;
        let after = operator.processor_seconds();
        let requests = match log {
            Some(log) => Some(counted(&log.requests(&world.namespace).await, |_| true)),
            None => None,
        };
        Steady {
            seconds: self.steady,
            requests,
            processor_seconds: after.zip(before).map(|(after, before)| after - before),
            memory: operator.memory(),
        }
    }

    async fn crowd(self, world: &World, operator: &Operator) -> Option<(u64, u64)> {
        let before = operator.memory()?;
        world.add_bystanders(self.bystanders).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        Some((before, operator.memory()?))
    }
}

/// The pod that a sight shows as the group's new leader.
pub(crate) fn new_leader<'a>(old: &PodState, sight: &'a Sight) -> Option<&'a PodState> {
    let Sight::Pod { pod, deleted: false } = sight else { return None };
    let leads = pod.role.as_deref() == Some("leader");
    (leads && pod.group == old.group && pod.uid != old.uid).then_some(pod)
}

/// Waits until nothing is left to do for a group.
pub(crate) async fn settle(recorder: &Recorder, group: &str) -> PodState {
    let patience = Duration::from_secs(120);
    let leader = recorder.until(patience, |journal| journal.settled_leader(group).cloned()).await;
    leader.unwrap_or_else(|| {
        let pods = recorder.read(|journal| format!("{:#?}", journal.members(group)));
        panic!("group {group} does not come to rest: {pods}")
    })
}

/// How often what was asked for.
fn counted(requests: &[Request], which: impl Fn(&Request) -> bool) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| which(request)) {
        *counts.entry(request.what.clone()).or_default() += 1;
    }
    counts
}
