//! Waiting: for something that must come, with a time-out that only a failure reaches.

use std::time::Duration;

/// How long anything may take before it counts as not happening. Long, as the tests share few
/// cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` again and again until it finds something.
///
/// # Panics
/// If it has found nothing after [`PATIENCE`]; `what` says what was missing.
pub(crate) async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    testkit::wait::eventually(PATIENCE, what, probe).await
}
