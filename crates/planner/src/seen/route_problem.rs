//! Why a group cannot route a Service.

use std::fmt;

use crate::names::condition_reason;

/// Why a group cannot route a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteProblem {
    /// The first list of Services, or of slices, is not complete yet.
    NotListed,
    /// There is no such Service.
    NotFound,
    /// The Service has a selector: Kubernetes routes it.
    HasSelector,
    /// The Service is only a name in the DNS.
    ExternalName,
    /// The older group of this name routes the Service.
    ClaimedBy(String),
}

impl RouteProblem {
    /// The reason of `Routed=False`.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotListed => condition_reason::ROUTE_PENDING,
            Self::NotFound => condition_reason::SERVICE_NOT_FOUND,
            Self::HasSelector => condition_reason::SERVICE_HAS_SELECTOR,
            Self::ExternalName => condition_reason::SERVICE_IS_EXTERNAL_NAME,
            Self::ClaimedBy(_) => condition_reason::SERVICE_OF_OTHER_GROUP,
        }
    }

    /// The slices of the group for this Service must go: they would be endpoints beside others.
    #[must_use]
    pub const fn forbids_slices(&self) -> bool {
        matches!(self, Self::HasSelector | Self::ExternalName | Self::ClaimedBy(_))
    }
}

impl fmt::Display for RouteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotListed => f.write_str(
                "is not read yet; if that lasts, the /readyz?verbose of the operator says what it may not read",
            ),
            Self::NotFound => f.write_str("does not exist: create it, without a selector"),
            Self::HasSelector => f.write_str(
                "has a selector, so Kubernetes writes its endpoints: delete it, and create it without a selector",
            ),
            Self::ExternalName => f.write_str("has the type ExternalName, which has no endpoints"),
            Self::ClaimedBy(group) => write!(f, "is routed by the older group {group}"),
        }
    }
}
