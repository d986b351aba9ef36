//! What a series of observations of Leases means: who took them, who released them, which expired.
//!
//! Pure. Time is the local clock at the moment of the observation. A time that a holder wrote is
//! only compared for being different.

use std::collections::{BTreeMap, BTreeSet};

use super::lease_event::{HolderSpan, LeaseChange, LeaseEvent, Seconds};
use crate::planner::Millis;
use crate::planner::seen::{LeaseContent, SeenLease};

/// The duration of a Lease that names none.
const USUAL_DURATION: Millis = Millis::from_seconds(15);

/// The Leases that are watched, by name.
#[derive(Debug, Default)]
pub struct LeaseLog {
    wanted: BTreeSet<String>,
    leases: BTreeMap<String, WatchedLease>,
    absent: BTreeSet<String>,
    /// The names that the list under way has brought.
    listing: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct WatchedLease {
    lease: SeenLease,
    /// Since when its holder is known to hold. None: there is no holder, or it has expired.
    held_since: Option<HeldSince>,
}

#[derive(Clone, Copy, Debug)]
struct HeldSince {
    moment: Millis,
    first_look: bool,
}

impl LeaseLog {
    /// Follows the Leases of these names; all Leases if `wanted` is empty.
    #[must_use]
    pub fn new(wanted: impl IntoIterator<Item = String>) -> Self {
        Self { wanted: wanted.into_iter().collect(), ..Self::default() }
    }

    /// Takes in a Lease as it was seen.
    pub fn see(&mut self, name: &str, record: LeaseContent, now: Millis) -> Option<LeaseEvent> {
        if !self.wanted.is_empty() && !self.wanted.contains(name) {
            return None;
        }
        if let Some(listing) = &mut self.listing {
            listing.insert(name.to_owned());
        }
        self.absent.remove(name);
        if let Some(watched) = self.leases.get_mut(name) {
            return watched.see(record, now).map(|change| LeaseEvent::new(name, change));
        }
        let (watched, change) = WatchedLease::first_look(record, now, self.listing.is_some());
        self.leases.insert(name.to_owned(), watched);
        Some(LeaseEvent::new(name, change))
    }

    /// Takes in the deletion of a Lease.
    pub fn gone(&mut self, name: &str, now: Millis) -> Option<LeaseEvent> {
        let watched = self.leases.remove(name)?;
        self.absent.insert(name.to_owned());
        Some(LeaseEvent::new(name, watched.held(now).map_or(LeaseChange::Absent, LeaseChange::Deleted)))
    }

    /// Begins a list.
    pub fn list(&mut self) {
        self.listing = Some(BTreeSet::new());
    }

    /// Ends a list: a Lease that was not in it was deleted.
    pub fn listed(&mut self, now: Millis) -> Vec<LeaseEvent> {
        let listed = self.listing.take().unwrap_or_default();
        let gone: Vec<String> = self.leases.keys().filter(|name| !listed.contains(*name)).cloned().collect();
        let mut events: Vec<LeaseEvent> = gone.iter().filter_map(|name| self.gone(name, now)).collect();
        for name in self.wanted.iter().filter(|name| !self.leases.contains_key(*name)) {
            if self.absent.insert(name.clone()) {
                events.push(LeaseEvent::new(name, LeaseChange::Absent));
            }
        }
        events
    }

    /// The Leases that have expired by now.
    pub fn expire(&mut self, now: Millis) -> Vec<LeaseEvent> {
        let expired = self.leases.iter_mut().filter_map(|(name, watched)| {
            let held = watched.held(now).filter(|_| !watched.lease.is_held(USUAL_DURATION, now))?;
            watched.held_since = None;
            Some(LeaseEvent::new(name, LeaseChange::Expired(held)))
        });
        expired.collect()
    }

    /// When the next Lease expires if it is not seen until then.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Millis> {
        let held = self.leases.values().filter(|watched| watched.held_since.is_some());
        held.map(|watched| watched.lease.valid_until(USUAL_DURATION)).min()
    }
}

impl WatchedLease {
    /// Takes in the first observation. A listed Lease may have been held for longer; a Lease
    /// created during the watch was not.
    fn first_look(record: LeaseContent, now: Millis, was_there: bool) -> (Self, LeaseChange) {
        let lease = SeenLease::first_seen(record, now);
        let held = lease.holder().map(|_| HeldSince { moment: now, first_look: was_there });
        let change = lease.holder().map_or(LeaseChange::Free, |holder| LeaseChange::Held {
            holder: holder.to_owned(),
            transitions: lease.content.transitions,
            previous: None,
        });
        (Self { lease, held_since: held }, change)
    }

    /// Takes in a further observation: a renewal is no event.
    fn see(&mut self, record: LeaseContent, now: Millis) -> Option<LeaseChange> {
        let before = self.held(now);
        let same_object = self.lease.content.uid == record.uid;
        self.lease.note(record, now);
        let Some(holder) = self.lease.holder().map(str::to_owned) else {
            self.held_since = None;
            return before.map(LeaseChange::Released);
        };
        if same_object && before.as_ref().is_some_and(|held| held.holder == holder) {
            return None;
        }
        // A label edit does not bring back an expired holder.
        if before.is_none() && !self.lease.is_held(USUAL_DURATION, now) {
            return None;
        }
        self.held_since = Some(HeldSince { moment: now, first_look: false });
        Some(LeaseChange::Held { holder, transitions: self.lease.content.transitions, previous: before })
    }

    fn held(&self, now: Millis) -> Option<HolderSpan> {
        let since = self.held_since?;
        Some(HolderSpan {
            holder: self.lease.holder()?.to_owned(),
            held_seconds: Seconds(now.since(since.moment)),
            at_least: since.first_look,
        })
    }
}

#[cfg(test)]
mod tests;
