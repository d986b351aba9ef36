//! What `follow` knows and tells: the role of its pod.

use serde::Serialize;

use super::sight::LeaseSight;
use crate::elector::Nanos;

/// What to do when the API server does not confirm in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnDoubt {
    /// Lead no longer.
    #[default]
    Stop,
    /// Go on, unconfirmed, until the API server names another leader.
    Continue,
}

/// The answer of a read.
#[derive(Clone, Debug)]
pub enum LeaseRead {
    /// The Lease.
    Found(Box<LeaseSight>),
    /// There is no such Lease.
    Missing,
    /// No answer, or a refusal.
    Failed,
}

/// Why this pod leads no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhyLost {
    /// This process ends.
    Stopped,
    /// The Lease names this pod no longer, or has expired.
    #[default]
    Moved,
    /// The API server has not confirmed in time.
    Unconfirmed,
}

impl WhyLost {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Moved => "moved",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// How far this process has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing was read yet.
    #[default]
    Unknown,
    /// The role is known.
    Known,
    /// This process ends: no further role comes.
    Last,
}

/// What is known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodRole {
    /// What comes before and after it.
    pub stage: Progress,
    /// This pod leads.
    pub leads: bool,
    /// It leads, and the API server said so a short time ago.
    pub is_confirmed: bool,
    /// Until when that counts, by the clock that counts suspend. It stays when the pod leads no
    /// longer: until then the work must have ended.
    pub until: Nanos,
    /// The name of the leader's pod. Empty: none is known.
    pub leader: String,
    /// The number of its term.
    pub term: Option<i64>,
    /// `holderIdentity`.
    pub holder: String,
    /// The version of the Lease that confirmed the term first.
    pub version: String,
    /// How often this pod has become the leader. A lead that was lost and regained is another one.
    pub tenure: u64,
    /// Why it last led no longer.
    pub loss: WhyLost,
}

/// What the role file has, and what is served over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Told<'a> {
    role: &'static str,
    term: Option<i64>,
    leader: &'a str,
    #[serde(rename = "self")]
    is_self: bool,
    confirmed: bool,
    until_boottime_ns: u64,
}

impl PodRole {
    /// One line of JSON.
    #[must_use]
    pub fn json(&self) -> String {
        let told = Told {
            role: if self.leads { "leader" } else { "follower" },
            term: self.term,
            leader: &self.leader,
            is_self: self.leads,
            confirmed: self.is_confirmed,
            until_boottime_ns: if self.leads { self.until.0 } else { 0 },
        };
        serde_json::to_string(&told).unwrap_or_default()
    }

    /// Whether the pod leads as it did then, without a loss in between.
    #[must_use]
    pub const fn is_still(&self, tenure: u64) -> bool {
        self.leads && self.tenure == tenure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_has_a_last_moment_and_a_follower_has_none() {
        let role = PodRole {
            leads: true,
            is_confirmed: true,
            until: Nanos(5),
            leader: "orders-1".to_owned(),
            term: Some(7),
            ..PodRole::default()
        };
        assert_eq!(
            role.json(),
            r#"{"role":"leader","term":7,"leader":"orders-1","self":true,"confirmed":true,"until_boottime_ns":5}"#
        );
        assert_eq!(
            PodRole { leads: false, is_confirmed: false, ..role }.json(),
            r#"{"role":"follower","term":7,"leader":"orders-1","self":false,"confirmed":false,"until_boottime_ns":0}"#
        );
    }
}
