//! HTTP: `/livez`, `/readyz` and `/metrics` of the operator, and the server that all commands
//! share.
//!
//! Any client in the cluster may be able to connect. So the server closes a connection without a
//! request after seconds, and limits their number. No client can take the memory or file
//! descriptors that elections need.

pub mod exposition;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::metrics::Metrics;

/// How many connections there may be. One more closes the oldest.
pub const CONNECTIONS: usize = 128;

/// How long a client may take to send its request. Then the connection is closed.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The pause before the next accept when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_secs(1);

/// Whether the process is ready, with details; asked at every request.
pub type Readiness = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// An address to listen at: `10.0.0.7:8080`, `[::1]:8080`, `localhost:8080`, or `:8080` for all
/// IPv4 and IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// All addresses of this host, IPv6 and IPv4.
    Everywhere(u16),
    /// This address.
    At(SocketAddr),
}

/// The text is no [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address looks like :8080, localhost:8080, 10.0.0.7:8080 or [::1]:8080")]
pub struct NoAddress;

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let port = |port: &str| port.parse().map_err(|_| NoAddress);
        if let Some(digits) = text.strip_prefix(':') {
            return Ok(Self::Everywhere(port(digits)?));
        }
        if let Some(digits) = text.strip_prefix("localhost:") {
            return Ok(Self::At((Ipv4Addr::LOCALHOST, port(digits)?).into()));
        }
        text.parse().map(Self::At).map_err(|_| NoAddress)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere(port) => write!(f, ":{port}"),
            Self::At(address) => address.fmt(f),
        }
    }
}

impl Address {
    /// Listens at the address.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn listen(self) -> io::Result<TcpListener> {
        let listener = match self {
            Self::At(address) => listen(address)?,
            Self::Everywhere(port) => match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
                // The host has no IPv6.
                Err(error) if !matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {
                    listen((Ipv4Addr::UNSPECIFIED, port).into())?
                }
                listener => listener?,
            },
        };
        tracing::info!(http_addr = %listener.local_addr()?, "serving http");
        Ok(listener)
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address.ip() {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(ip) => {
            let socket = TcpSocket::new_v6()?;
            // `[::]` accepts IPv4 clients, too, whatever the host's settings say.
            set_ipv6_v6only(&socket, !ip.is_unspecified())?;
            socket
        }
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `routes` until it is dropped.
pub async fn serve(listener: TcpListener, routes: Router) {
    let mut connections: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let stream = accept(&listener).await;
        connections.retain(|connection| !connection.is_finished());
        if connections.len() >= CONNECTIONS
            && let Some(oldest) = connections.pop_front()
        {
            oldest.abort();
        }
        connections.push_back(tokio::spawn(answer(stream, routes.clone())));
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    let kinds = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionAborted, ErrorKind::ConnectionReset];
    kinds.contains(&error.kind())
}

async fn answer(stream: TcpStream, routes: Router) {
    let mut http = http1::Builder::new();
    // Without a timer hyper applies no time-out.
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    // Errors of a connection concern only its client.
    let _ = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes)).await;
}

/// Whether a query has this parameter without a value, or with `true` or `1`.
#[must_use]
pub fn asks_for(query: Option<&str>, parameter: &str) -> bool {
    query.is_some_and(|query| {
        let values = query.split('&').filter_map(|pair| pair.strip_prefix(parameter));
        values.into_iter().any(|value| matches!(value, "" | "=" | "=true" | "=1"))
    })
}

