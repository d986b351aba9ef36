//! Failures between a plan and the API server.

use kube::core::Status;

/// Why a step of a plan failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object has changed since the plan was made.
    #[error("{object} has changed since it was last seen")]
    Changed {
        /// The object.
        object: String,
    },
    /// The object does not exist (any more), or its name belongs to another object now.
    #[error("{object} is gone")]
    Gone {
        /// The object.
        object: String,
    },
    /// A live read has found an object that seemed to be deleted.
    #[error("{object} is still there")]
    StillThere {
        /// The object.
        object: String,
    },
    /// The API server refused the request: a permission is missing, or an admission rule forbids
    /// it.
    #[error("{verb} {object}: {source}")]
    Forbidden {
        /// The verb of the request.
        verb: &'static str,
        /// The object.
        object: String,
        /// The answer.
        source: Box<Status>,
    },
    /// No answer in time. The API server may have carried the request out.
    #[error("{verb} {object}: no answer within {seconds} s")]
    TimedOut {
        /// The verb of the request.
        verb: &'static str,
        /// The object.
        object: String,
        /// How long the operator waited.
        seconds: u64,
    },
    /// The API server accepted a status, and keeps another record than the operator sent.
    #[error(
        "{object}: the API server does not keep the record in status as it was written: \
         apply the CRD of this release, or exempt electiongroups/status from the webhook \
         that changes it, and restart the operator"
    )]
    NotKept {
        /// The group.
        object: String,
    },
    /// The object has no readable version. The applier writes nothing without a condition.
    #[error("{object} has no version that can be read: a write could not be conditional, and none is made")]
    NoVersion {
        /// The object.
        object: String,
    },
    /// The object exists and cannot be read.
    #[error("{object} cannot be read: {why}")]
    Unreadable {
        /// The object.
        object: String,
        /// Why.
        why: String,
    },
    /// A Service that a group routes has endpoints of another writer.
    #[error(
        "service {namespace}/{service} has endpoints of another writer: delete them, once nothing else writes \
         them: kubectl -n {namespace} delete --ignore-not-found endpoints/{service} endpointslices/{slice}"
    )]
    OtherSlices {
        /// The namespace.
        namespace: String,
        /// The Service.
        service: String,
        /// The slice of the other writer.
        slice: String,
    },
    /// This operator does not have the write permit (any more).
    #[error("this operator does not lead any more: nothing more is written")]
    NotActive,
    /// Any other failure.
    #[error("{verb} {object}: {source}")]
    Request {
        /// The verb of the request.
        verb: &'static str,
        /// The object.
        object: String,
        /// The failure.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// The label of this error in metrics.
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
            Self::OtherSlices { .. } => "other_slices",
            Self::NotActive => "not_active",
            Self::Request { .. } => "failed",
        }
    }

    /// The cache was stale and has been refreshed: plan again at once.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Gone { .. } | Self::StillThere { .. })
    }

    /// The next write of a slice would fail as well, or take as long: labels must not wait for it.
    #[must_use]
    pub fn holds_up_routes(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::OtherSlices { .. } | Self::TimedOut { .. } => true,
            Self::Request { source, .. } => {
                matches!(&**source, kube::Error::Api(status) if status.code < 500 && status.code != 429)
            }
            _ => false,
        }
    }

    /// The API server has answered, and refused.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::NotKept { .. } => true,
            Self::Request { source, .. } => matches!(**source, kube::Error::Api(_)),
            _ => false,
        }
    }
}
