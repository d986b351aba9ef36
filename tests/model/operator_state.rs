//! What one operator knows, and the plan that it carries out.

use crate::objects::{GroupObject, Key, LeaseObject, PODS, PodObject, Request};

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
