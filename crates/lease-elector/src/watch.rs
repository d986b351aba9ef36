//! Watches the Lease. Events may be late or repeated: the elector judges them.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

use super::clock::Time;
use super::decisions::ElectorEvent;
use super::decisions::time::Nanos;
use super::inbox::Input;
use super::lease_client::LeaseClient;

/// The longest life of a watch. The elector asks the API server to end a watch earlier: a watch
/// that lasts longer is dead.
const LONGEST: Duration = Duration::from_secs(300);

/// Watches for ever, with a pause after each end. Returns when the elector no longer receives.
pub(super) async fn watch(
    client: Client,
    lease: LeaseClient,
    clock: Arc<dyn Time>,
    pause: Nanos,
    news: UnboundedSender<Input>,
) {
    let mut told = false;
    loop {
        tokio::select! {
            ended = watch_once(&client, &lease, &news) => match ended {
                Err(kube::Error::Api(status)) if status.is_forbidden() && !told => {
                    told = true;
                    tracing::warn!(
                        %lease,
                        answer = status.message,
                        "no right to watch the Lease: it is only polled"
                    );
                }
                Err(error) => tracing::debug!(%error, %lease, "the watch of the Lease ended"),
                Ok(()) => {}
            },
            () = clock.sleep_until(clock.boot() + LONGEST.into()) => {}
        }
        if news.send(Input::Event(ElectorEvent::WatchDown)).is_err() {
            return;
        }
        clock.sleep_until(clock.boot() + pause).await;
    }
}

async fn watch_once(
    client: &Client,
    lease: &LeaseClient,
    news: &UnboundedSender<Input>,
) -> Result<(), kube::Error> {
    let request = lease.watch_request().map_err(kube::Error::BuildRequest)?;
    let mut events = pin!(client.request_events::<Value>(request).await?);
    let _ = news.send(Input::Event(ElectorEvent::WatchUp));
    while let Some(event) = events.next().await {
        let input = match event? {
            WatchEvent::Added(lease) | WatchEvent::Modified(lease) => {
                Input::Watched { lease, deleted: false }
            }
            WatchEvent::Deleted(lease) => Input::Watched { lease, deleted: true },
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
        };
        let _ = news.send(input);
    }
    Ok(())
}
