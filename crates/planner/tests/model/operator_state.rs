//! What one operator knows, and the plan that it carries out.

use crate::objects::{GroupObject, Key, LeaseObject, PODS, PodObject, Request, SliceObject};

/// For which version of the group the operator has listed the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listed {
    No,
    /// For the version of its copy.
    Copy,
    /// For the current version, which its copy does not have yet.
    Present,
}

/// When an operator of Observed mode saw things, on its own clock.
///
/// Different watches may deliver two changes in either order. The model decides the order when it
/// matters: when the operator plans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)] // independent facts
pub struct Times {
    /// The operator has seen no change of the Lease for its whole duration.
    pub expired: bool,
    /// This content of the Lease is the first that the operator has seen.
    pub first_look: bool,
    /// The operator saw the Lease change after it saw the term of the record.
    pub lease_after_record: bool,
    /// Slots, as bits, whose current pod the operator saw after the last change of the Lease.
    pub pods_after_lease: u8,
    /// Since its last plan the operator has seen a change of the Lease, ...
    pub new_lease: bool,
    /// ... a record of another term, ...
    pub new_record: bool,
    /// ... and new pods, by name, as bits.
    pub new_pods: u8,
}

/// How long an operator of Nominated mode has seen things. Each is chosen when it plans: the model
/// knows how long it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Waits {
    /// For so many seconds at least it has seen the record of the Lease, ...
    pub expired: u8,
    /// ... and a Lease of this UID.
    pub aged: u8,
    /// It has seen the nominee leave the Lease untaken for longer than the group allows.
    pub silent: bool,
}

/// An operator: its copies, its other knowledge, and the plan that it carries out.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operator {
    pub group: Option<GroupObject>,
    pub pods: [Option<PodObject>; PODS],
    pub lease: Option<LeaseObject>,
    pub slice: Option<SliceObject>,
    pub times: Times,
    /// Only while it plans.
    pub waits: Waits,
    /// The pods that it saw end: UIDs as bits.
    pub ended: u16,
    /// The pods that are proved to be gone: UIDs as bits.
    pub gone: u16,
    pub listed: Listed,
    /// Whether the operator believes that the other group exists.
    pub knows_other: bool,
    /// Whether the operator knows of the other group's slice.
    pub knows_rival: bool,
    /// The requests of the present step that are not answered yet.
    pub flight: Vec<Request>,
    /// The later steps of the plan.
    pub rest: Vec<Vec<Request>>,
    /// The versions that the plan's own writes produced.
    pub carried: Vec<(Key, u8)>,
}

impl Operator {
    pub fn begin(&mut self, steps: &[Vec<Request>]) {
        self.rest = steps.to_vec();
        self.next_step();
    }

    /// A request succeeded. `written` is the version that it produced.
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
