//! The companion of a pod in `mode: Nominated`: which pod it is, and that it is the only one there.

use std::env;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::elector::ElectorConfig;
use crate::process::sole::Sole;

/// How often a companion looks whether the one before it has ended.
const LOOK: Duration = Duration::from_millis(250);

/// The variables that say which pod this is, and the fields that they come from.
const POD_NAME: (&str, &str) = ("POD_NAME", "metadata.name");
const POD_UID: (&str, &str) = ("POD_UID", "metadata.uid");

/// This process does not know its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--nominated: {variable} is not set; set it with fieldRef {field}")]
pub struct UnknownPod {
    variable: &'static str,
    field: &'static str,
}

/// The pod that this process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl OwnPod {
    /// Reads the environment.
    ///
    /// # Errors
    /// If a variable is not set, or empty.
    pub fn from_environment() -> Result<Self, UnknownPod> {
        Ok(Self { name: variable(POD_NAME)?, uid: variable(POD_UID)? })
    }

    /// The settings of the elector of this pod.
    #[must_use]
    pub fn elector(&self, namespace: &str, lease: &str) -> ElectorConfig {
        ElectorConfig::nominated(namespace, lease, &self.name, &self.uid)
    }

    /// The right to be the only companion of this pod for this Lease.
    fn sole(&self, namespace: &str, lease: &str) -> io::Result<Option<Sole>> {
        Sole::take(&format!("election-operator/{namespace}/{lease}/{}", self.uid))
    }
}

fn variable((variable, field): (&'static str, &'static str)) -> Result<String, UnknownPod> {
    env::var(variable).ok().filter(|value| !value.is_empty()).ok_or(UnknownPod { variable, field })
}

/// Waits until no other companion of the pod, and no process of its command, is left. None: this
/// process was asked to stop.
///
/// Until then it must not touch the Lease: it would give back what another process holds.
///
/// # Errors
/// If the operating system does not let it find out.
pub async fn until_sole(
    pod: &OwnPod,
    lease: (&str, &str),
    stopped: &mut watch::Receiver<bool>,
    is_duplicate: &AtomicBool,
) -> io::Result<Option<Arc<Sole>>> {
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
