//! What a series of looks at Leases means: who took them, who let go, whose time ran out.
//!
//! Pure. Time is the local clock at the moment of the look: a time that a holder wrote is compared, never computed with.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::output::{Line, fields};
use crate::planner::Millis;
use crate::planner::lease::{LeaseContent, SeenLease};

/// Counts where a Lease has no duration of its own.
const USUAL_DURATION: Millis = Millis::from_seconds(15);

/// Something happened to the Lease of this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// The name of the Lease.
    pub lease: String,
    /// What happened.
    #[serde(flatten)]
    pub change: LeaseChange,
}

/// What can happen to a Lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum LeaseChange {
    /// At the first look nobody holds it.
    Free,
    /// It does not exist.
    Absent,
    /// Somebody holds it who did not before.
    Held {
        /// Its new holder.
        holder: String,
        /// `leaseTransitions`: how often it changed hands.
        transitions: i32,
        /// Whom it was taken from, unless it was free or had expired.
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<Holding>,
    },
    /// Its holder let go.
    Released(Holding),
    /// Its holder has not renewed it in time.
    Expired(Holding),
    /// It was deleted while somebody held it.
    Deleted(Holding),
}

/// A holder, and for how long it held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holding {
    /// The holder.
    pub holder: String,
    /// From when it was seen to hold until now.
    pub held_seconds: Seconds,
    /// It may have held for longer: it did so at the first look.
    pub at_least: bool,
}

/// A span of the local clock, shown in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Millis);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        serializer.serialize_f64(self.0.0 as f64 / 1000.0)
    }
}

impl std::fmt::Display for Holding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Seconds(Millis(millis)) = self.held_seconds;
        let at_least = if self.at_least { "at least " } else { "" };
        write!(f, "{} held it for {at_least}{}.{:03} s", self.holder, millis / 1000, millis % 1000)
    }
}

impl Line for Happening {
    fn text(&self) -> String {
        let lease = &self.lease;
        match &self.change {
            LeaseChange::Free => format!("{lease}: free"),
            LeaseChange::Absent => format!("{lease}: does not exist"),
            LeaseChange::Held { holder, transitions, previous: None } => {
                format!("{lease}: held by {holder}, transition {transitions}")
            }
            LeaseChange::Held { holder, transitions, previous: Some(previous) } => {
                format!("{lease}: held by {holder}, transition {transitions}; {previous}")
            }
            LeaseChange::Released(held) => format!("{lease}: released; {held}"),
            LeaseChange::Expired(held) => format!("{lease}: expired, no renewal was seen in time; {held}"),
            LeaseChange::Deleted(held) => format!("{lease}: deleted; {held}"),
        }
    }

    fn json(&self) -> Map<String, Value> {
        fields(self)
    }
}

/// The Leases that are followed, by name.
#[derive(Debug, Default)]
pub struct Follower {
    wanted: BTreeSet<String>,
    leases: BTreeMap<String, Followed>,
    absent: BTreeSet<String>,
    /// What the list that is under way has brought.
    listing: Option<BTreeSet<String>>,
}

#[derive(Debug)]
struct Followed {
    lease: SeenLease,
    /// Since when its holder is known to hold; none: nobody does, or its time ran out.
    held_since: Option<HeldSince>,
}

#[derive(Clone, Copy, Debug)]
struct HeldSince {
    moment: Millis,
    first_look: bool,
}

impl Follower {
    /// Follows the Leases of these names; of all, if there are none.
    #[must_use]
    pub fn new(wanted: impl IntoIterator<Item = String>) -> Self {
        Self { wanted: wanted.into_iter().collect(), ..Self::default() }
    }

    /// A look at a Lease.
    pub fn see(&mut self, name: &str, record: LeaseContent, now: Millis) -> Option<Happening> {
        if !self.wanted.is_empty() && !self.wanted.contains(name) {
            return None;
        }
        if let Some(listing) = &mut self.listing {
            listing.insert(name.to_owned());
        }
        self.absent.remove(name);
        if let Some(followed) = self.leases.get_mut(name) {
            return followed.see(record, now).map(|change| happening(name, change));
        }
        let (followed, change) = Followed::first_look(record, now, self.listing.is_some());
        self.leases.insert(name.to_owned(), followed);
        Some(happening(name, change))
    }

