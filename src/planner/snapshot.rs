//! Everything a plan is made from: one group, its pods and its Lease, as this process sees them.

use std::collections::{BTreeMap, BTreeSet};

use super::lease::SeenLease;
use super::services::{SeenBudget, SeenService, Warning};
use super::{Identity, Micros, Millis, Term, Version};

/// A change of leader every millisecond for a month: no term is so far above the record's.
const UNLIKELY_RISE: u64 = 1 << 32;

/// One group as seen at one moment. Two snapshots that are equal give equal plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The moment of the plan, on this process's monotonic clock.
    pub now: Millis,
    /// The same moment on the wall clock, for the times that people read.
    pub wall: Micros,
    /// The group itself.
    pub group: SeenGroup,
    /// Pods that the group selects, that carry its mark, or that the record names, in any order.
    pub pods: Vec<SeenPod>,
    /// Pods that are proved to be gone, by UID: they never come back.
    pub gone: BTreeMap<String, GonePod>,
    /// The Lease of the group's Lease name.
    pub lease: Option<SeenLease>,
    /// The version of the group after which all pods were listed afresh, if they were: a list counts for exactly the
    /// record that was there when it was asked for, and terms may repeat when a user empties the status.
    pub listed_for: Option<Version>,
    /// The Services that select by the group's role label.
    pub services: Vec<SeenService>,
    /// The `PodDisruptionBudget`s that guard the leader and no follower.
    pub budgets: Vec<SeenBudget>,
    /// What this process has said about them.
    pub warned: BTreeSet<Warning>,
    /// When this process first saw the present record's term.
    pub record_seen_at: Millis,
    /// From when on `failover.cooldownSeconds` counts: when this process saw the present record's term come, zero if it
    /// was there before the process looked.
    pub cooldown_from: Millis,
    /// When this process last saw the status change.
    pub reported_at: Millis,
}

/// The `ElectionGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenGroup {
    /// Name and UID.
    pub id: Identity,
    /// The version this was read at.
    pub version: Version,
    /// `metadata.generation`.
    pub generation: i64,
    /// The parsed spec, or why it cannot be served.
    pub policy: Result<GroupPolicy, Refusal>,
    /// `status` as last read.
    pub status: GroupStatus,
    /// The pod that a switchover request names.
    pub switchover: Option<String>,
}

/// The spec, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPolicy {
    /// Who elects.
    pub mode: ElectionMode,
    /// The name of the Lease.
    pub lease_name: String,
    /// `lease.durationSeconds`.
    pub lease_duration_seconds: u32,
    /// `lease.renewSeconds`.
    pub renew: Millis,
    /// `roleLabel.key`.
    pub role_key: String,
    /// Followers carry a label too (`roleLabel.follower` is not empty).
    pub followers_are_labelled: bool,
    /// `failover.notReadySeconds`.
    pub not_ready: Millis,
    /// `failover.minReadySeconds`.
    pub min_ready: Millis,
    /// `failover.cooldownSeconds`.
    pub cooldown: Millis,
    /// `failover.whenNoCandidate` is `Clear`.
    pub clear_without_candidate: bool,
    /// `failbackQuietSeconds`, if `failback` is `WhenSteady`.
    pub failback_after: Option<Millis>,
    /// `paused`.
    pub paused: bool,
    /// `historyLimit`.
    pub history_limit: usize,
}

/// Who elects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ElectionMode {
    /// The operator, which owns the Lease.
    #[default]
    Managed,
    /// The pods, one of which holds the Lease; the operator never writes it.
    Observed,
}

impl GroupPolicy {
    /// The Lease's duration as a span.
    #[must_use]
    pub fn lease_duration(&self) -> Millis {
        Millis::from_seconds(u64::from(self.lease_duration_seconds))
    }
}

/// Why a group is not served: reason and message of `Accepted=False`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// One of the reasons of the condition `Accepted`.
    pub reason: &'static str,
    /// What is wrong, with the offending value, and what to do.
    pub message: String,
}

/// `status`: the record of who leads, and the report for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupStatus {
    /// The record; none before the first election, or if it was lost.
    pub record: Option<LeaderRecord>,
    /// The term of a record that names a leader who cannot be known: somebody edited it. It is no record any more, but
    /// the next one has a higher term (S2).
    pub lost_term: Option<Term>,
    /// `metadata.generation` that this status answers.
    pub observed_generation: Option<i64>,
    /// Pods selected and not finished.
    pub candidates: usize,
    /// Candidates who could lead now.
    pub eligible: usize,
    /// The name of the Lease.
    pub lease: Option<String>,
    /// Conditions, one of a kind.
    pub conditions: Vec<Condition>,
    /// Changes of leader, newest first.
    pub history: Vec<LeaderChange>,
}

/// Who leads in which term, and which pods an earlier operator may still be about to promote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderRecord {
    /// The leader, if there is one.
    pub leader: Option<RecordedLeader>,
    /// The term.
    pub term: Term,
    /// Pods that must be fenced before the leader is promoted.
    pub unfenced: Unfenced,
}

