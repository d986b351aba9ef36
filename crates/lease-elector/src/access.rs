//! How to reach the API server, also after the credentials have changed.
//!
//! kube reads certificates, tokens and the output of a credential plugin when it makes a client.
//! Later it rereads only token files and tokens with an expiry. A credential that expires, is
//! revoked or is replaced in place would be sent for ever.
//!
//! A client of [`Access::client`] is made anew in three cases: the API server answers 401, a
//! certificate is refused, or the certificate of a plugin is about to expire.

use std::error::Error;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kube::client::Body;
use kube::{Client, Config};

use super::clock::{BootTime, Time};

/// The settings read again, or the reason why they cannot be read.
pub type SettingsRead = Pin<Box<dyn Future<Output = Result<Config, String>> + Send>>;

/// The shortest pause between two attempts at new credentials. It doubles while the new credentials
/// are refused, too.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long before its expiry a certificate is replaced.
const EARLY: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// How to reach the API server, and how to read the settings again.
#[derive(Clone)]
pub struct Access {
    config: Config,
    again: Arc<dyn Fn() -> SettingsRead + Send + Sync>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("cluster_url", &self.config.cluster_url).finish_non_exhaustive()
    }
}

/// Keeps the settings. The files and plugins that they name are read again.
impl From<Config> for Access {
    fn from(config: Config) -> Self {
        let same = config.clone();
        Self::new(config, move || Box::pin(std::future::ready(Ok(same.clone()))))
    }
}

impl Access {
    /// Uses `config` first, and what `again` reads once its credentials are refused.
    #[must_use]
    pub fn new(config: Config, again: impl Fn() -> SettingsRead + Send + Sync + 'static) -> Self {
        Self { config, again: Arc::new(again) }
    }

    /// The settings to start with.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Applies `change` to the settings, and to those that are read later.
    #[must_use]
    pub fn with(mut self, change: impl Fn(&mut Config) + Clone + Send + Sync + 'static) -> Self {
        change(&mut self.config);
        let again = self.again;
        Self::new(self.config, move || {
            let (read, change) = (again(), change.clone());
            Box::pin(async move {
                let mut config = read.await?;
                change(&mut config);
                Ok(config)
            })
        })
    }

    /// A client that renews its credentials. Needs a tokio runtime.
    ///
    /// # Errors
    /// If no client can be made of the settings to start with.
    pub fn client(self) -> Result<Client, kube::Error> {
        let namespace = self.config.default_namespace.clone();
        let renewed = Arc::new(Renewed {
            client: Mutex::new(Client::try_from(self.config)?),
            again: self.again,
            renewing: AtomicBool::new(false),
            refusals: AtomicU32::new(0),
        });
        let service = tower::service_fn(move |request| renewed.clone().send(request));
        Ok(Client::new(service, namespace))
    }
}

struct Renewed {
    client: Mutex<Client>,
    again: Arc<dyn Fn() -> SettingsRead + Send + Sync>,
    renewing: AtomicBool,
    /// How often new credentials were read since they were last accepted.
    refusals: AtomicU32,
}

impl Renewed {
    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if runs_out(&client) {
            self.renew("they run out");
        }
        let answer = client.send(request).await;
        match &answer {
            Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => self.renew("401 Unauthorized"),
            Ok(_) => self.refusals.store(0, Ordering::Relaxed),
            Err(error) if is_about_certificates(error) => self.renew("a certificate is refused"),
            Err(_) => {}
        }
        answer
    }

    /// Runs once at a time, and not too often: a plugin may ask a person, or cost money.
    fn renew(self: &Arc<Self>, why: &'static str) {
        if self.renewing.swap(true, Ordering::AcqRel) {
            return;
        }
        let renewed = self.clone();
        tokio::spawn(async move {
            match renewed.made_anew().await {
                Ok(client) => {
                    tracing::warn!(why, "the credentials were read again");
                    *renewed.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
                }
                Err(error) => tracing::error!(why, error, "the credentials cannot be read again"),
            }
            let doublings = renewed.refusals.fetch_add(1, Ordering::Relaxed).min(8);
            tokio::time::sleep((PAUSE * (1 << doublings)).min(LONGEST_PAUSE)).await;
            renewed.renewing.store(false, Ordering::Release);
        });
    }

    /// Reads files and runs plugins, which may take long.
    async fn made_anew(&self) -> Result<Client, String> {
        let config = (self.again)().await?;
        let made = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        made.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

fn runs_out(client: &Client) -> bool {
    let Some(end) = client.valid_until() else { return false };
    jiff::Timestamp::from_microsecond(BootTime.wall().0).is_ok_and(|now| now + EARLY >= *end)
}

/// What the TLS errors say that are about a certificate. The last two are alerts of a server that
/// refuses the client's.
const ABOUT_CERTIFICATES: [&str; 3] = ["certificate", "unknownca", "accessdenied"];

/// Whether a certificate of either side failed. The client certificate has expired, or one side's
/// certificate comes from an authority that the other does not know (yet).
fn is_about_certificates(error: &kube::Error) -> bool {
    let mut current: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = current {
        let text = error.to_string().to_ascii_lowercase();
        if ABOUT_CERTIFICATES.iter().any(|word| text.contains(word)) {
            return true;
        }
        current = error.source();
    }
    false
}
