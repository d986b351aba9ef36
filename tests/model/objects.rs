//! Objects of the API server, an operator's copies of them, and what is in flight: small, ordered, hashable.

/// Names of pods, by number: each has at most this many pods one after the other.
pub const PODS: usize = 2;
pub const GENERATIONS: u8 = 4;
/// The mark of a group that is not ours.
pub const OTHER_GROUP: u8 = 9;
/// Every object.
pub const TARGETS: [Target; 5] =
    [Target::Group, Target::Lease, Target::Pod(0), Target::Pod(1), Target::OtherGroup];
/// In a set of pods: every pod of the group.
pub const EVERYBODY: u16 = 1 << 15;

/// What may happen, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)] // a table of what may happen
pub struct World {
    pub operators: u8,
    /// The highest term that is looked at.
    pub terms: u8,
    /// Writes in flight whose sender is not interested any more.
    pub late: u8,
    pub crashes: u8,
    pub unready: u8,
    pub pods_deleted: u8,
    pub deselected: u8,
    /// How often the group's own selector is edited: it lets a pod go, or takes it back, and the pod does not change.
    pub reselected: u8,
    pub lease_deleted: u8,
    pub emptied: u8,
    pub group_deleted: u8,
    pub tampered: u8,
    pub captured: u8,
    /// Observed mode: the pods hold the Lease, which begins with the first pod.
    pub observed: bool,
    /// How often it changes hands.
    pub handed: u8,
    /// How often its holder renews it, as far as that is looked at: it may be seen late, or not at all.
    pub renewed: u8,
    /// How often it is not renewed for as long as it is valid.
    pub lapses: u8,
    /// Copies of the Lease lag, too: always in Observed mode.
    pub lease_lags: bool,
    /// Begin with a leader that both operators see, not with a group that is new.
    pub settled: bool,
    /// Begin with the first pod, which led, just recreated under its name.
    pub recreated: bool,
    /// Begin with one operator whose copy of this pod is old.
    pub old_copy: Option<(u8, Old)>,
    /// The operators do not know the other group at the beginning, only the API server does.
    pub other_is_unknown: bool,
    /// How often the other group is deleted: its marks stay.
    pub other_deleted: u8,
    /// Begin with the first pod marked by the other group.
    pub begins_captured: bool,
}

/// What an old copy of a pod says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Old {
    /// It was not Ready then.
    NotReady,
    /// It was not there then.
    Absent,
}

/// A rule of the protocol that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The record is written by compare-and-swap.
    ConditionalRecord,
    /// Fences are written at all.
    Fence,
    /// Fences are written before the promotion.
    FenceBeforePromotion,
    /// A promotion is conditional on the version it was decided on.
    ConditionalPromotion,
    /// Those of the previous record that are not known to be fenced are handed on.
    InheritUnfenced,
    /// A record without one before it leaves everybody unfenced.
    EverybodyUnfenced,
    /// The list of pods is made after the record.
    ListAfterRecord,
    /// A pod is known by its UID.
    IdentityByUid,
    /// A pod that is absent from the cache is asked for.
    ProofOfGone,
    /// A pod whose term is above the record's is not written.
    NotAbove,
    /// A higher term is recorded when something is in the way.
    RecordAgain,
    /// A pod with another group's mark is not written.
    NotAnothers,
    /// Before a pod is taken over, the API server is asked for the group that marked it.
    AskForOtherGroup,
    /// A pod that another group has marked is asked for: it must be as it was seen.
    AskForTaken,
    /// The group that has marked it is asked for: it must exist.
    AskForOwner,
    /// The record is asked for after the group that has marked a pod to be taken over, not at the same time.
    RecordAfterOwner,
    /// A record is asked for before a pod is promoted that does not prove it, or taken over.
    AskForRecord,
    /// The Lease names the leader before it is promoted.
    LeaseBeforePromotion,
    /// The Lease is written by compare-and-swap.
    ConditionalLease,
    /// Before a change that the Lease of the pods gives a reason for, the API server is asked for that Lease.
    AskForLease,
}

