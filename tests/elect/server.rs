//! An API server that knows only Leases, behind real HTTP: compare-and-swap on `resourceVersion` and `uid`, watches,
//! and silence on demand. It remembers every write, and who was still alive when it came.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, RawQuery, Request, State as Shared};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures::StreamExt;
use futures::stream::unfold;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::running::is_alive;

/// A write of a Lease that was carried out.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) at: SystemTime,
    pub(crate) holder: String,
    /// Whether the process that [`Server::track`] named was alive at that moment.
    pub(crate) tracked_was_alive: bool,
}

#[derive(Default)]
pub(crate) struct State {
    version: u64,
    pub(crate) leases: BTreeMap<String, Value>,
    pub(crate) writes: Vec<Write>,
    changes: Vec<(u64, Value)>,
    watchers: Vec<mpsc::UnboundedSender<Value>>,
    /// Watches that are told nothing any more, and not their end either.
    deaf: Vec<mpsc::UnboundedSender<Value>>,
    silent: bool,
    overloaded: bool,
    /// Whoever brings another is refused.
    token: Option<String>,
    tracked: Option<i32>,
    /// The connections that replaced a Lease.
    pub(crate) peers: BTreeSet<SocketAddr>,
}

/// The server. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) kubeconfig: PathBuf,
    state: watch::Sender<State>,
}

pub(crate) const NAMESPACE: &str = "shop";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/shop/leases";

impl Server {
    pub(crate) async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("elect-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let kubeconfig = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&kubeconfig, kubeconfig_of(listener.local_addr().unwrap())).unwrap();
        let server = Self { kubeconfig, state: watch::Sender::default() };
        let routes = Router::new()
            .route(LEASES, get(list).post(create))
            .route(&format!("{LEASES}/{{name}}"), get(read).put(replace))
            .route("/apis/coordination.k8s.io/v1/namespaces/forbidden/leases", any(forbidden))
            .fallback(any(other))
            .layer(middleware::from_fn_with_state(server.clone(), keep_silent))
            .with_state(server.clone());
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        server
    }

    /// From now on nothing is served but Leases, for lack of strength.
    pub(crate) fn set_overloaded(&self) {
        self.state.send_modify(|state| state.overloaded = true);
    }

    /// From now on only this token is known.
    pub(crate) fn accept_only(&self, token: &str) {
        self.state.send_modify(|state| state.token = Some(token.to_owned()));
    }

    /// Somebody edits the kubeconfig.
    pub(crate) fn edit_kubeconfig(&self, change: impl FnOnce(&mut Value)) {
        let mut kubeconfig = serde_json::from_slice(&std::fs::read(&self.kubeconfig).unwrap()).unwrap();
        change(&mut kubeconfig);
        std::fs::write(&self.kubeconfig, kubeconfig.to_string()).unwrap();
    }

    /// From now on no request is answered, or again.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.state.send_modify(|state| state.silent = silent);
    }

    /// Once there is a watch: the watches of that moment are told nothing more, as if their connections had died without a
    /// word.
    pub(crate) async fn deafen(&self) {
        let mut state = self.state.subscribe();
        state.wait_for(|state| !state.watchers.is_empty()).await.unwrap();
        drop(state);
        self.state.send_modify(|state| {
            let watchers = std::mem::take(&mut state.watchers);
            state.deaf.extend(watchers);
        });
    }

    /// Each write from now on is told with whether this process is alive.
    pub(crate) fn track(&self, pid: i32) {
        self.state.send_modify(|state| state.tracked = Some(pid));
    }

    /// The writes so far.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.state.borrow().writes.clone()
    }

    /// How many connections have replaced a Lease.
    pub(crate) fn connections(&self) -> usize {
        self.state.borrow().peers.len()
    }

    /// What somebody else writes.
    pub(crate) fn put(&self, name: &str, spec: Value) {
        self.state.send_modify(|state| {
            let mut lease =
                state.leases.get(name).cloned().unwrap_or_else(|| json!({ "metadata": { "name": name } }));
            lease["spec"] = spec;
            state.store(name, lease);
        });
    }
}

fn kubeconfig_of(address: SocketAddr) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{ "name": "test", "cluster": { "server": format!("http://{address}") } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": NAMESPACE } }],
        "users": [{ "name": "test", "user": {} }],
    })
    .to_string()
}

