//! What can happen to a Lease, and the lines that report it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::output::{Line, fields};
use crate::planner::Millis;

/// An event of the Lease of this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaseEvent {
    /// The name of the Lease.
    pub lease: String,
    /// What happened.
    #[serde(flatten)]
    pub change: LeaseChange,
}

impl LeaseEvent {
    pub(super) fn new(lease: &str, change: LeaseChange) -> Self {
        Self { lease: lease.to_owned(), change }
    }
}

/// What can happen to a Lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum LeaseChange {
    /// The Lease was free when it was first seen.
    Free,
    /// The Lease does not exist.
    Absent,
    /// The Lease has a new holder.
    Held {
        /// Its new holder.
        holder: String,
        /// `leaseTransitions`: how often the Lease has changed its holder.
        transitions: i32,
        /// The holder before, unless the Lease was free or had expired.
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<HolderSpan>,
    },
    /// Its holder released the Lease.
    Released(HolderSpan),
    /// Its holder has not renewed the Lease in time.
    Expired(HolderSpan),
    /// The Lease was deleted while it was held.
    Deleted(HolderSpan),
}

/// A holder, and for how long it held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HolderSpan {
    /// The holder.
    pub holder: String,
    /// The time from when it was seen to hold until now.
    pub held_seconds: Seconds,
    /// Whether it may have held for longer: it held the Lease already when the Lease was first
    /// seen.
    pub at_least: bool,
}

/// A span of the local clock, shown in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Millis);

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "exact for 285,000 years")]
        serializer.serialize_f64(self.0.0 as f64 / 1000.0)
    }
}

impl std::fmt::Display for HolderSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Seconds(Millis(millis)) = self.held_seconds;
        let at_least = if self.at_least { "at least " } else { "" };
        write!(f, "{} held it for {at_least}{}.{:03} s", self.holder, millis / 1000, millis % 1000)
    }
}

impl Line for LeaseEvent {
    fn text(&self) -> String {
        let lease = &self.lease;
        match &self.change {
            LeaseChange::Free => format!("{lease}: free"),
            LeaseChange::Absent => format!("{lease}: does not exist"),
            LeaseChange::Held { holder, transitions, previous: None } => {
                format!("{lease}: held by {holder}, transition {transitions}")
            }
            LeaseChange::Held { holder, transitions, previous: Some(previous) } => {
                format!("{lease}: held by {holder}, transition {transitions}; {previous}")
            }
            LeaseChange::Released(held) => format!("{lease}: released; {held}"),
            LeaseChange::Expired(held) => format!("{lease}: expired, no renewal was seen in time; {held}"),
            LeaseChange::Deleted(held) => format!("{lease}: deleted; {held}"),
        }
    }

    fn json(&self) -> Map<String, Value> {
        fields(self)
    }
}
