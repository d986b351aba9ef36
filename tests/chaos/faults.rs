//! What happens to the operators, the control plane and the objects: one thing after the other,
//! chosen from a seed, and most of them undone after a while.
//!
//! The control plane fails and comes back within one fault, while the test itself writes nothing
//! but Leases: so it always knows which revision each of its own writes over an operator's marks
//! became.

mod companions;
mod objects;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::feed::Journal;
use testkit::judge::{Judge, Pod};
use testkit::random::Random;
use tokio::time::Instant;

use crate::admission::{Webhook, Webhooks};
use crate::companions::Companions;
use crate::control_plane::ControlPlane;
use crate::electors::Electors;
use crate::operators::Operators;
use crate::world::{PODS, World, merge, service};
use objects::exclusion;

/// What is made good after a while.
#[derive(Clone, Debug)]
enum Undo {
    Thaw(usize),
    Start(usize),
    Ready(String),
    Release(String),
    Create(String),
    Resume(String),
    Include(String),
    Elector(String),
    Webhook(Webhook),
    Companion(String),
}

/// The faults, and the world they happen to.
pub(crate) struct Chaos {
    random: Random,
    world: World,
    plane: ControlPlane,
    operators: Operators,
    electors: Electors,
    companions: RefCell<Companions>,
    webhooks: Webhooks,
    undo: Vec<(Instant, Undo)>,
    /// Revisions in which the test itself wrote over an operator's marks.
    tampered: BTreeSet<u64>,
    /// How often each fault happened in this round.
    counts: BTreeMap<&'static str, usize>,
}

impl Chaos {
    pub(crate) fn new(
        mut random: Random,
        world: World,
        plane: ControlPlane,
        operators: Operators,
        companions: Companions,
        webhooks: Webhooks,
    ) -> Self {
        Self {
            electors: Electors::new(world.leases.clone(), Random::new(random.next())),
            random,
            world,
            plane,
            operators,
            companions: RefCell::new(companions),
            webhooks,
            undo: Vec::new(),
            tampered: BTreeSet::new(),
            counts: BTreeMap::new(),
        }
    }

    /// One fault after the other.
    pub(crate) async fn strike_for(&mut self, span: Duration) {
        self.counts.clear();
        for pod in self.pods_that_elect() {
            self.electors.start(&pod);
        }
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.undo_until(Instant::now()).await;
            self.keep_companions();
            self.strike().await;
            let pause = self.random.below(300);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Faults stop, all pods are well; then, every group comes to have exactly one labelled leader
    /// (L1): where the pods elect, the holder of the Lease, and no pod once that is let go or has
    /// run out.
    pub(crate) async fn come_to_rest(&mut self) {
        self.operators.heal();
        self.companions.get_mut().heal();
        self.webhooks.end_all().await;
        for (group, spec) in &self.world.all {
            tolerate(self.world.create_group(group, spec).await);
            tolerate(merge(&self.world.groups, group, json!({ "spec": { "paused": false } })).await);
            for ordinal in 0..PODS {
                self.mend(&format!("{group}-{ordinal}")).await;
            }
        }
        self.undo.clear();
        self.keep_companions();
        let holders = self.settle_leases().await;
        for (group, spec) in &self.world.all {
            let holder = holders.get(group);
            let rests = |journal: &Journal| {
                let present = journal.present();
                let holds = |pod: &Pod| holder.is_none_or(|holder| pod.name == *holder);
                let leader = present.group(group).and_then(|group| present.leaders(group).next());
                let routed = service(spec).is_none_or(|service| present.is_routed(group, service).is_ok());
                (routed && present.is_settled(group).is_ok() && leader.is_some_and(holds)).then_some(())
            };
            let what = format!("L1 of {group}, whose Lease {holder:?} holds");
            tokio::select! {
                () = self.world.feed.until(&what, rests) => {}
                () = self.keep_ready(group) => {}
            }
        }
        self.end_leases(holders).await;
    }

    /// For ever. After an outage the control plane may still find a node silent, and its pods not
    /// Ready.
    async fn keep_ready(&self, group: &str) {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.keep_companions();
            let unable = |pod: &&Pod| pod.label("app") == group && !pod.able;
            let pods: Vec<_> = {
                let journal = self.world.feed.look();
                journal.present().pods().filter(unable).map(|pod| pod.name.clone()).collect()
            };
            for pod in pods {
                self.mend(&pod).await;
            }
        }
    }