impl LeaderRecord {
    /// The leader's identity.
    #[must_use]
    pub fn leader_id(&self) -> Option<&Identity> {
        self.leader.as_ref().map(|leader| &leader.id)
    }
}

/// The recorded leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedLeader {
    /// Name and UID of the pod.
    pub id: Identity,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its address.
    pub ip: Option<String>,
    /// Since when it is recorded.
    pub since: Micros,
}

/// Pods that an earlier operator may still be about to promote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfenced {
    /// Any pod of the group: there was no earlier record to tell which.
    All,
    /// Exactly these, sorted.
    Pods(Vec<Identity>),
}

impl Unfenced {
    /// Nobody.
    pub const NONE: Self = Self::Pods(Vec::new());
}

/// A `metav1.Condition` without its generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `type`.
    pub kind: String,
    /// `status`: True or False.
    pub holds: bool,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `observedGeneration`.
    pub generation: Option<i64>,
    /// `lastTransitionTime`, in seconds since the Unix epoch.
    pub changed_at_seconds: i64,
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderChange {
    /// The term it began.
    pub term: Term,
    /// Name of the new leader, if there is one.
    pub leader: Option<String>,
    /// Name of the leader before, if there was one.
    pub previous: Option<String>,
    /// Why; kept as text, so that an entry of a newer version survives.
    pub reason: String,
    /// When this operator first saw the cause.
    pub detected_at: Micros,
    /// When the record was made.
    pub elected_at: Micros,
    /// When the labels had followed.
    pub labelled_at: Option<Stamp>,
}

/// A time for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// That moment.
    At(Micros),
    /// The moment of the write that carries it.
    WhenWritten,
}

/// A pod as the planner sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, as the API server tells them")]
pub struct SeenPod {
    /// Name and UID.
    pub id: Identity,
    /// The version this was read at.
    pub version: Version,
    /// When this process first saw it; zero if it was there before the process looked.
    pub seen_at: Millis,
    /// The identity under which it holds a Lease, if its annotation names one (Observed).
    pub identity: Option<String>,
    /// Whether the group may use it.
    pub membership: Membership,
    /// What its role label says.
    pub role: Role,
    /// The value of its role label, where this group never writes that.
    pub other_role: Option<String>,
    /// Its controller has let it go, just after an operator gave it another role label.
    pub released_by_controller: bool,
    /// Its term annotation, where it is a term.
    pub term: Option<Term>,
    /// Whose mark it carries.
    pub owner: Owner,
    /// `status.phase`.
    pub phase: PodPhase,
    /// The Ready condition.
    pub ready: bool,
    /// When this process first saw the present value of the Ready condition; zero if the pod was Ready before the process
    /// looked.
    pub ready_seen_at: Millis,
    /// The Ready condition's own time, seconds since the Unix epoch: compared with that of other pods only.
    pub ready_since_seconds: Option<i64>,
    /// It has a deletion time.
    pub terminating: bool,
    /// When this process first saw the deletion time, the end, the exclusion or the deselection, what makes it unfit
    /// other than not being Ready; or that this was over.
    pub standing_changed_at: Millis,
    /// It has the condition `DisruptionTarget`.
    pub disrupted: bool,
    /// It is marked as excluded.
    pub excluded: bool,
    /// A Job owns it: it runs to its end, and serves nobody.
    pub of_job: bool,
    /// An annotation of a user, with its value, that means nothing.
    pub ignored: Option<String>,
    /// Preference: the sum of matching weights and its own priority.
    pub weight: i64,
    /// The workload revision it belongs to.
    pub revision: Option<String>,
    /// Creation time, seconds since the Unix epoch: compared with that of other pods only.
    pub created_seconds: i64,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its host name is that of its node.
    pub host_network: bool,
    /// From this moment on the node counts as silent, unless it is heard before.
    pub node_silent_from: Option<Millis>,
    /// Its address.
    pub ip: Option<String>,
}

/// Whether a group may use a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// Selected, and no older group selects it.
    Selected,
    /// Selected, but the older group of this name has it.
    ClaimedBy(String),
    /// Not selected (any more).
    Deselected,
}

/// What a pod's role label says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// No label.
    Absent,
    /// The leader's value.
    Leader,
    /// The follower's value.
    Follower,
    /// Some other value.
    Other,
}

/// Which group has put its mark on an object: the `group` annotation of a pod, the ownerReference of a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Owner {
    /// None.
    #[default]
    None,
    /// This group's, by UID.
    Ours,
    /// Of another group that exists: such a pod is never written.
    Other(Identity),
    /// Of a group that is not seen here: it may be gone, ask before taking the object over.
    Vanished(Identity),
}

/// What a group may do with the Lease of its Lease name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseClaim {
    /// It is there for this group, or not there at all.
    Ours,
    /// Somebody else holds it, and it has not run out: the group waits.
    HeldByOther,
    /// No group has ever written it, and no user has given it to this one: a program may elect by it.
    NeverOurs,
}

/// A pod's phase, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PodPhase {
    /// Pending or unknown.
    NotRunning,
    /// Running.
    Running,
    /// Succeeded or Failed: it never runs again.
    Finished,
}

