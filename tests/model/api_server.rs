//! The API server: what a request does, what it answers, and what happens to objects from outside.

use crate::objects::{
    GENERATIONS, GroupObject, Key, Label, LeaseObject, OTHER_GROUP, PODS, PodObject, RecordObject, Request,
    Target, Turn,
};
use crate::state::State;
use crate::switch::Event;
use crate::world::{Broken, Rule};

/// Not a version that anything else has seen: 0 is every version of the past, 1 the present one.
const NEW_LEASE: u8 = 2;

/// The answer to a request.
pub enum Answer {
    /// It succeeded; a write gives the version that it produced.
    Done(Option<(Key, u8)>),
    Refused,
}

/// Applies a request; `op` waits for the answer, if anybody does.
pub fn apply(state: &mut State, op: Option<usize>, request: Request, without: Option<Rule>) -> Answer {
    let answer = |holds: bool| {
        if holds { Answer::Done(None) } else { Answer::Refused }
    };
    match request {
        Request::Status { group, version, record } => write_status(state, (group, version), record, without),
        // a 404, or another UID, answers the question that a fence puts
        Request::Pod { uid, turn: Turn::Fence | Turn::Unmark, .. } if !state.exists(uid) => {
            if let Some(op) = op {
                state.ops[op].gone |= 1 << uid;
            }
            Answer::Done(None)
        }
        Request::Pod { .. } => write_pod(state, request, without),
        Request::Lease { .. } => write_lease(state, request, without),
        Request::AskPod(uid) => {
            let there = state.pods[PodObject::slot(uid)].is_some_and(|pod| pod.uid == uid);
            let gone = !there || without == Some(Rule::ProofOfGone);
            if let Some(op) = op.filter(|_| gone) {
                state.ops[op].gone |= 1 << uid;
            }
            answer(gone)
        }
        Request::AskLease { seen } => {
            let same = state.lease.map(|lease| lease.version) == seen;
            if let Some(op) = op {
                state.see_lease(op);
            }
            answer(same || without == Some(Rule::AskForLease))
        }
        Request::AskGroup(uid) => {
            let there = is_there(state, op, uid);
            answer(!there || without == Some(Rule::AskForOtherGroup))
        }
        Request::AskGroupThere(uid) => {
            let there = is_there(state, op, uid);
            answer(there || without == Some(Rule::AskForOwner))
        }
        Request::AskSame { uid, version } => {
            let slot = PodObject::slot(uid);
            let same = state.pods[slot].is_none_or(|pod| pod.uid != uid || pod.version == version);
            if let Some(op) = op {
                state.see_pod(op, slot);
            }
            answer(same || without == Some(Rule::AskForTaken))
        }
        Request::AskRecord { group, leader, term } => {
            let record = state.group.filter(|present| present.uid == group).and_then(|group| group.record);
            let name = |uid: Option<u8>| uid.map(PodObject::slot);
            let by_name = without == Some(Rule::IdentityByUid);
            let names = |record: RecordObject| {
                record.leader == leader || (by_name && name(record.leader) == name(leader))
            };
            let current = record.is_some_and(|record| names(record) && record.term == term);
            answer(current || without == Some(Rule::AskForRecord))
        }
        Request::Stale => Answer::Refused,
        Request::List { version, after_write, .. } => {
            if let Some(op) = op {
                if without != Some(Rule::ListAfterRecord) {
                    (0..PODS).for_each(|slot| state.see_pod(op, slot));
                }
                state.list(op, version, after_write);
            }
            Answer::Done(None)
        }
    }
}

/// Whether a group exists; whoever asks knows it afterwards.
fn is_there(state: &mut State, op: Option<usize>, uid: u8) -> bool {
    if let Some(op) = op.filter(|_| uid == OTHER_GROUP) {
        state.ops[op].knows_other = state.other_exists;
    }
    state.is_others(uid) || state.group.is_some_and(|group| group.uid == uid)
}

fn write_status(
    state: &mut State,
    (uid, version): (u8, u8),
    record: Option<RecordObject>,
    without: Option<Rule>,
) -> Answer {
    let conditional = without != Some(Rule::ConditionalRecord);
    let Some(group) = state.group.filter(|g| g.uid == uid && (g.version == version || !conditional)) else {
        return Answer::Refused;
    };
    if let Some(record) = record {
        judge_record(state, group, record);
        state.recorded.extend(record.leader.map(|leader| (uid, record.term, leader)));
    }
    let version = group.version + u8::from(record != group.record);
    if version != group.version {
        state.outdate_lists();
    }
    state.group = Some(GroupObject { version, record, ..group });
    Answer::Done(Some((Key::Group(uid), version)))
}

