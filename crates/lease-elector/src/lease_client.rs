//! The requests about one Lease. The Lease is kept as raw JSON: fields that the elector does not
//! own are written back unchanged.
//!
//! Every write except the creation carries the `resourceVersion` and `uid` that it is based on.
//! With the version alone, a PUT would create a deleted Lease again.

use std::collections::BTreeMap;
use std::time::Duration;

use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use kube::core::Request as Build;
use kube::core::params::{GetParams, PostParams, WatchParams};
use serde_json::{Map, Value, json};

use super::decisions::record::{ElectionRecord, Nomination, RecordWrite};
use super::decisions::time::{Nanos, WallMicros};
use super::decisions::{Answer, LeaseRequest};

/// The annotation of `mode: Nominated` that names who may take the Lease. It makes a Lease one of
/// that mode, also when it is empty.
pub const NOMINEE: &str = "election-operator.io/nominee";
/// The annotation with the lease duration of the next holder, in seconds.
pub const DURATION: &str = "election-operator.io/duration";
/// The annotation with the term of the nomination.
pub const TERM: &str = "election-operator.io/term";

/// Why a request failed, for people and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// A static text.
    pub class: &'static str,
    /// The message of the API server.
    pub message: String,
}

impl Failure {
    pub(super) fn no_answer() -> Self {
        Self { class: "timeout", message: "no answer in time".to_owned() }
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self { class: class(status.code), message: status.message },
            error @ kube::Error::BuildRequest(_) => Self { class: "invalid", message: error.to_string() },
            error => Self { class: "connection", message: error.to_string() },
        }
    }
}

const fn class(status: u16) -> &'static str {
    match status {
        404 => "not_found",
        409 => "conflict",
        429 | 503 => "busy",
        401 | 403 => "forbidden",
        400..=499 => "invalid",
        _ => "server_error",
    }
}

/// The client of one Lease.
#[derive(Clone)]
pub struct LeaseClient {
    client: Client,
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    /// The Lease as last read or written.
    cached: Option<Map<String, Value>>,
    /// The Lease as the watch last showed it.
    watched: Option<Map<String, Value>>,
}

impl std::fmt::Debug for LeaseClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LeaseClient({self})")
    }
}

impl std::fmt::Display for LeaseClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An answer as it came. Pass it to [`LeaseClient::take`].
#[derive(Debug)]
pub struct Reply {
    status: u16,
    retry_after: Option<Duration>,
    body: Value,
}

