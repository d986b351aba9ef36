//! The closed set of reasons for a change of leader.

/// Why a group has a new leader, or none. Used in the history, as the Event's reason and as a
/// metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The group had no leader yet.
    FirstElection,
    /// The leader's pod is deleted, and the operator did not see it terminating.
    LeaderDeleted,
    /// The leader's pod is deleted, and another pod has its name.
    LeaderRecreated,
    /// The leader's pod terminates, or was deleted after the operator saw it terminating.
    LeaderTerminating,
    /// The leader's pod finished: `Succeeded` or `Failed`.
    LeaderFinished,
    /// The leader was not Ready for longer than the group allows.
    LeaderNotReady,
    /// The leader's node was silent for longer than the group allows.
    NodeSilent,
    /// A user excluded the leader.
    LeaderExcluded,
    /// The group does not select the leader any more.
    LeaderDeselected,
    /// There was no leader: it had been cleared, or the record was lost, or its Lease (Nominated).
    Recovered,
    /// A user asked for this leader.
    Switchover,
    /// A more preferred pod was available again.
    Failback,
    /// Observed mode: the Lease names another holder.
    HolderChanged,
    /// The Lease ran out (Observed, Nominated).
    LeaseExpired,
    /// Nominated mode: the leader released the Lease by itself.
    LeaseReleased,
    /// Nominated mode: the nominee left the free Lease untaken.
    NomineeSilent,
}

impl Reason {
    /// All reasons, in the order of this type.
    pub const ALL: [Self; 16] = [
        Self::FirstElection,
        Self::LeaderDeleted,
        Self::LeaderRecreated,
        Self::LeaderTerminating,
        Self::LeaderFinished,
        Self::LeaderNotReady,
        Self::NodeSilent,
        Self::LeaderExcluded,
        Self::LeaderDeselected,
        Self::Recovered,
        Self::Switchover,
        Self::Failback,
        Self::HolderChanged,
        Self::LeaseExpired,
        Self::LeaseReleased,
        Self::NomineeSilent,
    ];

    /// The reason's text, as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstElection => "FirstElection",
            Self::LeaderDeleted => "LeaderDeleted",
            Self::LeaderRecreated => "LeaderRecreated",
            Self::LeaderTerminating => "LeaderTerminating",
            Self::LeaderFinished => "LeaderFinished",
            Self::LeaderNotReady => "LeaderNotReady",
            Self::NodeSilent => "NodeSilent",
            Self::LeaderExcluded => "LeaderExcluded",
            Self::LeaderDeselected => "LeaderDeselected",
            Self::Recovered => "Recovered",
            Self::Switchover => "Switchover",
            Self::Failback => "Failback",
            Self::HolderChanged => "HolderChanged",
            Self::LeaseExpired => "LeaseExpired",
            Self::LeaseReleased => "LeaseReleased",
            Self::NomineeSilent => "NomineeSilent",
        }
    }

    /// The reverse of [`Reason::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
