//! Objects of the API server, an operator's copies of them, and what is in flight: small, ordered, hashable.

/// Names of pods, by number: each has at most this many pods one after the other.
pub const PODS: usize = 2;
pub const GENERATIONS: u8 = 4;
/// The mark of a group that is not ours.
pub const OTHER_GROUP: u8 = 9;
/// Every object.
pub const TARGETS: [Target; 5] =
    [Target::Group, Target::Lease, Target::Pod(0), Target::Pod(1), Target::OtherGroup];
/// In a set of pods: every pod of the group.
pub const EVERYBODY: u16 = 1 << 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    None,
    Leader,
    Follower,
}

/// `uid` is `slot * GENERATIONS + generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodObject {
    pub uid: u8,
    pub version: u8,
    pub label: Label,
    pub term: Option<u8>,
    /// The UID of the group that marked it; 0: nobody.
    pub mark: u8,
    pub ready: bool,
    pub selected: bool,
}

impl PodObject {
    pub const fn slot(uid: u8) -> usize {
        (uid / GENERATIONS) as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordObject {
    pub leader: Option<u8>,
    pub term: u8,
    /// UIDs as bits, and [`EVERYBODY`].
    pub unfenced: u16,
    /// The name of the pod, as its number, whose Lease ran out: hence there is no leader.
    pub given_up: Option<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupObject {
    pub uid: u8,
    pub version: u8,
    pub record: Option<RecordObject>,
    pub observed: bool,
    /// The slots of pods that the selector leaves out.
    pub leaves_out: u8,
}

impl GroupObject {
    pub const fn selects(&self, pod: PodObject) -> bool {
        pod.selected && self.leaves_out & (1 << PodObject::slot(pod.uid)) == 0
    }
}

/// `owner` is the UID of a group; 0: the pods hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseObject {
    pub version: u8,
    pub owner: u8,
    /// The name of a pod, as its number.
    pub holder: Option<u8>,
    pub term: u8,
}

/// Names an object for its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    Group(u8),
    Pod(u8),
    Lease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    Fence,
    Promote,
    Follow,
    Unmark,
}

/// A request, with what it is conditional on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    Status {
        group: u8,
        version: u8,
        record: Option<RecordObject>,
    },
    AskPod(u8),
    /// The Lease is as it was seen, or as absent.
    AskLease {
        seen: Option<u8>,
    },
    /// The group is gone.
    AskGroup(u8),
    /// The group exists.
    AskGroupThere(u8),
    /// A pod is gone, or as it was seen.
    AskSame {
        uid: u8,
        version: u8,
    },
    /// The group is there, and its record has this leader and term.
    AskRecord {
        group: u8,
        leader: Option<u8>,
        term: u8,
    },
    /// A list for the group as the sender's copy has it, or as a write of the same plan made it.
    List {
        group: u8,
        version: u8,
        after_write: bool,
    },
    Pod {
        uid: u8,
        version: u8,
        turn: Turn,
        term: u8,
        group: u8,
    },
    Lease {
        base: Option<u8>,
        holder: Option<u8>,
        term: u8,
        group: u8,
    },
    /// A write whose condition can never hold again.
    Stale,
}

/// An object that a request or an event may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    Group,
    Lease,
    Pod(usize),
    /// Whether the other group exists.
    OtherGroup,
}

impl Request {
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Status { .. } => Some(Target::Group),
            Self::Pod { uid, .. } => Some(Target::Pod(PodObject::slot(uid))),
            Self::Lease { .. } => Some(Target::Lease),
            _ => None,
        }
    }

    pub const fn is_write(self) -> bool {
        matches!(self, Self::Status { .. } | Self::Pod { .. } | Self::Lease { .. })
    }

    /// What the write is conditional on.
    pub fn condition(&mut self) -> Option<(Key, &mut u8)> {
        match self {
            Self::Status { group, version, .. } | Self::List { group, version, .. } => {
                Some((Key::Group(*group), version))
            }
            Self::Pod { uid, version, .. } | Self::AskSame { uid, version } => {
                Some((Key::Pod(*uid), version))
            }
            Self::Lease { base: Some(version), .. } | Self::AskLease { seen: Some(version) } => {
                Some((Key::Lease, version))
            }
            _ => None,
        }
    }
}
