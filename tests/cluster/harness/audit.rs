//! The API server's own record of requests: what the operator asked for, counted by somebody else.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde_json::Value;

use super::cluster::Cluster;
use super::json::At;
use super::wait::eventually;

/// A place in the record: what was logged before is not looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

/// Where the record begins.
pub(crate) const BEGINNING: Mark = Mark(0);

/// One request of a service account, as the API server logged it when it had answered.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) verb: String,
    /// With the subresource: `electiongroups/status`.
    pub(crate) resource: String,
    pub(crate) api_group: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) code: i64,
    pub(crate) received: Timestamp,
    pub(crate) answered: Timestamp,
}

impl Request {
    /// `update electiongroups/status`
    pub(crate) fn what(&self) -> String {
        format!("{} {}", self.verb, self.resource)
    }

    /// Whether it asked to change something.
    pub(crate) fn is_write(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    fn parse(line: &str) -> Option<Self> {
        let entry: Value = serde_json::from_str(line).ok()?;
        let resource = match entry.text("/objectRef/subresource") {
            "" => entry.text("/objectRef/resource").to_owned(),
            subresource => format!("{}/{subresource}", entry.text("/objectRef/resource")),
        };
        Some(Self {
            verb: entry.text("/verb").to_owned(),
            resource,
            api_group: entry.text("/objectRef/apiGroup").to_owned(),
            namespace: entry.text("/objectRef/namespace").to_owned(),
            name: entry.text("/objectRef/name").to_owned(),
            user: entry.text("/user/username").to_owned(),
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

/// Marks the present moment: everything answered before is in the record before the mark.
pub(crate) async fn mark(client: &Client) -> Mark {
    Mark(complete(client, Mark(0)).await.1)
}

/// All requests of service accounts outside kube-system since `mark`, in the order of their answers.
pub(crate) async fn requests_since(client: &Client, mark: Mark) -> Vec<Request> {
    let (text, _) = complete(client, mark).await;
    text.lines()
        .filter_map(Request::parse)
        .filter(|request| request.user.starts_with("system:serviceaccount:"))
        .collect()
}

/// Makes a request that can be recognised, and reads until it is there: then everything before it is there, too.
async fn complete(client: &Client, from: Mark) -> (String, u64) {
    let sign = super::world::unique("audit");
    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), &sign);
    configs.get_opt("audit-mark").await.expect("config maps can be read");
    let path = Cluster::find().audit_log();
    eventually("the mark in the audit log", async || {
        let text = read_from(path, from.0);
        let sign_at = text.find(&sign)?;
        let end = sign_at + text[sign_at..].find('\n')? + 1;
        Some((text[..end].to_owned(), from.0 + end as u64))
    })
    .await
}

fn read_from(path: &Path, offset: u64) -> String {
    let mut file = std::fs::File::open(path).expect("the audit log can be read");
    file.seek(SeekFrom::Start(offset)).expect("the audit log can be read");
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).expect("the audit log can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
