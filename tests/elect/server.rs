//! The testkit's API server with Leases, behind real HTTP, and silent on demand. It remembers every
//! write, and which process was still alive when it came.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::{Method, StatusCode, header};
use futures::stream;
use serde_json::{Value, json};
use testkit::api_server::{Answer, ApiServer, Call, Commit, Hooks, Refusal, Store, Verb, Watch};
use testkit::api_server::{answer_of, answer_of_lines, line};
use testkit::json::At;
use testkit::kind::Kind;
use tokio::sync::watch;

use crate::running::is_alive;

/// A write of a Lease that was carried out.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) at: SystemTime,
    pub(crate) holder: String,
    pub(crate) lease: Value,
    /// Whether the process that [`Server::track`] named was alive at that moment.
    pub(crate) tracked_was_alive: bool,
}

#[derive(Default)]
struct State {
    writes: Vec<Write>,
    /// How many requests about Leases have come.
    requests: usize,
    silent: bool,
    /// The next write of a Lease is carried out, and its answer is lost.
    loses_answer: bool,
    overloaded: bool,
    /// A request with another one is refused.
    token: Option<String>,
    tracked: Option<i32>,
    /// The connections that replaced a Lease.
    peers: BTreeSet<SocketAddr>,
}

/// The watches so far, in the order in which they began.
#[derive(Clone, Copy, Default)]
struct Watches {
    begun: u64,
    /// So many of them, the oldest, are told nothing any more, and not their end either.
    deaf: u64,
}

/// The server. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) kubeconfig: PathBuf,
    api: ApiServer<State>,
    watches: watch::Sender<Watches>,
}

pub(crate) const NAMESPACE: &str = "shop";

impl Server {
    pub(crate) async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let name = format!("elect-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let kubeconfig = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&kubeconfig, kubeconfig_of(listener.local_addr().unwrap())).unwrap();
        let api = ApiServer::new(Store::new(NAMESPACE, State::default()));
        let server = Self { kubeconfig, api, watches: watch::Sender::default() };
        let routes = Router::new().fallback(answer).with_state(server.clone());
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        server
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.api.with(|store| f(&mut store.test))
    }

    /// From now on nothing is served but the Leases of the namespace, for lack of strength.
    pub(crate) fn set_overloaded(&self) {
        self.with(|state| state.overloaded = true);
    }

    /// From now on only this token is known.
    pub(crate) fn accept_only(&self, token: &str) {
        self.with(|state| state.token = Some(token.to_owned()));
    }

    /// A user edits the kubeconfig.
    pub(crate) fn edit_kubeconfig(&self, change: impl FnOnce(&mut Value)) {
        let mut kubeconfig = serde_json::from_slice(&std::fs::read(&self.kubeconfig).unwrap()).unwrap();
        change(&mut kubeconfig);
        std::fs::write(&self.kubeconfig, kubeconfig.to_string()).unwrap();
    }

