//! Events and answers that go into the elector, and requests and notices that come out.

use super::loss::LossReason;
use super::record::{ElectionRecord, FencingToken, RecordWrite};
use super::time::{Nanos, WallMicros};

/// The time of an event, and a random number.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// This process's own clock, which counts suspend.
    pub boot: Nanos,
    /// The wall clock: written into the Lease, never compared with the time of another clock.
    pub wall: WallMicros,
    /// Evenly distributed over [0, 1).
    pub jitter: f64,
}

/// An event.
#[derive(Clone, Debug)]
pub enum ElectorEvent {
    /// The wake-up moment has come.
    Wake,
    /// The request has been answered.
    Answered(Answer),
    /// The watch shows the Lease.
    Watched {
        /// The Lease as it is, or as it was when it was deleted.
        record: ElectionRecord,
        /// The Lease was deleted.
        deleted: bool,
    },
    /// The watch is established.
    WatchUp,
    /// The watch has ended.
    WatchDown,
    /// The caller wants the elector to stop leading and to end.
    Stop,
    /// The deadline thread has ended the term.
    Expired,
    /// Work has ended or was aborted.
    WorkEnded,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A read found this record.
    Found(ElectionRecord),
    /// A read found that the Lease does not exist.
    Missing,
    /// A write was carried out and resulted in this record.
    Written(ElectionRecord),
    /// The object is not at the version that the write was based on. Another client wrote first, or
    /// an earlier write of this process whose answer was lost.
    Conflict,
    /// The request was refused for missing rights or wrong configuration: only a person can help.
    Refused,
    /// The API server is busy. It may say how long to wait.
    Busy(Option<Nanos>),
    /// There was no answer in time. The request was carried out, or was not, or still may be.
    TimedOut,
    /// The request failed half-way. It was carried out or was not.
    Unknown,
}

/// A request about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseRequest {
    /// Read the newest version of the Lease.
    Get,
    /// Create the Lease.
    Create(RecordWrite),
    /// Replace the Lease if it still has this version and the UID seen with it.
    Update {
        /// The version that the write is based on.
        on: String,
        /// What to write.
        write: RecordWrite,
    },
    /// Like [`Self::Update`], and empty the nominee.
    Take {
        /// The version that the write is based on.
        on: String,
        /// What to write.
        write: RecordWrite,
    },
    /// Empty the holder and change nothing else, if the Lease still has this version and UID.
    Vacate {
        /// The version that the write is based on.
        on: String,
    },
}

/// What has become of the term.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The Lease has another holder than before. Empty: no holder.
    NewHolder(String),
    /// This process leads: start work.
    Started(FencingToken),
    /// This process no longer leads: work must drain.
    Lost(LossReason),
    /// Work has ended.
    WorkEnded,
    /// The Lease was released.
    Released,
    /// The term is over.
    Stopped,
    /// A renewal needed a read.
    SlowPath,
}

/// Why an elector ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The caller asked it to stop.
    Stopped,
    /// Work ended by itself.
    WorkEnded,
    /// The term was lost, and the settings allow one term only.
    Lost(LossReason),
}

impl Ending {
    /// Why the last term ended, if there was one.
    #[must_use]
    pub const fn reason(self) -> LossReason {
        match self {
            Self::Stopped => LossReason::Stopped,
            Self::WorkEnded => LossReason::WorkEnded,
            Self::Lost(reason) => reason,
        }
    }
}

/// What the caller must do now.
#[derive(Clone, Debug, Default)]
pub struct Reaction {
    /// Send this request, and wait for its answer until that moment at most.
    pub send: Option<(LeaseRequest, Nanos)>,
    /// What has happened, in order.
    pub notices: Vec<Notice>,
    /// When to call again, unless another event comes first.
    pub wake_at: Nanos,
    /// The elector has ended: it needs no further call.
    pub ended: Option<Ending>,
}
