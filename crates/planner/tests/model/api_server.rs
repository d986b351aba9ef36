//! The API server of the model: requests, their answers, and what the world does to objects.

use crate::companion::Companion;
use crate::nominated;
use crate::objects::{
    GENERATIONS, GroupObject, Key, Label, LeaseObject, OTHER_GROUP, PODS, PodAction, PodObject, RecordObject,
    Request, Target,
};
use crate::slice;
use crate::state::State;
use crate::switch::Event;
use crate::world::{Broken, Rule, SHORT};

/// The version of a new Lease, which no copy has: 0 stands for every past version, 1 for the
/// current one.
const NEW_LEASE: u8 = 2;

pub enum Answer {
    /// The request succeeded. A write returns the version that it produced.
    Done(Option<(Key, u8)>),
    Refused,
}

/// Applies a request. `op` is the operator that waits for the answer, if one does.
pub fn apply(state: &mut State, op: Option<usize>, request: Request, without: Option<Rule>) -> Answer {
    let answer = |holds: bool| {
        if holds { Answer::Done(None) } else { Answer::Refused }
    };
    match request {
        Request::Status { group, version, record } => write_status(state, (group, version), record, without),
        // A 404, or another UID, proves what the fence is for.
        Request::Pod { uid, action: PodAction::Fence | PodAction::Release, .. } if !state.exists(uid) => {
            if let Some(op) = op {
                state.ops[op].gone |= 1 << uid;
            }
            Answer::Done(None)
        }
        Request::Pod { .. } => write_pod(state, request, without),
        Request::Lease { .. } => write_lease(state, request, without),
        Request::NewNomination { .. } => nominated::write(state, request, without),
        Request::Route { .. } | Request::CreateSlice { .. } => answer(slice::write(state, request, without)),
        Request::ConfirmPodGone(uid) => {
            let there = state.pods[PodObject::slot(uid)].is_some_and(|pod| pod.uid == uid);
            let gone = !there || without == Some(Rule::ProofOfGone);
            if let Some(op) = op.filter(|_| gone) {
                state.ops[op].gone |= 1 << uid;
            }
            answer(gone)
        }
        Request::ConfirmLease { seen } => {
            let same = state.lease.map(|lease| lease.version) == seen;
            if let Some(op) = op {
                state.see_lease(op);
            }
            answer(same || without == Some(Rule::ConfirmLease))
        }
        Request::ConfirmGroupGone(uid) => {
            let there = is_there(state, op, uid);
            answer(!there || without == Some(Rule::ConfirmOwnerGone))
        }
        Request::ConfirmGroupExists(uid) => {
            let there = is_there(state, op, uid);
            answer(there || without == Some(Rule::ConfirmOwnerExists))
        }
        Request::ConfirmPodUnchanged { uid, version } => {
            let slot = PodObject::slot(uid);
            let same = state.pods[slot].is_none_or(|pod| pod.uid != uid || pod.version == version);
            if let Some(op) = op {
                state.see_pod(op, slot);
            }
            answer(same || without == Some(Rule::ConfirmPodUnchanged))
        }
        Request::ConfirmRecord { group, leader, term } => {
            let record = state.group.filter(|present| present.uid == group).and_then(|group| group.record);
            let name = |uid: Option<u8>| uid.map(PodObject::slot);
            let by_name = without == Some(Rule::IdentityByUid);
            let names = |record: RecordObject| {
                record.leader == leader || (by_name && name(record.leader) == name(leader))
            };
            let current = record.is_some_and(|record| names(record) && record.term == term);
            answer(current || without == Some(Rule::ConfirmRecord))
        }
        Request::ConfirmAlone => {
            if let Some(op) = op {
                state.see(op, Target::Rival);
            }
            answer(state.rival.is_none() || without == Some(Rule::LookForOthers))
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

/// Whether a group exists. The operator that reads it knows the answer from then on.
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
        state.leases_recorded.push((uid, record.term, record.lease.uid));
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
        pod.is_some() && state.had_problem & (1 << leader) == 0
    };
    if moved && before.leader.is_some_and(healthy) {
        state.broken.insert(Broken::L2);
    }
}

fn write_pod(state: &mut State, request: Request, without: Option<Rule>) -> Answer {
    let Request::Pod { uid, version, action, term, group } = request else {
        return Answer::Refused;
    };
    let slot = PodObject::slot(uid);
    let conditional = !(action == PodAction::Promote && without == Some(Rule::ConditionalPromotion));
    let Some(pod) = state.pods[slot].filter(|pod| pod.uid == uid && (pod.version == version || !conditional))
    else {
        return Answer::Refused;
    };
    judge_write(state, pod, group, term, action);
    let owned = |label| PodObject { label, term: Some(term), owner: group, ..pod };
    let after = match action {
        PodAction::Fence | PodAction::LabelFollower => owned(Label::Follower),
        PodAction::Promote => {
            judge_promotion(state, (group, term, uid));
            owned(Label::Leader)
        }
        PodAction::Release => PodObject { label: Label::None, term: None, owner: 0, ..pod },
    };
    state.tainted &= !(1 << uid);
    let version = pod.version + u8::from(after != pod);
    state.pods[slot] = Some(PodObject { version, ..after });
    Answer::Done(Some((Key::Pod(uid), version)))
}

fn judge_write(state: &mut State, pod: PodObject, group: u8, term: u8, action: PodAction) {
    let owner_exists =
        state.is_others(pod.owner) || state.group.is_some_and(|present| present.uid == pod.owner);
    if pod.owner != group && owner_exists {
        state.broken.insert(Broken::Others);
    }
    if pod.owner == group && action != PodAction::Release && Some(term) < pod.term {
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
    } else if state.budget.nominated {
        state.leased.contains(&(group, term, uid))
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
        (None, None) => {
            LeaseObject { version: NEW_LEASE, owner: group, holder, term, ..LeaseObject::default() }
        }
        (Some(lease), base) if base == Some(lease.version) || unconditional => {
            if lease.owner == group && term < lease.term {
                state.broken.insert(Broken::S2);
            }
            if lease.owner != group && state.group.is_some_and(|present| present.uid == lease.owner) {
                state.broken.insert(Broken::Others);
            }
            LeaseObject { version: lease.version + 1, owner: group, holder, term, ..lease }
        }
        _ => return Answer::Refused,
    };
    state.lease = Some(after);
    state.leased.extend(holder.map(|holder| (group, term, holder)));
    Answer::Done(Some((Key::Lease, after.version)))
}

/// Applies what the world does to an object.
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
            change(state, slot, |pod| (pod.owner, pod.label, pod.term) = (0, Label::None, None));
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
            note_holder_problem(state);
            if state.budget.nominated {
                state.had_problem = u16::MAX;
            }
            (state.lease, state.lapsed) = (None, false);
        }
        Event::CollectLease => state.lease = None,
        Event::HandOn(slot) => hand_on(state, Some(u8::try_from(slot).expect("few names"))),
        Event::ReleaseLease => hand_on(state, None),
        Event::Renew => {
            state.budget.renewed -= 1;
            state.renew();
        }
        Event::Lapse => {
            state.budget.lapses -= 1;
            note_holder_problem(state);
            state.lapsed = true;
        }
        Event::Slice(event) => slice::happen(state, event),
        Event::EndPod(slot) => {
            state.budget.ended -= 1;
            change(state, slot, |pod| (pod.ended, pod.ready) = (true, false));
            if let Some(pod) = state.pods[slot] {
                state.ended |= 1 << pod.uid;
                state.companions[usize::from(pod.uid)] = Companion::default();
            }
        }
        Event::Shorten => {
            state.budget.shortened -= 1;
            if let Some(group) = &mut state.group {
                (group.seconds, group.version) = (SHORT, group.version + 1);
            }
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
            state.had_problem |= pod.map_or(0, |pod| 1 << pod.uid);
        }
        Event::DeleteGroup => {
            state.budget.group_deleted -= 1;
            state.group = None;
        }
        Event::CreateGroup => {
            state.groups += 1;
            state.group = Some(state.budget.group(state.groups));
        }
    }
}

