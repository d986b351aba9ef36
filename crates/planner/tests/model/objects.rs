//! Objects of the API server and requests about them: small, ordered and hashable.

/// How many pod names there are. A name is a number, its slot.
pub const PODS: usize = 2;
pub const GENERATIONS: u8 = 4;
/// The UID of the other group.
pub const OTHER_GROUP: u8 = 9;
/// Every object that a request or an event may change.
pub const TARGETS: [Target; 7] = [
    Target::Group,
    Target::Lease,
    Target::Pod(0),
    Target::Pod(1),
    Target::OtherGroup,
    Target::Slice,
    Target::Rival,
];
/// The bit of a set of pods that means every pod of the group.
pub const EVERY_POD: u16 = 1 << 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    None,
    Leader,
    Follower,
}

/// A pod. Its UID is `slot * GENERATIONS + generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodObject {
    pub uid: u8,
    pub version: u8,
    pub label: Label,
    pub term: Option<u8>,
    /// The UID of the group that owns the pod; 0 for none.
    pub owner: u8,
    pub ready: bool,
    pub selected: bool,
    /// The kubelet saw every process of the pod end.
    pub ended: bool,
}

impl PodObject {
    /// A Ready pod that no operator has written.
    pub const fn new(uid: u8) -> Self {
        Self {
            uid,
            version: 0,
            label: Label::None,
            term: None,
            owner: 0,
            ready: true,
            selected: true,
            ended: false,
        }
    }

    pub const fn slot(uid: u8) -> usize {
        (uid / GENERATIONS) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordObject {
    pub leader: Option<u8>,
    pub term: u8,
    /// The unfenced pods: UIDs as bits, or [`EVERY_POD`].
    pub unfenced: u16,
    /// The slot of the pod whose Lease expired, if that is why there is no leader.
    pub given_up: Option<u8>,
    pub lease: RecordedLease,
}

/// What the status says of the Lease and of nominees (Nominated).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordedLease {
    /// The UID of the Lease; 0 for none.
    pub uid: u8,
    /// The duration for the recorded leader, and the longest one that may still count.
    pub seconds: u8,
    pub longest: u8,
    /// Nominees that were silent: UIDs as bits.
    pub silent: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupObject {
    pub uid: u8,
    pub version: u8,
    pub record: Option<RecordObject>,
    pub observed: bool,
    /// The slots, as bits, that the selector leaves out.
    pub leaves_out: u8,
    /// The group routes a Service by a slice.
    pub routed: bool,
    pub nominated: bool,
    /// The duration of the Lease, as a user wants it.
    pub seconds: u8,
}

impl GroupObject {
    pub const fn selects(&self, pod: PodObject) -> bool {
        pod.selected && self.leaves_out & (1 << PodObject::slot(pod.uid)) == 0
    }
}

/// A Lease. Its owner is the UID of a group, or 0 if the pods hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseObject {
    /// A number that rises with each creation (Nominated).
    pub uid: u8,
    pub version: u8,
    pub owner: u8,
    /// The pod that holds the Lease: its slot, or its UID (Nominated).
    pub holder: Option<u8>,
    pub term: u8,
    /// The UID of the pod that may take the Lease, and the duration for it (Nominated).
    pub nominee: Option<u8>,
    pub nominated_seconds: u8,
    /// The duration that the holder wrote.
    pub seconds: u8,
    /// The version of what only holders and clearing writes change: a nomination leaves it alone.
    pub record: u8,
}

impl LeaseObject {
    /// A nominee that is no pod: the group asks the holder to end.
    pub const NO_POD: u8 = 15;
}

/// Who may take the Lease next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NominationObject {
    pub nominee: u8,
    pub term: u8,
    pub seconds: u8,
}

/// The slice of the Service that the group routes. Its UID is a number that rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SliceObject {
    pub uid: u8,
    pub version: u8,
    pub term: Option<u8>,
    pub endpoint: Option<EndpointObject>,
}

