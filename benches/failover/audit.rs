//! The API server's own log of what the operator asked for: counts, and where the time of a switch
//! went.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use testkit::audit::{self, read_from};

use crate::recorder::Moment;
use crate::scenario::Switch;

/// The log from a moment on.
#[derive(Debug)]
pub(crate) struct AuditLog {
    path: PathBuf,
    from: u64,
}

/// One answered request of a service account.
#[derive(Debug)]
pub(crate) struct Request {
    /// `update electiongroups/status`
    pub(crate) what: String,
    pub(crate) name: String,
    pub(crate) received: SystemTime,
    answered: SystemTime,
}

impl Request {
    /// From its arrival at the API server to its answer.
    pub(crate) fn took(&self) -> Duration {
        since(self.answered, self.received)
    }

    fn parse(line: &str, namespace: &str) -> Option<Self> {
        let request = audit::Request::parse(line).filter(|request| request.namespace == namespace)?;
        Some(Self {
            what: request.what(),
            received: request.received.into(),
            answered: request.answered.into(),
            name: request.name,
        })
    }
}

impl AuditLog {
    /// The log from now on; none if it cannot be read.
    pub(crate) fn from_now(path: Option<&PathBuf>) -> Option<Self> {
        let path = path?;
        let from = std::fs::metadata(path).ok()?.len();
        Some(Self { path: path.clone(), from })
    }

    /// What service accounts have asked for in a namespace since then, except for watches.
    pub(crate) async fn requests(&self, namespace: &str) -> Vec<Request> {
        // The log is written while the answer is, not before it.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let text = read_from(&self.path, self.from).expect("the audit log can be read");
        let requests = text.lines().filter_map(|line| Request::parse(line, namespace));
        requests.filter(|request| !request.what.starts_with("watch ")).collect()
    }
}

/// The stretches of one switch, in their order; together they are its time to the label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anatomy(pub(crate) [Duration; 7]);

/// What the stretches are. Gaps are the operator's own time and the way between it and the API
/// server.
pub(crate) const STRETCHES: [&str; 7] = [
    "event → record arrives",
    "record",
    "→ fence ∥ Lease arrive",
    "fence ∥ Lease",
    "→ promotion arrives",
    "promotion",
    "→ event of the label",
];

impl Anatomy {
    /// Finds the requests of one switch among all.
    pub(crate) fn of(switch: &Switch, requests: &[Request]) -> Option<Self> {
        let label: Moment = switch.label?;
        let first = |what: &str, name: &str, after: SystemTime| {
            let fits = |request: &&Request| {
                request.what == what && request.name == name && request.received >= after
            };
            requests.iter().filter(fits).min_by_key(|request| request.received)
        };
        let record = first("update electiongroups/status", &switch.group, switch.began())?;
        let lease = first("patch leases", &switch.group, record.answered)?;
        let promotion = first("patch pods", &switch.new, record.answered)?;
        let fence = first("patch pods", &switch.old, record.answered)
            .filter(|fence| fence.received < promotion.received);
        let second = || [Some(lease), fence].into_iter().flatten();
        let sent = second().map(|request| request.received).min()?;
        let done = second().map(|request| request.answered).max()?;
        let borders = [
            switch.cause.wall,
            record.received,
            record.answered,
            sent,
            done,
            promotion.received,
            promotion.answered,
            label.wall,
        ];
        Some(Self(std::array::from_fn(|index| since(borders[index + 1], borders[index]))))
    }
}

/// Zero where the order is the other way round.
fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}
