//! Events: told beside the plans, so that no plan waits for them. An Events API that is slow or away costs Events, and
//! neither failovers nor renewals.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use crate::cache::GroupRef;
use crate::controller::requests::Requests;
use crate::metrics::Metrics;
use crate::planner::plan::EventDraft;

/// How many Events wait at most; what comes beyond is dropped and counted.
const WAITING: usize = 1024;

/// How many are under way at once.
const AT_ONCE: usize = 4;

/// The most bytes of a note that the API server takes (`noteLengthLimit` of events.k8s.io/v1).
const NOTE_BYTES: usize = 1024;

/// One Event to tell.
struct Telling {
    group: GroupRef,
    reference: ObjectReference,
    event: Event,
    /// A recorder makes one Event of those that differ only in their note, which then is that of the first. What must be
    /// told by itself needs a recorder of its own.
    by_itself: bool,
}

/// Where Events are left to be told.
#[derive(Clone)]
pub struct EventQueue {
    waiting: mpsc::Sender<Telling>,
    metrics: Arc<Metrics>,
}

impl EventQueue {
    /// Where to leave Events, and what tells them: it ends when all of the former are gone and nothing is left to tell.
    pub fn new(
        requests: Requests,
        reporter: Reporter,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let told = tell_all(requests, reporter, receiver);
        (Self { waiting: sender, metrics }, told)
    }

    /// Leaves an Event about a group to be told.
    pub fn leave(
        &self,
        group: &GroupRef,
        reference: ObjectReference,
        notice: &EventDraft,
        action: &str,
        by_itself: bool,
    ) {
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason.clone(),
            note: Some(cut(&notice.note, NOTE_BYTES).to_owned()),
            action: action.to_owned(),
            secondary: notice.pod.as_ref().map(|pod| ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.clone()),
                namespace: Some(group.namespace.clone()),
                ..ObjectReference::default()
            }),
        };
        let telling = Telling { group: group.clone(), reference, event, by_itself };
        if self.waiting.try_send(telling).is_err() {
            self.metrics.dropped_event();
            tracing::warn!(%group, reason = notice.reason, "an Event was dropped: too many wait to be written");
        }
    }
}

async fn tell_all(requests: Requests, reporter: Reporter, waiting: mpsc::Receiver<Telling>) {
    let recorder = Recorder::new(requests.client(), reporter.clone());
    let waiting = futures::stream::unfold(waiting, |mut waiting| async {
        let next = waiting.recv().await?;
        Some((next, waiting))
    });
    let tell = |Telling { group, reference, event, by_itself }: Telling| {
        let own = by_itself.then(|| Recorder::new(requests.client(), reporter.clone()));
        let recorder = own.unwrap_or_else(|| recorder.clone());
        let requests = requests.clone();
        async move {
            let object = format!("event {} of {group}", event.reason);
            let publish = recorder.publish(&event, &reference);
            if let Err(error) = requests.send("create", "events", &group.namespace, object, publish).await {
                tracing::warn!(%group, %error, "an Event could not be written");
            }
        }
    };
    waiting.for_each_concurrent(AT_ONCE, tell).await;
}

/// The longest beginning of `text` that has at most so many bytes and ends between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_by_bytes_between_two_characters() {
        assert_eq!(cut("short", 1024), "short");
        let long = "拒".repeat(400);
        let kept = cut(&long, 1024);
        assert_eq!((kept.len(), kept.chars().count()), (1023, 341));
    }
}
