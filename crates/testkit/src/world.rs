//! What users, kubelets and holders of Leases do on a control plane, in the form they do it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

/// Creates a namespace, and waits until pods can be created in it.
///
/// # Panics
/// If that cannot be done.
pub async fn create_namespace(client: &Client, name: &str, labels: &Value) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let body = json!({ "metadata": { "name": name, "labels": labels } });
    let body = serde_json::from_value(body).expect("a namespace");
    namespaces.create(&PostParams::default(), &body).await.expect("a namespace can be made");
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
    while accounts.get_opt("default").await.expect("accounts can be read").is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The conditions with which a kubelet reports that a pod is Ready, or not, from this moment on.
#[must_use]
pub fn readiness(ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    let since = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let condition = |kind| json!({ "type": kind, "status": status, "lastTransitionTime": since });
    json!([condition("Ready"), condition("ContainersReady")])
}

/// This moment, as it stands in a Lease.
#[must_use]
pub fn micro_time() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
