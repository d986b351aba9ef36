//! Who leads, over HTTP: for containers of the pod, for probes and for Prometheus.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use futures::stream::unfold;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::sync::watch;

use super::liveness::LivenessProbe;
use crate::elector::{HealthCheck, LeaderElector, LeaderView};
use crate::http::{asks_for, exposition};
use crate::metrics::process;

/// How often a stream checks whether the leader it reported has expired: no event tells that.
const LOOK: Duration = Duration::from_secs(1);

/// The sources of the answers.
#[derive(Clone, Debug)]
pub struct Sources {
    state: watch::Receiver<LeaderView>,
    health: HealthCheck,
    registry: Arc<Registry>,
    liveness: Option<LivenessProbe>,
    is_duplicate: Arc<AtomicBool>,
}

/// The answer of `/leader`. Older sidecars answered with the name alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeaderAnswer {
    /// The leader's identity. Empty: this process knows no leader.
    pub name: String,
    /// The number of its term: that of its nomination, or `leaseTransitions`.
    pub term: Option<i64>,
    /// Since when it leads, by the clock of the leader.
    pub since: Option<String>,
    /// Whether this process is the leader.
    #[serde(rename = "self")]
    pub is_self: bool,
}

impl LeaderAnswer {
    /// The answer at this moment. A leader whose record has expired as seen from here is none.
    #[must_use]
    pub fn of(leadership: &LeaderView) -> Self {
        let holder = leadership.holder();
        let since = leadership.since().filter(|_| holder.is_some());
        Self {
            name: holder.unwrap_or_default().to_owned(),
            term: holder.map(|_| leadership.term()),
            since: since.map(|since| since.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()),
            is_self: leadership.is_leader(),
        }
    }

    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Sources {
    /// The sources of one elector, the health check of the application, and whether this process
    /// waits because another one of its pod runs.
    #[must_use]
    pub fn of(
        elector: &LeaderElector,
        liveness: Option<LivenessProbe>,
        is_duplicate: Arc<AtomicBool>,
    ) -> Self {
        let mut registry = Registry::default();
        elector.metrics().register(&mut registry);
        process::register(&mut registry);
        let (state, health) = (elector.view(), elector.health());
        Self { state, health, registry: Arc::new(registry), liveness, is_duplicate }
    }
}

/// The routes of the server.
pub fn routes(sources: Sources) -> Router {
    let registry = sources.registry.clone();
    let metrics = move || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).map(|()| text)
    };
    Router::new()
        .route("/", get(leader))
        .route("/leader", get(leader))
        .route("/is-leader", get(is_leader))
        .route("/healthz", get(healthz))
        .route("/metrics", exposition::route(metrics))
        .with_state(sources)
}

async fn leader(State(sources): State<Sources>, RawQuery(query): RawQuery) -> Response {
    if asks_for(query.as_deref(), "watch") {
        let stream = changes(sources.state);
        return Sse::new(stream).keep_alive(KeepAlive::default()).into_response();
    }
    let leader = LeaderAnswer::of(&sources.state.borrow());
    ([(header::CONTENT_TYPE, "application/json")], leader.json() + "\n").into_response()
}

/// The present leader, then each leader that differs from the one before.
fn changes(state: watch::Receiver<LeaderView>) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold((state, None), |(mut state, told)| async move {
        loop {
            let leader = LeaderAnswer::of(&state.borrow_and_update());
            if told.as_ref() != Some(&leader) {
                let event = Event::default().data(leader.json());
                return Some((Ok(event), (state, Some(leader))));
            }
            if let Ok(Err(_)) = tokio::time::timeout(LOOK, state.changed()).await {
                return None;
            }
        }
    })
}

async fn is_leader(State(sources): State<Sources>) -> (StatusCode, &'static str) {
    if sources.state.borrow().is_leader() {
        (StatusCode::OK, "true\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "false\n")
    }
}

/// The application's health counts only while this process leads: a standby's application may not
/// run at all.
async fn healthz(State(sources): State<Sources>) -> (StatusCode, String) {
    if let Err(unhealthy) = sources.health.check(HealthCheck::TOLERANCE) {
        return (StatusCode::INTERNAL_SERVER_ERROR, format!("{unhealthy}\n"));
    }
    if sources.is_duplicate.load(Ordering::Relaxed) {
        let text = "duplicate_identity: another process of this pod runs for the Lease\n";
        return (StatusCode::INTERNAL_SERVER_ERROR, text.to_owned());
    }
    let leads = sources.state.borrow().is_leader();
    match sources.liveness.filter(|_| leads) {
        Some(liveness) => match liveness.ask().await {
            Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
            Err(trouble) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{liveness}: {trouble}\n")),
        },
        None => (StatusCode::OK, "ok\n".to_owned()),
    }
}
