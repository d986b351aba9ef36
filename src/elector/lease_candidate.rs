//! The `LeaseCandidate` of this process, by which the API server knows that it may be picked: kept up to date, and
//! answered for when the server asks whether it is still there.
//!
//! It is not part of the election: it says nothing about who leads, and no term waits for it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::core::params::{GetParams, PostParams, WatchParams};
use kube::core::{Request, WatchEvent};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::config::{Coordinated, ElectorConfig};
use super::driver::Input;
use super::lease::{Failure, time_text};
use crate::clock::Time;

/// The server takes candidates for dead, and removes them, that were silent for half an hour.
const REFRESH: Duration = Duration::from_secs(300);

pub(super) struct LeaseCandidate {
    client: Client,
    clock: Arc<dyn Time>,
    namespace: String,
    lease: String,
    name: String,
    said: Coordinated,
    timeout: Duration,
    pause: Duration,
    news: UnboundedSender<Input>,
}

impl LeaseCandidate {
    /// None, unless the server is to pick the holder. What becomes of each request is told as `news`.
    pub(super) fn new(
        client: &Client,
        clock: &Arc<dyn Time>,
        config: &ElectorConfig,
        news: &UnboundedSender<Input>,
    ) -> Option<Self> {
        Some(Self {
            client: client.clone(),
            clock: clock.clone(),
            namespace: config.namespace.clone(),
            lease: config.name.clone(),
            name: config.identity.clone(),
            said: config.coordinated.clone()?,
            timeout: config.request_timeout(),
            pause: config.retry_period,
            news: news.clone(),
        })
    }

    /// Keeps it for ever.
    pub(super) async fn keep(self) {
        loop {
            let kept = self.refresh().await;
            let is_kept = kept.is_ok();
            let _ = self.news.send(Input::Candidate(kept));
            let pause = if is_kept { REFRESH } else { self.pause };
            tokio::select! {
                () = self.asked(), if is_kept => {}
                () = self.clock.sleep_until(self.clock.boot() + pause.into()) => {}
            }
        }
    }

    fn api(&self) -> Request {
        let namespace = &self.namespace;
        Request::new(format!("/apis/coordination.k8s.io/v1beta1/namespaces/{namespace}/leasecandidates"))
    }

    /// What is there, or none.
    async fn read(&self) -> Result<Option<Value>, Failure> {
        let request = self.api().get(&self.name, &GetParams::default());
        match self.send(request).await {
            Err(failure) if failure.class == "not_found" => Ok(None),
            read => read.map(Some),
        }
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, Failure> {
        let request = request.map_err(kube::Error::BuildRequest)?;
        tokio::select! {
            answer = self.client.request(request) => Ok(answer?),
            () = self.clock.sleep_until(self.clock.boot() + self.timeout.into()) => Err(Failure::no_answer()),
        }
    }

    /// Says once more what is true of this process, and that it is there.
    async fn refresh(&self) -> Result<(), Failure> {
        let old = self.read().await?;
        let exists = old.is_some();
        let body = self.filled(old.unwrap_or_else(|| self.empty())).to_string().into_bytes();
        let request = if exists {
            self.api().replace(&self.name, &PostParams::default(), body)
        } else {
            self.api().create(&PostParams::default(), body)
        };
        self.send(request).await.map(drop)
    }

    fn empty(&self) -> Value {
        json!({
            "apiVersion": "coordination.k8s.io/v1beta1",
            "kind": "LeaseCandidate",
            "metadata": { "namespace": self.namespace, "name": self.name },
        })
    }

    /// What it does not own stays as it was.
    fn filled(&self, mut candidate: Value) -> Value {
        let mut now = self.clock.wall();
        // An answer to a server whose clock is ahead must not look like none.
        if let Some(asked) = time(&candidate, "pingTime") {
            now.0 = now.0.max(asked.as_microsecond());
        }
        let mut spec = candidate.get("spec").and_then(Value::as_object).cloned().unwrap_or_default();
        let said = [
            ("leaseName", &self.lease),
            ("binaryVersion", &self.said.binary_version),
            ("emulationVersion", &self.said.emulation_version),
            ("strategy", &self.said.strategy),
            ("renewTime", &time_text(now)),
        ];
        spec.extend(said.map(|(key, value)| (key.to_owned(), json!(value))));
        if let Some(candidate) = candidate.as_object_mut() {
            candidate.insert("spec".to_owned(), Value::Object(spec));
        }
        candidate
    }

    /// Ends when the server wants to hear of this process, or knows nothing of it any more.
    async fn asked(&self) {
        loop {
            match self.watch().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(error, name = self.name, "the watch of the LeaseCandidate ended");
                }
            }
            self.clock.sleep_until(self.clock.boot() + self.pause.into()).await;
            if matches!(self.read().await, Ok(found) if found.as_ref().is_none_or(wants_answer)) {
                return;
            }
        }
    }

    async fn watch(&self) -> Result<bool, String> {
        let params = WatchParams::default().fields(&format!("metadata.name={}", self.name));
        let request = self.api().watch(&params, "").map_err(|error| error.to_string())?;
        let watching = self.client.request_events::<Value>(request).await;
        let mut events = pin!(watching.map_err(|error| error.to_string())?);
        while let Some(event) = events.next().await {
            match event.map_err(|error| error.to_string())? {
                WatchEvent::Added(candidate) | WatchEvent::Modified(candidate)
                    if wants_answer(&candidate) =>
                {
                    return Ok(true);
                }
                WatchEvent::Deleted(_) => return Ok(true),
                WatchEvent::Error(status) => return Err(status.to_string()),
                _ => {}
            }
        }
        Ok(false)
    }
}

fn time(candidate: &Value, key: &str) -> Option<jiff::Timestamp> {
    candidate.get("spec")?.get(key)?.as_str()?.parse().ok()
}

/// The server asked later than it was answered. Never compared with a clock.
fn wants_answer(candidate: &Value) -> bool {
    time(candidate, "pingTime") > time(candidate, "renewTime")
}
