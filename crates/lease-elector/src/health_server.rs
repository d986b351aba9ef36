//! `/healthz` for programs that have no HTTP server: one small answer a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A health check that only the program can make. `/healthz` answers with its error.
pub type Liveness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// How many requests are answered at once. Clients that connect and send nothing must not use up
/// the file descriptors of the process.
const AT_ONCE: usize = 32;

/// How long a client may take to send its request and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest head of a request.
const LONGEST: usize = 8192;

/// Serves until it is dropped.
#[derive(Debug)]
pub(super) struct HealthServer(JoinHandle<()>);

impl HealthServer {
    pub(super) async fn start(address: SocketAddr, check: Liveness) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        tracing::info!(health_addr = %listener.local_addr()?, "serving health");
        Ok(Self(tokio::spawn(serve(listener, check))))
    }
}

impl Drop for HealthServer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(listener: TcpListener, check: Liveness) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((client, _)) = listener.accept().await else {
            // For example when no file descriptors are left.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let check = check.clone();
        tokio::spawn(async move {
            let _ = tokio::time::timeout(PATIENCE, answer(client, &check)).await;
            drop(place);
        });
    }
}

async fn answer(mut client: TcpStream, check: &Liveness) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 || head.len() > LONGEST {
            return Ok(());
        }
    }
    let (status, text) = if asks_for_health(&head) {
        match check() {
            Ok(()) => ("200 OK", "ok".to_owned()),
            Err(trouble) => ("500 Internal Server Error", trouble),
        }
    } else {
        ("404 Not Found", "there is only /healthz".to_owned())
    };
    let (kind, length) = ("text/plain; charset=utf-8", text.len() + 1);
    let head = format!("content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close");
    client.write_all(format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{text}\n").as_bytes()).await?;
    client.shutdown().await
}

fn asks_for_health(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let path = head.split(' ').nth(1).and_then(|target| target.split('?').next());
    head.starts_with("GET ") && path == Some("/healthz")
}