/// A set of broken invariants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokenSet(u8);

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Broken {
    S2 = 1,
    S3 = 2,
    S4 = 4,
    S5 = 8,
    L2 = 16,
    /// A pod with the mark of another group that exists was written.
    Others = 32,
    /// A holder whose Lease ran out, as recorded, is the leader again though nobody has written the Lease since.
    GivenUp = 64,
}

impl BrokenSet {
    pub fn insert(&mut self, broken: Broken) {
        self.0 |= broken as u8;
    }

    pub fn contains(self, broken: Broken) -> bool {
        self.0 & broken as u8 != 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    None,
    Leader,
    Follower,
}

/// `uid` is `slot * GENERATIONS + generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodObject {
    pub uid: u8,
    pub version: u8,
    pub label: Label,
    pub term: Option<u8>,
    /// The UID of the group that marked it; 0: nobody.
    pub mark: u8,
    pub ready: bool,
    pub selected: bool,
}

impl PodObject {
    pub const fn slot(uid: u8) -> usize {
        (uid / GENERATIONS) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordObject {
    pub leader: Option<u8>,
    pub term: u8,
    /// UIDs as bits, and [`EVERYBODY`].
    pub unfenced: u16,
    /// The name of the pod, as its number, whose Lease ran out: hence there is no leader.
    pub given_up: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupObject {
    pub uid: u8,
    pub version: u8,
    pub record: Option<RecordObject>,
    pub observed: bool,
    /// The slots of pods that the selector leaves out.
    pub leaves_out: u8,
}

impl GroupObject {
    pub const fn selects(&self, pod: PodObject) -> bool {
        pod.selected && self.leaves_out & (1 << PodObject::slot(pod.uid)) == 0
    }
}

/// `owner` is the UID of a group; 0: the pods hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseObject {
    pub version: u8,
    pub owner: u8,
    /// The name of a pod, as its number.
    pub holder: Option<u8>,
    pub term: u8,
}

/// Names an object for its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    Group(u8),
    Pod(u8),
    Lease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    Fence,
    Promote,
    Follow,
    Unmark,
}

/// A request, with what it is conditional on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    Status {
        group: u8,
        version: u8,
        record: Option<RecordObject>,
    },
    AskPod(u8),
    /// The Lease is as it was seen, or as absent.
    AskLease {
        seen: Option<u8>,
    },
    /// The group is gone.
    AskGroup(u8),
    /// The group exists.
    AskGroupThere(u8),
    /// A pod is gone, or as it was seen.
    AskSame {
        uid: u8,
        version: u8,
    },
    /// The group is there, and its record has this leader and term.
    AskRecord {
        group: u8,
        leader: Option<u8>,
        term: u8,
    },
    /// A list for the group as the sender's copy has it, or as a write of the same plan made it.
    List {
        group: u8,
        version: u8,
        after_write: bool,
    },
    Pod {
        uid: u8,
        version: u8,
        turn: Turn,
        term: u8,
        group: u8,
    },
    Lease {
        base: Option<u8>,
        holder: Option<u8>,
        term: u8,
        group: u8,
    },
    /// A write whose condition can never hold again.
    Stale,
}

/// An object that a request or an event may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Group,
    Lease,
    Pod(usize),
    /// Whether the other group exists.
    OtherGroup,
}

impl Request {
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Status { .. } => Some(Target::Group),
            Self::Pod { uid, .. } => Some(Target::Pod(PodObject::slot(uid))),
            Self::Lease { .. } => Some(Target::Lease),
            _ => None,
        }
    }

    pub const fn is_write(self) -> bool {
        matches!(self, Self::Status { .. } | Self::Pod { .. } | Self::Lease { .. })
    }

    /// What the write is conditional on.
    pub fn condition(&mut self) -> Option<(Key, &mut u8)> {
        match self {
            Self::Status { group, version, .. } | Self::List { group, version, .. } => {
                Some((Key::Group(*group), version))
            }
            Self::Pod { uid, version, .. } | Self::AskSame { uid, version } => {
                Some((Key::Pod(*uid), version))
            }
            Self::Lease { base: Some(version), .. } | Self::AskLease { seen: Some(version) } => {
                Some((Key::Lease, version))
            }
            _ => None,
        }
    }
}

/// For which version of the group the pods were listed afresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listed {
    No,
    /// The one that the operator has a copy of.
    Copy,
    /// The present one, which the operator has no copy of yet.
    Present,
}