fn judge_record(state: &mut State, group: GroupObject, record: RecordObject) {
    let Some(before) = group.record else { return };
    let again = record.leader.and_then(|leader| u8::try_from(PodObject::slot(leader)).ok());
    if before.given_up.is_some() && before.given_up == again && state.lapsed {
        state.broken.insert(Broken::GivenUp);
    }
    let moved = before.leader != record.leader;
    if record.term < before.term || (moved && record.term == before.term) {
        state.broken.insert(Broken::S2);
    }
    let healthy = |leader: u8| {
        let pod = state.pods[PodObject::slot(leader)].filter(|pod| pod.uid == leader);
        pod.is_some() && state.troubled & (1 << leader) == 0
    };
    if moved && before.leader.is_some_and(healthy) {
        state.broken.insert(Broken::L2);
    }
}

fn write_pod(state: &mut State, request: Request, without: Option<Rule>) -> Answer {
    let Request::Pod { uid, version, turn, term, group } = request else {
        return Answer::Refused;
    };
    let slot = PodObject::slot(uid);
    let conditional = !(turn == Turn::Promote && without == Some(Rule::ConditionalPromotion));
    let Some(pod) = state.pods[slot].filter(|pod| pod.uid == uid && (pod.version == version || !conditional))
    else {
        return Answer::Refused;
    };
    judge_write(state, pod, group, term, turn);
    let marked = |label| PodObject { label, term: Some(term), mark: group, ..pod };
    let after = match turn {
        Turn::Fence | Turn::Follow => marked(Label::Follower),
        Turn::Promote => {
            judge_promotion(state, (group, term, uid));
            marked(Label::Leader)
        }
        Turn::Unmark => PodObject { label: Label::None, term: None, mark: 0, ..pod },
    };
    state.tainted &= !(1 << uid);
    let version = pod.version + u8::from(after != pod);
    state.pods[slot] = Some(PodObject { version, ..after });
    Answer::Done(Some((Key::Pod(uid), version)))
}

fn judge_write(state: &mut State, pod: PodObject, group: u8, term: u8, turn: Turn) {
    let owner_exists =
        state.is_others(pod.mark) || state.group.is_some_and(|present| present.uid == pod.mark);
    if pod.mark != group && owner_exists {
        state.broken.insert(Broken::Others);
    }
    if pod.mark == group && turn != Turn::Unmark && Some(term) < pod.term {
        state.broken.insert(Broken::S2);
    }
}

fn judge_promotion(state: &mut State, (group, term, uid): (u8, u8, u8)) {
    let name = uid / GENERATIONS;
    if state.promoted.iter().any(|other| (other.0, other.1) == (group, term) && other.2 != uid) {
        state.broken.insert(Broken::S2);
    }
    let leased = if state.budget.observed {
        state.named & (1 << uid) != 0
    } else {
        state.leased.contains(&(group, term, name))
    };
    if !leased || !state.recorded.contains(&(group, term, uid)) {
        state.broken.insert(Broken::S3);
    }
    let namesake =
        |other: &(u8, u8, u8)| (other.0, other.1) == (group, term) && other.2 / GENERATIONS == name;
    if state.recorded.iter().any(|other| namesake(other) && other.2 != uid) {
        state.broken.insert(Broken::S5);
    }
    state.promoted.push((group, term, uid));
}

fn write_lease(state: &mut State, request: Request, without: Option<Rule>) -> Answer {
    let Request::Lease { base, holder, term, group } = request else {
        return Answer::Refused;
    };
    let unconditional = without == Some(Rule::ConditionalLease);
    let after = match (state.lease, base) {
        (None, None) => LeaseObject { version: NEW_LEASE, owner: group, holder, term },
        (Some(lease), base) if base == Some(lease.version) || unconditional => {
            if lease.owner == group && term < lease.term {
                state.broken.insert(Broken::S2);
            }
            if lease.owner != group && state.group.is_some_and(|present| present.uid == lease.owner) {
                state.broken.insert(Broken::Others);
            }
            LeaseObject { version: lease.version + 1, owner: group, holder, term }
        }
        _ => return Answer::Refused,
    };
    state.lease = Some(after);
    state.leased.extend(holder.map(|holder| (group, term, holder)));
    Answer::Done(Some((Key::Lease, after.version)))
}

