//! What comes to the elector, and what goes out of it.

use super::loss::LossReason;
use super::record::{ElectionRecord, FencingToken, RecordWrite};
use super::time::{Nanos, WallMicros};

/// What time it is, and a random number.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// On this process's own clock, one that counts suspend.
    pub boot: Nanos,
    /// On the wall: only written, never compared with what another clock wrote.
    pub wall: WallMicros,
    /// Evenly spread over [0, 1).
    pub chance: f64,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum ElectorEvent {
    /// The moment asked for has come.
    Wake,
    /// The request asked for has been answered.
    Answered(Answer),
    /// The watch shows the Lease.
    Watched {
        /// As it is, or was when it was deleted.
        record: ElectionRecord,
        /// It is gone.
        deleted: bool,
    },
    /// The watch works.
    WatchUp,
    /// The watch does not.
    WatchDown,
    /// Lead no more, and end.
    Stop,
    /// The enforcer has ended the claim to lead.
    Expired,
    /// Work has ended, or was aborted.
    WorkEnded,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A read found this.
    Found(ElectionRecord),
    /// A read found that there is no such Lease.
    Missing,
    /// A write was carried out and made this.
    Written(ElectionRecord),
    /// The object is not the one the write was based on: a race, or an own write whose answer got lost.
    Conflict,
    /// Rights or configuration: only people can help.
    Refused,
    /// Come back later.
    Busy(Option<Nanos>),
    /// No answer in time: carried out, or not, or not yet.
    TimedOut,
    /// A failure half-way: carried out, or not.
    Unknown,
}

/// One request about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRequest {
    /// Read it, the newest version.
    Get,
    /// Create it.
    Create(RecordWrite),
    /// Replace it, as it was at this version, with this UID.
    Update {
        /// The version that the write is based on.
        on: String,
        /// What to write.
        write: RecordWrite,
    },
}

/// What has become of the term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The Lease names somebody else than before; empty: nobody.
    NewHolder(String),
    /// This process leads: start work.
    Started(FencingToken),
    /// It does not any more: work is to drain.
    Lost(LossReason),
    /// Work has ended.
    WorkEnded,
    /// The Lease was given back.
    Released,
    /// The term is over.
    Stopped,
    /// A renewal needed a read.
    SlowPath,
}

/// Why an elector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to.
    Stopped,
    /// Work ended by itself.
    WorkEnded,
    /// The term was lost, and only one was asked for.
    Lost(LossReason),
}

/// What to do now.
#[derive(Clone, Debug, Default)]
pub struct Reaction {
    /// Send this, and wait no longer for the answer than until that moment.
    pub send: Option<(LeaseRequest, Nanos)>,
    /// What has happened, in order.
    pub notes: Vec<Notice>,
    /// When to come back, unless something happens before.
    pub wake_at: Nanos,
    /// Nothing more will happen.
    pub ended: Option<Ending>,
}
