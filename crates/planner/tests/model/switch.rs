//! The model: its actions and its properties.

use std::fmt;

use stateright::{Model, Property};

use crate::api_server::{self, Answer};
use crate::companion::{self, Act};
use crate::objects::{GENERATIONS, OTHER_GROUP, PODS, TARGETS, Target};
use crate::operator::plan_of;
use crate::operator_state::{Listed, Waits};
use crate::slice::{self, SliceEvent};
use crate::state::State;
use crate::world::{Broken, Rule, World};

/// The switch protocol in a world, without one rule or with all of them.
pub struct Switch {
    world: World,
    without: Option<Rule>,
}

/// One thing that happens.
///
/// Whether an operator's copy is current matters at two moments only: when the operator plans, and
/// when the object changes. So `seen` names the operators, as bits, that saw the object just before
/// it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// An operator sees some objects, as bits, plans, and sends the first step.
    ///
    /// Observed mode: `pods` came after the Lease since its last plan; `record`: the Lease came
    /// after the record; `expired`: its copy of the Lease has expired.
    Plan { op: usize, sees: u8, pods: u8, record: bool, expired: bool },
    /// The same in Nominated mode.
    PlanAfter { op: usize, sees: u8, waits: Waits },
    /// A companion or its COMMAND acts.
    Companion { uid: u8, act: Act, seen: u8 },
    /// The API server answers a request of an operator.
    Answer { op: usize, at: usize, seen: u8 },
    /// A write arrives whose operator has given up.
    Late { at: usize, seen: u8 },
    /// An operator crashes: it gives up, and forgets everything but its copies.
    Crash { op: usize },
    /// The world acts.
    World { event: Event, seen: u8 },
}

/// An action of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    ToggleReady(usize),
    DeletePod(usize),
    CreatePod(usize),
    /// All processes of the pod end, and the kubelet says so.
    EndPod(usize),
    ToggleSelected(usize),
    TamperLabel(usize),
    /// The other group takes the pod over, or releases it.
    Capture(usize),
    Release(usize),
    DeleteOther,
    DeleteLease,
    CollectLease,
    /// Observed mode: a pod takes the Lease, or its holder releases it, renews it, or lets it
    /// expire.
    HandOn(usize),
    ReleaseLease,
    Renew,
    Lapse,
    EmptyStatus,
    /// A user shortens the duration of the Lease.
    Shorten,
    /// A user edits the selector: it leaves a slot out, or includes it again.
    EditSelector(usize),
    DeleteGroup,
    CreateGroup,
    /// A user does something to the slice.
    Slice(SliceEvent),
}

impl Event {
    pub const fn target(self) -> Target {
        match self {
            Self::ToggleReady(slot)
            | Self::DeletePod(slot)
            | Self::CreatePod(slot)
            | Self::EndPod(slot)
            | Self::ToggleSelected(slot)
            | Self::TamperLabel(slot)
            | Self::Capture(slot)
            | Self::Release(slot) => Target::Pod(slot),
            Self::DeleteOther => Target::OtherGroup,
            Self::Slice(event) => event.target(),
            Self::DeleteLease
            | Self::CollectLease
            | Self::HandOn(_)
            | Self::ReleaseLease
            | Self::Renew
            | Self::Lapse => Target::Lease,
            Self::EmptyStatus
            | Self::Shorten
            | Self::EditSelector(_)
            | Self::DeleteGroup
            | Self::CreateGroup => Target::Group,
        }
    }
}

/// All subsets of a set of bits.
fn subsets(set: u8) -> impl Iterator<Item = u8> {
    (0..=set).filter(move |subset| subset & !set == 0)
}

fn bits(set: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |bit| set & (1 << bit) != 0)
}

fn set_of(bits: impl Iterator<Item = usize>) -> u8 {
    bits.fold(0, |set, bit| set | (1 << bit))
}

impl Switch {
    pub const fn new(world: World, without: Option<Rule>) -> Self {
        Self { world, without }
    }

    fn send(&self, state: &mut State, op: usize, waits: Waits) -> Option<()> {
        state.ops[op].waits = waits;
        let steps = plan_of(&state.ops[op], self.without);
        state.ops[op].waits = Waits::default();
        let steps = steps?;
        if !steps.keeps_s4 {
            state.broken.insert(Broken::S4);
        }
        state.ops[op].begin(&steps.requests);
        Some(())
    }

    fn answer(&self, state: &mut State, op: usize, at: usize) {
        let request = state.ops[op].flight.remove(at);
        let answer = api_server::apply(state, Some(op), request, self.without);
        match answer {
            Answer::Done(written) => state.ops[op].proceed(written),
            Answer::Refused => state.give_up(op),
        }
    }