    /// A Lease was deleted.
    pub fn gone(&mut self, name: &str, now: Millis) -> Option<Happening> {
        let followed = self.leases.remove(name)?;
        self.absent.insert(name.to_owned());
        Some(happening(name, followed.held(now).map_or(LeaseChange::Absent, LeaseChange::Deleted)))
    }

    /// A list begins.
    pub fn list(&mut self) {
        self.listing = Some(BTreeSet::new());
    }

    /// The list is complete: what was not in it is gone.
    pub fn listed(&mut self, now: Millis) -> Vec<Happening> {
        let listed = self.listing.take().unwrap_or_default();
        let gone: Vec<String> = self.leases.keys().filter(|name| !listed.contains(*name)).cloned().collect();
        let mut happenings: Vec<Happening> = gone.iter().filter_map(|name| self.gone(name, now)).collect();
        for name in self.wanted.iter().filter(|name| !self.leases.contains_key(*name)) {
            if self.absent.insert(name.clone()) {
                happenings.push(happening(name, LeaseChange::Absent));
            }
        }
        happenings
    }

    /// What has run out by now.
    pub fn expire(&mut self, now: Millis) -> Vec<Happening> {
        let expired = self.leases.iter_mut().filter_map(|(name, followed)| {
            let held = followed.held(now).filter(|_| !followed.lease.is_held(USUAL_DURATION, now))?;
            followed.held_since = None;
            Some(happening(name, LeaseChange::Expired(held)))
        });
        expired.collect()
    }

    /// When the next one runs out, if nothing is seen until then.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Millis> {
        let held = self.leases.values().filter(|followed| followed.held_since.is_some());
        held.map(|followed| followed.lease.valid_until(USUAL_DURATION)).min()
    }
}

fn happening(name: &str, change: LeaseChange) -> Happening {
    Happening { lease: name.to_owned(), change }
}

impl Followed {
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