    /// Of the pods that elect, one of each group holds the Lease, and no other contends.
    async fn settle_leases(&mut self) -> BTreeMap<String, String> {
        for pod in self.pods_that_elect() {
            self.electors.kill(&pod);
        }
        let mut holders = BTreeMap::new();
        for group in self.world.observed() {
            let holder = format!("{group}-{}", self.random.below(PODS));
            self.electors.start(&holder);
            // Something that was sent before may be in the way.
            while tolerate(self.world.give_lease(&group, &self.electors.identity(&holder)).await).is_none() {}
            holders.insert(group, holder);
        }
        holders
    }

    /// Some holders let go, some are heard no more, and some go on.
    async fn end_leases(&mut self, holders: BTreeMap<String, String>) {
        for (group, holder) in holders {
            let end = self.random.below(3);
            if end == 0 {
                continue;
            }
            self.electors.kill(&holder);
            if end == 1 {
                while tolerate(self.world.give_lease(&group, "").await).is_none() {}
            }
            let what = format!("nobody in {group}, whose Lease is let go (1) or runs out (2): {end}");
            let service = self.service_of(&group);
            let rests = |journal: &Journal| {
                let present = journal.present();
                let routed = service.iter().any(|service| !present.is_not_routed(&group, service));
                (!routed && present.leads_no_pod(&group)).then_some(())
            };
            self.world.feed.until(&what, rests).await;
        }
    }

    fn service_of(&self, group: &str) -> Option<String> {
        let (_, spec) = self.world.all.iter().find(|(name, _)| name == group)?;
        service(spec).map(str::to_owned)
    }

    fn pods_that_elect(&self) -> Vec<String> {
        let groups = self.world.observed().into_iter();
        groups.flat_map(|group| (0..PODS).map(move |ordinal| format!("{group}-{ordinal}"))).collect()
    }

    fn elects(&self, pod: &str) -> bool {
        self.pods_that_elect().iter().any(|elects| elects == pod)
    }

    /// Everything that has happened so far goes before the judge.
    pub(crate) async fn hand_over(&mut self, judge: &mut Judge) {
        let note = json!({ "metadata": { "annotations": { "chaos": self.random.next().to_string() } } });
        let revisions = self.world.take(&note).await;
        self.world.show(&revisions, judge, |number| self.tampered.contains(&number));
    }

    /// How often a COMMAND was started. Two of a group never ran at once.
    pub(crate) fn starts_of_commands(&self) -> usize {
        self.companions.borrow().starts()
    }

    /// What happened in this round, in words.
    pub(crate) fn told(&self) -> String {
        let total: usize = self.counts.values().sum();
        let each: Vec<_> = self.counts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        let filled = self.world.feed.look().filled();
        format!("{total} faults ({}), {filled} revisions read one by one so far", each.join(", "))
    }

    pub(crate) async fn end(self) {
        drop(self.companions);
        drop(self.operators);
        self.webhooks.end_all().await;
        self.world.end().await;
    }

