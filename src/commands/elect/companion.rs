//! The companion of a pod in `mode: Nominated`: its settings, and that it is the only one there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::commands::own_pod::OwnPod;
use crate::elector::ElectorConfig;
use crate::process::sole::Sole;

/// How often a companion looks whether the one before it has ended.
const LOOK: Duration = Duration::from_millis(250);

/// The socket that makes a companion the only one of its pod cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot bind the socket @{name}: {source}; without it two companions of this pod could run, so none does: \
     check what the container may do (its limits, seccomp, AppArmor, SELinux)"
)]
pub struct NoSocket {
    name: String,
    source: io::Error,
}

impl OwnPod {
    /// The settings of the elector of this pod.
    #[must_use]
    pub fn elector(&self, namespace: &str, lease: &str) -> ElectorConfig {
        ElectorConfig::nominated(namespace, lease, &self.name, &self.uid)
    }

    /// The right to be the only companion of this pod for this Lease. The UID keeps apart the pods
    /// that share the network of their node.
    fn sole(&self, namespace: &str, lease: &str) -> Result<Option<Sole>, NoSocket> {
        let name = format!("election-operator/{namespace}/{lease}/{}", self.uid);
        Sole::take(&name).map_err(|source| NoSocket { name, source })
    }
}

/// Waits until no other companion of the pod, and no process of its command, is left. None: this
/// process was asked to stop.
///
/// Until then it must not touch the Lease: it would give back what another process holds.
///
/// # Errors
/// If the operating system does not let it find out. Then the companion must not run.
pub async fn until_sole(
    pod: &OwnPod,
    lease: (&str, &str),
    stopped: &mut watch::Receiver<bool>,
    is_duplicate: &AtomicBool,
) -> Result<Option<Arc<Sole>>, NoSocket> {
    let (namespace, name) = lease;
    loop {
        if let Some(sole) = pod.sole(namespace, name)? {
            is_duplicate.store(false, Ordering::Relaxed);
            return Ok(Some(Arc::new(sole)));
        }
        if !is_duplicate.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "duplicate_identity: another process of pod {} runs for the Lease {namespace}/{name}, or its \
                 command does; waiting until it has ended",
                pod.name
            );
        }
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return Ok(None),
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