    fn held(&self, now: Millis) -> Option<Holding> {
        let since = self.held_since?;
        Some(Holding {
            holder: self.lease.holder()?.to_owned(),
            held_seconds: Seconds(now.since(since.moment)),
            at_least: since.first_look,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: i32 = 10;

    fn record(holder: &str, renewed: i64) -> LeaseContent {
        LeaseContent {
            uid: "uid".to_owned(),
            holder: Some(holder.to_owned()),
            duration_seconds: Some(HELD),
            times: (None, Some(renewed)),
            ..LeaseContent::default()
        }
    }

    /// One step of a story, at a second of the local clock.
    enum Step {
        List,
        See(LeaseContent),
        Listed,
        Gone,
        Wake,
    }
    use Step::{Gone, List, Listed, See, Wake};

    fn told(wanted: &[&str], story: Vec<(u64, Step)>) -> Vec<String> {
        let mut follower = Follower::new(wanted.iter().map(|name| (*name).to_owned()));
        let steps = story.into_iter().flat_map(|(second, step)| {
            let now = Millis::from_seconds(second);
            match step {
                List => {
                    follower.list();
                    Vec::new()
                }
                See(record) => follower.see("orders", record, now).into_iter().collect(),
                Listed => follower.listed(now),
                Gone => follower.gone("orders", now).into_iter().collect(),
                Wake => follower.expire(now),
            }
        });
        steps.map(|happening| happening.text()).collect()
    }

    #[test]
    fn each_change_is_told_once_and_renewals_are_not() {
        let story = vec![
            (1, See(record("a", 1))),
            (6, See(record("a", 2))),
            (8, See(record("b", 3))),
            (12, See(record("b", 4))),
            (13, See(record("", 5))),
            (14, See(record("", 5))),
            (15, See(LeaseContent { holder: None, ..record("", 5) })),
            (16, See(record("c", 6))),
            (18, Gone),
        ];
        assert_eq!(
            told(&[], story),
            [
                "orders: held by a, transition 0",
                "orders: held by b, transition 0; a held it for 7.000 s",
                "orders: released; b held it for 5.000 s",
                "orders: held by c, transition 0",
                "orders: deleted; c held it for 2.000 s",
            ]
        );
    }

    #[test]
    fn a_holder_that_does_not_renew_expires_once_after_its_own_duration() {
        let silent = LeaseContent { version: crate::planner::Version(9), ..record("a", 2) };
        let story = vec![
            (1, See(record("a", 1))),
            (10, Wake),
            (10, See(record("a", 2))),
            (19, See(silent.clone())),
            (20, Wake),
            (21, Wake),
            (22, See(silent)),
            (23, See(record("a", 3))),
            (24, See(record("b", 4))),
        ];
        assert_eq!(
            told(&[], story),
            [
                "orders: held by a, transition 0",
                "orders: expired, no renewal was seen in time; a held it for 19.000 s",
                "orders: held by a, transition 0",
                "orders: held by b, transition 0; a held it for 1.000 s",
            ]
        );
    }

    #[test]
    fn a_times_own_clock_counts_for_nothing() {
        let story =
            vec![(1, See(record("a", i64::MAX))), (5, See(record("a", i64::MIN))), (14, Wake), (15, Wake)];
        assert_eq!(told(&[], story).len(), 2, "held at 1, expired at 15 and not before");
    }

    #[test]
    fn what_was_there_at_the_first_look_may_have_held_for_longer() {
        let story = vec![(1, List), (1, See(record("a", 1))), (1, Listed), (4, See(record("", 2)))];
        assert_eq!(
            told(&[], story),
            ["orders: held by a, transition 0", "orders: released; a held it for at least 3.000 s"]
        );
    }

    #[test]
    fn what_a_new_list_lacks_was_deleted() {
        let story = vec![(1, See(record("a", 1))), (2, List), (3, Listed), (4, List), (5, Listed)];
        assert_eq!(
            told(&["orders"], story),
            ["orders: held by a, transition 0", "orders: deleted; a held it for 2.000 s"]
        );
    }

    #[test]
    fn a_name_that_does_not_exist_is_told() {
        let story = vec![(1, List), (1, Listed), (2, See(record("", 1))), (3, Gone), (4, List), (4, Listed)];
        assert_eq!(
            told(&["orders"], story),
            ["orders: does not exist", "orders: free", "orders: does not exist"]
        );
    }

    #[test]
    fn other_names_are_not_told() {
        assert_eq!(told(&["payments"], vec![(1, See(record("a", 1))), (20, Wake)]), [""; 0]);
    }

    #[test]
    fn the_next_wake_up_is_the_first_expiry_and_none_if_nobody_holds() {
        let mut follower = Follower::new([]);
        assert_eq!(follower.next_expiry(), None);
        follower.see("a", record("x", 1), Millis::from_seconds(3));
        follower.see("b", record("y", 1), Millis::from_seconds(2));
        follower.see("c", record("", 1), Millis::from_seconds(1));
        assert_eq!(follower.next_expiry(), Some(Millis::from_seconds(12)));
        follower.expire(Millis::from_seconds(12));
        assert_eq!(follower.next_expiry(), Some(Millis::from_seconds(13)));
        follower.expire(Millis::from_seconds(13));
        assert_eq!(follower.next_expiry(), None);
    }

    #[test]
    fn json_names_the_event_the_lease_and_the_span() {
        let mut follower = Follower::new([]);
        let at = |millis| Millis(millis);
        let first = follower.see("orders", record("a", 1), at(1000)).unwrap();
        let second = follower.see("orders", record("b", 2), at(2500)).unwrap();
        let third = follower.see("orders", record("", 3), at(2600)).unwrap();
        let json = |happening: Happening| Value::Object(happening.json());
        assert_eq!(
            json(first),
            serde_json::json!({ "lease": "orders", "event": "held", "holder": "a", "transitions": 0 })
        );
        assert_eq!(
            json(second),
            serde_json::json!({
                "lease": "orders", "event": "held", "holder": "b", "transitions": 0,
                "previous": { "holder": "a", "heldSeconds": 1.5, "atLeast": false },
            })
        );
        assert_eq!(
            json(third),
            serde_json::json!({
                "lease": "orders", "event": "released", "holder": "b", "heldSeconds": 0.1, "atLeast": false,
            })
        );
    }
}
