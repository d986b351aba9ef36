//! What can go wrong between a plan and the API server.

use kube::core::Status;

/// Why a request of a plan did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object has changed since the plan was made: look again.
    #[error("{object} has changed since it was last seen")]
    Changed {
        /// The object.
        object: String,
    },
    /// The object does not exist (any more), or its name belongs to another one now.
    #[error("{object} is gone")]
    Gone {
        /// The object.
        object: String,
    },
    /// A question was answered with no.
    #[error("{object} is still there")]
    StillThere {
        /// The object.
        object: String,
    },
    /// The API server refused for lack of a permission.
    #[error("{verb} {object}: {source}")]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: String,
        /// The answer.
        source: Box<Status>,
    },
    /// No answer in time; the request may or may not have been carried out.
    #[error("{verb} {object}: no answer within {seconds} s")]
    TimedOut {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The API server accepted a status, and keeps another record than was sent.
    #[error(
        "{object}: the API server does not keep the record in status as it was written: apply the CRD of this \
         release, or exempt electiongroups/status from the webhook that changes it, and restart the operator"
    )]
    NotKept {
        /// The group.
        object: String,
    },
    /// A write could not be made conditional: the object has no version that could be read.
    #[error("{object} has no version that can be read: a write could not be conditional, and none is made")]
    NoVersion {
        /// The object.
        object: String,
    },
    /// The object is there and cannot be read.
    #[error("{object} cannot be read: {why}")]
    Unreadable {
        /// The object.
        object: String,
        /// Why.
        why: String,
    },
    /// This operator is not the active one (any more).
    #[error("this operator does not lead any more: nothing more is written")]
    NotActive,
    /// Any other failure.
    #[error("{verb} {object}: {source}")]
    Request {
        /// What was tried.
        verb: &'static str,
        /// On which object.
        object: String,
        /// The failure.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// A static text for metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "changed",
            Self::Gone { .. } => "gone",
            Self::StillThere { .. } => "still_there",
            Self::Forbidden { .. } => "forbidden",
            Self::TimedOut { .. } => "timed_out",
            Self::NotKept { .. } => "not_kept",
            Self::NoVersion { .. } => "no_version",
            Self::Unreadable { .. } => "unreadable",
            Self::NotActive => "not_active",
            Self::Request { .. } => "failed",
        }
    }

    /// The picture was merely out of date and has been brought up to date: plan again at once.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Gone { .. } | Self::StillThere { .. })
    }

    /// The API server answered, and said no.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::NotKept { .. } => true,
            Self::Request { source, .. } => matches!(**source, kube::Error::Api(_)),
            _ => false,
        }
    }
}
