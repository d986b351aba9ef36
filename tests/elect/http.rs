//! `election-operator elect --http-addr`: what it answers to the application and to probes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::elect::{command, held_by};
use crate::running::{PATIENCE, Running, eventually};
use crate::server::Server;

pub(crate) async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: elect\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// An `elect` that serves HTTP, and its address.
async fn serving(server: &Server, arguments: &[&str]) -> (Running, SocketAddr) {
    let mut command =
        command(server, &[&["--http-addr", "127.0.0.1:0", "--output", "json"], arguments].concat());
    command.stderr(std::process::Stdio::piped());
    let mut elect = Running::spawn(command);
    let address = loop {
        let line = elect.next_stderr().await.expect("it goes on");
        let line: Value = serde_json::from_str(&line).unwrap();
        if let Some(address) = line["http_addr"].as_str() {
            break address.parse().unwrap();
        }
    };
    (elect, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_says_so_over_http() {
    let server = Server::start().await;
    let (mut elect, address) = serving(&server, &[]).await;
    elect.until("started-leading").await;
    for path in ["/", "/leader"] {
        let (code, body) = ask(address, path).await;
        let leader: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (code, &leader["name"], &leader["self"], &leader["term"]),
            (200, &json!("me"), &json!(true), &json!(0))
        );
        assert!(leader["since"].as_str().unwrap().ends_with('Z'));
    }
    assert_eq!(ask(address, "/is-leader").await.0, 200);
    assert_eq!(ask(address, "/healthz").await, (200, "ok\n".to_owned()));
    let (code, metrics) = ask(address, "/metrics").await;
    assert_eq!(code, 200);
    assert!(metrics.contains("leader_election_master_status{name=\"orders\"} 1"), "{metrics}");
    assert!(metrics.contains("\nprocess_resident_memory_bytes "), "{metrics}");
    assert_eq!(ask(address, "/nothing").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_names_the_leader_until_it_knows_that_it_expired() {
    let server = Server::start().await;
    server.put("orders", held_by("other", 2, 1));
    let (mut elect, address) = serving(&server, &[]).await;
    elect.until("other").await;
    let leader: Value = serde_json::from_str(&ask(address, "/leader").await.1).unwrap();
    assert_eq!(
        (&leader["name"], &leader["self"], &leader["term"]),
        (&json!("other"), &json!(false), &json!(6))
    );
    let (code, body) = ask(address, "/is-leader").await;
    assert_eq!((code, body.as_str()), (503, "false\n"));
    // `elect` cannot take the Lease, and reports that it has no holder any more.
    server.set_silent(true);
    loop {
        let leader: Value = serde_json::from_str(&ask(address, "/leader").await.1).unwrap();
        if leader["name"] == "" {
            assert_eq!((&leader["term"], &leader["since"]), (&Value::Null, &Value::Null));
            break;
        }
        assert_eq!(leader["name"], "other");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_leader_are_streamed() {
    let server = Server::start().await;
    server.put("orders", held_by("first", 60, 1));
    let (mut elect, address) = serving(&server, &[]).await;
    elect.until("first").await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /leader?watch HTTP/1.1\r\nHost: elect\r\n\r\n").await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut next = async || loop {
        let line =
            tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().expect("it goes on");
        assert!(!line.starts_with("HTTP/1.1") || line.contains("200"), "{line}");
        if let Some(data) = line.strip_prefix("data: ") {
            break serde_json::from_str::<Value>(data).unwrap()["name"].clone();
        }
    };
    assert_eq!(next().await, "first");
    server.put("orders", held_by("second", 60, 2));
    assert_eq!(next().await, "second");
    server.put("orders", held_by("second", 1, 3));
    // The Lease expires, or `elect` takes it first.
    let third = next().await;
    assert!(third == "" || third == "me", "{third}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lease_is_kept_for_a_while_after_the_application_could_hear_of_the_loss() {
    let server = Server::start().await;
    let (mut elect, address) = serving(&server, &["--linger", "1h"]).await;
    elect.until("started-leading").await;
    elect.signal(Signal::TERM);
    elect.until_stderr("stopping").await;
    while ask(address, "/is-leader").await.0 != 503 {}
    let so_far = server.writes().len();
    eventually("two more renewals", || (server.writes().len() > so_far + 1).then_some(())).await;
    assert!(server.writes().iter().all(|write| write.holder == "me"));
    assert_eq!(elect.end_by(Signal::INT).await, 130);

    let server = Server::start().await;
    let (mut elect, address) = serving(&server, &["--linger", "100ms"]).await;
    assert_eq!(ask(address, "/healthz").await.0, 200);
    elect.until("started-leading").await;
    elect.signal(Signal::TERM);
    assert_eq!(elect.end().await, 0);
    assert_eq!(server.writes().last().unwrap().holder, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_application_is_asked_whether_it_is_well_only_while_it_leads() {
    let asked = Arc::new(AtomicU16::new(0));
    let counted = asked.clone();
    // The application is unhealthy at the first request.
    let answer = move || {
        let before = counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(if before == 0 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT })
    };
    let application = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/healthz", application.local_addr().unwrap());
    let routes = axum::Router::new().route("/healthz", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(application, routes).await });

    let server = Server::start().await;
    server.put("orders", held_by("other", 600, 1));
    let (mut elect, address) = serving(&server, &["--liveness", &url]).await;
    elect.until("other").await;
    assert_eq!(ask(address, "/healthz").await.0, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    server.put("orders", held_by("", 1, 2));
    elect.until("started-leading").await;
    let (code, text) = ask(address, "/healthz").await;
    assert_eq!((code, text.as_str()), (500, format!("{url}: the answer is 503\n").as_str()));
    assert_eq!(ask(address, "/healthz").await, (200, "ok\n".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
