//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::Metrics;

/// Why the process is not ready, if it is not; asked at every request.
pub type Readiness = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Binds `address` and serves until the returned future is dropped.
///
/// # Errors
/// If the address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Readiness,
) -> std::io::Result<impl Future<Output = std::io::Result<()>>> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(http_addr = %listener.local_addr()?, "serving http");
    let ready = move || async move {
        match readiness() {
            Ok(text) => (StatusCode::OK, text),
            Err(problems) => (StatusCode::SERVICE_UNAVAILABLE, problems),
        }
    };
    let render = move || async move {
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        match metrics.encode() {
            Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(render));
    Ok(async move { axum::serve(listener, routes).await })
}