impl State {
    fn store(&mut self, name: &str, mut lease: Value) -> Value {
        let is_new = !self.leases.contains_key(name);
        self.version += 1;
        lease["apiVersion"] = json!("coordination.k8s.io/v1");
        lease["kind"] = json!("Lease");
        lease["metadata"]["namespace"] = json!(NAMESPACE);
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if is_new {
            lease["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        self.leases.insert(name.to_owned(), lease.clone());
        self.writes.push(Write {
            at: SystemTime::now(),
            holder: lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned(),
            tracked_was_alive: self.tracked.is_some_and(is_alive),
        });
        let event = json!({ "type": if is_new { "ADDED" } else { "MODIFIED" }, "object": lease });
        self.changes.push((self.version, event.clone()));
        self.watchers.retain(|watcher| watcher.send(event.clone()).is_ok());
        lease
    }
}

async fn keep_silent(Shared(server): Shared<Server>, request: Request, next: Next) -> Response {
    if server.state.borrow().silent {
        std::future::pending::<()>().await;
    }
    let token = server.state.borrow().token.clone();
    let known = |token: String| {
        let brought = request.headers().get(header::AUTHORIZATION);
        brought.is_some_and(|brought| brought.as_bytes() == format!("Bearer {token}").as_bytes())
    };
    if !token.is_none_or(known) {
        return refusal(StatusCode::UNAUTHORIZED, "Unauthorized", "");
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get().filter(|_| request.method() == Method::PUT) {
        server.state.send_modify(|state| {
            state.peers.insert(*peer);
        });
    }
    let answer = next.run(request).await;
    if server.state.borrow().silent {
        std::future::pending::<()>().await;
    }
    answer
}

fn answer(code: StatusCode, body: &Value) -> Response {
    (code, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn other(Shared(server): Shared<Server>) -> Response {
    if !server.state.borrow().overloaded {
        return (StatusCode::CREATED, "{}").into_response();
    }
    let status =
        json!({ "kind": "Status", "code": 503, "reason": "ServiceUnavailable", "message": "too busy" });
    (StatusCode::SERVICE_UNAVAILABLE, status.to_string()).into_response()
}

async fn forbidden() -> Response {
    refusal(StatusCode::FORBIDDEN, "Forbidden", "")
}

fn refusal(code: StatusCode, reason: &str, name: &str) -> Response {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure",
        "code": code.as_u16(), "reason": reason, "message": reason,
        "details": { "name": name, "group": "coordination.k8s.io", "kind": "leases" },
    });
    answer(code, &status)
}

async fn list(Shared(server): Shared<Server>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let parameter = |name: &str| {
        let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap_or_default().to_owned()
    };
    let field = parameter("fieldSelector").replace("%3D", "=");
    let name = field.strip_prefix("metadata.name=").map(str::to_owned);
    let wanted = move |lease: &Value| name.as_ref().is_none_or(|name| lease["metadata"]["name"] == **name);
    if parameter("watch") != "true" {
        let state = server.state.borrow();
        let items: Vec<_> = state.leases.values().filter(|lease| wanted(lease)).cloned().collect();
        let list = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "LeaseList",
            "metadata": { "resourceVersion": state.version.to_string() }, "items": items,
        });
        return answer(StatusCode::OK, &list);
    }
    let since: u64 = parameter("resourceVersion").parse().unwrap_or_default();
    let (sender, receiver) = mpsc::unbounded_channel();
    server.state.send_modify(|state| {
        for (_, event) in state.changes.iter().filter(|(version, _)| *version > since) {
            let _ = sender.send(event.clone());
        }
        state.watchers.push(sender);
    });
    let events =
        unfold(receiver, |mut receiver| async { receiver.recv().await.map(|event| (event, receiver)) });
    let lines = events.filter_map(move |event| {
        let line = wanted(&event["object"]).then(|| Ok::<_, Infallible>(format!("{event}\n")));
        std::future::ready(line)
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

async fn read(Shared(server): Shared<Server>, Path(name): Path<String>) -> Response {
    match server.state.borrow().leases.get(&name) {
        Some(lease) => answer(StatusCode::OK, lease),
        None => refusal(StatusCode::NOT_FOUND, "NotFound", &name),
    }
}

async fn create(server: Shared<Server>, body: Bytes) -> Response {
    let lease: Value = serde_json::from_slice(&body).unwrap();
    let name = lease["metadata"]["name"].as_str().unwrap().to_owned();
    write(&server, &Method::POST, &name, &lease)
}

async fn replace(server: Shared<Server>, Path(name): Path<String>, body: Bytes) -> Response {
    write(&server, &Method::PUT, &name, &serde_json::from_slice(&body).unwrap())
}

fn write(server: &Server, method: &Method, name: &str, lease: &Value) -> Response {
    let mut reply = None;
    server.state.send_modify(|state| {
        let stored = state.leases.get(name);
        let same =
            |field: &str| stored.is_none_or(|stored| stored["metadata"][field] == lease["metadata"][field]);
        reply = Some(match (method == Method::POST, stored.is_some()) {
            (true, true) => refusal(StatusCode::CONFLICT, "AlreadyExists", name),
            (false, false) => refusal(StatusCode::NOT_FOUND, "NotFound", name),
            (false, true) if !same("resourceVersion") || !same("uid") => {
                refusal(StatusCode::CONFLICT, "Conflict", name)
            }
            (true, false) => answer(StatusCode::CREATED, &state.store(name, lease.clone())),
            (false, true) => answer(StatusCode::OK, &state.store(name, lease.clone())),
        });
    });
    reply.unwrap()
}
