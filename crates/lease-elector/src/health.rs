//! client-go's health check of a leader election.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::leader_view::LeaderView;

/// Fails when this process has not stopped its work long after its Lease expired: then only a
/// restart helps.
///
/// Leadership is no condition of health: a candidate is healthy. A check without an elector is
/// healthy, too.
#[derive(Clone, Debug, Default)]
pub struct HealthCheck(Arc<Mutex<Option<Checked>>>);

#[derive(Debug)]
struct Checked {
    state: watch::Receiver<LeaderView>,
    lease: String,
}

/// The term's work has not ended, though the Lease has expired.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed election to renew leadership on lease {lease}")]
#[non_exhaustive]
pub struct Unhealthy {
    /// The name of the Lease.
    pub lease: String,
}

impl HealthCheck {
    /// The name that client-go gives this check.
    pub const NAME: &'static str = "leaderElection";

    /// How long after the end of the Lease client-go's users customarily tolerate running work.
    pub const TOLERANCE: Duration = Duration::from_secs(20);

    pub(super) fn set(&self, state: watch::Receiver<LeaderView>, lease: String) {
        let checked = Checked { state, lease };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(checked);
    }

    /// Checks the elector. `tolerance` counts from the end of the Lease.
    ///
    /// # Errors
    /// If work should have ended long ago.
    pub fn check(&self, tolerance: Duration) -> Result<(), Unhealthy> {
        let checked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(checked) = checked.as_ref() else { return Ok(()) };
        let Some(overdue) = checked.state.borrow().open_past_expiry() else { return Ok(()) };
        if overdue > tolerance.into() { Err(Unhealthy { lease: checked.lease.clone() }) } else { Ok(()) }
    }
}
