//! Waiting: for something that must come, with a time-out that only a failure reaches.

use std::time::{Duration, Instant};

/// How long anything may take before it counts as not happening. Long, as the tests share few
/// cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` again and again until it finds something.
///
/// # Panics
/// If it has found nothing after [`PATIENCE`]; `what` says what was missing.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
