//! What `elect` prints of its election: one line for each event.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::commands::output::{Line, Output, fields};
use crate::elector::clock::{BootTime, Time};
use crate::elector::{LossReason, Notice};
use crate::lines::Lines;
use crate::planner::Micros;

/// An event that a user of an election wants to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ElectEvent {
    /// This process leads.
    StartedLeading {
        /// The number of its term: that of its nomination, or how often the Lease has changed its
        /// holder.
        term: i64,
    },
    /// This process no longer leads, and its work has ended. No other process leads before this is
    /// printed.
    StoppedLeading {
        /// Why it was lost.
        reason: &'static str,
    },
    /// The Lease names another holder than before. The new holder may be this process.
    NewLeader {
        /// The holder. Empty: there is none.
        leader: String,
    },
}

impl Line for ElectEvent {
    fn text(&self) -> String {
        match self {
            Self::StartedLeading { term } => format!("started leading: term {term}"),
            Self::StoppedLeading { reason } => format!("stopped leading: {reason}"),
            Self::NewLeader { leader } if leader.is_empty() => "no leader".to_owned(),
            Self::NewLeader { leader } => format!("new leader: {leader}"),
        }
    }

    fn json(&self) -> Map<String, Value> {
        fields(self)
    }
}

/// Turns an elector's notices into lines.
#[derive(Clone, Debug)]
pub struct Report {
    output: Output,
    lines: Lines,
    reason: LossReason,
}

impl Report {
    /// Prints to this target.
    #[must_use]
    pub const fn new(output: Output, lines: Lines) -> Self {
        Self { output, lines, reason: LossReason::Stopped }
    }

    /// The event that a notice means for a user, if any.
    pub fn event(&mut self, notice: &Notice) -> Option<ElectEvent> {
        match notice {
            Notice::NewHolder(leader) => Some(ElectEvent::NewLeader { leader: leader.clone() }),
            Notice::Started(term) => Some(ElectEvent::StartedLeading { term: term.term() }),
            Notice::Lost(reason) => {
                self.reason = *reason;
                None
            }
            Notice::WorkEnded => Some(ElectEvent::StoppedLeading { reason: self.reason.as_str() }),
            _ => None,
        }
    }

    /// Prints what a notice means. It never waits for a reader: the election must go on.
    pub fn tell(&mut self, notice: &Notice) {
        if let Some(event) = self.event(notice) {
            let at = Micros(BootTime.wall().0);
            self.lines.tell(self.output.line(at, &event) + "\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elector::FencingToken;

    fn told(notices: &[Notice]) -> Vec<String> {
        let mut report = Report::new(Output::Text, Lines::to("a test", std::io::sink()));
        notices.iter().filter_map(|notice| report.event(notice)).map(|event| event.text()).collect()
    }

    fn term(transitions: i32) -> FencingToken {
        FencingToken::new("uid", transitions, "7")
    }

    #[test]
    fn a_term_is_told_from_its_start_to_the_end_of_its_work() {
        let notices = [
            Notice::NewHolder("me".to_owned()),
            Notice::Started(term(4)),
            Notice::SlowPath,
            Notice::Lost(LossReason::Usurped),
            Notice::WorkEnded,
            Notice::Stopped,
            Notice::NewHolder("other".to_owned()),
            Notice::NewHolder(String::new()),
        ];
        assert_eq!(
            told(&notices),
            [
                "new leader: me",
                "started leading: term 4",
                "stopped leading: usurped",
                "new leader: other",
                "no leader"
            ]
        );
    }

    #[test]
    fn json_names_event_and_reason() {
        let json = |event: ElectEvent| Value::Object(event.json());
        assert_eq!(
            json(ElectEvent::StartedLeading { term: 4 }),
            serde_json::json!({ "event": "started-leading", "term": 4 })
        );
        assert_eq!(
            json(ElectEvent::StoppedLeading { reason: "deadline" }),
            serde_json::json!({ "event": "stopped-leading", "reason": "deadline" })
        );
        assert_eq!(
            json(ElectEvent::NewLeader { leader: "a".to_owned() }),
            serde_json::json!({ "event": "new-leader", "leader": "a" })
        );
    }
}
