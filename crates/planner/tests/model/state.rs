//! The state of the world, and what the checker has to remember.

use crate::companion::Companion;
use crate::nominated::recorded_lease;
use crate::objects::{
    GENERATIONS, GroupObject, Label, LeaseObject, OTHER_GROUP, PODS, PodObject, Request, Rival, SliceObject,
    TARGETS, Target,
};
use crate::operator_state::{Listed, Operator, Times, Waits};
use crate::world::{BrokenSet, Old, World};

/// The state of the world, and what the checker has to remember.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub group: Option<GroupObject>,
    pub pods: [Option<PodObject>; PODS],
    pub lease: Option<LeaseObject>,
    pub slice: Option<SliceObject>,
    pub rival: Option<Rival>,
    pub other_exists: bool,
    pub ops: Vec<Operator>,
    pub late: Vec<Request>,
    pub budget: World,
    /// Observed mode: the Lease has expired.
    pub lapsed: bool,
    /// Observed mode: the pods that the Lease has named during their life, UIDs as bits.
    pub named: u16,
    /// How often the pod of each slot was recreated.
    pub generation: [u8; PODS],
    pub groups: u8,
    /// How often the slice was created.
    pub slices: u8,
    /// The pods that a user labelled, UIDs as bits. The operators are not responsible for these
    /// labels.
    pub tainted: u16,
    /// The pods that ever had a leader problem, UIDs as bits.
    pub had_problem: u16,
    /// Every (group, term, pod) that was recorded.
    pub recorded: Vec<(u8, u8, u8)>,
    /// Every (group, term, slot) that the Lease has named; the UID of the pod in Nominated mode.
    pub leased: Vec<(u8, u8, u8)>,
    /// Every (group, term, pod) that was promoted.
    pub promoted: Vec<(u8, u8, u8)>,
    /// The highest term of a route, and the pod that was routed in it, if one was.
    pub routed: Option<(u8, Option<u8>)>,
    /// Nominated mode: the companion of each pod, by UID.
    pub companions: [Companion; PODS * GENERATIONS as usize],
    /// The pods whose processes have all ended: UIDs as bits.
    pub ended: u16,
    /// How often the Lease was created.
    pub leases: u8,
    /// Every (group, term, UID of a Lease) that was recorded.
    pub leases_recorded: Vec<(u8, u8, u8)>,
    /// The terms, as bits, in which a COMMAND started.
    pub started: u64,
    pub broken: BrokenSet,
}

fn term_of(group: Option<GroupObject>) -> Option<u8> {
    group.and_then(|group| group.record).map(|record| record.term)
}

pub fn given_up(group: Option<GroupObject>) -> Option<u8> {
    group.and_then(|group| group.record).and_then(|record| record.given_up)
}

impl State {
    pub fn new(world: World) -> Self {
        let pod = |slot: u8| PodObject::new(slot * GENERATIONS);
        let group = Some(world.group(1));
        let lease = LeaseObject { holder: Some(0), ..LeaseObject::default() };
        let pods = [Some(pod(0)), Some(pod(1))];
        let operator = Operator {
            group,
            pods,
            lease: None,
            slice: None,
            times: Times::default(),
            waits: Waits::default(),
            ended: 0,
            gone: 0,
            listed: Listed::No,
            knows_other: !world.other_is_unknown,
            knows_rival: false,
            flight: Vec::new(),
            rest: Vec::new(),
            carried: Vec::new(),
        };
        Self {
            group,
            pods,
            lease: world.observed.then_some(lease),
            slice: None,
            rival: None,
            other_exists: true,
            ops: vec![operator; usize::from(world.operators)],
            late: Vec::new(),
            budget: world,
            lapsed: false,
            named: u16::from(world.observed),
            generation: [0; PODS],
            groups: 1,
            slices: 0,
            tainted: 0,
            had_problem: 0,
            recorded: Vec::new(),
            leased: Vec::new(),
            promoted: Vec::new(),
            routed: None,
            companions: [Companion::default(); _],
            ended: 0,
            leases: 0,
            leases_recorded: Vec::new(),
            started: 0,
            broken: BrokenSet::default(),
        }
    }

    /// How many pods carry a leader label that an operator wrote.
    pub fn labelled(&self) -> usize {
        let ours = |pod: &&PodObject| pod.label == Label::Leader && self.tainted & (1 << pod.uid) == 0;
        self.pods.iter().flatten().filter(ours).count()
    }

    /// Whether the owner is the other group, and that group exists.
    pub const fn is_others(&self, owner: u8) -> bool {
        owner == OTHER_GROUP && self.other_exists
    }

    pub fn exists(&self, uid: u8) -> bool {
        self.pods.iter().flatten().any(|pod| pod.uid == uid)
    }

    pub fn has_record(&self) -> bool {
        self.group.is_some_and(|group| group.record.is_some())
    }

