//! What a series of looks at Leases means: who took them, who let go, whose time ran out.
//!
//! Pure. Time is the local clock at the moment of the look: a time that a holder wrote is compared, never computed with.

use std::collections::{BTreeMap, BTreeSet};

use super::lease_event::{HolderSpan, LeaseChange, LeaseEvent, Seconds};
use crate::planner::Millis;
use crate::planner::lease::{LeaseContent, SeenLease};

/// Counts where a Lease has no duration of its own.
const USUAL_DURATION: Millis = Millis::from_seconds(15);

/// The Leases that are watched, by name.
#[derive(Debug, Default)]
pub struct LeaseLog {
    wanted: BTreeSet<String>,
    leases: BTreeMap<String, WatchedLease>,
    absent: BTreeSet<String>,
    /// What the list that is under way has brought.
    listing: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct WatchedLease {
    lease: SeenLease,
    /// Since when its holder is known to hold; none: nobody does, or its time ran out.
    held_since: Option<HeldSince>,
}

#[derive(Clone, Copy, Debug)]
struct HeldSince {
    moment: Millis,
    first_look: bool,
}

impl LeaseLog {
    /// Follows the Leases of these names; of all, if there are none.
    #[must_use]
    pub fn new(wanted: impl IntoIterator<Item = String>) -> Self {
        Self { wanted: wanted.into_iter().collect(), ..Self::default() }
    }

    /// A look at a Lease.
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

    /// A Lease was deleted.
    pub fn gone(&mut self, name: &str, now: Millis) -> Option<LeaseEvent> {
        let watched = self.leases.remove(name)?;
        self.absent.insert(name.to_owned());
        Some(LeaseEvent::new(name, watched.held(now).map_or(LeaseChange::Absent, LeaseChange::Deleted)))
    }

    /// A list begins.
    pub fn list(&mut self) {
        self.listing = Some(BTreeSet::new());
    }

    /// The list is complete: what was not in it is gone.
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

    /// What has run out by now.
    pub fn expire(&mut self, now: Millis) -> Vec<LeaseEvent> {
        let expired = self.leases.iter_mut().filter_map(|(name, watched)| {
            let held = watched.held(now).filter(|_| !watched.lease.is_held(USUAL_DURATION, now))?;
            watched.held_since = None;
            Some(LeaseEvent::new(name, LeaseChange::Expired(held)))
        });
        expired.collect()
    }

    /// When the next one runs out, if nothing is seen until then.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Millis> {
        let held = self.leases.values().filter(|watched| watched.held_since.is_some());
        held.map(|watched| watched.lease.valid_until(USUAL_DURATION)).min()
    }
}

impl WatchedLease {
    /// What is listed may be older than it looks; what is created under our eyes is not.
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

    /// A further look: a renewal says nothing new.
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
        // A label edit does not bring an expired holder back.
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
