//! The pod that this process runs in, as the downward API tells it.

use std::env;

/// Something about the pod is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is not set; set it with fieldRef {field}")]
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
        let read = |variable| env::var(variable).unwrap_or_default();
        Self::new(read("POD_NAME"), read("POD_UID"))
    }

    /// The pod of this name and UID.
    ///
    /// # Errors
    /// If one of them is empty.
    pub fn new(name: String, uid: String) -> Result<Self, UnknownPod> {
        Ok(Self {
            name: known(name, "POD_NAME", "metadata.name")?,
            uid: known(uid, "POD_UID", "metadata.uid")?,
        })
    }
}

/// The value, which comes from that variable, and that field of the pod.
///
/// # Errors
/// If it is empty.
pub fn known(value: String, variable: &'static str, field: &'static str) -> Result<String, UnknownPod> {
    if value.is_empty() { Err(UnknownPod { variable, field }) } else { Ok(value) }
}
