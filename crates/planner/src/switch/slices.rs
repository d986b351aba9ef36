//! Which slices a group has, and when it routes by one for the first time.

use std::collections::BTreeSet;

use super::record;
use crate::plan::{Fact, Intent, RouteWrite, Step};
use crate::route::{due, is_held_back, lacks_slices, superfluous, unconfirmed};
use crate::seen::{OtherSlice, Owner, SeenRoute, Snapshot};

/// The first writes of slices, after the live reads that they need; and the deletion of slices of
/// deleted groups that are in the way. A live read that fails ends the plan, so no other plan has
/// these steps.
pub(super) fn first_routes(view: &Snapshot) -> Vec<Step> {
    let Some(record) = view.record().filter(|_| !is_held_back(view)) else { return Vec::new() };
    let due = due(view, record, true);
    let wanting = |route: &&SeenRoute| due.iter().any(|write| write.slice.service == route.service);
    let wanting: Vec<_> = view.routes.iter().filter(wanting).collect();
    let others: Vec<_> = wanting.iter().flat_map(|route| &route.others).collect();
    let is_free = |write: &RouteWrite| others.iter().all(|other| other.name.service != write.slice.service);
    let routes: Vec<_> = due.into_iter().filter(is_free).collect();
    let alone = wanting.iter().filter(|route| route.others.is_empty()).map(|route| {
        let (group, service) = (view.group.id.clone(), route.service.clone());
        Intent::Confirm(Fact::NoOtherSlices { group, service })
    });
    let confirm = (!routes.is_empty()).then(|| record::confirm(view, record));
    let confirm = confirm.into_iter().chain(alone).chain(unconfirmed(view, record, &routes));
    let confirm = Step::of(confirm);
    let routes = Step::of(routes.into_iter().map(|write| Intent::Route(Box::new(write))));
    let [gone, deletions] = deletions_of_left(&others);
    vec![confirm, routes, gone, deletions]
}

/// The garbage collector deletes what a deleted group leaves, some time. Until then clients would
/// be sent where the group had sent them.
fn deletions_of_left(others: &[&OtherSlice]) -> [Step; 2] {
    let left = others.iter().filter_map(|other| match &other.owner {
        Owner::Vanished(group) => Some((group, *other)),
        _ => None,
    });
    let left: Vec<_> = left.collect();
    let groups: BTreeSet<_> = left.iter().map(|(group, _)| (*group).clone()).collect();
    let deletions = left.into_iter().map(|(_, OtherSlice { name, uid, version, .. })| {
        Intent::DeleteSlice(name.clone(), uid.clone(), *version)
    });
    let gone = groups.into_iter().map(|group| Intent::Confirm(Fact::GroupGone(group)));
    [Step::of(gone), Step::of(deletions)]
}

/// Slices to delete, and slices to create.
pub(super) fn upkeep(view: &Snapshot) -> Vec<Step> {
    if is_held_back(view) {
        return Vec::new();
    }
    let missing = view.routes.iter().filter(|route| lacks_slices(route)).flat_map(|route| {
        let missing = route.slices.iter().filter(|slice| slice.object.is_none());
        missing.map(|slice| Intent::CreateSlice(slice.name.clone(), route.headless))
    });
    vec![Step::of(deletions(view)), Step::of(missing)]
}

/// Deletes slices that must go. Another group may wait for that, so a refused group does it, too.
pub(super) fn deletions(view: &Snapshot) -> impl Iterator<Item = Intent> {
    superfluous(view)
        .filter(|_| !is_held_back(view))
        .map(|(slice, object)| Intent::DeleteSlice(slice.name.clone(), object.uid.clone(), object.version))
}