    /// The state at rest: every operator sees everything and carries out its plans, until none is
    /// left.
    fn at_rest(&self, mut state: State) -> Option<State> {
        let owner = state.group.map(|group| group.uid);
        state.lease = state.lease.filter(|lease| self.world.observed || Some(lease.owner) == owner);
        state.renew_at_rest();
        for _ in 0..if self.world.nominated { 24 } else { 12 } {
            let mut idle = !self.world.nominated || !companion::settle(&mut state, self.without);
            for op in 0..state.ops.len() {
                state.see_all(op);
                let expired = state.lapsed;
                state.decide_times(op, 0, true, expired);
                let waits = state.longest_waits(op);
                self.send(&mut state, op, waits);
                while !state.ops[op].flight.is_empty() {
                    idle = false;
                    self.answer(&mut state, op, 0);
                }
                state.late.clear();
            }
            if idle {
                return Some(state);
            }
        }
        None
    }

    fn comes_to_rest(&self, state: &State) -> bool {
        self.at_rest(state.clone()).is_some_and(|state| state.is_led_if_it_can_be())
    }

    /// The operators, as bits, whose copy of the object is not current.
    fn unaware(state: &State, target: Option<Target>) -> u8 {
        target.map_or(0, |target| set_of((0..state.ops.len()).filter(|op| !state.is_seen(*op, target))))
    }

    fn operator_actions(state: &State, actions: &mut Vec<Action>) {
        for (op, operator) in state.ops.iter().enumerate() {
            for (at, request) in operator.flight.iter().enumerate() {
                let unaware = Self::unaware(state, request.target());
                actions.extend(subsets(unaware).map(|seen| Action::Answer { op, at, seen }));
            }
            if operator.flight.is_empty() {
                let unseen = TARGETS.iter().enumerate().filter(|(_, target)| !state.is_seen(op, **target));
                for sees in subsets(set_of(unseen.map(|(bit, _)| bit))) {
                    Self::plans(state, op, sees, actions);
                }
            } else if state.budget.crashes > 0 {
                actions.push(Action::Crash { op });
            }
        }
        for (at, request) in state.late.iter().enumerate() {
            let unaware = Self::unaware(state, request.target());
            actions.extend(subsets(unaware).map(|seen| Action::Late { at, seen }));
        }
    }

    /// One plan for each order in which the operator may have seen things.
    fn plans(state: &State, op: usize, sees: u8, actions: &mut Vec<Action>) {
        if state.budget.nominated {
            let waits = state.open_waits(op, sees).into_iter();
            return actions.extend(waits.map(|waits| Action::PlanAfter { op, sees, waits }));
        }
        let (open, either_record, may_expire) = state.open_times(op, sees);
        let either = |open: bool| [false, true].into_iter().filter(move |value| open || !value);
        for pods in subsets(open) {
            for record in either(either_record) {
                let plans =
                    either(may_expire).map(|expired| Action::Plan { op, sees, pods, record, expired });
                actions.extend(plans);
            }
        }
    }

    fn companion_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (uid, act) in companion::acts(state, self.without) {
            let unaware = Self::unaware(state, act.writes_lease().then_some(Target::Lease));
            actions.extend(subsets(unaware).map(|seen| Action::Companion { uid, act, seen }));
        }
    }

    fn world_actions(state: &State, actions: &mut Vec<Action>) {
        for event in Self::events(state) {
            let unaware = Self::unaware(state, Some(event.target()));
            actions.extend(subsets(unaware).map(|seen| Action::World { event, seen }));
        }
    }

    fn events(state: &State) -> Vec<Event> {
        let budget = &state.budget;
        let mut events = Vec::new();
        let mut may = |holds: bool, event| events.extend(holds.then_some(event));
        for (slot, pod) in state.pods.iter().enumerate() {
            let owner = pod.map(|pod| pod.owner);
            may(pod.is_none() && state.generation[slot] + 1 < GENERATIONS, Event::CreatePod(slot));
            may(pod.is_some() && budget.unready > 0, Event::ToggleReady(slot));
            may(pod.is_some() && budget.pods_deleted > 0, Event::DeletePod(slot));
            may(pod.is_some_and(|pod| !pod.ended) && budget.ended > 0, Event::EndPod(slot));
            may(pod.is_some() && budget.deselected > 0, Event::ToggleSelected(slot));
            may(pod.is_some() && state.group.is_some() && budget.reselected > 0, Event::EditSelector(slot));
            may(pod.is_some() && budget.tampered > 0, Event::TamperLabel(slot));
            let others = owner == Some(OTHER_GROUP) && state.other_exists;
            may(others, Event::Release(slot));
            may(others && budget.other_deleted > 0, Event::DeleteOther);
            may(owner == Some(0) && state.other_exists && budget.captured > 0, Event::Capture(slot));
        }
        let owner = state.group.map(|group| group.uid);
        may(budget.lease_deleted > 0 && state.lease.is_some(), Event::DeleteLease);
        let orphaned = !budget.observed && state.lease.is_some_and(|lease| Some(lease.owner) != owner);
        may(orphaned, Event::CollectLease);
        let holder = state.lease.map(|lease| lease.holder);
        for slot in 0..PODS {
            let other = budget.observed && holder.flatten().map(usize::from) != Some(slot);
            may(budget.handed > 0 && other && state.pods[slot].is_some(), Event::HandOn(slot));
        }
        let held = holder.flatten().is_some();
        may(budget.handed > 0 && held, Event::ReleaseLease);
        may(budget.renewed > 0 && held && !budget.nominated, Event::Renew);
        may(budget.shortened > 0 && state.group.is_some(), Event::Shorten);
        may(budget.lapses > 0 && held && !state.lapsed, Event::Lapse);
        may(budget.emptied > 0 && state.has_record(), Event::EmptyStatus);
        may(budget.group_deleted > 0 && state.group.is_some(), Event::DeleteGroup);
        may(state.group.is_none(), Event::CreateGroup);
        events.extend(slice::events(state).map(Event::Slice));
        events
    }
}

