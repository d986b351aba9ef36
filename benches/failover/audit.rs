//! The API server's own log of what the operator asked for.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use testkit::audit::{self, read_from};

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
    pub(crate) answered: SystemTime,
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

/// Zero where the order is the other way round.
pub(crate) fn since(later: SystemTime, earlier: SystemTime) -> Duration {
    later.duration_since(earlier).unwrap_or_default()
}