impl LeaseClient {
    /// `client` must be made with `default_retry` off: a hidden repetition could outlive the Lease.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, labels: BTreeMap<String, String>) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels,
            cached: None,
            watched: None,
        }
    }

    fn path(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    /// Sends the request. The future does not borrow: the caller may drop it, which does not undo
    /// the request.
    ///
    /// # Errors
    /// If there is no answer. A refusal is a [`Reply`], too.
    pub fn send(
        &self,
        request: &LeaseRequest,
    ) -> impl Future<Output = Result<Reply, Failure>> + Send + use<> {
        let built = self.build(request);
        let client = self.client.clone();
        async move {
            let request = built?.map(Body::from);
            let answer = client.send(request).await?;
            let (parts, body) = answer.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let seconds =
                parts.headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            // Zero gives no pause: a leader would try again at once.
            let seconds = seconds.filter(|seconds| *seconds > 0);
            Ok(Reply {
                status: parts.status.as_u16(),
                retry_after: seconds.map(Duration::from_secs),
                body: serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| json!({ "message": String::from_utf8_lossy(&bytes) })),
            })
        }
    }

    fn build(&self, request: &LeaseRequest) -> Result<http::Request<Vec<u8>>, Failure> {
        let api = Build::new(self.path());
        let built = match request {
            LeaseRequest::Get => api.get(&self.name, &GetParams::default()),
            LeaseRequest::Create(write) => api.create(&PostParams::default(), self.created(write)),
            LeaseRequest::Update { on, write } => self.replace(&api, self.filled(self.base(on)?, write)),
            LeaseRequest::Take { on, write } => {
                let lease = without_nominee(self.base(on)?);
                self.replace(&api, self.filled(lease, write))
            }
            LeaseRequest::Vacate { on } => self.replace(&api, vacated(self.base(on)?)),
        };
        built.map_err(|error| Failure { class: "invalid", message: error.to_string() })
    }

    fn created(&self, write: &RecordWrite) -> Vec<u8> {
        let mut lease = Map::new();
        lease.insert("apiVersion".to_owned(), json!("coordination.k8s.io/v1"));
        lease.insert("kind".to_owned(), json!("Lease"));
        lease.insert("metadata".to_owned(), json!({ "namespace": self.namespace, "name": self.name }));
        self.filled(lease, write)
    }

    fn replace(
        &self,
        api: &Build,
        lease: Vec<u8>,
    ) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
        api.replace(&self.name, &PostParams::default(), lease)
    }

    /// The Lease as it was at the version `on`.
    fn base(&self, on: &str) -> Result<Map<String, Value>, Failure> {
        let based_on = |lease: &&Map<String, Value>| {
            let metadata = lease.get("metadata");
            let has = |key| metadata.and_then(|metadata| metadata.get(key)?.as_str()).unwrap_or_default();
            has("resourceVersion") == on && !on.is_empty() && !has("uid").is_empty()
        };
        let Some(lease) = self.cached.iter().chain(&self.watched).find(based_on) else {
            let message = "lease not initialized, call get or create first".to_owned();
            return Err(Failure { class: "invalid", message });
        };
        Ok(lease.clone())
    }

    fn filled(&self, mut lease: Map<String, Value>, write: &RecordWrite) -> Vec<u8> {
        let mut spec = take_map(&mut lease, "spec");
        fill_record(&mut spec, write);
        lease.insert("spec".to_owned(), Value::Object(spec));
        if !self.labels.is_empty() {
            let mut metadata = take_map(&mut lease, "metadata");
            let mut labels = take_map(&mut metadata, "labels");
            labels.extend(self.labels.iter().map(|(key, value)| (key.clone(), json!(value))));
            metadata.insert("labels".to_owned(), Value::Object(labels));
            lease.insert("metadata".to_owned(), Value::Object(metadata));
        }
        Value::Object(lease).to_string().into_bytes()
    }

    /// Turns a reply into an answer, and remembers its Lease. The failure, if any, is for people.
    pub fn take(
        &mut self,
        request: &LeaseRequest,
        reply: Result<Reply, Failure>,
    ) -> (Answer, Option<Failure>) {
        let reply = match reply {
            Ok(reply) => reply,
            Err(failure) if failure.class == "timeout" => return (Answer::TimedOut, Some(failure)),
            Err(failure) if failure.class == "invalid" => return (Answer::Refused, Some(failure)),
            Err(failure) => return (Answer::Unknown, Some(failure)),
        };
        if (200..300).contains(&reply.status) {
            return self.take_lease(request, reply.body);
        }
        let answer = match reply.status {
            404 if *request == LeaseRequest::Get && names_it(&reply.body) => return (Answer::Missing, None),
            404 if *request == LeaseRequest::Get => Answer::Unknown,
            409 => Answer::Conflict,
            429 | 503 => {
                Answer::Busy(reply.retry_after.map(Nanos::from).or_else(|| asked_pause(&reply.body)))
            }
            400..=499 => Answer::Refused,
            _ => Answer::Unknown,
        };
        let message = text(reply.body.get("message"));
        (answer, Some(Failure { class: class(reply.status), message }))
    }

    fn take_lease(&mut self, request: &LeaseRequest, lease: Value) -> (Answer, Option<Failure>) {
        let Some(record) = read_record(&lease) else {
            let message = "the answer is not a Lease".to_owned();
            return (Answer::Unknown, Some(Failure { class: "server_error", message }));
        };
        self.cached = into_map(lease);
        if *request == LeaseRequest::Get {
            (Answer::Found(record), None)
        } else {
            (Answer::Written(record), None)
        }
    }

    /// Remembers the Lease that the watch showed, so that a write can be based on it.
    pub fn watched(&mut self, lease: Value) {
        self.watched = into_map(lease);
    }

    /// The request for a watch of the Lease from its present state on. An existing Lease is shown
    /// first.
    ///
    /// # Errors
    /// If the name is not valid.
    pub fn watch_request(&self) -> Result<http::Request<Vec<u8>>, kube::core::request::Error> {
        let params =
            WatchParams::default().fields(&format!("metadata.name={}", self.name)).disable_bookmarks();
        Build::new(self.path()).watch(&params, "")
    }
}

