//! A change of leader, as the judgement wants it.

use super::reason::Reason;
use super::{Identity, Micros};

/// The leader that the next record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeader {
    /// The new leader. None takes the label away.
    pub to: Option<Identity>,
    /// Why.
    pub reason: Reason,
    /// When this operator first saw the cause.
    pub detected_at: Micros,
}
