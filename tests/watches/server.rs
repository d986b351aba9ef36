//! An API server in the process, for lists and watches.

use super::*;

pub(crate) type Answer = UnsyncBoxBody<Bytes, std::io::Error>;

/// An API server, by how it answers a request.
#[derive(Clone, Copy)]
pub(crate) enum Server {
    /// It has no objects, and its watches stay silent.
    Silent,
    /// It refuses lists of Services.
    Refusing,
    /// It has the Lease of one node, at version 6.
    WithNode,
    /// It is away from the tenth to the seventieth second after that moment.
    Restarting(Clock, Millis),
    /// Of each kind it has an odd object that it accepts, and a plain one.
    Odd,
}

/// An object whose `managedFields` have a time later than Rust's libraries can represent. The API
/// server accepts such a time from clients.
pub(crate) fn odd(name: &str, namespace: &str) -> Value {
    let entry = json!({ "manager": "m", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "time": "9999-12-31T23:59:59Z", "fieldsV1": {} });
    json!({ "metadata": { "name": name, "namespace": namespace, "uid": format!("{name}-uid"),
        "resourceVersion": "6", "managedFields": [entry] } })
}

pub(crate) fn plain(name: &str, namespace: &str) -> Value {
    let mut object = odd(name, namespace);
    object["metadata"]["managedFields"] = json!([]);
    object
}

pub(crate) fn group(mut object: Value, spec: &Value) -> Value {
    object["spec"] = spec.clone();
    object
}

/// The objects of a kind, by the path of the list.
pub(crate) fn odd_objects(path: &str) -> Vec<Value> {
    let spec = json!({ "selector": { "matchLabels": { "app": "orders" } } });
    match path {
        path if path.ends_with("electiongroups") => vec![
            group(odd("odd", "shop"), &spec),
            group(plain("unreadable", "shop"), &json!({ "selector": 7 })),
            group(plain("plain", "shop"), &spec),
        ],
        path if path.contains("kube-node-lease") => {
            vec![odd("odd", "kube-node-lease"), plain("plain", "kube-node-lease")]
        }
        _ => vec![odd("odd", "shop"), plain("plain", "shop")],
    }
}

pub(crate) fn status(code: u16, body: &Value) -> http::Response<Answer> {
    http::Response::builder()
        .status(code)
        .body(Full::from(body.to_string()).map_err(|never| match never {}).boxed_unsync())
        .unwrap()
}

pub(crate) fn list(path: &str) -> Value {
    let (api_version, kind) = match path.rsplit('/').next() {
        Some("pods") => ("v1", "PodList"),
        Some("services") => ("v1", "ServiceList"),
        Some("poddisruptionbudgets") => ("policy/v1", "PodDisruptionBudgetList"),
        Some("leases") => ("coordination.k8s.io/v1", "LeaseList"),
        _ => ("election-operator.io/v1alpha1", "ElectionGroupList"),
    };
    json!({ "apiVersion": api_version, "kind": kind, "metadata": { "resourceVersion": "7" }, "items": [] })
}

pub(crate) fn node_leases() -> Value {
    let lease =
        json!({ "metadata": { "name": "north", "namespace": "kube-node-lease", "resourceVersion": "6" } });
    let (api_version, kind) = ("coordination.k8s.io/v1", "LeaseList");
    let metadata = json!({ "resourceVersion": "7" });
    json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "items": [lease] })
}

pub(crate) fn is_watch(uri: &http::Uri) -> bool {
    uri.query().is_some_and(|query| query.contains("watch=true"))
}

impl Server {
    fn answer(self, uri: &http::Uri) -> http::Response<Answer> {
        let refused = json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": "no" });
        match self {
            Self::WithNode => status(200, &node_leases()),
            Self::Restarting(..) if is_watch(uri) => {
                let ended = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
                let end = async move {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    ended
                };
                http::Response::new(StreamBody::new(futures::stream::once(end)).boxed_unsync())
            }
            Self::Odd if !is_watch(uri) => {
                let mut list = list(uri.path());
                list["items"] = json!(odd_objects(uri.path()));
                status(200, &list)
            }
            Self::Refusing if uri.path().ends_with("services") => status(403, &refused),
            _ if is_watch(uri) => {
                let never = futures::stream::pending();
                http::Response::new(StreamBody::new(never).boxed_unsync())
            }
            _ => status(200, &list(uri.path())),
        }
    }

    fn is_away(self) -> bool {
        let Self::Restarting(clock, begun) = self else { return false };
        (Millis::from_seconds(10)..Millis::from_seconds(70)).contains(&clock.now().since(begun))
    }

    pub(crate) fn client(self, log: impl Fn(String) + Send + Sync + 'static) -> Client {
        let answer = move |request: http::Request<Body>| {
            log(request.uri().to_string());
            let answer = if self.is_away() {
                Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
            } else {
                Ok(self.answer(request.uri()))
            };
            async move { answer }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    /// The requests that all watches send in a virtual minute.
    pub(crate) async fn requests_in_a_minute(self) -> Vec<String> {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let client = self.client(move |uri| log.lock().unwrap().push(uri));
        let clock = Clock::start();
        let (wake, _woken) = wakes();
        let (cache, health) = (Cache::new(clock, wake), Health::new(clock));
        let watches = watches::watch(client, Scope::Cluster, Arc::new(cache), Arc::new(health));
        assert!(tokio::time::timeout(Duration::from_secs(60), watches).await.is_err());
        asked.lock().unwrap().clone()
    }
}
