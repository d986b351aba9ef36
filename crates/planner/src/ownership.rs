//! Which group may use a pod, which owner of an object counts, and which changes of a Lease matter.
//!
//! The cache asks these rules while it builds a [`super::seen::Snapshot`]. They take plain
//! values, as the cache holds objects of the API.

use super::seen::{Membership, Owner, SeenLease};
use super::{Identity, Millis};

/// Whether a group may use a pod. `selecting` has the age and the name of each group that selects
/// it.
///
/// The oldest group has the pod. Of groups of one age the first by name has it.
#[must_use]
pub fn membership<'a, Created: Ord>(
    group: &str,
    selecting: impl IntoIterator<Item = (Created, &'a str)>,
) -> Membership {
    let mut is_selected = false;
    let named = selecting.into_iter().inspect(|(_, name)| is_selected |= *name == group);
    let oldest = named.min().map(|(_, name)| name);
    match oldest {
        _ if !is_selected => Membership::Deselected,
        Some(oldest) if oldest != group => Membership::ClaimedBy(oldest.to_owned()),
        _ => Membership::Selected,
    }
}

/// The owner of an object, as `group` sees it, from the groups that the object names.
///
/// This group counts before another one that exists, and that before one that does not.
/// `present_name` tells the name of the group with a UID, if it exists: an annotation may name a
/// group's UID with a wrong name.
#[must_use]
pub fn owner_of<'a>(
    group: &Identity,
    named: impl IntoIterator<Item = Identity>,
    present_name: impl Fn(&str) -> Option<&'a str>,
) -> Owner {
    let owners = named.into_iter().map(|id| match present_name(&id.uid) {
        _ if id.uid == group.uid => Owner::Ours,
        Some(name) => Owner::Other(Identity::new(name, id.uid)),
        None => Owner::Vanished(id),
    });
    let rank = |owner: &Owner| match owner {
        Owner::Ours => 0,
        Owner::Other(_) => 1,
        Owner::Vanished(_) => 2,
        Owner::None => 3,
    };
    owners.min_by_key(rank).unwrap_or_default()
}

/// What the wake-up rule for Leases needs to know of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseInterest {
    /// The default duration of a Lease that the pods hold. None in Managed mode.
    pub held_duration: Option<Millis>,
    /// The record names a leader.
    pub has_leader: bool,
    /// The group is paused: its leader need not be the holder.
    pub is_paused: bool,
}

/// Whether a change of its Lease wakes a group.
///
/// Where the pods hold the Lease, the renewals of a recorded leader wake no group: each one would be
/// a plan without a write. All other changes wake the group.
#[must_use]
pub fn lease_wakes(group: LeaseInterest, before: &SeenLease, after: &SeenLease) -> bool {
    let LeaseInterest { held_duration, has_leader, is_paused } = group;
    let Some(default_duration) = held_duration else { return true };
    !has_leader || is_paused || !after.renews(before, default_duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seen::LeaseContent;

    #[test]
    fn the_oldest_group_has_the_pod_and_of_one_age_the_first_by_name() {
        let claimed = |by: &str| Membership::ClaimedBy(by.to_owned());
        assert_eq!(membership("b", [(2, "a"), (1, "b")]), Membership::Selected);
        assert_eq!(membership("a", [(2, "a"), (1, "b")]), claimed("b"));
        assert_eq!(membership("b", [(1, "b"), (1, "a")]), claimed("a"));
        assert_eq!(membership("c", [(1, "b")]), Membership::Deselected);
        assert_eq!(membership("c", Vec::<(u8, &str)>::new()), Membership::Deselected);
    }

    #[test]
    fn an_owner_that_exists_counts_before_one_that_does_not_and_ours_before_all() {
        let group = Identity::new("orders", "1");
        let owner = |named: &[(&str, &str)]| {
            let named = named.iter().map(|(name, uid)| Identity::new(*name, *uid));
            owner_of(&group, named, |uid| (uid == "2").then_some("bills"))
        };
        let vanished = Owner::Vanished(Identity::new("old", "3"));
        assert_eq!(owner(&[]), Owner::None);
        assert_eq!(owner(&[("old", "3")]), vanished);
        assert_eq!(owner(&[("old", "3"), ("wrong", "2")]), Owner::Other(Identity::new("bills", "2")));
        assert_eq!(owner(&[("old", "3"), ("bills", "2"), ("any", "1")]), Owner::Ours);
    }

    #[test]
    fn only_a_renewal_of_a_recorded_leader_in_observed_mode_wakes_no_group() {
        let seen = |holder: &str, renewed: i64, at| {
            let holder = Some(holder.to_owned());
            let content = LeaseContent { holder, times: (None, Some(renewed)), ..LeaseContent::default() };
            SeenLease::first_seen(content, Millis(at))
        };
        let held_duration = Some(Millis::from_seconds(15));
        let led = LeaseInterest { held_duration, has_leader: true, is_paused: false };
        let (before, renewed) = (seen("a", 1, 0), seen("a", 2, 5_000));
        assert!(!lease_wakes(led, &before, &renewed));
        assert!(lease_wakes(led, &before, &seen("b", 2, 5_000)), "another holder");
        assert!(lease_wakes(led, &before, &seen("a", 2, 15_000)), "it had run out");
        assert!(lease_wakes(LeaseInterest { has_leader: false, ..led }, &before, &renewed));
        assert!(lease_wakes(LeaseInterest { is_paused: true, ..led }, &before, &renewed));
        assert!(lease_wakes(LeaseInterest { held_duration: None, ..led }, &before, &renewed));
    }
}