fn into_map(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(map) = value { Some(map) } else { None }
}

fn without_nominee(mut lease: Map<String, Value>) -> Map<String, Value> {
    let mut metadata = take_map(&mut lease, "metadata");
    let mut annotations = take_map(&mut metadata, "annotations");
    annotations.insert(NOMINEE.to_owned(), json!(""));
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    lease.insert("metadata".to_owned(), Value::Object(metadata));
    lease
}

fn vacated(mut lease: Map<String, Value>) -> Vec<u8> {
    let mut spec = take_map(&mut lease, "spec");
    spec.insert("holderIdentity".to_owned(), json!(""));
    lease.insert("spec".to_owned(), Value::Object(spec));
    Value::Object(lease).to_string().into_bytes()
}

/// Whether a 404 names the object. If it does not, it says nothing about the object: the kind may
/// not be served (yet).
fn names_it(status: &Value) -> bool {
    status
        .get("details")
        .and_then(|details| details.get("name"))
        .is_some_and(|name| !text(Some(name)).is_empty())
}

fn asked_pause(status: &Value) -> Option<Nanos> {
    let seconds = status.get("details")?.get("retryAfterSeconds")?.as_u64().filter(|seconds| *seconds > 0)?;
    Some(Nanos::from_seconds(seconds))
}

/// Removes the member `key`, and returns it; an empty map if it is not an object.
fn take_map(map: &mut Map<String, Value>, key: &str) -> Map<String, Value> {
    match map.remove(key) {
        Some(Value::Object(inner)) => inner,
        _ => Map::new(),
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The record in a Lease; none if `lease` is not a Lease. Null, missing and malformed members are
/// zero or empty.
#[must_use]
pub fn read_record(lease: &Value) -> Option<ElectionRecord> {
    let metadata = lease.get("metadata")?;
    let null = Value::Null;
    let spec = lease.get("spec").unwrap_or(&null);
    let number = |key: &str| spec.get(key).and_then(Value::as_i64).unwrap_or_default();
    let time = |key: &str| {
        let time: jiff::Timestamp = spec.get(key)?.as_str()?.parse().ok()?;
        Some(WallMicros(time.as_microsecond()))
    };
    Some(ElectionRecord {
        uid: text(metadata.get("uid")),
        version: text(metadata.get("resourceVersion")),
        holder: text(spec.get("holderIdentity")),
        duration: Nanos::from_seconds(u64::try_from(number("leaseDurationSeconds")).unwrap_or_default()),
        acquire_time: time("acquireTime"),
        renew_time: time("renewTime"),
        transitions: i32::try_from(number("leaseTransitions")).unwrap_or_default(),
        content: if spec.is_null() { String::from("{}") } else { spec.to_string() },
        nomination: metadata.get("annotations").and_then(read_nomination),
    })
}

fn read_nomination(annotations: &Value) -> Option<Nomination> {
    let number = |key: &str| annotations.get(key)?.as_str()?.parse::<u64>().ok();
    Some(Nomination {
        nominee: annotations.get(NOMINEE)?.as_str()?.to_owned(),
        seconds: number(DURATION).and_then(|seconds| i32::try_from(seconds).ok()).unwrap_or_default(),
        term: number(TERM).unwrap_or_default(),
    })
}

/// Sets the members of a Lease's spec that an elector owns.
pub fn fill_record(spec: &mut Map<String, Value>, write: &RecordWrite) {
    spec.insert("holderIdentity".to_owned(), json!(write.holder));
    spec.insert("leaseDurationSeconds".to_owned(), json!(write.seconds));
    spec.insert("acquireTime".to_owned(), json!(time_text(write.acquire_time)));
    spec.insert("renewTime".to_owned(), json!(time_text(write.renew_time)));
    spec.insert("leaseTransitions".to_owned(), json!(write.transitions));
}

/// RFC 3339 with exactly six decimals: the API server accepts nothing else.
fn time_text(time: WallMicros) -> String {
    let time = jiff::Timestamp::from_microsecond(time.0).unwrap_or_default();
    format!("{time:.6}")
}
