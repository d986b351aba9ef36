//! Admission webhooks that never answer: each write they are asked about takes their whole
//! time-out, and then fails or goes on without them.
//!
//! All of them are one socket that accepts every connection and says nothing: not even the TLS
//! handshake ends. They are asked about this test's own namespace only.

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use tokio::io::{copy, sink};
use tokio::net::TcpListener;

use crate::control_plane;

/// The namespace of the operators' `ServiceAccount`.
const OPERATORS: &str = "system:serviceaccount:election-operator:";

/// What a webhook is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Webhook {
    /// Events of every client: they are refused without it.
    Events,
    /// What operators write, which goes on without it.
    Writes,
}

impl Webhook {
    const ALL: [Self; 2] = [Self::Events, Self::Writes];

    fn short(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Writes => "writes",
        }
    }
}

/// The webhooks of one namespace.
pub(crate) struct Webhooks {
    configurations: Api<ValidatingWebhookConfiguration>,
    namespace: String,
    url: String,
}

impl Webhooks {
    /// None is in force yet.
    pub(crate) async fn new(namespace: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port can be had");
        let address = listener.local_addr().expect("a socket has an address");
        tokio::spawn(hear_out(listener));
        Self {
            configurations: Api::all(control_plane::admin().await),
            namespace: namespace.to_owned(),
            url: format!("https://{address}/"),
        }
    }

    /// Events of the namespace are refused, each after so many seconds.
    pub(crate) async fn refuse_events(&self, seconds: u64) -> kube::Result<()> {
        let rules = json!([{
            "apiGroups": ["", "events.k8s.io"],
            "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["events"],
        }]);
        let webhook = json!({ "failurePolicy": "Fail", "timeoutSeconds": seconds, "rules": rules });
        self.begin(Webhook::Events, webhook).await
    }

    /// What operators write to these resources takes so many seconds longer.
    pub(crate) async fn slow_down(&self, resources: &[&str], seconds: u64) -> kube::Result<()> {
        let rules = json!([{
            "apiGroups": ["*"],
            "apiVersions": ["*"],
            "operations": ["CREATE", "UPDATE"],
            "resources": resources,
        }]);
        let by_operators = format!("request.userInfo.username.startsWith('{OPERATORS}')");
        let webhook = json!({
            "failurePolicy": "Ignore",
            "timeoutSeconds": seconds,
            "rules": rules,
            "matchConditions": [{ "name": "by-operators", "expression": by_operators }],
        });
        self.begin(Webhook::Writes, webhook).await
    }

    async fn begin(&self, webhook: Webhook, mut body: Value) -> kube::Result<()> {
        let common = json!({
            "name": format!("{}.chaos.election-operator.io", webhook.short()),
            "clientConfig": { "url": self.url },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": self.namespace } },
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
        });
        body.as_object_mut().expect("an object").extend(common.as_object().expect("an object").clone());
        let configuration = json!({ "metadata": { "name": self.name(webhook) }, "webhooks": [body] });
        let configuration = serde_json::from_value(configuration).expect("a webhook configuration");
        self.configurations.create(&PostParams::default(), &configuration).await.map(|_| ())
    }

    /// Nothing is asked of it any more. That it was not asked before is no failure.
    pub(crate) async fn end(&self, webhook: Webhook) {
        match self.configurations.delete(&self.name(webhook), &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => drop(other.expect("a webhook configuration can be deleted")),
        }
    }

    pub(crate) async fn end_all(&self) {
        for webhook in Webhook::ALL {
            self.end(webhook).await;
        }
    }

    fn name(&self, webhook: Webhook) -> String {
        format!("{}-{}", self.namespace, webhook.short())
    }
}

/// For ever: takes every connection, reads what comes and never answers.
async fn hear_out(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection can be accepted");
        tokio::spawn(async move { copy(&mut stream, &mut sink()).await });
    }
}
