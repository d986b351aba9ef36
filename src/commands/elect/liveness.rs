//! Asks over HTTP whether the application is healthy, as the kubelet does.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Uri, header, uri::Scheme};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long the application may take to answer: the kubelet's default.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The URL of an application's health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivenessProbe {
    url: Uri,
    host: String,
    port: u16,
}

/// The URL cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a URL looks like http://127.0.0.1:8080/healthz")]
pub struct NoUrl;

impl FromStr for LivenessProbe {
    type Err = NoUrl;

    fn from_str(text: &str) -> Result<Self, NoUrl> {
        let url: Uri = text.parse().map_err(|_| NoUrl)?;
        let host = url.host().filter(|_| url.scheme() == Some(&Scheme::HTTP)).ok_or(NoUrl)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(80);
        Ok(Self { url, host, port })
    }
}

impl fmt::Display for LivenessProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl LivenessProbe {
    /// Asks the application once.
    ///
    /// # Errors
    /// Says why the application is not healthy: it does not answer in time, or not with a code of
    /// 200 to 399.
    pub async fn ask(&self) -> Result<(), String> {
        let code = tokio::time::timeout(TIMEOUT, self.code()).await;
        let code = code.map_err(|_| format!("no answer within {TIMEOUT:?}"))??;
        if (200..400).contains(&code) { Ok(()) } else { Err(format!("the answer is {code}")) }
    }

    async fn code(&self) -> Result<u16, String> {
        let text = |error: hyper::Error| error.to_string();
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
        // The connection ends with this request.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(path).header(header::HOST, authority).body(Body::empty());
        let request = request.map_err(|error| error.to_string())?;
        Ok(requests.send_request(request).await.map_err(text)?.status().as_u16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_asked_is_a_url() {
        for (text, host, port) in [
            ("http://127.0.0.1:8080/healthz", "127.0.0.1", 8080),
            ("http://localhost/healthz?x=1", "localhost", 80),
            ("http://[::1]:8080", "::1", 8080),
        ] {
            let parsed: LivenessProbe = text.parse().unwrap();
            assert_eq!((parsed.host.as_str(), parsed.port), (host, port), "{text}");
        }
        for text in ["", "127.0.0.1:8080", "/healthz", "https://127.0.0.1/", "localhost:8080/healthz"] {
            assert!(text.parse::<LivenessProbe>().is_err(), "{text}");
        }
    }
}
