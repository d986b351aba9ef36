//! The judge: sees every revision of every pod, group, Lease and `EndpointSlice` in their order, and
//! says which of them break a promise of `docs/safety.md`.
//!
//! It knows the promises and nothing of the operator: values in, verdicts out. Chaos, the cluster
//! tests and the simulation have this one judge, and this is the law it applies.
//!
//! # Whose pods
//!
//! A pod counts for a group if the group owns it (the annotation `group` has the group's UID), or
//! if the group selects it and no other group that exists owns it. So a leader that is not selected
//! any more, and one that an earlier group of the same selector left behind, still count.
//!
//! # S1
//!
//! At every revision at most one pod of a group carries the leader label.
//!
//! # S2
//!
//! The term of a group never falls and never vanishes. No two pods are promoted in one term.
//!
//! # S3
//!
//! A revision *promotes* a pod if an operator writes role label, `term` or `group` in it, and the
//! pod carries the leader label after it. Then all of this is true:
//!
//! 1. An earlier revision of the group recorded this pod, by UID, as its leader, in exactly the
//!    term that the pod gets, under the UID that the pod's `group` gets.
//! 2. The latest earlier revision of the group still names the pod: as leader, or in `unfenced`. A
//!    promotion may be late, but only while a later record still lists it as possible. There is
//!    nothing to compare with if the group is deleted, or if a user has emptied the status.
//! 3. The pod did not carry a higher term of the same group: that is the fence, and an operator
//!    that comes after it must fail.
//! 4. Managed: an earlier revision of the group's Lease named the pod, in that term. Nominated: the
//!    pod held it, by UID, in that term, and no other pod was nominated.
//! 5. Observed: before the record of 1 was written the Lease named the pod, while it existed, and
//!    after the group selected it. An operator may learn late that the group selects it no more.
//!
//! It would not be true that the latest record must name the pod *as leader*: an operator that
//! stalls between its fences and its promotion promotes under a record that another one has
//! replaced. That is harmless until the other operator's fence, and 2 and 3 draw the line there.
//!
//! It would not be true of the Lease that its *latest* revision names the pod: a user may edit or
//! delete the Lease at any moment, and safety does not depend on it.
//!
//! # Lease
//!
//! Where the pods elect (Observed), no operator writes their Lease.
//!
//! # X1, X3 to X5
//!
//! Where the operator nominates (Nominated), each revision of the Lease that no user wrote is
//! judged:
//!
//! * X1: it does not pass from one holder to another without being free in between.
//! * X3: a pod takes it only as its nominee, by UID. The same write empties the nominee and leaves
//!   the term. So a nomination is taken once.
//! * X4: a nomination raises the term, and names the leader of an earlier record in that term; the
//!   group itself, where that record has no leader.
//! * X5: it is created free and without a nominee.
//!
//! # R1 to R4
//!
//! A slice counts if its label says that an operator manages it, and a group owns it. Each revision
//! of it that an operator wrote is judged:
//!
//! 1. It has at most one endpoint, with one address. If it has one, no other slice has one for the
//!    same Service and address family, also none of another group, be it deleted or not.
//! 2. If an operator creates it, it has none.
//! 3. The endpoint is, by UID, the leader of a record of the group that an earlier revision wrote,
//!    in exactly the term of the slice. Nominated: the pod has held the Lease in that term.
//! 4. Its term is not below the term that it had, nor below the one in which operators ever routed
//!    by a slice of this name: a user may delete it, and a new one has no term.
//!
//! It would not be true that the latest record must name the endpoint: an operator that stalls may
//! route by its record until the next one has routed. 4 draws the line there.
//!
//! # L1 and L2
//!
//! L1 is a question about one moment: [`Present::is_settled`], and [`Present::is_routed`] for a
//! Service. L2 is judged on demand
//! ([`Judge::of_moves`]): a Managed group does not move away from a leader that was eligible and
//! selected ever since it came into being, unless a user has asked for a switchover since it was
//! recorded. "Since it came into being", because an operator may act on a copy that is as old as
//! the pod. On demand, because the judge does not see nodes, and knows no failback.
//!
//! # Excuses
//!
//! The promises are about writes of operators. These are not their doing:
//!
//! * **A user wrote over the marks of a pod** (role label, `term`, `group`): the pod does not count
//!   for S1 until an operator writes its marks, and its `term` is no fence (3). A clean-up that takes
//!   `term` away and leaves the user's label is no such write: the label is the user's.
//! * **A pod was born with the leader label**: operators create no pods, so its template has it.
//!   The same as above.
//! * **A user let a group select a pod that carries the leader label of an earlier group**, by the
//!   pod's labels or by the selector: the same again. Operators change neither.
//! * **A user wrote a slice**: that revision is not judged, and its endpoints count beside no other.
//!   An operator's next one is, in full: it replaces what was there.
//! * **A user took the record away or lowered it**: terms begin anew, from what pods and slices
//!   still tell.
//! * **A pod that carried the leader label when there was no record** keeps it, also in Observed
//!   mode: to take it away would be a change of leader for no reason. It needs no 5.

mod gaps;
mod laws;
mod moves;
mod nominated;
mod present;
mod revision;
mod routes;
mod selector;
mod state;
#[cfg(test)]
mod stories;

pub use present::Present;
pub use revision::{Endpoint, Group, Lease, Mode, Object, Pod, Revision, Slice};
pub use selector::Selector;
pub use state::Judge;
