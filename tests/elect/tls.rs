//! Certificates of client and server that are replaced while `elect` leads.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::access::{SHORT, beside, goes_on};
use crate::elect::command;
use crate::running::Running;
use crate::server::Server;

/// The file of one authority: its certificate, or a certificate or key that it signed.
fn made(authority: &str, what: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/elect/tls");
    std::fs::read_to_string(folder.join(format!("{authority}-{what}"))).unwrap()
}

fn certificate(authority: &str, what: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(made(authority, what).as_bytes()).unwrap()
}

/// A server with a certificate of `server` that takes clients with a certificate of `clients`.
fn settings(server: &str, clients: &str) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate(clients, "ca.pem")).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let key = PrivateKeyDer::from_pem_slice(made(server, "server.key").as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_client_cert_verifier(verifier.build().unwrap());
    Arc::new(config.with_single_cert(vec![certificate(server, "server.pem")], key).unwrap())
}

/// The API server behind TLS.
struct Front {
    server: Server,
    settings: watch::Sender<Arc<ServerConfig>>,
}

impl Front {
    /// Server, clients and the files of the kubeconfig are of the first authority.
    async fn start() -> Self {
        let server = Server::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (settings, in_use) = watch::channel(settings("first", "first"));
        let mut behind = String::new();
        server.edit_kubeconfig(|config| {
            let cluster = &mut config["clusters"][0]["cluster"];
            cluster["server"].as_str().unwrap().trim_start_matches("http://").clone_into(&mut behind);
            *cluster = json!({
                "server": format!("https://{address}"),
                "certificate-authority": beside(&server, "ca.pem"),
            });
            config["users"][0]["user"] = json!({
                "client-certificate": beside(&server, "client.pem"),
                "client-key": beside(&server, "client.key"),
            });
        });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, behind.clone(), in_use.clone()));
            }
        });
        let front = Self { server, settings };
        front.write("first", &["ca.pem", "client.pem", "client.key"]);
        front
    }

    /// Replaces files that the kubeconfig names.
    fn write(&self, authority: &str, files: &[&str]) {
        for file in files {
            std::fs::write(beside(&self.server, file), made(authority, file)).unwrap();
        }
    }

    /// The server restarts with other certificates: all connections end.
    fn restart(&self, server: &str, clients: &str) {
        self.settings.send_replace(settings(server, clients));
    }
}

/// Passes the requests of one client on, until the server restarts.
async fn pass_on(client: TcpStream, behind: String, mut in_use: watch::Receiver<Arc<ServerConfig>>) {
    let acceptor = TlsAcceptor::from(in_use.borrow_and_update().clone());
    let mut client = match acceptor.accept(client).into_fallible().await {
        Ok(client) => client,
        Err((_, client)) => return hear_out(client).await,
    };
    let mut server = TcpStream::connect(behind).await.unwrap();
    tokio::select! {
        _ = in_use.changed() => {}
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
    }
}

/// Reads what a refused client has sent: else the end of the connection overtakes the alert.
async fn hear_out(mut client: TcpStream) {
    let _ = client.shutdown().await;
    let _ = tokio::io::copy(&mut client, &mut tokio::io::sink()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_that_is_replaced_in_place_is_read_again_when_the_old_one_is_refused() {
    let front = Front::start().await;
    let mut elect = Running::spawn(command(&front.server, &SHORT));
    elect.until("started leading").await;
    front.write("second", &["client.pem", "client.key"]);
    front.restart("first", "second");
    goes_on(elect, &front.server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_that_is_replaced_in_place_is_read_again_when_it_does_not_know_the_server() {
    let front = Front::start().await;
    let mut elect = Running::spawn(command(&front.server, &SHORT));
    elect.until("started leading").await;
    front.write("second", &["ca.pem"]);
    front.restart("second", "first");
    goes_on(elect, &front.server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_that_are_refused_and_cannot_be_read_again_are_told() {
    let front = Front::start().await;
    let mut command = command(&front.server, &SHORT);
    command.stderr(Stdio::piped());
    let mut elect = Running::spawn(command);
    elect.until("started leading").await;
    std::fs::remove_file(beside(&front.server, "client.pem")).unwrap();
    front.restart("first", "second");
    elect.until_stderr("the credentials cannot be read again").await;
    elect.until("stopped leading: deadline").await;
}
