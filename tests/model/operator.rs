//! An operator's copies as the planner's snapshot, and the planner's intents as requests.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use election_operator::planner::cleanup::clean_up;
use election_operator::planner::lease::{LeaseContent, SeenLease};
use election_operator::planner::plan::{Intent, LeaseWrite, Plan, PodWrite, plan};
use election_operator::planner::reason::Reason;
use election_operator::planner::snapshot::{
    ElectionMode, GonePod, GroupStatus, LeaderChange, LeaderRecord, Membership, Owner, RecordedLeader, Role,
    SeenPod, Snapshot, Stamp, Unfenced,
};
use election_operator::planner::{Identity, Millis, Term, Version};

use super::objects::{
    EVERYBODY, GENERATIONS, GroupObject, Label, LeaseObject, Listed, OTHER_GROUP, Operator, PodObject,
    RecordObject, Request, Rule, Times, Turn,
};
use super::server::is_everybody;
use crate::support::{LONG_AGO, NOW, WALL, fresh, pod, term};

/// A plan as requests.
pub struct Steps {
    pub requests: Vec<Vec<Request>>,
    /// Planning again on its result gives an empty plan.
    pub keeps_s4: bool,
}

type Copies =
    (Option<GroupObject>, [Option<PodObject>; super::PODS], Option<LeaseObject>, u16, Listed, bool, Times);

type Plans = HashMap<(Copies, Option<Rule>), Option<Rc<Steps>>>;

thread_local! {
    static PLANS: RefCell<Plans> = RefCell::default();
}

/// What the operator would do now, if anything. The report for people is left out: it changes nothing else.
pub fn plan_of(op: &Operator, without: Option<Rule>) -> Option<Rc<Steps>> {
    let copies = (op.group, op.pods, op.lease, op.gone, op.listed, op.knows_other, op.times);
    let known = PLANS.with_borrow(|plans| plans.get(&(copies, without)).cloned());
    known.unwrap_or_else(|| {
        let steps = make(op, without).filter(|steps| !steps.requests.is_empty()).map(Rc::new);
        PLANS.with_borrow_mut(|plans| plans.insert((copies, without), steps.clone()));
        steps
    })
}

fn make(op: &Operator, without: Option<Rule>) -> Option<Steps> {
    let Some(group) = op.group else {
        return clean_after(op);
    };
    let writer = Writer { op, group, without };
    let snapshot = writer.snapshot();
    let plan = plan(&snapshot);
    let keeps_s4 = without.is_some() || leaves_nothing(&snapshot, &plan);
    let mut requests: Vec<Vec<Request>> = Vec::new();
    for step in &plan.steps {
        let step: Vec<_> = step.intents.iter().filter_map(|intent| writer.request(intent)).collect();
        requests.extend(Some(step).filter(|step| !step.is_empty()));
    }
    drop_reports(group.record, &mut requests);
    list_after_write(&mut requests);
    match without {
        Some(Rule::FenceBeforePromotion) => promote_first(&mut requests),
        Some(Rule::RecordAfterOwner) => ask_at_once(&mut requests),
        _ => {}
    }
    Some(Steps { requests, keeps_s4 })
}

/// A report that leaves the record as it is changes nothing here.
fn drop_reports(mut last: Option<RecordObject>, requests: &mut Vec<Vec<Request>>) {
    for step in &mut *requests {
        step.retain(|request| match request {
            Request::Status { record, .. } => std::mem::replace(&mut last, *record) != *record,
            _ => true,
        });
    }
    requests.retain(|step| !step.is_empty());
}

/// Whether a list is for a record that the plan itself writes.
fn list_after_write(requests: &mut [Vec<Request>]) {
    let mut written = false;
    for request in requests.iter_mut().flatten() {
        match request {
            Request::Status { .. } => written = true,
            Request::List { after_write, .. } => *after_write = written,
            _ => {}
        }
    }
}

fn promote_first(requests: &mut [Vec<Request>]) {
    let promotes = |step: &Vec<Request>| matches!(step[..], [Request::Pod { turn: Turn::Promote, .. }]);
    if let Some(at) = requests.iter().position(promotes)
        && at > 0
        && requests[at - 1].iter().any(|request| matches!(request, Request::Pod { turn: Turn::Fence, .. }))
    {
        requests.swap(at - 1, at);
    }
}

/// The question for the record joins the one for the owner, as far as it stands alone.
fn ask_at_once(requests: &mut Vec<Vec<Request>>) {
    let asks = |step: &[Request]| matches!(step, [Request::AskRecord { .. }]);
    let owner = |step: &Vec<Request>| step.iter().any(|request| matches!(request, Request::AskGroup(_)));
    if let Some(at) = requests.iter().position(owner)
        && requests.get(at + 1).is_some_and(|step| asks(step))
    {
        let question = requests.remove(at + 1);
        requests[at].extend(question);
    }
}