    pub fn highest_term(&self) -> u8 {
        self.recorded.iter().map(|(_, term, _)| *term).max().unwrap_or(0)
    }

    pub fn make_old(&mut self, op: usize, slot: usize, old: Old) {
        let copy = &mut self.ops[op].pods[slot];
        *copy = match old {
            Old::NotReady => copy.map(|pod| PodObject { ready: false, version: 0, ..pod }),
            Old::Absent => None,
        };
    }

    pub fn renew(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.version += 1;
        }
        self.lapsed = false;
    }

    /// The holder renews the Lease, as it would again and again.
    pub fn renew_at_rest(&mut self) {
        let held = self.lease.is_some_and(|lease| lease.holder.is_some());
        if self.budget.observed && held && !self.lapsed {
            self.renew();
        }
    }

    /// No request is in flight.
    pub fn is_quiet(&self) -> bool {
        self.late.is_empty() && self.ops.iter().all(|op| op.flight.is_empty())
    }

    /// L1, for a state at rest: an eligible pod leads, if there is one.
    pub fn is_led_if_it_can_be(&self) -> bool {
        let Some(group) = self.group else {
            return self.pods.iter().flatten().all(|pod| pod.owner != 1);
        };
        if !self.follows_the_record(group) {
            return false;
        }
        if group.observed {
            return self.follows_the_lease(group);
        }
        let silent = recorded_lease(self.group).silent;
        let eligible = |pod: &&PodObject| {
            let fit = pod.ready && !pod.ended && silent & (1 << pod.uid) == 0;
            fit && group.selects(**pod) && !self.is_others(pod.owner)
        };
        if self.pods.iter().flatten().any(|pod| eligible(&pod)) {
            let mut labelled = self.pods.iter().flatten().filter(|pod| pod.label == Label::Leader);
            let leader = labelled.next();
            let recorded = group.record.and_then(|record| record.leader);
            return labelled.next().is_none()
                && leader.is_some_and(|pod| eligible(&pod) && Some(pod.uid) == recorded)
                && group.record.is_some_and(|record| record.unfenced == 0)
                && (!group.nominated || self.leader_works(group));
        }
        true
    }

    /// L1 of Observed mode: exactly the holder is labelled, or no pod.
    fn follows_the_lease(&self, group: GroupObject) -> bool {
        let lease = self.lease.filter(|_| !self.lapsed);
        let holder = lease.and_then(|lease| self.pods[usize::from(lease.holder?)]);
        let holder =
            holder.filter(|pod| group.selects(*pod) && !self.is_others(pod.owner)).map(|pod| pod.uid);
        let ours =
            |pod: &&PodObject| pod.label == Label::Leader && (group.selects(**pod) || pod.owner == group.uid);
        let labelled: Vec<_> = self.pods.iter().flatten().filter(ours).map(|pod| pod.uid).collect();
        let Some(record) = group.record else { return holder.is_none() };
        record.leader == holder && record.unfenced == 0 && labelled.into_iter().eq(holder)
    }

    /// The operator gives its plan up. Live reads are forgotten, but writes may still arrive.
    pub fn give_up(&mut self, op: usize) {
        let op = &mut self.ops[op];
        self.late.extend(op.flight.drain(..).filter(|request| request.is_write()));
        op.rest.clear();
        op.carried.clear();
    }

    pub fn see_group(&mut self, op: usize) {
        let operator = &mut self.ops[op];
        if operator.group == self.group {
            return;
        }
        operator.times.new_record |= term_of(operator.group) != term_of(self.group);
        operator.group = self.group;
        operator.listed = if operator.listed == Listed::Present { Listed::Copy } else { Listed::No };
        for request in &mut operator.flight {
            if let Request::List { version, after_write, .. } = request {
                // A list for the old copy has become useless. A list for the current version is now
                // one for the copy.
                (*version, *after_write) =
                    (*version * u8::from(*after_write), !*after_write || *version == 0);
            }
        }
    }

    /// The group changed: lists for its previous version have become useless.
    pub fn outdate_lists(&mut self) {
        for op in self.ops.iter_mut().filter(|op| op.listed == Listed::Present) {
            op.listed = Listed::No;
        }
    }

    pub fn list(&mut self, op: usize, version: u8, after_write: bool) {
        let present = self.ops[op].group == self.group;
        self.ops[op].listed = match (after_write, version) {
            (false, _) => Listed::Copy,
            (true, 0) => Listed::No,
            (true, _) if present => Listed::Copy,
            (true, _) => Listed::Present,
        };
    }

    pub fn see_lease(&mut self, op: usize) {
        let operator = &mut self.ops[op];
        if operator.lease == self.lease {
            return;
        }
        let Times { new_record, new_pods, .. } = operator.times;
        operator.times = Times {
            expired: false,
            first_look: operator.lease.is_none(),
            lease_after_record: true,
            pods_after_lease: 0,
            new_lease: true,
            new_record,
            new_pods,
        };
        operator.lease = self.lease;
    }

    /// The open questions of time if the operator sees these objects now. Which new pods came after
    /// the Lease, by slot? May the Lease have come after the record? May the copy of the Lease have
    /// expired?
    pub fn open_times(&self, op: usize, sees: u8) -> (u8, bool, bool) {
        let Operator { times, lease, group, pods, .. } = &self.ops[op];
        let sees =
            |target| TARGETS.iter().zip(0..).any(|(other, bit)| *other == target && sees & (1 << bit) != 0);
        let sees_lease = sees(Target::Lease);
        let present = if sees_lease { self.lease } else { *lease };
        let holder = present.and_then(|lease| lease.holder).filter(|_| self.budget.observed);
        let Some(slot) = holder.map(usize::from) else { return (0, false, false) };
        let may_expire = (sees_lease || !times.expired) && (self.lapsed || present != self.lease);
        if !times.new_lease && !sees_lease {
            return (0, false, may_expire);
        }
        let uid = |pod: Option<PodObject>| pod.map(|pod| pod.uid);
        let another = self.pods[slot].is_some() && uid(self.pods[slot]) != uid(pods[slot]);
        let new_pod = times.new_pods & (1 << slot) != 0 || (another && sees(Target::Pod(slot)));
        let sees_group = sees(Target::Group);
        let new_record = times.new_record || (sees_group && term_of(*group) != term_of(self.group));
        let record = if sees_group { self.group } else { *group };
        (u8::from(new_pod) << slot, new_record && given_up(record).is_some(), may_expire)
    }

    /// An operator plans. From now on, the order of what it saw is fixed.
    pub fn decide_times(&mut self, op: usize, pods: u8, record: bool, expired: bool) {
        let times = &mut self.ops[op].times;
        let late = if times.new_lease { pods } else { times.new_pods };
        times.pods_after_lease = (times.pods_after_lease & !times.new_pods) | late;
        if times.new_record {
            times.lease_after_record = times.new_lease && record;
        }
        times.expired |= expired;
        (times.new_lease, times.new_record, times.new_pods) = (false, false, 0);
    }

    /// A fresh process has seen nothing before.
    pub fn restart_times(&mut self, op: usize) {
        self.ops[op].times =
            Times { first_look: true, new_lease: true, new_record: true, ..Times::default() };
    }

    /// The operator sees a slot, and thereby the deletion of the pod that it had there.
    pub fn see_pod(&mut self, op: usize, slot: usize) {
        let (before, now) = (self.ops[op].pods[slot], self.pods[slot]);
        self.ops[op].ended |= now.filter(|now| now.ended).map_or(0, |now| 1 << now.uid);
        if let Some(before) = before.filter(|before| now.is_none_or(|now| now.uid != before.uid)) {
            self.ops[op].gone |= 1 << before.uid;
        }
        if now.is_some_and(|now| before.is_none_or(|before| before.uid != now.uid)) {
            self.ops[op].times.new_pods |= 1 << slot;
        }
        if let Some(now) = now {
            // A newer pod of that name proves that all earlier ones are gone.
            let older = (0..now.uid % GENERATIONS).map(|g| 1 << (now.uid - 1 - g));
            self.ops[op].gone |= older.fold(0, |set, bit: u16| set | bit);
        }
        self.ops[op].pods[slot] = now;
    }

    pub fn see(&mut self, op: usize, target: Target) {
        match target {
            Target::Group => self.see_group(op),
            Target::Lease => self.see_lease(op),
            Target::Pod(slot) => self.see_pod(op, slot),
            Target::OtherGroup => self.ops[op].knows_other = self.other_exists,
            Target::Slice => self.ops[op].slice = self.slice,
            Target::Rival => self.ops[op].knows_rival = self.rival.is_some(),
        }
    }

    pub fn is_seen(&self, op: usize, target: Target) -> bool {
        match target {
            Target::Group => self.ops[op].group == self.group,
            Target::Lease => self.ops[op].lease == self.lease,
            Target::Pod(slot) => self.ops[op].pods[slot] == self.pods[slot],
            Target::OtherGroup => self.ops[op].knows_other == self.other_exists,
            Target::Slice => self.ops[op].slice == self.slice,
            Target::Rival => self.ops[op].knows_rival == self.rival.is_some(),
        }
    }

    /// Some operators, as bits, see an object.
    pub fn show(&mut self, target: Option<Target>, seen: u8) {
        for op in (0..self.ops.len()).filter(|op| seen & (1 << op) != 0) {
            if let Some(target) = target {
                self.see(op, target);
            }
        }
    }

    pub fn see_all(&mut self, op: usize) {
        for target in TARGETS {
            self.see(op, target);
        }
    }
}