/// What happens from outside.
pub fn happen(state: &mut State, event: Event) {
    if event.target() == Target::Group {
        state.outdate_lists();
    }
    match event {
        Event::ToggleReady(slot) => {
            state.budget.unready -= 1;
            change(state, slot, |pod| pod.ready = !pod.ready);
        }
        Event::ToggleSelected(slot) => {
            state.budget.deselected -= 1;
            change(state, slot, |pod| pod.selected = !pod.selected);
        }
        Event::TamperLabel(slot) => {
            state.budget.tampered -= 1;
            if let Some(pod) = state.pods[slot] {
                let given = pod.label != Label::Leader;
                let bit = 1 << pod.uid;
                state.tainted = if given { state.tainted | bit } else { state.tainted & !bit };
            }
            change(state, slot, |pod| {
                pod.label = if pod.label == Label::Leader { Label::None } else { Label::Leader };
            });
        }
        Event::Capture(slot) => {
            state.budget.captured -= 1;
            capture(state, slot);
        }
        Event::Release(slot) => {
            change(state, slot, |pod| (pod.mark, pod.label, pod.term) = (0, Label::None, None));
        }
        Event::DeleteOther => {
            state.budget.other_deleted -= 1;
            state.other_exists = false;
        }
        Event::DeletePod(slot) => {
            state.budget.pods_deleted -= 1;
            state.pods[slot] = None;
        }
        Event::CreatePod(slot) => create_pod(state, slot),
        Event::DeleteLease => {
            state.budget.lease_deleted -= 1;
            trouble_holder(state);
            (state.lease, state.lapsed) = (None, false);
        }
        Event::CollectLease => state.lease = None,
        Event::Hand(slot) => hand(state, Some(u8::try_from(slot).expect("few names"))),
        Event::LetGo => hand(state, None),
        Event::Renew => {
            state.budget.renewed -= 1;
            state.renew();
        }
        Event::Lapse => {
            state.budget.lapses -= 1;
            trouble_holder(state);
            state.lapsed = true;
        }
        Event::EmptyStatus => {
            state.budget.emptied -= 1;
            if let Some(group) = &mut state.group {
                (group.record, group.version) = (None, group.version + 1);
            }
        }
        Event::EditSelector(slot) => {
            state.budget.reselected -= 1;
            if let Some(group) = &mut state.group {
                (group.leaves_out, group.version) = (group.leaves_out ^ (1 << slot), group.version + 1);
            }
            let pod = state.pods[slot].filter(|pod| state.group.is_some_and(|group| !group.selects(*pod)));
            state.troubled |= pod.map_or(0, |pod| 1 << pod.uid);
        }
        Event::DeleteGroup => {
            state.budget.group_deleted -= 1;
            state.group = None;
        }
        Event::CreateGroup => {
            state.groups += 1;
            let observed = state.budget.observed;
            state.group =
                Some(GroupObject { uid: state.groups, version: 0, record: None, observed, leaves_out: 0 });
        }
    }
}

/// The pods hand the Lease on among themselves.
fn hand(state: &mut State, holder: Option<u8>) {
    state.budget.handed -= 1;
    trouble_holder(state);
    let version = state.lease.map_or(NEW_LEASE, |lease| lease.version + 1);
    state.lease = Some(LeaseObject { version, owner: 0, holder, term: 0 });
    state.lapsed = false;
}

/// Whoever loses the Lease of the pods is not healthy (L2).
fn trouble_holder(state: &mut State) {
    let holder = state.lease.filter(|_| state.budget.observed).and_then(|lease| lease.holder);
    if let Some(pod) = holder.and_then(|slot| state.pods[usize::from(slot)]) {
        state.troubled |= 1 << pod.uid;
    }
}

/// The other group marks a pod.
pub fn capture(state: &mut State, slot: usize) {
    change(state, slot, |pod| (pod.mark, pod.label, pod.term) = (OTHER_GROUP, Label::None, Some(1)));
}

fn change(state: &mut State, slot: usize, change: impl FnOnce(&mut PodObject)) {
    if let Some(pod) = &mut state.pods[slot] {
        change(pod);
        pod.version += 1;
        if !pod.ready || !pod.selected || pod.mark == OTHER_GROUP {
            state.troubled |= 1 << pod.uid;
        }
    }
}

pub fn create_pod(state: &mut State, slot: usize) {
    state.generation[slot] += 1;
    let first = u8::try_from(slot).expect("few names") * GENERATIONS;
    state.pods[slot] = Some(PodObject {
        uid: first + state.generation[slot],
        version: 0,
        label: Label::None,
        term: None,
        mark: 0,
        ready: true,
        selected: true,
    });
}