/// What an operator of Observed mode knows of the times at which it saw things, on its own clock. Of two things that
/// different watches bring, either may come first: which it was is decided when it matters, when a plan is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub struct Times {
    /// It has seen the Lease for as long as that is valid, and no change of it.
    pub expired: bool,
    /// It has seen no other content of the Lease before.
    pub first_look: bool,
    /// It saw the Lease change after it saw the term of the record.
    pub lease_after_record: bool,
    /// Names of pods, as bits, whose present pod it saw after the Lease's last change.
    pub pods_after_lease: u8,
    /// What it has seen since its last plan: the Lease, ...
    pub new_lease: bool,
    /// ... a record of another term, ...
    pub new_record: bool,
    /// ... and new pods, by name, as bits.
    pub new_pods: u8,
}

/// An operator: copies, what it knows besides, and the plan it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operator {
    pub group: Option<GroupObject>,
    pub pods: [Option<PodObject>; PODS],
    pub lease: Option<LeaseObject>,
    pub times: Times,
    /// UIDs of pods that are proved to be gone.
    pub gone: u16,
    pub listed: Listed,
    /// As far as it knows, the other group exists.
    pub knows_other: bool,
    /// Sent, and waited for.
    pub flight: Vec<Request>,
    /// The steps that follow.
    pub rest: Vec<Vec<Request>>,
    /// Versions that the plan's own writes produced.
    pub carried: Vec<(Key, u8)>,
}

impl Operator {
    pub fn begin(&mut self, steps: &[Vec<Request>]) {
        self.rest = steps.to_vec();
        self.next_step();
    }

    /// A request succeeded; `written` is the version that it produced.
    pub fn proceed(&mut self, written: Option<(Key, u8)>) {
        if let Some((key, version)) = written {
            self.carried.retain(|(other, _)| *other != key);
            self.carried.push((key, version));
            self.carried.sort_unstable();
        }
        if self.flight.is_empty() {
            self.next_step();
        }
    }

    fn next_step(&mut self) {
        if self.rest.is_empty() {
            self.carried.clear();
            return;
        }
        self.flight = self.rest.remove(0);
        for request in &mut self.flight {
            let Some((key, version)) = request.condition() else {
                continue;
            };
            if let Some((_, carried)) = self.carried.iter().find(|(other, _)| *other == key) {
                *version = *carried;
            }
        }
    }
}

/// The world at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub group: Option<GroupObject>,
    pub pods: [Option<PodObject>; PODS],
    pub lease: Option<LeaseObject>,
    pub other_exists: bool,
    pub ops: Vec<Operator>,
    pub late: Vec<Request>,
    pub budget: World,
    /// Observed mode: the Lease has run out.
    pub lapsed: bool,
    /// Observed mode: pods, as bits of UIDs, that the Lease has named while they were there.
    pub named: u16,
    /// How many pods have had each name.
    pub generation: [u8; PODS],
    pub groups: u8,
    /// Labels that a user gave, as bits of UIDs: no operator is to blame for these.
    pub tainted: u16,
    /// Pods that once gave a reason to be replaced, as bits of UIDs.
    pub troubled: u16,
    /// (group, term, pod) that were recorded.
    pub recorded: Vec<(u8, u8, u8)>,
    /// (group, term, name) that the Lease named.
    pub leased: Vec<(u8, u8, u8)>,
    /// (group, term, pod) that were promoted.
    pub promoted: Vec<(u8, u8, u8)>,
    pub broken: BrokenSet,
}

fn term_of(group: Option<GroupObject>) -> Option<u8> {
    group.and_then(|group| group.record).map(|record| record.term)
}

fn given_up(group: Option<GroupObject>) -> Option<u8> {
    group.and_then(|group| group.record).and_then(|record| record.given_up)
}

