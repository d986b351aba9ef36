//! The role over HTTP: for containers of the pod and for probes.

use std::convert::Infallible;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::Stream;
use futures::stream::unfold;
use tokio::sync::watch;

use super::role::PodRole;
use crate::http::asks_for;

/// The routes of the server.
pub fn routes(roles: watch::Receiver<PodRole>) -> Router {
    Router::new()
        .route("/", get(leader))
        .route("/leader", get(leader))
        .route("/is-leader", get(is_leader))
        .route("/healthz", get(async || "ok\n"))
        .with_state(roles)
}

async fn leader(State(roles): State<watch::Receiver<PodRole>>, RawQuery(query): RawQuery) -> Response {
    if asks_for(query.as_deref(), "watch") {
        return Sse::new(changes(roles)).keep_alive(KeepAlive::default()).into_response();
    }
    let json = roles.borrow().json();
    ([(header::CONTENT_TYPE, "application/json")], json + "\n").into_response()
}

/// The present role, then each that differs from the one before.
fn changes(roles: watch::Receiver<PodRole>) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold((roles, None), |(mut roles, told)| async move {
        loop {
            let json = roles.borrow_and_update().json();
            if told.as_ref() != Some(&json) {
                return Some((Ok(Event::default().data(&json)), (roles, Some(json))));
            }
            roles.changed().await.ok()?;
        }
    })
}

async fn is_leader(State(roles): State<watch::Receiver<PodRole>>) -> (StatusCode, &'static str) {
    if roles.borrow().leads {
        (StatusCode::OK, "true\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "false\n")
    }
}
