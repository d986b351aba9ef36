//! The laws of slices, as the documentation of [`super`] has them.

use super::revision::{Endpoint, Mode, Slice};
use super::state::Judge;

impl Judge {
    /// R1 to R4, of a revision that an operator wrote.
    pub(super) fn judge_slice(&mut self, before: Option<&Slice>, slice: &Slice) {
        let name = self.groups.get(&slice.group).map(|group| group.name.clone()).unwrap_or_default();
        for (law, why) in self.broken_by(before, slice) {
            let (number, slice) = (self.newest, format!("{}/{}", slice.name, slice.uid));
            self.violate(&name, format!("{law}: at revision {number} {slice} {why}"));
        }
        self.note_routed(slice);
        let pods = |slice: &Slice| slice.endpoints.iter().map(|to| to.pod.clone()).collect::<Vec<_>>();
        let changed = before.map(pods).unwrap_or_default() != pods(slice);
        self.routes += usize::from(changed && !slice.endpoints.is_empty());
    }

    fn broken_by(&self, before: Option<&Slice>, slice: &Slice) -> Vec<(&'static str, String)> {
        let Slice { term, endpoints, .. } = slice;
        let mut broken = Vec::new();
        if endpoints.len() > 1 {
            broken.push(("R1", format!("has these endpoints: {endpoints:?}")));
        }
        if let Some(other) = self.other_filled(slice).filter(|_| !endpoints.is_empty()) {
            broken.push(("R1", format!("has an endpoint beside {other:?}")));
        }
        if before.is_none() && !endpoints.is_empty() {
            broken.push(("R2", format!("is created with {endpoints:?}")));
        }
        let is_recorded = |to: &&Endpoint| {
            let record = term.map(|term| (slice.group.clone(), to.pod.clone(), term));
            record.is_some_and(|record| self.records.contains_key(&record))
        };
        if let Some(other) = endpoints.iter().find(|to| !is_recorded(to)) {
            broken.push(("R3", format!("routes to {other:?} in term {term:?}, as no record says")));
        }
        if let Some(other) = endpoints.iter().find(|to| !self.has_held(slice, to)) {
            broken.push(("R3", format!("routes to {other:?} in term {term:?}, before it holds the Lease")));
        }
        let had = before.and_then(|before| before.term);
        let routed = self.routed.get(&routed_by(slice)).copied().filter(|_| before.is_some());
        if had > *term || routed > *term {
            broken.push(("R4", format!("is written in term {term:?} after {:?}", had.max(routed))));
        }
        broken
    }

    /// Whether an endpoint has held the Lease of its group in the term of the slice. Only in
    /// Nominated mode it must.
    fn has_held(&self, slice: &Slice, to: &Endpoint) -> bool {
        let group = self.groups.get(&slice.group).filter(|group| group.mode == Mode::Nominated);
        let holder = format!("_{}", to.pod);
        let holds = |lease: &str, (of, by, term): &(String, String, u64)| {
            of == lease && by.ends_with(&holder) && Some(*term) == slice.term
        };
        group.is_none_or(|group| self.held.iter().any(|held| holds(&group.lease, held)))
    }

    /// Another slice of the Service and the address family with an endpoint by an operator's hand.
    fn other_filled(&self, slice: &Slice) -> Option<&Slice> {
        let of_the_same = |other: &&Slice| {
            (&other.service, &other.family) == (&slice.service, &slice.family) && other.uid != slice.uid
        };
        let is_filled = |other: &&Slice| !other.group.is_empty() && !other.endpoints.is_empty();
        let mut others = self.present.slices().filter(of_the_same).filter(is_filled);
        others.find(|other| !self.slices_by_users.contains(&other.uid))
    }

    /// A term above that of the record is of a record that a user took away: it binds no other.
    fn note_routed(&mut self, slice: &Slice) {
        let recorded = self.terms.get(&slice.group).copied();
        if let Some(term) = slice.term.filter(|term| Some(*term) <= recorded) {
            let routed = self.routed.entry(routed_by(slice)).or_default();
            *routed = term.max(*routed);
        }
    }
}

/// A slice that a user deletes comes back under its name.
fn routed_by(slice: &Slice) -> (String, String) {
    (slice.group.clone(), slice.name.clone())
}