impl State {
    pub fn new(world: World) -> Self {
        let pod = |slot: u8| PodObject {
            uid: slot * GENERATIONS,
            version: 0,
            label: Label::None,
            term: None,
            mark: 0,
            ready: true,
            selected: true,
        };
        let group =
            Some(GroupObject { uid: 1, version: 0, record: None, observed: world.observed, leaves_out: 0 });
        let lease = LeaseObject { version: 0, owner: 0, holder: Some(0), term: 0 };
        let pods = [Some(pod(0)), Some(pod(1))];
        let operator = Operator {
            group,
            pods,
            lease: None,
            times: Times::default(),
            gone: 0,
            listed: Listed::No,
            knows_other: !world.other_is_unknown,
            flight: Vec::new(),
            rest: Vec::new(),
            carried: Vec::new(),
        };
        Self {
            group,
            pods,
            lease: world.observed.then_some(lease),
            other_exists: true,
            ops: vec![operator; usize::from(world.operators)],
            late: Vec::new(),
            budget: world,
            lapsed: false,
            named: u16::from(world.observed),
            generation: [0; PODS],
            groups: 1,
            tainted: 0,
            troubled: 0,
            recorded: Vec::new(),
            leased: Vec::new(),
            promoted: Vec::new(),
            broken: BrokenSet::default(),
        }
    }

    /// How many pods carry the leader label, as far as operators wrote it.
    pub fn labelled(&self) -> usize {
        let ours = |pod: &&PodObject| pod.label == Label::Leader && self.tainted & (1 << pod.uid) == 0;
        self.pods.iter().flatten().filter(ours).count()
    }

    /// A mark of the other group, which exists.
    pub const fn is_others(&self, mark: u8) -> bool {
        mark == OTHER_GROUP && self.other_exists
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

    /// The holder renews the Lease.
    pub fn renew(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.version += 1;
        }
        self.lapsed = false;
    }

    /// Whoever holds the Lease renews it again and again.
    pub fn renew_at_rest(&mut self) {
        let held = self.lease.is_some_and(|lease| lease.holder.is_some());
        if self.budget.observed && held && !self.lapsed {
            self.renew();
        }
    }

    /// Nothing is in flight.
    pub fn is_quiet(&self) -> bool {
        self.late.is_empty() && self.ops.iter().all(|op| op.flight.is_empty())
    }

    /// L1, for a state at rest.
    pub fn is_led_if_it_can_be(&self) -> bool {
        let Some(group) = self.group else {
            return self.pods.iter().flatten().all(|pod| pod.mark != 1);
        };
        if group.observed {
            return self.follows_the_lease(group);
        }
        let eligible = |pod: &&PodObject| pod.ready && group.selects(**pod) && !self.is_others(pod.mark);
        if self.pods.iter().flatten().any(|pod| eligible(&pod)) {
            let mut labelled = self.pods.iter().flatten().filter(|pod| pod.label == Label::Leader);
            let leader = labelled.next();
            let recorded = group.record.and_then(|record| record.leader);
            return labelled.next().is_none()
                && leader.is_some_and(|pod| eligible(&pod) && Some(pod.uid) == recorded)
                && group.record.is_some_and(|record| record.unfenced == 0);
        }
        true
    }

    /// L1 of Observed mode: exactly the holder is labelled, or nobody.
    fn follows_the_lease(&self, group: GroupObject) -> bool {
        let lease = self.lease.filter(|_| !self.lapsed);
        let holder = lease.and_then(|lease| self.pods[usize::from(lease.holder?)]);
        let holder = holder.filter(|pod| group.selects(*pod) && !self.is_others(pod.mark)).map(|pod| pod.uid);
        let ours =
            |pod: &&PodObject| pod.label == Label::Leader && (group.selects(**pod) || pod.mark == group.uid);
        let labelled: Vec<_> = self.pods.iter().flatten().filter(ours).map(|pod| pod.uid).collect();
        let Some(record) = group.record else { return holder.is_none() };
        record.leader == holder && record.unfenced == 0 && labelled.into_iter().eq(holder)
    }

