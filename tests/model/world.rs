//! What may happen in a world, which rule is left out, and which invariant broke.

/// What may happen, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(clippy::struct_excessive_bools)] // a table of what may happen
pub struct World {
    pub operators: u8,
    /// The highest term that is looked at.
    pub terms: u8,
    /// Writes in flight whose sender is not interested any more.
    pub late: u8,
    pub crashes: u8,
    pub unready: u8,
    pub pods_deleted: u8,
    pub deselected: u8,
    /// How often the group's own selector is edited: it lets a pod go, or takes it back, and the pod does not change.
    pub reselected: u8,
    pub lease_deleted: u8,
    pub emptied: u8,
    pub group_deleted: u8,
    pub tampered: u8,
    pub captured: u8,
    /// Observed mode: the pods hold the Lease, which begins with the first pod.
    pub observed: bool,
    /// How often it changes hands.
    pub handed: u8,
    /// How often its holder renews it, as far as that is looked at: it may be seen late, or not at all.
    pub renewed: u8,
    /// How often it is not renewed for as long as it is valid.
    pub lapses: u8,
    /// Copies of the Lease lag, too: always in Observed mode.
    pub lease_lags: bool,
    /// Begin with a leader that both operators see, not with a group that is new.
    pub settled: bool,
    /// Begin with the first pod, which led, just recreated under its name.
    pub recreated: bool,
    /// Begin with one operator whose copy of this pod is old.
    pub old_copy: Option<(u8, Old)>,
    /// The operators do not know the other group at the beginning, only the API server does.
    pub other_is_unknown: bool,
    /// How often the other group is deleted: its marks stay.
    pub other_deleted: u8,
    /// Begin with the first pod marked by the other group.
    pub begins_captured: bool,
}

/// What an old copy of a pod says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Old {
    /// It was not Ready then.
    NotReady,
    /// It was not there then.
    Absent,
}

/// A rule of the protocol that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The record is written by compare-and-swap.
    ConditionalRecord,
    /// Fences are written at all.
    Fence,
    /// Fences are written before the promotion.
    FenceBeforePromotion,
    /// A promotion is conditional on the version it was decided on.
    ConditionalPromotion,
    /// Those of the previous record that are not known to be fenced are handed on.
    InheritUnfenced,
    /// A record without one before it leaves everybody unfenced.
    EverybodyUnfenced,
    /// The list of pods is made after the record.
    ListAfterRecord,
    /// A pod is known by its UID.
    IdentityByUid,
    /// A pod that is absent from the cache is asked for.
    ProofOfGone,
    /// A pod whose term is above the record's is not written.
    NotAbove,
    /// A higher term is recorded when something is in the way.
    RecordAgain,
    /// A pod with another group's mark is not written.
    NotAnothers,
    /// Before a pod is taken over, the API server is asked for the group that marked it.
    AskForOtherGroup,
    /// A pod that another group has marked is asked for: it must be as it was seen.
    AskForTaken,
    /// The group that has marked it is asked for: it must exist.
    AskForOwner,
    /// The record is asked for after the group that has marked a pod to be taken over, not at the same time.
    RecordAfterOwner,
    /// A record is asked for before a pod is promoted that does not prove it, or taken over.
    AskForRecord,
    /// The Lease names the leader before it is promoted.
    LeaseBeforePromotion,
    /// The Lease is written by compare-and-swap.
    ConditionalLease,
    /// Before a change that the Lease of the pods gives a reason for, the API server is asked for that Lease.
    AskForLease,
}

/// A set of broken invariants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BrokenSet(u8);

#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Broken {
    S2 = 1,
    S3 = 2,
    S4 = 4,
    S5 = 8,
    L2 = 16,
    /// A pod with the mark of another group that exists was written.
    Others = 32,
    /// A holder whose Lease ran out, as recorded, is the leader again though nobody has written the Lease since.
    GivenUp = 64,
}

impl BrokenSet {
    pub fn insert(&mut self, broken: Broken) {
        self.0 |= broken as u8;
    }

    pub fn contains(self, broken: Broken) -> bool {
        self.0 & broken as u8 != 0
    }
}
