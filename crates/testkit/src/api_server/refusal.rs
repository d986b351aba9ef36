//! What the API server says when it does not do what it is asked to.

use http::StatusCode;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use crate::kind::Kind;

/// A refused call.
#[derive(Clone, Debug)]
pub struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
    details: Value,
    retry_after_seconds: Option<u64>,
}

impl Refusal {
    /// A refusal with this code.
    #[must_use]
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        let reason = match code {
            400 => "BadRequest",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            405 => "MethodNotAllowed",
            409 => "Conflict",
            410 => "Expired",
            422 => "Invalid",
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "InternalError",
        };
        let (message, details) = (message.into(), json!({}));
        Self { code, reason, message, details, retry_after_seconds: None }
    }

    /// The client is told when to come again.
    #[must_use]
    pub fn with_retry_after(self, seconds: u64) -> Self {
        Self { retry_after_seconds: Some(seconds), ..self }
    }

    /// The object that it is about.
    #[must_use]
    pub fn about(self, kind: Kind, name: &str) -> Self {
        let row = kind.row();
        let details = json!({ "name": name, "group": row.group, "kind": row.plural });
        Self { details, message: format!("{} \"{name}\": {}", row.plural, self.message), ..self }
    }

    pub(super) fn missing(kind: Kind, name: &str) -> Self {
        Self::new(404, "not found").about(kind, name)
    }

    pub(super) fn already_exists(kind: Kind, name: &str) -> Self {
        Self { reason: "AlreadyExists", ..Self::new(409, "already exists").about(kind, name) }
    }

    pub(super) fn other_version(kind: Kind, name: &str) -> Self {
        Self::new(409, "the object has been modified").about(kind, name)
    }

    pub(super) fn no_version(kind: Kind, name: &str) -> Self {
        Self::new(422, "metadata.resourceVersion: must be specified for an update").about(kind, name)
    }

    /// A PUT or DELETE takes the UID for a precondition.
    pub(super) fn other_uid(kind: Kind, name: &str) -> Self {
        Self::new(409, "Precondition failed: UID in precondition").about(kind, name)
    }

    /// A PATCH takes the UID for a change.
    pub(super) fn changed_uid(kind: Kind, name: &str) -> Self {
        let mut refusal = Self::new(422, "metadata.uid: field is immutable").about(kind, name);
        refusal.details["causes"] = json!([{ "field": "metadata.uid", "reason": "FieldValueInvalid" }]);
        refusal
    }

    pub(super) fn expired() -> Self {
        Self::new(410, "too old resource version")
    }

    /// The `Status` that tells it.
    #[must_use]
    pub fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": self.code,
            "reason": self.reason, "message": self.message, "details": self.details,
        })
    }

    /// The event of a watch that cannot go on.
    #[must_use]
    pub fn event(&self) -> Value {
        json!({ "type": "ERROR", "object": self.status() })
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let code = StatusCode::from_u16(refusal.code).expect("a code of HTTP");
        let mut answer = answer::of(code, &refusal.status());
        if let Some(seconds) = refusal.retry_after_seconds {
            answer.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
        }
        answer
    }
}