    async fn strike(&mut self) {
        match self.random.below(100) {
            0..31 => self.strike_pod().await,
            31..44 => self.strike_operator(),
            44..62 => self.strike_in_a_switch().await,
            62..70 => self.tamper().await,
            70..74 => self.strike_slice().await,
            74..78 => self.strike_lease().await,
            78..84 => self.strike_holder().await,
            84..89 => self.strike_companion(),
            89..96 => self.strike_group().await,
            96..98 => self.strike_admission().await,
            _ => self.strike_control_plane().await,
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn later(&mut self, millis: u64, undo: Undo) {
        let span = self.random.below(millis);
        self.undo.push((Instant::now() + Duration::from_millis(span), undo));
    }

    fn group(&mut self) -> (String, Value) {
        let at = self.random.below(self.world.all.len() as u64);
        self.world.all[usize::try_from(at).expect("a small number")].clone()
    }

    /// A pod of any group; every other time one that carries the leader label.
    fn pod(&mut self) -> String {
        let (group, _) = self.group();
        let ordinal = self.random.below(PODS);
        let any = format!("{group}-{ordinal}");
        if self.random.below(2) == 0 {
            return any;
        }
        self.leader_of(&group).unwrap_or(any)
    }

    /// The name of the pod of a group that carries the leader label.
    fn leader_of(&self, group: &str) -> Option<String> {
        let journal = self.world.feed.look();
        let mut pods = journal.present().pods().filter(|pod| pod.label("app") == group);
        pods.find(|pod| pod.label("role") == "leader").map(|pod| pod.name.clone())
    }

    fn operator(&mut self) -> usize {
        let at = self.random.below(self.operators.count());
        usize::try_from(at).expect("a small number")
    }

    /// An operator stalls, also for longer than a Lease, or dies.
    fn strike_operator(&mut self) {
        let operator = self.operator();
        if self.random.below(3) == 0 {
            self.count("operator killed");
            self.operators.kill(operator);
            self.later(3000, Undo::Start(operator));
        } else {
            self.count("operator stopped");
            self.operators.freeze(operator, true);
            let span = if self.random.below(2) == 0 { 500 } else { 8000 };
            self.later(span, Undo::Thaw(operator));
        }
    }

    /// A leader fails, or the Lease is handed over; and in the middle of the switch something
    /// happens to an operator, or to the control plane, or the Lease is handed over again.
    async fn strike_in_a_switch(&mut self) {
        let pod = self.pod();
        let elects = self.elects(&pod);
        if elects {
            self.hand_over_lease(&pod).await;
        } else {
            self.make_unready(&pod).await;
        }
        let moment = self.random.below(60);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        match self.random.below(30) {
            0 => self.strike_control_plane().await,
            1..16 if elects => self.hand_over_lease(&pod).await,
            _ => self.strike_operator(),
        }
    }

    async fn strike_control_plane(&mut self) {
        let span = self.random.below(2000);
        let span = Duration::from_millis(span);
        if self.random.below(2) == 0 {
            self.count("API server restarted");
            self.plane.restart_api_server(span).await;
        } else {
            self.count("etcd paused");
            self.plane.pause_etcd(span * 2).await;
        }
    }

    async fn undo_until(&mut self, now: Instant) {
        let all = std::mem::take(&mut self.undo);
        let (due, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|(at, _)| *at <= now);
        self.undo = later;
        for (_, undo) in due {
            self.undo(undo).await;
        }
    }

    async fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Thaw(operator) => self.operators.freeze(operator, false),
            Undo::Start(operator) => self.operators.start(operator),
            Undo::Elector(pod) => self.electors.start(&pod),
            Undo::Companion(uid) => self.companions.get_mut().mend(&uid),
            Undo::Webhook(webhook) => self.webhooks.end(webhook).await,
            Undo::Ready(pod) => {
                tolerate(self.world.set_ready(&pod, true).await);
            }
            Undo::Release(pod) => {
                tolerate(self.world.hold(&pod, false).await);
                tolerate(self.world.create_pod(&pod).await);
            }
            Undo::Create(pod) => {
                tolerate(self.world.create_pod(&pod).await);
            }
            Undo::Resume(group) => {
                tolerate(merge(&self.world.groups, &group, json!({ "spec": { "paused": false } })).await);
            }
            Undo::Include(pod) => {
                tolerate(merge(&self.world.pods, &pod, exclusion(false)).await);
            }
        }
    }
}

/// What is not there (any more), or there already, is no failure: faults meet what they meet. Nor
/// is it one to be asked to come back later: nothing was written.
fn tolerate<T>(result: kube::Result<T>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(kube::Error::Api(status)) if [404, 409, 422, 429].contains(&status.code) => None,
        Err(error) => panic!("the test itself cannot write: {error}"),
    }
}
