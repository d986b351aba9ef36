//! Nominated mode: what the Lease says of the recorded leader, and which record follows from that.
//!
//! The operator elects as in Managed mode and *nominates* the leader in the Lease. The pod's
//! companion takes the Lease and runs its command only while it holds it. So at most one command of
//! a group runs at any time:
//!
//! * A Lease is nominated in only if the record names its UID. Another Lease is in quarantine: the
//!   longest duration that a holder may still count on must pass first.
//! * Each nomination has a higher term than the Lease, and is taken at most once: the take empties
//!   the nominee. A nominee that is not empty asks the holder to end.
//! * A held Lease becomes free by its holder's release. The operator clears it once its duration
//!   has passed here without a renewal, or once the holder's pod is proved to have ended.
//! * A pod serves, by label and endpoint, once it was seen to hold the Lease in the record's term.
//!   Its label goes with the next nomination, its endpoint with the next take.

use super::seen::{
    ElectionMode, GroupPolicy, GroupStatus, LeaderRecord, RecordedLease, SeenLease, SeenPod, Snapshot,
};
use super::{Identity, Millis, Term};
use std::cmp::Ordering;

/// The number of silent nominees in the status. More of them are tried again.
const MAX_SILENT: usize = 64;

/// How long the take of a free Lease may last before the earlier leader loses its endpoint. A take
/// needs some milliseconds, and kube-proxy's second is over then.
pub const TAKE: Millis = Millis(1000);

/// What the Lease says of the recorded leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// There is no Lease, or another one than the record names.
    OfNoRecord,
    /// The Lease has a nomination that the record's term cannot replace.
    Overtaken,
    /// The Lease does not have the record's nomination yet.
    NotNominated,
    /// The leader is nominated, and the Lease is still held.
    AwaitingRelease,
    /// The leader is nominated, and the Lease is free.
    AwaitingNominee,
    /// The leader took the Lease in the record's term.
    Held,
    /// The leader took the Lease in the record's term, and holds it no more.
    Ended,
}

/// Whether a pod or a slice that the leader's term marks is to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It serves.
    Yes,
    /// It serves no more, or not yet. An earlier leader may [stay](may_stay_endpoint) the endpoint.
    No,
    /// The mark is newer than this operator's copy of the Lease: it stays as it is.
    Unknown,
}

/// The group nominates.
#[must_use]
pub fn applies(view: &Snapshot) -> bool {
    view.group.policy.as_ref().is_ok_and(|policy| policy.mode == ElectionMode::Nominated)
}

/// What the Lease says of the record's leader.
#[must_use]
pub fn tenure(view: &Snapshot, record: &LeaderRecord) -> Tenure {
    let (Some(lease), Some(leader)) = (of_record(view), record.leader_id()) else {
        return Tenure::OfNoRecord;
    };
    match lease.content.term.cmp(&Some(record.term)) {
        Ordering::Less => Tenure::NotNominated,
        Ordering::Greater => Tenure::Overtaken,
        Ordering::Equal => in_records_term(lease, leader),
    }
}

fn in_records_term(lease: &SeenLease, leader: &Identity) -> Tenure {
    match &lease.content.nominee {
        Some(nominee) if nominee.uid != leader.uid => Tenure::Overtaken,
        Some(_) if lease.content.is_free() => Tenure::AwaitingNominee,
        Some(_) => Tenure::AwaitingRelease,
        None if holder_uid(lease) == Some(&leader.uid) => Tenure::Held,
        None => Tenure::Ended,
    }
}

/// Whether the leader's pod, or a slice, with this term as its mark is to serve.
#[must_use]
pub fn serving(view: &Snapshot, record: &LeaderRecord, mark: Option<Term>) -> Serving {
    if !applies(view) {
        return Serving::Yes;
    }
    match tenure(view, record) {
        Tenure::Held => Serving::Yes,
        Tenure::Ended | Tenure::OfNoRecord => Serving::No,
        _ if mark >= Some(record.term) => Serving::Unknown,
        _ => Serving::No,
    }
}

/// The earlier leader may stay an endpoint, since the record's leader does not hold the Lease yet.
/// While its work goes on the pod must be Ready, and its node not silent. Once the Lease is free a
/// moment is left for the take.
#[must_use]
pub fn may_stay_endpoint(view: &Snapshot, record: &LeaderRecord, earlier: &SeenPod) -> bool {
    let (Ok(policy), Some(lease)) = (&view.group.policy, of_record(view)) else { return false };
    let is_sound = earlier.ready && !earlier.node_is_silent(view.now);
    let is_holder = holder_uid(lease) == Some(&earlier.id.uid);
    let works_alone = is_holder || lease.content.is_free() || is_over(view, policy, lease);
    match tenure(view, record) {
        Tenure::NotNominated | Tenure::AwaitingRelease => is_sound && works_alone,
        Tenure::AwaitingNominee => view.now < lease.nominee_seen_at + TAKE,
        Tenure::OfNoRecord | Tenure::Overtaken | Tenure::Held | Tenure::Ended => false,
    }
}

/// The Lease, if the record names its UID.
#[must_use]
pub fn of_record(view: &Snapshot) -> Option<&SeenLease> {
    let recorded = view.group.status.recorded_lease.as_ref()?;
    view.lease.as_ref().filter(|lease| lease.content.uid == recorded.uid)
}

/// The UID of the pod that holds the Lease: a holder is `<pod>_<uid>`.
#[must_use]
pub fn holder_uid(lease: &SeenLease) -> Option<&str> {
    lease.holder()?.rsplit_once('_').map(|(_, uid)| uid)
}

