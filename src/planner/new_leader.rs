//! A change of leader, as the decision asks for it.

use super::reason::Reason;
use super::{Identity, Micros};

/// The content of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeader {
    /// The new leader; none takes the label away.
    pub to: Option<Identity>,
    /// Why.
    pub reason: Reason,
    /// When the cause was first seen.
    pub detected_at: Micros,
}
