//! What happens to the operators, the control plane and the objects: one thing after the other,
//! chosen from a seed, and most of them undone after a while.
//!
//! The control plane fails and comes back within one fault, while the test itself writes nothing
//! but Leases: so it always knows which revision each of its own writes over an operator's marks
//! became.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::api::DeleteParams;
use serde_json::{Value, json};
use testkit::feed::{GROUP, Journal, TERM};
use testkit::judge::{Judge, Pod};
use testkit::random::Random;
use tokio::time::Instant;

use crate::admission::{Webhook, Webhooks};
use crate::companions::{Companions, Strike, Victim};
use crate::control_plane::ControlPlane;
use crate::electors::Electors;
use crate::operators::Operators;
use crate::world::{PODS, TAMPERED, World, identity, is_role_alone, merge, service, version};

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

    async fn strike_pod(&mut self) {
        let pod = self.pod();
        self.strike_elector_of(&pod);
        match self.random.below(8) {
            0..3 => self.make_unready(&pod).await,
            3 => {
                self.count("pod deleted");
                tolerate(self.world.delete_pod(&pod, true).await);
                self.later(3000, Undo::Create(pod));
            }
            4 => {
                self.count("pod evicted");
                tolerate(self.world.delete_pod(&pod, false).await);
                self.later(3000, Undo::Create(pod));
            }
            5 => {
                self.count("pod recreated");
                tolerate(self.world.delete_pod(&pod, true).await);
                tolerate(self.world.create_pod(&pod).await);
            }
            6 => {
                self.count("pod terminating");
                tolerate(self.world.hold(&pod, true).await);
                tolerate(self.world.delete_pod(&pod, true).await);
                self.later(5000, Undo::Release(pod));
            }
            _ => {
                self.count("pod excluded");
                tolerate(merge(&self.world.pods, &pod, exclusion(true)).await);
                self.later(3000, Undo::Include(pod));
            }
        }
    }

    /// What strikes a pod may strike its elector; else it goes on, also for a pod that is gone.
    fn strike_elector_of(&mut self, pod: &str) {
        if self.elects(pod) && self.random.below(2) == 0 {
            self.electors.kill(pod);
            self.later(4000, Undo::Elector(pod.to_owned()));
        }
    }

    async fn make_unready(&mut self, pod: &str) {
        self.count("pod not Ready");
        tolerate(self.world.set_ready(pod, false).await);
        self.later(3000, Undo::Ready(pod.to_owned()));
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

    /// A webhook begins to be asked that never answers, for a few writes or for many.
    async fn strike_admission(&mut self) {
        let seconds = 2 + self.random.below(5);
        let webhook = if self.random.below(2) == 0 { Webhook::Events } else { Webhook::Writes };
        let begun = match webhook {
            Webhook::Events => self.webhooks.refuse_events(seconds).await,
            Webhook::Writes => {
                let all = ["pods", "electiongroups/status", "leases", "endpointslices"];
                let chosen = match self.random.below(5) {
                    0 => &all[..1],
                    1 => &all[1..2],
                    2 => &all[2..3],
                    3 => &all[3..],
                    _ => &all[..],
                };
                self.webhooks.slow_down(chosen, seconds).await
            }
        };
        // One that is asked already goes on.
        if tolerate(begun).is_some() {
            self.count(match webhook {
                Webhook::Events => "Events API away",
                Webhook::Writes => "slow webhook",
            });
            self.later(12_000, Undo::Webhook(webhook));
        }
    }

    /// A user writes over what only operators write. What no user may do is to lower a term:
    /// nothing else tells an operator that its record is out of date.
    async fn tamper(&mut self) {
        let pod = self.pod();
        let label = |value: Value| json!({ "metadata": { "labels": { "role": value } } });
        let annotations = |term: Value, group: Option<Value>| {
            let mut annotations = json!({ TERM: term });
            if let Some(group) = group {
                annotations[GROUP] = group;
            }
            json!({ "metadata": { "annotations": annotations } })
        };
        let mut patch = match self.random.below(9) {
            0..3 => label(json!("leader")),
            3 => label(Value::Null),
            4 => label(json!("follower")),
            5 => label(json!("king")),
            6 => annotations(json!("seven"), None),
            7 => annotations(json!(self.far_above(&pod)), None),
            _ => annotations(Value::Null, Some(Value::Null)),
        };
        patch["metadata"]["annotations"][TAMPERED] = json!(self.tampered.len().to_string());
        self.count("marks tampered with");
        if let Some(written) = tolerate(merge(&self.world.pods, &pod, patch).await) {
            self.tampered.insert(version(&written));
        }
    }

    /// A user deletes the slice of a group, or writes over what only operators write.
    async fn strike_slice(&mut self) {
        let (group, spec) = self.group();
        let Some(service) = service(&spec) else { return };
        let pods: Vec<_> = (0..PODS).map(|ordinal| format!("{group}-{ordinal}")).collect();
        let (what, first) =
            (self.random.below(6), usize::try_from(self.random.below(PODS)).expect("a small number"));
        let slice = {
            let journal = self.world.feed.look();
            let mut slices = journal.present().slices();
            slices.find(|slice| slice.service == service).map(|slice| slice.name.clone())
        };
        let Some(slice) = slice else { return };
        let mut patch = match what {
            0..2 => {
                self.count("slice deleted");
                tolerate(self.world.slices.delete(&slice, &DeleteParams::default()).await.map(|_| ()));
                return;
            }
            2 => json!({ "endpoints": [self.endpoint(&pods[first])] }),
            3 => {
                let next = (first + 1) % pods.len();
                json!({ "endpoints": [self.endpoint(&pods[first]), self.endpoint(&pods[next])] })
            }
            4 => json!({ "metadata": { "annotations": { TERM: self.far_above(&group) } } }),
            _ => json!({ "metadata": { "annotations": { TERM: null } } }),
        };
        patch["metadata"]["annotations"][TAMPERED] = json!(self.tampered.len().to_string());
        self.count("slice tampered with");
        if let Some(written) = tolerate(merge(&self.world.slices, &slice, patch).await) {
            self.tampered.insert(version(&written));
        }
    }

    /// A pod as a user writes it into a slice.
    fn endpoint(&self, name: &str) -> Value {
        let journal = self.world.feed.look();
        let uid = journal.present().pods().find(|pod| pod.name == name).map(|pod| pod.uid.clone());
        let target = json!({ "kind": "Pod", "name": name, "uid": uid });
        json!({ "addresses": ["10.9.8.7"], "conditions": { "ready": true }, "targetRef": target })
    }

    /// A term that no operator reaches meanwhile.
    fn far_above(&self, pod: &str) -> String {
        let group = pod.split('-').next().unwrap_or_default();
        let term = self.world.feed.look().present().group(group).and_then(|group| group.term);
        (term.unwrap_or_default() + 1000).to_string()
    }

    /// The Lease of the group of `pod` names another holder at once: that pod's elector if it runs,
    /// else a holder that does not renew it.
    async fn hand_over_lease(&mut self, pod: &str) {
        self.count("Lease handed over");
        let group = pod.split('-').next().unwrap_or_default();
        let to = format!("{group}-{}", self.random.below(PODS));
        tolerate(self.world.give_lease(group, &self.electors.identity(&to)).await);
    }

    /// Something becomes of an elector, or of what it holds.
    async fn strike_holder(&mut self) {
        let observed = self.world.observed();
        let at = self.random.below(observed.len() as u64);
        let group = &observed[usize::try_from(at).expect("a small number")];
        let leader = self.leader_of(group);
        let any = format!("{group}-{}", self.random.below(PODS));
        let pod = leader.unwrap_or(any);
        match self.random.below(5) {
            0 => {
                self.count("Lease released");
                tolerate(self.world.give_lease(group, "").await);
            }
            1 => {
                self.count("elector resigned");
                self.electors.kill(&pod);
                tolerate(self.world.give_lease(group, "").await);
                self.later(3000, Undo::Elector(pod));
            }
            2 => {
                self.count("elector restarted");
                self.electors.kill(&pod);
                self.electors.start(&pod);
            }
            // Often it comes back when its Lease has run out.
            _ => {
                self.count("elector killed");
                self.electors.kill(&pod);
                self.later(6000, Undo::Elector(pod));
            }
        }
    }

    /// Each new pod of a group that nominates has its companion. That of a pod that is gone lives on
    /// for a while: its node may be cut off.
    fn keep_companions(&self) {
        let nominated = self.world.nominated();
        let pods: Vec<_> = {
            let journal = self.world.feed.look();
            let is_nominated = |pod: &&Pod| nominated.iter().any(|group| pod.label("app") == group);
            journal.present().pods().filter(is_nominated).cloned().collect()
        };
        let present: Vec<_> = pods.iter().map(|pod| pod.uid.clone()).collect();
        let mut companions = self.companions.borrow_mut();
        companions.end_some_of_the_gone(&present);
        companions.start_for(pods.into_iter());
    }

    /// A process of a companion is killed or stopped: its guard and its COMMAND are such, too.
    fn strike_companion(&mut self) {
        let holders: Vec<_> = {
            let journal = self.world.feed.look();
            let holders = self.world.nominated().into_iter().filter_map(|group| {
                let holder = &journal.present().lease(&group)?.holder;
                holder.split_once('_').map(|(_, uid)| uid.to_owned())
            });
            holders.collect()
        };
        let companions = self.companions.get_mut();
        let Some(uid) = companions.choose(&holders) else { return };
        let victim = match self.random.below(4) {
            0 | 1 => Victim::Companion,
            2 => Victim::Guard,
            _ => Victim::Command,
        };
        let stop = self.random.below(2) == 0;
        let strike = if stop { Strike::Stop(victim) } else { Strike::Kill(victim) };
        if companions.strike(&uid, strike) {
            self.count(match (stop, victim) {
                (true, Victim::Companion) => "companion stopped",
                (true, Victim::Guard) => "guard stopped",
                (true, Victim::Command) => "COMMAND stopped",
                (false, Victim::Companion) => "companion killed",
                (false, Victim::Guard) => "guard killed",
                (false, Victim::Command) => "COMMAND killed",
            });
            self.later(6000, Undo::Companion(uid));
        }
    }

    async fn strike_lease(&mut self) {
        let (lease, spec) = self.group();
        // A holder that a user removes goes on: that is no fault of the protocol.
        if self.random.below(3) == 0 || spec["mode"] == "Nominated" {
            self.count("Lease deleted");
            tolerate(self.world.leases.delete(&lease, &DeleteParams::default()).await.map(|_| ()));
            return;
        }
        self.count("Lease edited");
        let patch = match self.random.below(9) {
            0 => json!({ "spec": { "holderIdentity": "somebody" } }),
            1 => json!({ "spec": { "holderIdentity": null, "renewTime": null } }),
            2 => json!({ "spec": { "leaseDurationSeconds": 3600 } }),
            3 => json!({ "spec": { "renewTime": "9999-12-31T23:59:59.999999Z" } }),
            4 => {
                json!({ "spec": { "renewTime": "1970-01-01T00:00:00.000000Z", "leaseTransitions": 2_147_483_647 } })
            }
            5 => json!({ "metadata": { "annotations": { TERM: "none" } } }),
            6 => json!({ "spec": { "leaseDurationSeconds": null } }),
            number => {
                // In Observed mode the former may be either of two pods.
                let ordinal = if number == 7 { 0 } else { PODS - 1 };
                json!({ "spec": { "holderIdentity": identity(&format!("{lease}-{ordinal}")) } })
            }
        };
        tolerate(merge(&self.world.leases, &lease, patch).await);
    }

    async fn strike_group(&mut self) {
        let (group, spec) = self.group();
        match self.random.below(10) {
            0..3 => {
                self.count("group paused");
                tolerate(merge(&self.world.groups, &group, json!({ "spec": { "paused": true } })).await);
                self.later(2000, Undo::Resume(group));
            }
            3 => {
                self.count("group recreated");
                tolerate(self.world.groups.delete(&group, &DeleteParams::default()).await.map(|_| ()));
                let pause = self.random.below(300);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                tolerate(self.world.create_group(&group, &spec).await);
            }
            _ => {
                self.count("switchover");
                let ordinal = self.random.below(PODS);
                tolerate(self.world.ask_to_switch(&group, &format!("{group}-{ordinal}")).await);
            }
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

    /// The pod is there and could lead.
    async fn mend(&self, pod: &str) {
        let feed = &self.world.feed;
        let patience = Instant::now() + crate::world::PATIENCE;
        let is = |what: &dyn Fn(&Pod) -> bool| {
            feed.look().present().pods().any(|seen| seen.name == pod && what(seen))
        };
        loop {
            tolerate(self.world.hold(pod, false).await);
            tolerate(self.world.create_pod(pod).await);
            tolerate(merge(&self.world.pods, pod, exclusion(false)).await);
            tolerate(self.world.take_back_label(pod).await);
            for _ in 0..20 {
                if is(&|pod| pod.able) && !is(&is_role_alone) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            tolerate(self.world.set_ready(pod, true).await);
            assert!(Instant::now() < patience, "{pod} does not get Ready");
        }
    }
}

fn exclusion(excluded: bool) -> Value {
    let value = if excluded { json!("true") } else { Value::Null };
    json!({ "metadata": { "annotations": { "election-operator.io/exclude": value } } })
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
