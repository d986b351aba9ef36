//! The API server's own record of requests: what the operator asked for, counted by a witness.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
pub(crate) use testkit::audit::Request;
use testkit::audit::read_from;

use super::cluster::Cluster;
use super::wait::eventually;

/// A place in the record: what was logged before is not looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

/// Where the record begins.
pub(crate) const BEGINNING: Mark = Mark(0);

/// Marks the present moment: everything answered before is in the record before the mark.
pub(crate) async fn mark(client: &Client) -> Mark {
    Mark(complete(client, Mark(0)).await.1)
}

/// All requests of service accounts outside kube-system since `mark`, in the order of their
/// answers.
pub(crate) async fn requests_since(client: &Client, mark: Mark) -> Vec<Request> {
    let (text, _) = complete(client, mark).await;
    text.lines().filter_map(Request::parse).collect()
}

/// Makes a request that can be recognised, and reads until it is there: then everything before it
/// is there, too.
async fn complete(client: &Client, from: Mark) -> (String, u64) {
    let sign = super::world::unique("audit");
    let configs: Api<ConfigMap> = Api::namespaced(client.clone(), &sign);
    configs.get_opt("audit-mark").await.expect("config maps can be read");
    let path = Cluster::find().audit_log();
    eventually("the mark in the audit log", async || {
        let text = read_from(path, from.0).expect("the audit log can be read");
        let sign_at = text.find(&sign)?;
        let end = sign_at + text[sign_at..].find('\n')? + 1;
        Some((text[..end].to_owned(), from.0 + end as u64))
    })
    .await
}
