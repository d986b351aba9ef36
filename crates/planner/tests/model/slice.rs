//! The slice that routes a Service: its writes, what a user does to it, and what must hold of it.
//!
//! That a slice has at most one endpoint, and R2, hold by the types. A slice is of one group, since
//! its name has the UID. So a group that routes is never recreated here. The other group may have a
//! slice for the Service, too. It keeps to the same order: it creates the slice, looks for another,
//! and routes.

use crate::objects::{EndpointObject, GroupObject, Request, Rival, SliceObject, Target};
use crate::state::State;
use crate::world::{Broken, Rule};

/// A version that no copy has: 0 stands for every past version, 1 for the current one.
const NEW: u8 = 2;

/// What a user does to the slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SliceEvent {
    Delete,
    /// The user takes term and endpoint off.
    Clear,
    /// The user writes a term that no operator has come to.
    Raise,
    /// The other group creates its slice, finds no other one, routes by it, or deletes it.
    RivalCreates,
    RivalLooks,
    RivalRoutes,
    RivalGoes,
}

impl SliceEvent {
    pub const fn target(self) -> Target {
        match self {
            Self::Delete | Self::Clear | Self::Raise => Target::Slice,
            Self::RivalCreates | Self::RivalLooks | Self::RivalRoutes | Self::RivalGoes => Target::Rival,
        }
    }
}

/// Applies a write. False if the API server refuses it.
pub fn write(state: &mut State, request: Request, without: Option<Rule>) -> bool {
    let after = match (request, state.slice) {
        (Request::CreateSlice { term, endpoint }, None) => {
            state.slices += 1;
            SliceObject { uid: state.slices, version: NEW, term, endpoint }
        }
        (Request::Route { slice, version, term, endpoint }, Some(seen)) => {
            let conditional = without != Some(Rule::ConditionalRoute);
            if slice != seen.uid || (conditional && version != seen.version) {
                return false;
            }
            let after = SliceObject { term: Some(term), endpoint, ..seen };
            SliceObject { version: seen.version + u8::from(after != seen), ..after }
        }
        _ => return false,
    };
    judge(state, after);
    state.slice = Some(after);
    judge_single(state);
    true
}

/// One slice of the Service has an endpoint (R1).
fn judge_single(state: &mut State) {
    let filled = state.slice.is_some_and(|slice| slice.endpoint.is_some());
    if filled && state.rival == Some(Rival::Filled) {
        state.broken.insert(Broken::R1);
    }
}

/// The endpoint was recorded in this term (R3). No term falls: not on the slice, and not on one
/// that was created anew. No two pods are routed in one term (R4).
fn judge(state: &mut State, after: SliceObject) {
    let Some(term) = after.term else { return };
    let pod = after.endpoint.map(|endpoint| endpoint.pod);
    let recorded = |pod: u8| state.recorded.iter().any(|(_, of, leader)| (*of, *leader) == (term, pod));
    if !pod.is_none_or(recorded) {
        state.broken.insert(Broken::R3);
    }
    let (highest, routed) = state.routed.unwrap_or_default();
    let before = routed.filter(|_| term == highest);
    let is_second = before.is_some() && pod.is_some() && before != pod;
    if term < highest || is_second || state.slice.is_some_and(|slice| slice.term > Some(term)) {
        state.broken.insert(Broken::R4);
    }
    state.routed = Some((term, pod.or(before)));
}

/// What a user may do now.
pub fn events(state: &State) -> impl Iterator<Item = SliceEvent> + use<> {
    let (budget, slice) = (state.budget, state.slice);
    let routes = slice.is_some_and(|slice| slice.term.is_some());
    let events = [
        (slice.is_some() && budget.slice_deleted > 0, SliceEvent::Delete),
        (routes && budget.slice_cleared > 0, SliceEvent::Clear),
        (routes && budget.slice_raised > 0, SliceEvent::Raise),
        (state.rival.is_none() && budget.rivals > 0, SliceEvent::RivalCreates),
        (state.rival == Some(Rival::Created) && slice.is_none(), SliceEvent::RivalLooks),
        (state.rival == Some(Rival::Alone), SliceEvent::RivalRoutes),
        (state.rival.is_some(), SliceEvent::RivalGoes),
    ];
    events.into_iter().filter_map(|(may, event)| may.then_some(event))
}

pub fn happen(state: &mut State, event: SliceEvent) {
    match event {
        SliceEvent::Delete => {
            state.budget.slice_deleted -= 1;
            state.slice = None;
        }
        SliceEvent::Clear => {
            state.budget.slice_cleared -= 1;
            edit(state, |slice| (slice.term, slice.endpoint) = (None, None));
        }
        SliceEvent::Raise => {
            state.budget.slice_raised -= 1;
            edit(state, |slice| slice.term = slice.term.map(|term| term + 2));
        }
        SliceEvent::RivalCreates => {
            state.budget.rivals -= 1;
            state.rival = Some(Rival::Created);
        }
        SliceEvent::RivalLooks => state.rival = Some(Rival::Alone),
        SliceEvent::RivalRoutes => {
            state.rival = Some(Rival::Filled);
            judge_single(state);
        }
        SliceEvent::RivalGoes => state.rival = None,
    }
}

fn edit(state: &mut State, change: impl FnOnce(&mut SliceObject)) {
    if let Some(slice) = &mut state.slice {
        slice.version += 1;
        change(slice);
    }
}

impl State {
    /// L1 of a group that routes: the endpoint is the leader, or there is none without its pod. A
    /// slice that has not routed yet waits until that of the other group is gone.
    pub fn follows_the_record(&self, group: GroupObject) -> bool {
        let Some(record) = group.record.filter(|_| group.routed) else { return true };
        let mut pods = self.pods.iter().flatten();
        let leader = pods.find(|pod| Some(pod.uid) == record.leader);
        let wanted = leader.map(|pod| EndpointObject { pod: pod.uid, ready: pod.ready });
        self.slice.is_some_and(|slice| match slice.term {
            None => slice.endpoint.is_none() && (wanted.is_none() || self.rival.is_some()),
            Some(term) => slice.endpoint == wanted && term == record.term,
        })
    }
}
