//! The API server's own record of requests: what was asked for, told by a witness.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use serde_json::Value;

use crate::json::At;

/// One request of a service account, as the API server logged it when it had answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// `update`
    pub verb: String,
    /// With the subresource: `electiongroups/status`.
    pub resource: String,
    /// The group of the API.
    pub api_group: String,
    /// The namespace of the object.
    pub namespace: String,
    /// The name of the object.
    pub name: String,
    /// Who asked.
    pub user: String,
    /// The answer.
    pub code: i64,
    /// When it arrived.
    pub received: Timestamp,
    /// When it was answered.
    pub answered: Timestamp,
}

impl Request {
    /// `update electiongroups/status`
    #[must_use]
    pub fn what(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }

    /// Whether it asked to change something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Reads a line of the log; none if it is no answer to a service account.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let entry: Value = serde_json::from_str(line).ok()?;
        let user = entry.text("/user/username");
        if !user.starts_with("system:serviceaccount:") {
            return None;
        }
        let resource = entry.text("/objectRef/resource");
        Some(Self {
            verb: entry.text("/verb").to_owned(),
            resource: match entry.text("/objectRef/subresource") {
                "" => resource.to_owned(),
                subresource => format!("{resource}/{subresource}"),
            },
            api_group: entry.text("/objectRef/apiGroup").to_owned(),
            namespace: entry.text("/objectRef/namespace").to_owned(),
            name: entry.text("/objectRef/name").to_owned(),
            user: user.to_owned(),
            code: entry.number("/responseStatus/code"),
            received: entry.text("/requestReceivedTimestamp").parse().ok()?,
            answered: entry.text("/stageTimestamp").parse().ok()?,
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} {} -> {}", self.received, self.user, self.what(), self.name, self.code)
    }
}

/// The log from a place on.
///
/// # Errors
/// If it cannot be read.
pub fn read_from(path: &Path, offset: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