/// What is known of a pod that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GonePod {
    /// When this process learnt of it.
    pub at: Millis,
    /// It was seen terminating before.
    pub was_terminating: bool,
}

impl Snapshot {
    /// The same at a later moment, if nothing happens until then.
    #[must_use]
    pub fn later(&self, moment: Millis) -> Self {
        let span = i64::try_from(moment.since(self.now).0.saturating_mul(1000)).unwrap_or(i64::MAX);
        Self { now: moment, wall: Micros(self.wall.0.saturating_add(span)), ..self.clone() }
    }

    /// The pod of this identity, by UID.
    #[must_use]
    pub fn pod(&self, id: &Identity) -> Option<&SeenPod> {
        self.pods.iter().find(|pod| pod.id.uid == id.uid)
    }

    /// The present record.
    #[must_use]
    pub const fn record(&self) -> Option<&LeaderRecord> {
        self.group.status.record.as_ref()
    }

    /// The recorded leader's identity.
    #[must_use]
    pub fn leader_id(&self) -> Option<&Identity> {
        self.record().and_then(LeaderRecord::leader_id)
    }

    /// A moment of the monotonic clock on the wall clock.
    #[must_use]
    pub fn wall_at(&self, moment: Millis) -> Micros {
        self.wall.before(self.now.since(moment))
    }

    /// The highest term seen anywhere: record, pods, Lease.
    #[must_use]
    pub fn highest_term(&self) -> Term {
        let pods =
            self.pods.iter().filter(|pod| !matches!(pod.owner, Owner::Other(_))).filter_map(|pod| pod.term);
        let record = self.record().map(|record| record.term);
        let others = record.into_iter().chain(self.group.status.lost_term).chain(self.term_of_lease());
        pods.chain(others).max().unwrap_or_default()
    }

    /// The same without terms on pods and Lease that no operator can have written: one annotation by hand would use up all
    /// terms that there are.
    #[must_use]
    pub fn without_unlikely_terms(mut self) -> Self {
        let recorded = self.record().map(|record| record.term).or(self.group.status.lost_term);
        let last = recorded.unwrap_or_default().get().saturating_add(UNLIKELY_RISE);
        let terms = self.pods.iter_mut().map(|pod| &mut pod.term);
        for term in terms.chain(self.lease.as_mut().map(|lease| &mut lease.content.term)) {
            *term = term.filter(|term| term.get() <= last);
        }
        self
    }

    /// The term of a Lease that a group has written, this one or one that is gone. Its ownerReference may have been lost:
    /// it was restored from a backup, say.
    #[must_use]
    pub fn term_of_lease(&self) -> Option<Term> {
        let managed = self.group.policy.as_ref().is_ok_and(|policy| policy.mode == ElectionMode::Managed);
        let record = &self.lease.as_ref()?.content;
        let counts = record.is_ours_to_write() || (managed && record.owner == Owner::None);
        record.term.filter(|_| counts)
    }

    /// A pod of this group that carries the leader label and the mark of another group that exists: only that group can
    /// take the label away.
    #[must_use]
    pub fn labelled_by_another(&self) -> Option<(&SeenPod, &Identity)> {
        let pods = self.pods.iter().filter_map(|pod| match &pod.owner {
            Owner::Other(owner) => Some((pod, owner)),
            _ => None,
        });
        let labelled = |pod: &SeenPod| pod.role == Role::Leader && pod.membership == Membership::Selected;
        pods.filter(|(pod, _)| labelled(pod)).min_by_key(|(pod, _)| &pod.id)
    }

    /// Whose the Lease is, as far as this group may write it.
    #[must_use]
    pub fn claim(&self, policy: &GroupPolicy) -> LeaseClaim {
        let Some(lease) = self.lease.as_ref().filter(|_| policy.mode == ElectionMode::Managed) else {
            return LeaseClaim::Ours;
        };
        let of_record = self.record().is_some_and(|record| {
            let holder = record.leader_id().map(|leader| leader.name.as_str());
            lease.content.term == Some(record.term) && lease.holder() == holder
        });
        let unowned = lease.content.owner == Owner::None;
        let written =
            lease.content.term.is_some() || lease.content.adopt.as_ref() == Some(&self.group.id.name);
        match lease.content {
            // What a group that is gone has left is ours, too: nobody renews it.
            _ if lease.content.is_ours_to_write() || (unowned && of_record) => LeaseClaim::Ours,
            _ if lease.is_held(policy.lease_duration(), self.now) => LeaseClaim::HeldByOther,
            _ if unowned && !written => LeaseClaim::NeverOurs,
            _ => LeaseClaim::Ours,
        }
    }

    /// The name of an older group that has a pod this group selects too. One that ends decides nothing any more.
    #[must_use]
    pub fn overlapped_by(&self) -> Option<&str> {
        self.pods
            .iter()
            .filter(|pod| pod.phase != PodPhase::Finished && !pod.terminating)
            .filter_map(|pod| match &pod.membership {
                Membership::ClaimedBy(group) => Some(group.as_str()),
                _ => None,
            })
            .min()
    }
}