fn leaves_nothing(snapshot: &Snapshot, first: &Plan) -> bool {
    let intents = || first.steps.iter().flat_map(|step| &step.intents);
    if intents().any(|intent| matches!(intent, Intent::ListPods(_))) {
        return true;
    }
    let mut after = snapshot.clone();
    intents().for_each(|intent| after.project(intent));
    plan(&after).steps.is_empty()
}

/// Our group vanished: the marks that it left behind are taken away, after asking.
fn clean_after(op: &Operator) -> Option<Steps> {
    let left = |pod: &&PodObject| pod.mark != 0 && pod.mark != OTHER_GROUP;
    let owner = op.pods.iter().flatten().find(left)?.mark;
    let pods = op.pods.iter().flatten().filter(|pod| pod.mark == owner);
    let pods: Vec<_> = pods.map(|pod| (identity(pod.uid, None), Version(pod.version.into()))).collect();
    let plan = clean_up(&group_identity(owner), &pods, false);
    let request = |intent: &Intent| match intent {
        Intent::ConfirmGroupGone(group) => Some(Request::AskGroup(number(&group.uid))),
        Intent::Release(pod, version) => Some(pod_request(pod, *version, Turn::Unmark, 0, owner)),
        _ => None,
    };
    let requests = plan.steps.iter().map(|step| step.intents.iter().filter_map(request).collect()).collect();
    Some(Steps { requests, keeps_s4: true })
}

fn number(text: &str) -> u8 {
    text.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number at the end")
}

/// The name of the pod that does not lead any more because its Lease ran out, in the present term.
fn given_up(status: &GroupStatus) -> Option<u8> {
    let (record, newest) = (status.record.as_ref()?, status.history.first()?);
    let expired = newest.reason == Reason::LeaseExpired.as_str() && newest.term <= record.term;
    newest.previous.as_deref().filter(|_| expired && record.leader.is_none()).map(number)
}

fn small(term: Term) -> u8 {
    u8::try_from(term.get()).unwrap_or(u8::MAX) // far beyond the bounds
}

fn name(slot: u8) -> String {
    format!("pod{slot}")
}

fn group_identity(uid: u8) -> Identity {
    Identity::new(if uid == OTHER_GROUP { "other" } else { "orders" }, format!("group{uid}"))
}

/// With identity by name the UID says no more than the name.
fn identity(uid: u8, without: Option<Rule>) -> Identity {
    let by_name = without == Some(Rule::IdentityByUid);
    let uid_text = if by_name { format!("name{}", uid / GENERATIONS) } else { format!("uid{uid}") };
    Identity::new(name(uid / GENERATIONS), uid_text)
}

fn pod_request(pod: &Identity, version: Version, turn: Turn, term: u8, group: u8) -> Request {
    let version = u8::try_from(version.0).expect("few versions");
    Request::Pod { uid: number(&pod.uid), version, turn, term, group }
}

struct Writer<'a> {
    op: &'a Operator,
    group: GroupObject,
    without: Option<Rule>,
}