/// The pods' Lease gets another holder, or none.
fn hand_on(state: &mut State, holder: Option<u8>) {
    state.budget.handed -= 1;
    note_holder_problem(state);
    let version = state.lease.map_or(NEW_LEASE, |lease| lease.version + 1);
    state.lease = Some(LeaseObject { version, holder, ..LeaseObject::default() });
    state.lapsed = false;
}

/// A pod that loses the pods' Lease is not healthy any more (L2).
fn note_holder_problem(state: &mut State) {
    let holder = state.lease.filter(|_| state.budget.observed).and_then(|lease| lease.holder);
    if let Some(pod) = holder.and_then(|slot| state.pods[usize::from(slot)]) {
        state.had_problem |= 1 << pod.uid;
    }
}

/// The other group takes a pod over.
pub fn capture(state: &mut State, slot: usize) {
    change(state, slot, |pod| (pod.owner, pod.label, pod.term) = (OTHER_GROUP, Label::None, Some(1)));
}

fn change(state: &mut State, slot: usize, change: impl FnOnce(&mut PodObject)) {
    if let Some(pod) = &mut state.pods[slot] {
        change(pod);
        pod.version += 1;
        if !pod.ready || !pod.selected || pod.owner == OTHER_GROUP {
            state.had_problem |= 1 << pod.uid;
        }
    }
}

pub fn create_pod(state: &mut State, slot: usize) {
    state.generation[slot] += 1;
    let first = u8::try_from(slot).expect("few names") * GENERATIONS;
    state.pods[slot] = Some(PodObject::new(first + state.generation[slot]));
}
