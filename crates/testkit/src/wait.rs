//! Waiting: for something that must come, with a time-out that only a failure reaches.

use std::time::{Duration, Instant};

/// Asks `probe` again and again until it finds something.
///
/// # Panics
/// If it has found nothing after `patience`; `what` says what was missing.
pub async fn eventually<T>(patience: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < patience, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
