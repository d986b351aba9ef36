//! Events on the Lease, best effort: an election never waits for an Event.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::core::Request;
use kube::core::params::PostParams;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::clock::Time;
use super::config::{ElectorConfig, Picked};

/// How long one Event may take. Only the next Event and the end of the process wait for it.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct EventRecorder {
    queue: mpsc::UnboundedSender<Value>,
    worker: JoinHandle<()>,
    clock: Arc<dyn Time>,
    config: ElectorConfig,
}

impl EventRecorder {
    pub(super) fn new(client: Client, clock: Arc<dyn Time>, config: ElectorConfig) -> Self {
        let (queue, waiting) = mpsc::unbounded_channel();
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", config.namespace);
        let worker = tokio::spawn(publish(client, clock.clone(), path, waiting));
        Self { queue, worker, clock, config }
    }

    pub(super) fn normal(&self, uid: &str, note: &str) {
        self.send("Normal", "LeaderElection", uid, note);
    }

    pub(super) fn warning(&self, reason: &str, uid: &str, note: &str) {
        self.send("Warning", reason, uid, note);
    }

    /// In `mode: Nominated` the operator reports each change, and the pods have no right to do so.
    fn send(&self, kind: &str, reason: &str, uid: &str, note: &str) {
        if self.config.picked != Picked::ByCandidates {
            return;
        }
        let ElectorConfig { namespace, name, identity, component, .. } = &self.config;
        let wall = self.clock.wall();
        let time = jiff::Timestamp::from_microsecond(wall.0).unwrap_or_default();
        let instance: String = identity.chars().take(128).collect();
        // A name has 253 characters at most, and the Lease's name may use all of them.
        let short: String = name.chars().take(200).collect();
        let _ = self.queue.send(json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": { "namespace": namespace, "name": format!("{short}.{:x}.{:x}", wall.0, serial()) },
            "eventTime": format!("{time:.6}"),
            "type": kind,
            "reason": reason,
            "action": "LeaderElection",
            "note": note,
            "reportingController": component,
            "reportingInstance": instance,
            "regarding": {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "namespace": namespace,
                "name": name,
                "uid": uid,
            },
        }));
    }

    /// Waits briefly for the Events under way.
    pub(super) async fn flush(self) {
        let Self { queue, mut worker, clock, .. } = self;
        drop(queue);
        tokio::select! {
            _ = &mut worker => {}
            () = clock.sleep_until(clock.boot() + TIMEOUT.into()) => worker.abort(),
        }
    }
}

/// Keeps apart the names of two Events of the same microsecond.
fn serial() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    SERIAL.fetch_add(1, Ordering::Relaxed)
}

async fn publish(
    client: Client,
    clock: Arc<dyn Time>,
    path: String,
    mut waiting: mpsc::UnboundedReceiver<Value>,
) {
    while let Some(event) = waiting.recv().await {
        let body = event.to_string().into_bytes();
        let Ok(request) = Request::new(path.as_str()).create(&PostParams::default(), body) else { continue };
        let sent = tokio::select! {
            sent = client.request::<Value>(request) => sent.map(drop).map_err(|error| error.to_string()),
            () = clock.sleep_until(clock.boot() + TIMEOUT.into()) => Err("no answer in time".to_owned()),
        };
        if let Err(error) = sent {
            tracing::debug!(%error, "an Event was not published");
        }
    }
}
