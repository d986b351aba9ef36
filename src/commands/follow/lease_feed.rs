//! Reads and watches one Lease.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::core::Request as Build;
use kube::core::params::{GetParams, WatchParams};
use kube::core::{Resource, WatchEvent};
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::role::LeaseRead;
use super::sight::LeaseSight;

/// The longest life of a watch. The API server ends it a few seconds earlier: a watch that lasts
/// longer is dead.
const LONGEST: Duration = Duration::from_secs(300);

/// The pause before the next watch.
const PAUSE: Duration = Duration::from_secs(1);

/// What the watch tells.
#[derive(Debug)]
pub enum News {
    /// A watch has begun.
    Began,
    /// The Lease as it is now.
    Is(LeaseSight),
    /// The Lease as it was when it was deleted.
    Was(LeaseSight),
}

/// One Lease at the API server.
#[derive(Clone)]
pub struct LeaseFeed {
    client: Client,
    namespace: String,
    name: String,
}

impl std::fmt::Debug for LeaseFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LeaseFeed({self})")
    }
}

impl std::fmt::Display for LeaseFeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl LeaseFeed {
    /// The Lease of this name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn requests(&self) -> Build {
        Build::new(Lease::url_path(&(), Some(&self.namespace)))
    }

    /// Reads the Lease from the API server's store: without a `resourceVersion` no cache answers.
    /// The text is the problem, if there is one.
    pub async fn read(&self, timeout: Duration) -> (LeaseRead, Option<String>) {
        let read = async {
            let request = self.requests().get(&self.name, &GetParams::default());
            self.client.request::<Value>(request.map_err(Error::BuildRequest)?).await
        };
        match tokio::time::timeout(timeout, read).await {
            Err(_) => (LeaseRead::Failed, Some("no answer in time".to_owned())),
            Ok(Ok(lease)) => match LeaseSight::of(&lease) {
                Some(sight) => (LeaseRead::Found(Box::new(sight)), None),
                None => (LeaseRead::Failed, Some("the answer is no Lease".to_owned())),
            },
            Ok(Err(Error::Api(status))) if status.is_not_found() && names_it(&status) => {
                (LeaseRead::Missing, Some(status.message))
            }
            Ok(Err(Error::Api(status))) => (LeaseRead::Failed, Some(status.message)),
            Ok(Err(error)) => (LeaseRead::Failed, Some(error.to_string())),
        }
    }

    /// Watches for ever, with a pause after each end. Returns when the news are received no longer.
    pub async fn watch(self, news: UnboundedSender<News>) {
        let mut told = String::new();
        while !news.is_closed() {
            let ended = tokio::time::timeout(LONGEST, self.watch_once(&news)).await;
            let error = ended.ok().and_then(Result::err).map(|error| error.to_string()).unwrap_or_default();
            if !error.is_empty() && error != told {
                tracing::warn!(lease = %self, error, "the watch of the Lease ended; trying again");
            }
            told = error;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn watch_once(&self, news: &UnboundedSender<News>) -> Result<(), Error> {
        let params = WatchParams::default().fields(&format!("metadata.name={}", self.name));
        let request = self.requests().watch(&params.disable_bookmarks(), "").map_err(Error::BuildRequest)?;
        let mut events = pin!(self.client.request_events::<Value>(request).await?);
        let _ = news.send(News::Began);
        while let Some(event) = events.next().await {
            let seen = match event? {
                WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
                    LeaseSight::of(&lease).map(News::Is)
                }
                WatchEvent::Deleted(lease) => LeaseSight::of(&lease).map(News::Was),
                WatchEvent::Bookmark(_) => None,
                WatchEvent::Error(status) => return Err(Error::Api(status)),
            };
            if let Some(seen) = seen {
                let _ = news.send(seen);
            }
        }
        Ok(())
    }
}

/// Whether a 404 names the object. If it does not, the kind may not be served (yet).
fn names_it(status: &kube::core::Status) -> bool {
    status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}
