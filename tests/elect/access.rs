//! The connection to the API server: through proxies, and with credentials that change.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::elect::command;
use crate::running::{Running, binary};
use crate::server::Server;

/// Timings with a renewal every second.
pub(crate) const SHORT: [&str; 6] =
    ["--lease-duration", "4s", "--renew-deadline", "2s", "--retry-period", "1s"];

/// A proxy for HTTP's CONNECT and for SOCKS 5, and the number of tunnels that it has opened.
async fn proxy() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, tunnels) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = tunnels.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let (mut client, mut server) = tunnel(client).await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, tunnels)
}

async fn tunnel(mut client: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let first = client.read_u8().await?;
    if first == 5 {
        let methods = client.read_u8().await?;
        client.read_exact(&mut vec![0; methods.into()]).await?;
        client.write_all(&[5, 0]).await?;
        let mut request = [0; 4];
        client.read_exact(&mut request).await?;
        let mut host = vec![0; if request[3] == 1 { 4 } else { client.read_u8().await?.into() }];
        client.read_exact(&mut host).await?;
        let port = client.read_u16().await?;
        let host = match <[u8; 4]>::try_from(host.as_slice()) {
            Ok(address) if request[3] == 1 => std::net::Ipv4Addr::from(address).to_string(),
            _ => String::from_utf8(host).unwrap(),
        };
        let server = TcpStream::connect((host, port)).await?;
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
        return Ok((client, server));
    }
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap();
    let server = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok((client, server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubeconfig_s_proxy_is_used_whatever_its_kind() {
    for scheme in ["http", "socks5"] {
        let (server, (address, tunnels)) = (Server::start().await, proxy().await);
        server.edit_kubeconfig(|config| {
            config["clusters"][0]["cluster"]["proxy-url"] = json!(format!("{scheme}://{address}"));
        });
        let mut elect = Running::spawn(command(&server, &[]));
        elect.until("started leading").await;
        assert!(tunnels.load(Ordering::SeqCst) > 0, "{scheme}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_s_proxy_is_not_used_for_an_api_server_on_this_host() {
    let server = Server::start().await;
    let mut command = command(&server, &[]);
    // No proxy listens there.
    command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1");
    Running::spawn(command).until("started leading").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_kubeconfig_variable_or_flag_is_not_set() {
    for more in [&[][..], &["--kubeconfig", ""][..]] {
        let mut elect = binary(&[&["elect", "--lease-name", "a", "--lease-namespace", "b"], more].concat());
        let elect = elect.env("KUBECONFIG", "").env("HOME", "/there/is/none").stdin(Stdio::null());
        let output = elect.output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("no cluster found"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_is_read_again_from_the_kubeconfig() {
    let server = Server::start().await;
    let token = |token: &str| {
        server.edit_kubeconfig(|config| config["users"][0]["user"]["token"] = json!(token));
        server.accept_only(token);
    };
    token("first");
    let mut elect = Running::spawn(command(&server, &SHORT));
    elect.until("started leading").await;
    token("second");
    goes_on(elect, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_s_token_without_an_expiry_is_asked_for_again_when_it_is_refused() {
    let server = Server::start().await;
    let (secret, plugin) = (beside(&server, "token"), beside(&server, "plugin"));
    let status =
        r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"%s"}}"#;
    let script = format!("#!/bin/sh\nprintf '{status}' \"$(cat {})\"\n", secret.display());
    std::fs::write(&plugin, script).unwrap();
    std::fs::set_permissions(&plugin, std::fs::Permissions::from_mode(0o755)).unwrap();
    server.edit_kubeconfig(|config| {
        config["users"][0]["user"]["exec"] = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": plugin, "interactiveMode": "Never",
        });
    });
    let token = |token: &str| {
        std::fs::write(&secret, token).unwrap();
        server.accept_only(token);
    };
    token("first");
    let mut elect = Running::spawn(command(&server, &SHORT));
    elect.until("started leading").await;
    token("second");
    goes_on(elect, &server).await;
}

/// A file of the test, beside its kubeconfig.
pub(crate) fn beside(server: &Server, what: &str) -> PathBuf {
    server.kubeconfig.with_extension(what)
}

/// Checks that the Lease is renewed with the new credentials and that leadership was not lost meanwhile.
pub(crate) async fn goes_on(mut elect: Running, server: &Server) {
    let renewed = server.writes().len();
    crate::running::eventually("it renews", || (server.writes().len() > renewed + 1).then_some(())).await;
    elect.signal(rustix::process::Signal::TERM);
    elect.until("stopped leading: stopped").await;
    assert!(!elect.printed.iter().any(|line| line.contains("deadline")));
}
