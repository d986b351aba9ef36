//! A request, as the API server understands it.

use std::collections::BTreeMap;
use std::fmt;

use http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::kind::Kind;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are the verbs of Kubernetes")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
}

impl Verb {
    /// Its name in Kubernetes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }

    /// Whether it may change an object.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Patch | Self::Delete)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it asks for.
    pub verb: Verb,
    /// Of which kind.
    pub kind: Kind,
    /// In which namespace; none is all of them.
    pub namespace: Option<String>,
    /// Of which object. A `POST` has the name of its body.
    pub name: String,
    /// It is about the subresource `status`.
    pub is_status: bool,
    /// The parameters of its URL.
    pub query: BTreeMap<String, String>,
    /// The object or patch that it brings.
    pub body: Value,
    path: String,
}

impl Call {
    /// Reads a request.
    ///
    /// # Errors
    /// If no row of the kinds serves its path.
    pub async fn read<B>(request: Request<B>) -> Result<Self, String>
    where
        B: http_body::Body,
        B::Error: fmt::Debug,
    {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.expect("a request has a body").to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query: BTreeMap<String, String> = query.into_owned().collect();
        let path = parts.uri.path().to_owned();
        let not_served = || format!("{} {path} is not served", parts.method);
        let place = Place::of(&path).ok_or_else(not_served)?;
        let verb = verb(&parts.method, place.name.is_none(), &query).ok_or_else(not_served)?;
        let named = |body: &Value| body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            verb,
            kind: place.kind,
            namespace: place.namespace.map(str::to_owned),
            name: place.name.map_or_else(|| named(&body), str::to_owned),
            is_status: place.subresource == Some("status"),
            query,
            body,
            path,
        })
    }

    /// A parameter of the URL, or nothing.
    #[must_use]
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// The version from which a watch goes on, if it names one.
    #[must_use]
    pub fn since(&self) -> Option<u64> {
        self.parameter("resourceVersion").parse().ok().filter(|version| *version > 0)
    }
}

/// Method, path and body.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.name(), self.path)?;
        if self.body.is_null() { Ok(()) } else { write!(f, " {}", self.body) }
    }
}

/// What a path names.
struct Place<'a> {
    kind: Kind,
    namespace: Option<&'a str>,
    name: Option<&'a str>,
    subresource: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let group = match parts.next()? {
            "api" => "",
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?;
        let (namespace, plural) = match parts.next()? {
            "namespaces" => (parts.next(), parts.next()?),
            plural => (None, plural),
        };
        let kind = Kind::served_as(group, version, plural)?;
        Some(Self { kind, namespace, name: parts.next(), subresource: parts.next() })
    }
}

fn verb(method: &Method, is_collection: bool, query: &BTreeMap<String, String>) -> Option<Verb> {
    let watches = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    match (method.as_str(), is_collection) {
        ("GET", true) if watches => Some(Verb::Watch),
        ("GET", true) => Some(Verb::List),
        ("GET", false) => Some(Verb::Get),
        ("POST", true) => Some(Verb::Create),
        ("PUT", false) => Some(Verb::Update),
        ("PATCH", false) => Some(Verb::Patch),
        ("DELETE", false) => Some(Verb::Delete),
        _ => None,
    }
}