/// The longest duration that a holder of any Lease of this group may still count on.
#[must_use]
pub fn longest(view: &Snapshot, policy: &GroupPolicy) -> Millis {
    let recorded = view.group.status.recorded_lease.as_ref();
    recorded.map_or(policy.lease_duration(), |lease| Millis::from_seconds(lease.longest_seconds.into()))
}

/// When the quarantine of the Lease ends. None without a Lease, or if the record names it.
#[must_use]
pub fn quarantine_ends(view: &Snapshot, policy: &GroupPolicy) -> Option<Millis> {
    let lease = view.lease.as_ref().filter(|_| of_record(view).is_none())?;
    Some(lease.uid_seen_at + longest(view, policy))
}

/// The moments at which the Lease changes what may be done: the end of its quarantine, its expiry,
/// and the end of the time for a take. At the silence of its node an earlier leader loses the endpoint.
pub fn moments(view: &Snapshot, policy: &GroupPolicy) -> impl Iterator<Item = Millis> {
    let lease = view.lease.as_ref().filter(|_| policy.mode == ElectionMode::Nominated);
    let expiry = lease.map(|lease| lease.valid_until(longest(view, policy)));
    let late_take = lease.map(|lease| lease.nominee_seen_at + TAKE);
    let slices = view.slices().filter(move |_| lease.is_some());
    let endpoints = slices.flat_map(|slice| &slice.content.endpoints);
    let silences = endpoints.filter_map(|endpoint| view.pod(&endpoint.pod)?.node_silent_from);
    let quarantine = quarantine_ends(view, policy).filter(|_| lease.is_some());
    quarantine.into_iter().chain(expiry).chain(late_take).chain(silences)
}

/// A record may name a leader: there is a Lease to nominate it in, now.
#[must_use]
pub fn may_record(view: &Snapshot, policy: &GroupPolicy) -> bool {
    let is_new = view.lease.is_some() && quarantine_ends(view, policy).is_none_or(|end| end <= view.now);
    policy.mode != ElectionMode::Nominated || is_new
}

/// The Lease that the next record names. A record never lowers the longest duration.
#[must_use]
pub fn next_lease(view: &Snapshot) -> Option<RecordedLease> {
    let recorded = view.group.status.recorded_lease.clone();
    let policy = view.group.policy.as_ref().ok().filter(|policy| policy.mode == ElectionMode::Nominated);
    let Some(policy) = policy.filter(|policy| may_record(view, policy)) else { return recorded };
    let duration_seconds = policy.lease_duration_seconds;
    let longest = recorded.as_ref().map_or(0, |lease| lease.longest_seconds.max(lease.duration_seconds));
    let uid = view.lease.as_ref().map(|lease| lease.content.uid.clone())?;
    Some(RecordedLease { uid, duration_seconds, longest_seconds: longest.max(duration_seconds) })
}

/// No work of the Lease's holder runs any more: it has none, it did not renew the Lease for the
/// duration that it counts on, or its pod is proved to have ended.
#[must_use]
pub fn is_over(view: &Snapshot, policy: &GroupPolicy, lease: &SeenLease) -> bool {
    !lease.is_held(longest(view, policy), view.now) || holder_has_ended(view, lease)
}

fn holder_has_ended(view: &Snapshot, lease: &SeenLease) -> bool {
    let Some(uid) = holder_uid(lease) else { return false };
    let ended = |pod: &SeenPod| pod.id.uid == uid && pod.ended;
    view.pods.iter().any(ended) || view.gone.get(uid).is_some_and(|gone| gone.had_ended)
}

/// The Lease has a nomination that the record's term cannot replace: a record with a higher term
/// must come first.
#[must_use]
pub fn is_overtaken(view: &Snapshot, record: &LeaderRecord) -> bool {
    let is_above = || of_record(view).is_some_and(|lease| lease.content.term > Some(record.term));
    applies(view) && (is_above() || tenure(view, record) == Tenure::Overtaken)
}

/// The pod left a free Lease untaken when it was nominated, and was not seen to restart since.
#[must_use]
pub fn is_silent(view: &Snapshot, pod: &SeenPod) -> bool {
    applies(view) && view.group.status.silent_nominees.iter().any(|silent| silent.uid == pod.id.uid)
}

/// Notes that the leader of the present record was silent.
pub fn note_silent(status: &mut GroupStatus, leader: &Identity) {
    let silent = &mut status.silent_nominees;
    silent.retain(|other| other.uid != leader.uid);
    silent.push(leader.clone());
    let surplus = silent.len().saturating_sub(MAX_SILENT);
    silent.drain(..surplus);
}

/// What the report says of the Lease: the longest duration, once the leader holds the Lease; and
/// the nominees that are still silent. A pod that restarts is not Ready in between.
pub fn report(status: &mut GroupStatus, view: &Snapshot) {
    if !applies(view) {
        return;
    }
    let holder = view.lease.as_ref().and_then(holder_uid);
    let restarted = |id: &Identity| view.pod(id).is_none_or(|pod| !pod.ready || Some(&*pod.id.uid) == holder);
    status.silent_nominees.retain(|id| !restarted(id));
    let is_held = view.record().is_some_and(|record| tenure(view, record) == Tenure::Held);
    if let Some(lease) = status.recorded_lease.as_mut().filter(|_| is_held) {
        lease.longest_seconds = lease.duration_seconds;
    }
}