/// The pod, by UID, that a slice routes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointObject {
    pub pod: u8,
    pub ready: bool,
}

/// The slice by which the other group routes the same Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rival {
    Created,
    /// Its group has looked, and found no other slice.
    Alone,
    Filled,
}

/// Identifies an object from its creation to its deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    Group(u8),
    Pod(u8),
    Lease,
    /// What [`LeaseObject::record`] counts.
    LeaseRecord,
    Slice(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PodAction {
    Fence,
    Promote,
    LabelFollower,
    Release,
}

/// A request, with its condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    Status {
        group: u8,
        version: u8,
        record: Option<RecordObject>,
    },
    ConfirmPodGone(u8),
    /// Confirms that the Lease is as seen, or as absent.
    ConfirmLease {
        seen: Option<u8>,
    },
    /// Confirms that the group is deleted.
    ConfirmGroupGone(u8),
    /// Confirms that the group exists.
    ConfirmGroupExists(u8),
    /// Confirms that the pod is unchanged, or gone.
    ConfirmPodUnchanged {
        uid: u8,
        version: u8,
    },
    /// Confirms that the group exists and that its record has this leader and term.
    ConfirmRecord {
        group: u8,
        leader: Option<u8>,
        term: u8,
    },
    /// A list of pods, for the sender's copy of the group, or for the version that the same plan
    /// wrote.
    List {
        group: u8,
        version: u8,
        after_write: bool,
    },
    Pod {
        uid: u8,
        version: u8,
        action: PodAction,
        term: u8,
        group: u8,
    },
    Lease {
        base: Option<u8>,
        holder: Option<u8>,
        term: u8,
        group: u8,
    },
    /// A write of the Lease in Nominated mode. Without a base it creates the Lease.
    NewNomination {
        base: Option<u8>,
        clears: bool,
        nomination: Option<NominationObject>,
        group: u8,
    },
    /// A write of the slice: what it routes to, and the term.
    Route {
        slice: u8,
        version: u8,
        term: u8,
        endpoint: Option<EndpointObject>,
    },
    /// The creation of the slice. It has neither term nor endpoint ([`Rule::EmptyCreation`]).
    ///
    /// [`Rule::EmptyCreation`]: crate::world::Rule::EmptyCreation
    CreateSlice {
        term: Option<u8>,
        endpoint: Option<EndpointObject>,
    },
    /// Confirms that no other slice names the Service.
    ConfirmAlone,
    /// A write whose condition can never be true again.
    Stale,
}

/// What a request or an event may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Group,
    Lease,
    Pod(usize),
    /// The other group: whether it exists.
    OtherGroup,
    Slice,
    /// The slice of the other group: whether it exists.
    Rival,
}

impl Request {
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Status { .. } => Some(Target::Group),
            Self::Pod { uid, .. } => Some(Target::Pod(PodObject::slot(uid))),
            Self::Lease { .. } | Self::NewNomination { .. } => Some(Target::Lease),
            Self::Route { .. } | Self::CreateSlice { .. } => Some(Target::Slice),
            _ => None,
        }
    }

    pub const fn is_write(self) -> bool {
        self.target().is_some()
    }

    /// The object and the version that the request is conditional on.
    pub fn condition(&mut self) -> Option<(Key, &mut u8)> {
        match self {
            Self::Status { group, version, .. } | Self::List { group, version, .. } => {
                Some((Key::Group(*group), version))
            }
            Self::Pod { uid, version, .. } | Self::ConfirmPodUnchanged { uid, version } => {
                Some((Key::Pod(*uid), version))
            }
            Self::Lease { base: Some(version), .. }
            | Self::NewNomination { base: Some(version), .. }
            | Self::ConfirmLease { seen: Some(version) } => Some((Key::Lease, version)),
            Self::Route { slice, version, .. } => Some((Key::Slice(*slice), version)),
            _ => None,
        }
    }
}