impl Model for Switch {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::new(self.world);
        if self.world.begins_captured {
            api_server::capture(&mut state, 0);
            (0..state.ops.len()).for_each(|op| state.see(op, Target::Pod(0)));
        }
        if self.world.settled {
            state = Self::new(self.world, None).at_rest(state).expect("a group comes to rest");
            state.ops.iter_mut().for_each(|op| op.knows_other = !self.world.other_is_unknown);
        }
        state.reduce(&self.world, self.without);
        if self.world.recreated {
            api_server::create_pod(&mut state, 0);
        }
        if let Some((slot, old)) = self.world.old_copy {
            state.make_old(0, usize::from(slot), old);
        }
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        Self::operator_actions(state, actions);
        if self.world.nominated {
            self.companion_actions(state, actions);
        }
        Self::world_actions(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Plan { op, sees, pods, record, expired } => {
                bits(sees).for_each(|bit| state.see(op, TARGETS[bit]));
                state.decide_times(op, pods, record, expired);
                self.send(&mut state, op, Waits::default())?;
            }
            Action::PlanAfter { op, sees, waits } => {
                bits(sees).for_each(|bit| state.see(op, TARGETS[bit]));
                state.note_silence(op, waits);
                self.send(&mut state, op, waits)?;
            }
            Action::Companion { uid, act, seen } => {
                state.show(act.writes_lease().then_some(Target::Lease), seen);
                companion::act(&mut state, uid, act, self.without);
            }
            Action::Answer { op, at, seen } => {
                state.show(state.ops[op].flight[at].target(), seen);
                self.answer(&mut state, op, at);
            }
            Action::Late { at, seen } => {
                let request = state.late.remove(at);
                state.show(request.target(), seen);
                api_server::apply(&mut state, None, request, self.without);
            }
            Action::Crash { op } => {
                state.budget.crashes -= 1;
                state.give_up(op);
                (state.ops[op].gone, state.ops[op].listed) = (0, Listed::No);
                state.restart_times(op);
            }
            Action::World { event, seen } => {
                state.show(Some(event.target()), seen);
                api_server::happen(&mut state, event);
            }
        }
        state.reduce(&self.world, self.without);
        (state != *before).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.late.len() <= usize::from(self.world.late) && state.highest_term() <= self.world.terms
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("S1", |_, state: &State| state.labelled() <= 1),
            Property::always("S2", |_, state: &State| !state.broken.contains(Broken::S2)),
            Property::always("S3", |_, state: &State| !state.broken.contains(Broken::S3)),
            Property::always("S4", |_, state: &State| !state.broken.contains(Broken::S4)),
            Property::always("S5", |_, state: &State| !state.broken.contains(Broken::S5)),
            // A renewal that is seen after the record looks like a holder that is back. That lasts
            // for one more duration.
            Property::always("stays given up", |model: &Self, state: &State| {
                model.world.renewed > 0 || !state.broken.contains(Broken::GivenUp)
            }),
            Property::always("R1", |_, state: &State| !state.broken.contains(Broken::R1)),
            Property::always("R3", |_, state: &State| !state.broken.contains(Broken::R3)),
            Property::always("R4", |_, state: &State| !state.broken.contains(Broken::R4)),
            Property::always("not another's", |_, state: &State| !state.broken.contains(Broken::Others)),
            Property::always("L1", |model: &Self, state: &State| {
                !state.is_quiet() || model.comes_to_rest(state)
            }),
            Property::always("L2", |_, state: &State| !state.broken.contains(Broken::L2)),
            Property::always("X1", |_, state: &State| state.commands() <= 1),
            Property::always("X2", |_, state: &State| state.label_fits_commands()),
            Property::always("X3", |_, state: &State| !state.broken.contains(Broken::X3)),
            Property::always("X4", |_, state: &State| !state.broken.contains(Broken::X4)),
            Property::always("X5", |_, state: &State| !state.broken.contains(Broken::X5)),
            Property::always("X7", |_, state: &State| !state.broken.contains(Broken::X7)),
            // Terms begin anew where both the status and the Lease are lost.
            Property::always("X9", |model: &Self, state: &State| {
                let World { emptied, lease_deleted, group_deleted, .. } = model.world;
                let loses_all = emptied > 0 && lease_deleted > 0 || group_deleted > 0;
                loses_all || !state.broken.contains(Broken::X9)
            }),
        ]
    }
}

impl fmt::Debug for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} without {:?}", self.world, self.without)
    }
}