    /// The sender is not interested in the answers any more; questions are forgotten, writes may still arrive.
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
                // a list for the old copy is for nothing now, one for the present version is for the new copy
                (*version, *after_write) =
                    (*version * u8::from(*after_write), !*after_write || *version == 0);
            }
        }
    }

    /// The group changed: what was listed for the version before, and not seen, is for nothing.
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

    /// What may be decided about the times at which an operator saw things if it sees these objects now: names of pods,
    /// and whether its record and whether the end of the Lease.
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

    /// An operator plans: what it saw is from now on in this order.
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

    /// A process that starts afresh has seen nothing before.
    pub fn restart_times(&mut self, op: usize) {
        self.ops[op].times =
            Times { first_look: true, new_lease: true, new_record: true, ..Times::default() };
    }

    /// A pod that was there and is not any more was seen to go.
    pub fn see_pod(&mut self, op: usize, slot: usize) {
        let (before, now) = (self.ops[op].pods[slot], self.pods[slot]);
        if let Some(before) = before.filter(|before| now.is_none_or(|now| now.uid != before.uid)) {
            self.ops[op].gone |= 1 << before.uid;
        }
        if now.is_some_and(|now| before.is_none_or(|before| before.uid != now.uid)) {
            self.ops[op].times.new_pods |= 1 << slot;
        }
        if let Some(now) = now {
            // a newer pod of that name proves that all before it are gone
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
        }
    }

    pub fn is_seen(&self, op: usize, target: Target) -> bool {
        match target {
            Target::Group => self.ops[op].group == self.group,
            Target::Lease => self.ops[op].lease == self.lease,
            Target::Pod(slot) => self.ops[op].pods[slot] == self.pods[slot],
            Target::OtherGroup => self.ops[op].knows_other == self.other_exists,
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

    /// Brings states that cannot be told apart into one form: everything in order, of each version only whether it is
    /// the present one, and nothing that cannot matter any more.
    pub fn tidy(&mut self, world: &World, without: Option<Rule>) {
        if world.observed {
            self.note_holder();
            self.forget_times();
        } else {
            let current = if world.lease_lags { 0 } else { self.ops.len() };
            (0..current).for_each(|op| self.see_lease(op));
            self.ops.iter_mut().for_each(|op| op.times = Times::default());
        }
        self.mark_present_versions();
        if !matches!(
            without,
            Some(Rule::ConditionalPromotion | Rule::ConditionalRecord | Rule::ConditionalLease)
        ) {
            self.forget_stale_writes();
        }
        self.forget_knowledge();
        self.forget_other();
        self.forget_history();
        self.late.sort_unstable();
        self.late.dedup();
        self.ops.iter_mut().for_each(|op| op.flight.sort_unstable());
        self.ops.sort();
    }

    fn note_holder(&mut self) {
        let alive = self.pods.iter().flatten().fold(0, |set, pod| set | (1 << pod.uid));
        let holder = self.lease.and_then(|lease| self.pods[usize::from(lease.holder?)]);
        self.named = (self.named | holder.map_or(0, |pod| 1 << pod.uid)) & alive;
    }

    /// Times that make no difference.
    fn forget_times(&mut self) {
        for op in &mut self.ops {
            let holder = op.lease.and_then(|lease| lease.holder).map_or(0, |slot| 1 << slot);
            let there = op.pods.iter().enumerate().filter(|(_, pod)| pod.is_some());
            op.times.new_pods &= there.fold(0, |set, (slot, _)| set | (1 << slot));
            op.times.pods_after_lease &= holder;
            op.times.expired &= holder != 0;
            if given_up(op.group).is_none() {
                op.times.new_record = false;
                op.times.lease_after_record = false;
            }
        }
    }

    fn version_of(&self, key: Key) -> Option<u8> {
        match key {
            Key::Group(uid) => self.group.filter(|group| group.uid == uid).map(|group| group.version),
            Key::Lease => self.lease.map(|lease| lease.version),
            Key::Pod(uid) => {
                self.pods[PodObject::slot(uid)].filter(|pod| pod.uid == uid).map(|pod| pod.version)
            }
        }
    }

    /// A version is the present one, 1, or can never be again, 0.
    fn mark_present_versions(&mut self) {
        let before = self.clone();
        self.each_version(&mut |key, version| *version = u8::from(before.version_of(key) == Some(*version)));
    }

    fn forget_stale_writes(&mut self) {
        let is_stale = |request: &mut Request| {
            request.is_write() && request.condition().is_some_and(|(_, version)| *version == 0)
        };
        self.late.retain_mut(|request| !is_stale(request));
        let alive = self.pods.map(|pod| pod.map(|pod| pod.uid));
        let finds_it_gone = |request: &Request| match request {
            Request::Pod { uid, turn: Turn::Fence | Turn::Unmark, .. } => !alive.contains(&Some(*uid)),
            _ => false,
        };
        for request in self.ops.iter_mut().flat_map(|op| &mut op.flight) {
            if is_stale(request) && !finds_it_gone(request) {
                *request = Request::Stale;
            }
        }
    }

    fn requests(&self) -> impl Iterator<Item = &Request> {
        let planned = self.ops.iter().flat_map(|op| op.flight.iter().chain(op.rest.iter().flatten()));
        planned.chain(&self.late)
    }

    fn records(&self) -> impl Iterator<Item = Option<RecordObject>> {
        let copies = self.ops.iter().map(|op| op.group).chain([self.group]);
        let written = self.requests().filter_map(|request| match request {
            Request::Status { record, .. } => Some(*record),
            _ => None,
        });
        copies.flatten().map(|group| group.record).chain(written)
    }

    /// What is known of pods that nobody speaks of, of lists for records that are no more.
    fn forget_knowledge(&mut self) {
        let alive = self.pods.iter().flatten().fold(0, |set, pod| set | (1 << pod.uid));
        let named = self
            .records()
            .flatten()
            .fold(0u16, |set, record| set | record.unfenced | record.leader.map_or(0, |leader| 1 << leader));
        let copied =
            self.ops.iter().flat_map(|op| &op.pods).flatten().fold(0, |set, pod| set | (1 << pod.uid));
        let is_open = |group: Option<GroupObject>| {
            group.and_then(|group| group.record).is_some_and(|record| record.unfenced & EVERYBODY != 0)
        };
        self.tainted &= alive;
        self.troubled &= alive;
        for op in &mut self.ops {
            op.gone &= named | copied;
            let useful = match op.listed {
                Listed::No => false,
                Listed::Copy => is_open(op.group),
                Listed::Present => is_open(self.group),
            };
            if !useful {
                op.listed = Listed::No;
            }
        }
    }

    /// Whether an operator knows the other group matters only as long as a pod carries its mark, or may.
    fn forget_other(&mut self) {
        let copies = self.ops.iter().flat_map(|op| &op.pods);
        let marked = self.pods.iter().chain(copies).flatten().any(|pod| pod.mark == OTHER_GROUP);
        if !marked && (self.budget.captured == 0 || !self.other_exists) {
            (self.other_exists, self.budget.captured) = (false, 0);
            self.ops.iter_mut().for_each(|op| op.knows_other = false);
        }
    }

    /// Terms below all that anybody may still act on.
    fn forget_history(&mut self) {
        let promotions = self.requests().filter_map(|request| match request {
            Request::Pod { turn: Turn::Promote, term, .. } => Some(*term),
            _ => None,
        });
        let recorded = self.records().map(|record| record.map_or(0, |record| record.term));
        let oldest = promotions.chain(recorded).min().unwrap_or(0);
        for set in [&mut self.recorded, &mut self.leased, &mut self.promoted] {
            set.retain(|(_, term, _)| *term >= oldest);
            set.sort_unstable();
            set.dedup();
        }
    }

    fn each_version(&mut self, visit: &mut impl FnMut(Key, &mut u8)) {
        let mut objects =
            |g: &mut Option<GroupObject>, ps: &mut [Option<PodObject>], l: &mut Option<LeaseObject>| {
                if let Some(group) = g {
                    visit(Key::Group(group.uid), &mut group.version);
                }
                ps.iter_mut().flatten().for_each(|pod| visit(Key::Pod(pod.uid), &mut pod.version));
                if let Some(lease) = l {
                    visit(Key::Lease, &mut lease.version);
                }
            };
        objects(&mut self.group, &mut self.pods, &mut self.lease);
        for op in &mut self.ops {
            objects(&mut op.group, &mut op.pods, &mut op.lease);
        }
        let planned =
            self.ops.iter_mut().flat_map(|op| op.flight.iter_mut().chain(op.rest.iter_mut().flatten()));
        for request in planned.chain(&mut self.late) {
            if let Some((key, version)) = request.condition() {
                visit(key, version);
            }
        }
        let carried = self.ops.iter_mut().flat_map(|op| &mut op.carried);
        carried.for_each(|(key, version)| visit(*key, version));
    }
}
