//! Names that the planner spells itself: annotations, condition types, and reasons of conditions
//! and Events.
//!
//! [`super::reason`] has the reasons of a change of leader.

/// Annotation of a pod or Lease: the term of the last write.
pub const TERM_ANNOTATION: &str = "election-operator.io/term";
/// Annotation of a pod, by its user: the identity under which the pod holds a Lease (Observed).
pub const IDENTITY_ANNOTATION: &str = "election-operator.io/identity";
/// Annotation of a Lease, by its user: the name of the group that may take the Lease over.
pub const ADOPT_ANNOTATION: &str = "election-operator.io/adopt";
/// Annotation of a pod, by its user: whether the pod is excluded.
pub const EXCLUDE_ANNOTATION: &str = "election-operator.io/exclude";

/// The condition types, in the order in which they are shown.
pub mod condition {
    /// The group is served.
    pub const ACCEPTED: &str = "Accepted";
    /// At least one pod is eligible.
    pub const CANDIDATES_AVAILABLE: &str = "CandidatesAvailable";
    /// The recorded leader carries the leader label.
    pub const LEADER_ELECTED: &str = "LeaderElected";
    /// The slices of `spec.routing` route to the leader.
    pub const ROUTED: &str = "Routed";
    /// The summary.
    pub const READY: &str = "Ready";
    /// There only while the operator refuses the group (kstatus).
    pub const STALLED: &str = "Stalled";
    /// There only while a change of leader is under way (kstatus).
    pub const RECONCILING: &str = "Reconciling";
}

/// Reasons of the conditions.
pub mod condition_reason {
    /// `Accepted=True`.
    pub const ACCEPTED: &str = "Accepted";
    /// `Accepted=False`: an older group selects the same pods.
    pub const OVERLAPPING_SELECTOR: &str = "OverlappingSelector";
    /// `Accepted=False`: the highest term is used up.
    pub const TERM_EXHAUSTED: &str = "TermExhausted";
    /// `Accepted=False`: another program uses the role label.
    pub const ROLE_LABEL_IN_USE: &str = "RoleLabelInUse";
    /// `Accepted=False`: another holder has the Lease.
    pub const LEASE_HELD_BY_OTHER: &str = "LeaseHeldByOther";
    /// `Accepted=False`: no group ever wrote the Lease.
    pub const LEASE_NOT_OURS: &str = "LeaseNotOurs";
    /// `CandidatesAvailable=True`.
    pub const PODS_ELIGIBLE: &str = "PodsEligible";
    /// `CandidatesAvailable=False`: the selector matches no pod.
    pub const NO_PODS: &str = "NoPods";
    /// `CandidatesAvailable=False`: no matched pod is eligible.
    pub const NONE_ELIGIBLE: &str = "NoneEligible";
    /// `LeaderElected=True`.
    pub const ELECTED: &str = "Elected";
    /// `LeaderElected=False`: the leader's pod is gone.
    pub const LEADER_GONE: &str = "LeaderGone";
    /// `LeaderElected=False`: the label does not follow the record yet.
    pub const SWITCHING: &str = "Switching";
    /// `LeaderElected=False`: the record names no leader.
    pub const NO_LEADER: &str = "NoLeader";
    /// `LeaderElected=False` (Observed): there is no Lease.
    pub const LEASE_MISSING: &str = "LeaseMissing";
    /// `LeaderElected=False` (Observed, Nominated): the Lease has no holder.
    pub const LEASE_NOT_HELD: &str = "LeaseNotHeld";
    /// `LeaderElected=False` (Observed): the Lease ran out.
    pub const LEASE_EXPIRED: &str = "LeaseExpired";
    /// `LeaderElected=False` (Observed): the holder is no pod of the group.
    pub const UNKNOWN_HOLDER: &str = "UnknownHolder";
    /// `LeaderElected=False` (Observed): the holder may be either of two pods.
    pub const AMBIGUOUS_HOLDER: &str = "AmbiguousHolder";
    /// `LeaderElected=False` (Observed): an earlier pod of the same name held the Lease.
    pub const OUTDATED_HOLDER: &str = "OutdatedHolder";
    /// `LeaderElected=False` (Nominated): the Lease is new here, and no pod is nominated in it yet.
    pub const LEASE_QUARANTINED: &str = "LeaseQuarantined";
    /// `LeaderElected=False` (Nominated): another holder must release the Lease first.
    pub const AWAITING_RELEASE: &str = "AwaitingRelease";
    /// `LeaderElected=False` (Nominated): the nominee did not take the Lease yet.
    pub const AWAITING_NOMINEE: &str = "AwaitingNominee";
    /// `Ready`, whatever its status, while the group is paused.
    pub const PAUSED: &str = "Paused";
    /// `Ready=False`: a second pod carries the leader label.
    pub const SECOND_LABEL: &str = "SecondLabel";
    /// `Ready=False`: the leader is not eligible.
    pub const LEADER_UNFIT: &str = "LeaderUnfit";
    /// `Routed=True`.
    pub const ROUTED: &str = "Routed";
    /// `Routed=False`: the slices do not follow the record yet.
    pub const ROUTE_PENDING: &str = "Pending";
    /// `Routed=False`: the leader is not Ready, or has no address.
    pub const NO_READY_ENDPOINT: &str = "NoReadyEndpoint";
    /// `Routed=False`: the API server refused a write of a slice.
    pub const ROUTING_REFUSED: &str = "RoutingRefused";
    /// `Routed=False`: there is no such Service.
    pub const SERVICE_NOT_FOUND: &str = "ServiceNotFound";
    /// `Routed=False`: the Service has a selector.
    pub const SERVICE_HAS_SELECTOR: &str = "ServiceHasSelector";
    /// `Routed=False`: the Service is only a name in the DNS.
    pub const SERVICE_IS_EXTERNAL_NAME: &str = "ServiceIsExternalName";
    /// `Routed=False`: an older group routes the Service.
    pub const SERVICE_OF_OTHER_GROUP: &str = "ServiceOfOtherGroup";
    /// `Ready=True`.
    pub const LEADER_READY: &str = "LeaderReady";
}

/// Reasons of Events that tell of no change of leader.
pub mod event_reason {
    /// The last eligible pod is lost.
    pub const NO_CANDIDATE: &str = "NoCandidate";
    /// A switchover request was refused.
    pub const SWITCHOVER_REFUSED: &str = "SwitchoverRefused";
    /// The Lease of a Nominated group is another one than the record names.
    pub const LEASE_QUARANTINED: &str = super::condition_reason::LEASE_QUARANTINED;
    /// The Lease of a Nominated group is so short that a brief outage stops its leader.
    pub const SHORT_LEASE: &str = "ShortLease";
    /// A label that a user or program had changed was repaired.
    pub const LABEL_REPAIRED: &str = "LabelRepaired";
    /// A Service selects a role that the group gives to no pod.
    pub const SERVICE_NEVER_MATCHES: &str = "ServiceNeverMatches";
    /// A Service reaches a leader that is not Ready.
    pub const SERVICE_REACHES_NOT_READY: &str = "ServiceReachesNotReady";
    /// A Service reaches the pods of another group, too.
    pub const SERVICE_REACHES_OTHER_GROUP: &str = "ServiceReachesOtherGroup";
    /// A `PodDisruptionBudget` allows no eviction of the leader.
    pub const DISRUPTION_BUDGET_KEEPS_LEADER: &str = "DisruptionBudgetKeepsLeader";
}