/// The routes of the operator. `/readyz` shows namespaces and missing rights only if the client
/// asks for them.
pub fn routes(metrics: Arc<Metrics>, readiness: Readiness) -> Router {
    let ready = move |RawQuery(query): RawQuery| async move {
        let (code, short, details) = match readiness() {
            Ok(details) => (StatusCode::OK, "ok\n", details),
            Err(details) => {
                (StatusCode::SERVICE_UNAVAILABLE, "not ready: see the log, or ask for ?verbose\n", details)
            }
        };
        (code, if asks_for(query.as_deref(), "verbose") { details } else { short.to_owned() })
    };
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", exposition::route(move || metrics.encode()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn addresses_are_written_as_in_go_too() {
        let cases = [
            (":8080", Some(Address::Everywhere(8080))),
            ("localhost:4040", Some(Address::At("127.0.0.1:4040".parse().unwrap()))),
            ("10.0.0.7:80", Some(Address::At("10.0.0.7:80".parse().unwrap()))),
            ("[::1]:80", Some(Address::At("[::1]:80".parse().unwrap()))),
            ("nowhere", None),
            ("8080", None),
            (":", None),
            (":99999", None),
            ("localhost", None),
            ("", None),
        ];
        for (text, address) in cases {
            assert_eq!(text.parse().ok(), address, "{text}");
        }
    }

    #[test]
    fn a_query_asks_by_name() {
        for query in ["verbose", "verbose=", "verbose=true", "verbose=1", "x=y&verbose"] {
            assert!(asks_for(Some(query), "verbose"), "{query}");
        }
        for query in [None, Some(""), Some("verbose=false"), Some("verbosely"), Some("x=verbose")] {
            assert!(!asks_for(query, "verbose"), "{query:?}");
        }
    }

    fn serving() -> SocketAddr {
        let listener = Address::At((Ipv4Addr::LOCALHOST, 0).into()).listen().unwrap();
        let address = listener.local_addr().unwrap();
        let readiness: Readiness = Arc::new(|| Err("no right to list pods in shop\n".to_owned()));
        tokio::spawn(serve(listener, routes(Arc::default(), readiness)));
        address
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        ask_for(address, path, "*/*").await
    }

    async fn ask_for(address: SocketAddr, path: &str, accept: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let headers = format!("Host: test\r\nAccept: {accept}\r\nConnection: close");
        let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_are_told_in_the_format_that_the_client_accepts() {
        let address = serving();
        let classic = ask(address, "/metrics").await;
        assert!(classic.contains("content-type: text/plain; version=0.0.4"), "{classic}");
        assert!(classic.contains("# TYPE election_operator_build_info gauge\n"), "{classic}");
        let modern = ask_for(address, "/metrics", "application/openmetrics-text").await;
        assert!(modern.contains("content-type: application/openmetrics-text; version=1.0.0"), "{modern}");
        assert!(modern.ends_with("# EOF\n"), "{modern}");
    }

    /// Waits until the server closes the connection.
    async fn closed(mut stream: TcpStream) {
        let mut rest = Vec::new();
        // A reset and an end both mean that it is closed.
        let _ = stream.read_to_end(&mut rest).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_sends_no_request_is_closed() {
        let address = serving();
        for sent in ["", "GET /livez HTTP/1.1\r\nHost: "] {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(sent.as_bytes()).await.unwrap();
            tokio::time::timeout(10 * HEADER_TIMEOUT, closed(slow)).await.expect("it is closed");
        }
    }

    #[tokio::test]
    async fn any_number_of_connections_keeps_nobody_from_an_answer() {
        let listener = Address::At((Ipv4Addr::LOCALHOST, 0).into()).listen().unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "ok\n" }));
        tokio::spawn(serve(listener, routes.route("/stream", get(std::future::pending::<()>))));
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /stream HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
            streams.push(stream);
        }
        assert!(ask(address, "/").await.starts_with("HTTP/1.1 200"));
        closed(streams.swap_remove(0)).await;
    }

    #[tokio::test]
    async fn what_is_missing_is_told_only_if_asked_for() {
        let address = serving();
        let short = ask(address, "/readyz").await;
        assert!(short.starts_with("HTTP/1.1 503") && !short.contains("shop"), "{short}");
        let long = ask(address, "/readyz?verbose").await;
        assert!(long.starts_with("HTTP/1.1 503") && long.contains("shop"), "{long}");
    }

    #[tokio::test]
    async fn everywhere_means_both_kinds_of_addresses() {
        let listener = Address::Everywhere(0).listen().unwrap();
        let port = listener.local_addr().unwrap().port();
        let has_ipv6 = listener.local_addr().unwrap().is_ipv6();
        tokio::spawn(serve(listener, Router::new().route("/", get(|| async { "ok\n" }))));
        assert!(ask((Ipv4Addr::LOCALHOST, port).into(), "/").await.starts_with("HTTP/1.1 200"));
        if has_ipv6 {
            assert!(ask((Ipv6Addr::LOCALHOST, port).into(), "/").await.starts_with("HTTP/1.1 200"));
        }
    }
}
