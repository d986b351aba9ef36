//! Counterexamples as text.

use std::fmt::Write;

use crate::companion::Companion;
use crate::state::State;
use crate::switch::Action;

/// A step of a counterexample as text: the state, then the action.
pub fn story(state: &State, action: Option<Action>) -> String {
    let mut text = format!("\n{:?} lease {:?} lapsed {}\n", state.group, state.lease, state.lapsed);
    if state.slice.is_some() || state.rival.is_some() {
        writeln!(text, "  {:?}, rival {:?}", state.slice, state.rival).unwrap();
    }
    state.pods.iter().flatten().for_each(|pod| writeln!(text, "  {pod:?}").unwrap());
    for (uid, companion) in state.companions.iter().enumerate() {
        if *companion != Companion::default() {
            writeln!(text, "  companion of {uid}: {companion:?}").unwrap();
        }
    }
    for op in &state.ops {
        let copies = (op.group, op.pods, op.lease, op.slice);
        let behind = copies != (state.group, state.pods, state.lease, state.slice);
        let copies = if behind { format!("{copies:?}") } else { "sees all".to_owned() };
        writeln!(text, "  op {copies} gone {:b} listed {:?} {:?}", op.gone, op.listed, op.times).unwrap();
        writeln!(text, "     flight {:?} rest {:?}", op.flight, op.rest).unwrap();
    }
    writeln!(text, "  late {:?}\n=> {action:?}", state.late).unwrap();
    text
}