impl Writer<'_> {
    fn snapshot(&self) -> Snapshot {
        let mut snapshot = fresh(self.pods());
        snapshot.group.id = group_identity(self.group.uid);
        snapshot.group.version = Version(self.group.version.into());
        if let Ok(policy) = &mut snapshot.group.policy {
            policy.mode = if self.group.observed { ElectionMode::Observed } else { ElectionMode::Managed };
        }
        snapshot.group.status =
            GroupStatus { record: self.record(), history: self.history(), ..GroupStatus::default() };
        snapshot.gone = self.gone();
        snapshot.lease = self.lease();
        snapshot.listed_for = (self.op.listed == Listed::Copy).then_some(snapshot.group.version);
        snapshot.record_seen_at = LONG_AGO;
        if self.group.observed {
            self.set_times(&mut snapshot);
        }
        snapshot
    }

    /// When the operator saw what, as far as only the order matters.
    fn set_times(&self, snapshot: &mut Snapshot) {
        let Times { expired, first_look, lease_after_record, pods_after_lease, .. } = self.op.times;
        let Some(lease) = &mut snapshot.lease else { return };
        let changed_at = Millis(NOW.0 - if expired { 15_000 } else { 1_000 });
        (lease.changed_at, lease.change_was_seen) = (changed_at, !first_look);
        let (before, after) = (Millis(changed_at.0 - 1), Millis(changed_at.0 + 1));
        snapshot.record_seen_at = if lease_after_record { before } else { after };
        for pod in &mut snapshot.pods {
            let late = pods_after_lease & (1 << PodObject::slot(number(&pod.id.uid))) != 0;
            pod.seen_at = if late { after } else { Millis(0) };
        }
    }

    /// Only that a Lease ran out makes a difference later.
    fn history(&self) -> Vec<LeaderChange> {
        let record = self.group.record.into_iter();
        let given_up = record.filter_map(|record| Some((record.term, record.given_up?)));
        let change = given_up.map(|(of, slot)| LeaderChange {
            term: term(of.into()),
            leader: None,
            previous: Some(name(slot)),
            reason: Reason::LeaseExpired.as_str().to_owned(),
            detected_at: WALL,
            elected_at: WALL,
            labelled_at: Some(Stamp::At(WALL)),
        });
        change.collect()
    }

    fn is_named(&self, uid: u8) -> bool {
        self.group
            .record
            .is_some_and(|record| record.leader == Some(uid) || record.unfenced & (1 << uid) != 0)
    }

    fn pods(&self) -> Vec<SeenPod> {
        let known = self.op.pods.iter().flatten();
        known
            .filter(|pod| self.group.selects(**pod) || pod.mark == self.group.uid || self.is_named(pod.uid))
            .map(|p| self.pod(*p))
            .collect()
    }

    /// What the group of this number is to the operator's own.
    fn mark(&self, group: u8) -> Owner {
        match group {
            0 => Owner::None,
            group if group == self.group.uid => Owner::Ours,
            _ if self.without == Some(Rule::NotAnothers) => Owner::None,
            OTHER_GROUP if self.op.knows_other => Owner::Other(group_identity(OTHER_GROUP)),
            group => Owner::Vanished(group_identity(group)),
        }
    }

    fn pod(&self, object: PodObject) -> SeenPod {
        let mark = self.mark(object.mark);
        let role = match object.label {
            Label::None => Role::Absent,
            Label::Leader => Role::Leader,
            Label::Follower => Role::Follower,
        };
        let cap =
            self.group.record.filter(|_| self.without == Some(Rule::NotAbove)).map(|record| record.term);
        let of = object.term.map(|of| term(of.min(cap.unwrap_or(of)).into()));
        let selected = self.group.selects(object);
        let membership = if selected { Membership::Selected } else { Membership::Deselected };
        let id = identity(object.uid, self.without);
        let version = Version(object.version.into());
        SeenPod {
            id,
            version,
            membership,
            role,
            term: of,
            owner: mark,
            ready: object.ready,
            ready_seen_at: NOW,
            ..pod("any")
        }
    }

    fn record(&self) -> Option<LeaderRecord> {
        let record = self.group.record?;
        let leader = record.leader.map(|uid| RecordedLeader {
            id: identity(uid, self.without),
            node: Some("node-1".to_owned()),
            ip: Some("10.0.0.1".to_owned()),
            since: crate::support::WALL,
        });
        let named = (0..15).filter(|uid| record.unfenced & (1 << uid) != 0);
        let unfenced = if is_everybody(record.unfenced) {
            Unfenced::All
        } else {
            Unfenced::Pods(named.map(|uid| identity(uid, self.without)).collect())
        };
        Some(LeaderRecord { leader, term: term(record.term.into()), unfenced })
    }

    fn gone(&self) -> BTreeMap<String, GonePod> {
        let by_name = self.without == Some(Rule::IdentityByUid);
        let proved = (0..15).filter(|uid| self.op.gone & (1 << uid) != 0);
        let slot_is_empty = |uid: &u8| self.op.pods.get(PodObject::slot(*uid)).is_some_and(Option::is_none);
        let gone = GonePod { at: NOW, was_terminating: false };
        proved
            .filter(|uid| !by_name || slot_is_empty(uid))
            .map(|uid| (identity(uid, self.without).uid, gone))
            .collect()
    }

    fn lease(&self) -> Option<SeenLease> {
        let lease = self.op.lease?;
        let record = LeaseContent {
            uid: "lease-uid".to_owned(),
            version: Version(lease.version.into()),
            owner: self.mark(lease.owner),
            holder: lease.holder.map(name),
            duration_seconds: Some(15),
            transitions: 0,
            term: Some(term(lease.term.into())),
            adopt: None,
            times: (None, None),
        };
        Some(SeenLease { content: record, changed_at: NOW, change_was_seen: true })
    }

    /// The number of a pod: what the copy says, where names are all that is known.
    fn uid(&self, id: &Identity) -> u8 {
        let number = number(&id.uid);
        if self.without != Some(Rule::IdentityByUid) {
            return number;
        }
        let copy = self.op.pods[usize::from(number)];
        copy.map_or(number * GENERATIONS, |pod| pod.uid)
    }

    fn request(&self, intent: &Intent) -> Option<Request> {
        match intent {
            Intent::WriteStatus(status) => self.status(status),
            Intent::ConfirmPodGone(pod) => Some(Request::AskPod(self.uid(pod))),
            Intent::ConfirmGroupGone(group) => Some(Request::AskGroup(number(&group.uid))),
            Intent::ConfirmGroupExists(group) => Some(Request::AskGroupThere(number(&group.uid))),
            Intent::ConfirmPodUnchanged(pod, version) => {
                let version = u8::try_from(version.0).expect("few versions");
                Some(Request::AskSame { uid: self.uid(pod), version })
            }
            Intent::ConfirmRecord { group, leader, term } => {
                let leader = leader.as_ref().map(|leader| self.uid(leader));
                Some(Request::AskRecord { group: number(&group.uid), leader, term: small(*term) })
            }
            Intent::ListPods(_) => Some(self.list()),
            Intent::Fence(_) if self.without == Some(Rule::Fence) => None,
            Intent::Fence(write) => Some(self.pod_write(write, Turn::Fence)),
            Intent::Promote(write) => Some(self.pod_write(write, Turn::Promote)),
            Intent::LabelFollower(write) => Some(self.pod_write(write, Turn::Follow)),
            Intent::Release(pod, version) => {
                let pod = Identity::new(pod.name.clone(), format!("uid{}", self.uid(pod)));
                Some(pod_request(&pod, *version, Turn::Unmark, 0, self.group.uid))
            }
            Intent::WriteLease(_) if self.without == Some(Rule::LeaseBeforePromotion) => None,
            Intent::WriteLease(write) => Some(self.lease_write(write)),
            Intent::ConfirmLease { seen, .. } => {
                let version =
                    seen.as_ref().map(|(_, version)| u8::try_from(version.0).expect("few versions"));
                Some(Request::AskLease { seen: version })
            }
            Intent::ConfirmNodeSilent(_) => None,
            Intent::DropSwitchover
            | Intent::AnnounceChange(_)
            | Intent::PublishEvent(_)
            | Intent::WarnOnce(..) => None,
        }
    }

    fn list(&self) -> Request {
        let GroupObject { uid: group, version, .. } = self.group;
        Request::List { group, version, after_write: false }
    }

    fn pod_write(&self, write: &PodWrite, turn: Turn) -> Request {
        let pod = Identity::new(write.pod.name.clone(), format!("uid{}", self.uid(&write.pod)));
        pod_request(&pod, write.version, turn, small(write.term), self.group.uid)
    }

    fn lease_write(&self, write: &LeaseWrite) -> Request {
        let base = write.base.as_ref().map(|(_, version)| u8::try_from(version.0).expect("few versions"));
        let holder = write.holder.as_deref().map(number);
        Request::Lease { base, holder, term: small(write.term), group: self.group.uid }
    }

    fn status(&self, status: &GroupStatus) -> Option<Request> {
        let record = status.record.as_ref().map(|record| RecordObject {
            given_up: given_up(status).filter(|_| self.group.observed),
            ..self.record_object(record)
        });
        let GroupObject { uid: group, version, .. } = self.group;
        let again = |(before, after): (RecordObject, RecordObject)| {
            before.leader == after.leader && before.term < after.term && before.leader.is_some()
        };
        if self.without == Some(Rule::RecordAgain) && self.group.record.zip(record).is_some_and(again) {
            return None;
        }
        Some(Request::Status { group, version, record })
    }

    fn record_object(&self, record: &LeaderRecord) -> RecordObject {
        let leader = record.leader_id().map(|id| self.uid(id));
        let mut unfenced = match &record.unfenced {
            Unfenced::All => EVERYBODY,
            Unfenced::Pods(pods) => pods.iter().fold(0, |set, id| set | (1 << self.uid(id))),
        };
        let previous = self.group.record.and_then(|before| before.leader);
        if unfenced != 0 && self.without == Some(Rule::InheritUnfenced) && self.group.record.is_some() {
            let moved = previous.filter(|previous| Some(*previous) != leader);
            unfenced = moved.map_or(0, |previous| 1 << previous);
        }
        if self.without == Some(Rule::EverybodyUnfenced) {
            unfenced &= !EVERYBODY;
        }
        RecordObject { leader, term: small(record.term), unfenced, given_up: None }
    }
}
