//! The slice that routes a Service: its writes, what a user does to it, and what must hold of it.
//!
//! R1 and R2 hold by the types: there is one slice, and it has at most one endpoint. A slice is of
//! one group, since its name has the UID. So a group that routes is never recreated here.

use crate::objects::{EndpointObject, GroupObject, Request, SliceObject};
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
    true
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
    ];
    events.into_iter().filter_map(|(may, event)| may.then_some(event))
}

pub fn happen(state: &mut State, event: SliceEvent) {
    let Some(slice) = &mut state.slice else { return };
    slice.version += 1;
    match event {
        SliceEvent::Delete => {
            state.budget.slice_deleted -= 1;
            state.slice = None;
        }
        SliceEvent::Clear => {
            state.budget.slice_cleared -= 1;
            (slice.term, slice.endpoint) = (None, None);
        }
        SliceEvent::Raise => {
            state.budget.slice_raised -= 1;
            slice.term = slice.term.map(|term| term + 2);
        }
    }
}

impl State {
    /// L1 of a group that routes: the endpoint is the leader, or there is none without its pod.
    pub fn follows_the_record(&self, group: GroupObject) -> bool {
        let Some(record) = group.record.filter(|_| group.routed) else { return true };
        let mut pods = self.pods.iter().flatten();
        let leader = pods.find(|pod| Some(pod.uid) == record.leader);
        let wanted = leader.map(|pod| EndpointObject { pod: pod.uid, ready: pod.ready });
        self.slice.is_some_and(|slice| slice.endpoint == wanted && slice.term == Some(record.term))
    }
}