    /// From now on no request is answered, or again.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.with(|state| state.silent = silent);
    }

    /// The next write of a client is carried out and not answered.
    pub(crate) fn lose_the_next_answer(&self) {
        self.with(|state| state.loses_answer = true);
    }

    /// Once there is a watch: the watches of that moment are told nothing more, as if their
    /// connections had died without a word.
    pub(crate) async fn deafen(&self) {
        let mut watches = self.watches.subscribe();
        watches.wait_for(|watches| watches.begun > watches.deaf).await.unwrap();
        drop(watches);
        self.watches.send_modify(|watches| watches.deaf = watches.begun);
    }

    /// Each write from now on is told with whether this process is alive.
    pub(crate) fn track(&self, pid: i32) {
        self.with(|state| state.tracked = Some(pid));
    }

    /// The writes so far.
    pub(crate) fn writes(&self) -> Vec<Write> {
        self.with(|state| state.writes.clone())
    }

    /// How many connections have replaced a Lease.
    pub(crate) fn connections(&self) -> usize {
        self.with(|state| state.peers.len())
    }

    /// What another client writes.
    pub(crate) fn put(&self, name: &str, spec: Value) {
        self.api.with(|store| {
            if store.object(Kind::Lease, name).is_none() {
                store.create(Kind::Lease, json!({ "metadata": { "name": name }, "spec": spec }));
            } else {
                store.edit(Kind::Lease, name, |lease| lease["spec"] = spec);
            }
        });
    }

    /// What the operator writes.
    pub(crate) fn put_whole(&self, name: &str, annotations: Value, spec: Value) {
        self.api.with(|store| {
            let metadata = json!({ "name": name, "annotations": annotations });
            if store.object(Kind::Lease, name).is_none() {
                store.create(Kind::Lease, json!({ "metadata": metadata, "spec": spec }));
            } else {
                store.edit(Kind::Lease, name, |lease| {
                    lease["metadata"]["annotations"] = annotations;
                    lease["spec"] = spec;
                });
            }
        });
    }

    /// What another client writes into a Lease that exists.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.api.with(|store| store.edit(Kind::Lease, name, change));
    }

    /// What another client deletes.
    pub(crate) fn delete(&self, name: &str) {
        self.api.with(|store| store.delete(Kind::Lease, name));
    }

    /// A Lease; null: there is none.
    pub(crate) fn lease(&self, name: &str) -> Value {
        self.api.with(|store| store.object(Kind::Lease, name)).unwrap_or_default()
    }

    /// How many requests about Leases have come.
    pub(crate) fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    async fn hush(&self) {
        if self.with(|state| state.silent) {
            std::future::pending::<()>().await;
        }
    }

    fn watch(&self, call: &Call) -> Answer {
        self.deliver(self.api.with(|store| store.watch(call)))
    }

    fn deliver(&self, watch: Watch) -> Answer {
        self.watches.send_modify(|watches| watches.begun += 1);
        let (number, watches) = (self.watches.borrow().begun, self.watches.clone());
        answer_of_lines(stream::unfold(watch, move |mut watch| {
            let watches = watches.clone();
            async move {
                let event = watch.next().await?;
                let is_deaf = number <= watches.borrow().deaf;
                if is_deaf {
                    std::future::pending::<()>().await;
                }
                Some((Ok(line(&event)), watch))
            }
        }))
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

impl Hooks for State {
    fn see(&mut self, commit: &Commit) {
        self.writes.push(Write {
            at: SystemTime::now(),
            holder: commit.object.text("/spec/holderIdentity").to_owned(),
            lease: commit.object.clone(),
            tracked_was_alive: self.tracked.is_some_and(is_alive),
        });
    }
}

async fn answer(
    Shared(server): Shared<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> axum::http::Response<Body> {
    server.hush().await;
    let brought = request.headers().get(header::AUTHORIZATION).cloned();
    let knows = |token: &String| {
        brought.as_ref().is_some_and(|brought| brought.as_bytes() == format!("Bearer {token}").as_bytes())
    };
    if !server.with(|state| state.token.as_ref().is_none_or(knows)) {
        return Answer::from(Refusal::new(401, "Unauthorized")).map(Body::new);
    }
    if request.method() == Method::PUT {
        server.with(|state| state.peers.insert(peer));
    }
    let is_write = request.method() == Method::PUT;
    let answer = match Call::read(request).await {
        Ok(call) if call.kind == Kind::Lease && call.namespace.as_deref() == Some(NAMESPACE) => {
            server.with(|state| state.requests += 1);
            if call.verb == Verb::Watch { server.watch(&call) } else { server.api.answer(&call) }
        }
        Ok(call) if call.namespace.as_deref() == Some("forbidden") => Refusal::new(403, "Forbidden").into(),
        _ if server.with(|state| state.overloaded) => Refusal::new(503, "too busy").into(),
        _ => answer_of(StatusCode::CREATED, &json!({})),
    };
    if is_write && server.with(|state| std::mem::take(&mut state.loses_answer)) {
        std::future::pending::<()>().await;
    }
    server.hush().await;
    answer.map(Body::new)
}
