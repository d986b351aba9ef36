//! What the watch and the thread of the deadline send to the driver.

use std::sync::Arc;

use serde_json::Value;

use super::active_term::TermState;
use super::decisions::ElectorEvent;

/// What comes to the loop from outside.
#[derive(Debug)]
pub(super) enum Input {
    Event(ElectorEvent),
    Watched { lease: Value, deleted: bool },
    Expired(Arc<TermState>),
}
