//! Events: published beside the plans, so that no plan waits for them. A slow or absent Events API
//! costs Events, and neither failovers nor renewals.

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;

use crate::cache::GroupRef;
use crate::controller::fair_slots::Lane;
use crate::controller::requests::Requests;
use crate::metrics::Metrics;
use crate::planner::plan::EventDraft;

/// The limit of Events that wait. More Events are dropped and counted.
const MAX_WAITING: usize = 1024;

/// The limit of Events in flight.
const MAX_IN_FLIGHT: usize = 4;

/// The longest note in bytes that the API server takes (`noteLengthLimit` of events.k8s.io/v1).
const MAX_NOTE_BYTES: usize = 1024;

/// The longest name of a group in the name of an Event, in bytes. The recorder appends a dot and 16
/// digits, and 253 bytes are allowed.
const MAX_NAME_BYTES: usize = 236;

/// One Event to publish.
struct Publication {
    group: GroupRef,
    reference: ObjectReference,
    event: Event,
    /// It needs a recorder of its own. One recorder merges Events that differ only in their note,
    /// and keeps the note of the first.
    by_itself: bool,
}

/// The queue of Events to publish.
#[derive(Clone)]
pub struct EventQueue {
    waiting: mpsc::Sender<Publication>,
    metrics: Arc<Metrics>,
}

impl EventQueue {
    /// The queue, and the task that publishes. The task ends when all clones of the queue are
    /// dropped and the queue is empty.
    pub fn new(
        requests: Requests,
        reporter: Reporter,
        metrics: Arc<Metrics>,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        let publishing = publish_all(requests, reporter, receiver);
        (Self { waiting: sender, metrics }, publishing)
    }

    /// Leaves an Event about a group with the queue. A full queue drops it.
    pub fn leave(
        &self,
        group: &GroupRef,
        reference: ObjectReference,
        draft: &EventDraft,
        action: &str,
        by_itself: bool,
    ) {
        let event = Event {
            type_: if draft.warning { EventType::Warning } else { EventType::Normal },
            reason: draft.reason.clone(),
            note: Some(cut(&draft.note, MAX_NOTE_BYTES).to_owned()),
            action: action.to_owned(),
            secondary: draft.pod.as_ref().map(|pod| ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.clone()),
                namespace: Some(group.namespace.clone()),
                ..ObjectReference::default()
            }),
        };
        let reference = nameable(reference);
        let publication = Publication { group: group.clone(), reference, event, by_itself };
        if self.waiting.try_send(publication).is_err() {
            self.metrics.dropped_event();
            tracing::warn!(%group, reason = draft.reason, "an Event was dropped: too many wait to be written");
        }
    }
}

async fn publish_all(requests: Requests, reporter: Reporter, waiting: mpsc::Receiver<Publication>) {
    let recorder = Recorder::new(requests.client(), reporter.clone());
    let waiting = futures::stream::unfold(waiting, |mut waiting| async {
        let next = waiting.recv().await?;
        Some((next, waiting))
    });
    let publish = |Publication { group, reference, event, by_itself }: Publication| {
        let own = by_itself.then(|| Recorder::new(requests.client(), reporter.clone()));
        let recorder = own.unwrap_or_else(|| recorder.clone());
        let requests = requests.in_lane(Lane::Report);
        async move {
            let object = format!("event {} of {group}", event.reason);
            let request = recorder.publish(&event, &reference);
            if let Err(error) = requests.send("create", "events", &group.namespace, object, request).await {
                tracing::warn!(%group, %error, "an Event could not be written");
            }
        }
    };
    waiting.for_each_concurrent(MAX_IN_FLIGHT, publish).await;
}

/// The reference with a name that the name of an Event can begin with. The UID still tells the group.
fn nameable(reference: ObjectReference) -> ObjectReference {
    let shorten = |name: String| cut(&name, MAX_NAME_BYTES).trim_end_matches(['.', '-']).to_owned();
    ObjectReference { name: reference.name.map(shorten), ..reference }
}

/// The longest beginning of `text` with at most `bytes` bytes that ends between two characters.
fn cut(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_group_with_a_long_name_has_a_name_that_is_allowed() {
        let named = |name: String| {
            let uid = Some("1".to_owned());
            let reference = nameable(ObjectReference { name: Some(name), uid, ..ObjectReference::default() });
            assert_eq!(reference.uid.as_deref(), Some("1"));
            reference.name.unwrap_or_default()
        };
        assert_eq!(named("orders".to_owned()), "orders");
        assert_eq!(named("x".repeat(236)).len(), 236);
        assert_eq!(named("x".repeat(253)).len(), 236);
        assert_eq!(
            named(format!("{}-.y{}", "x".repeat(233), "z".repeat(10))),
            format!("{}-.y", "x".repeat(233))
        );
        assert_eq!(named(format!("{}-.y{}", "x".repeat(234), "z".repeat(10))), "x".repeat(234));
    }

    #[test]
    fn a_note_is_cut_by_bytes_between_two_characters() {
        assert_eq!(cut("short", 1024), "short");
        let long = "拒".repeat(400);
        let kept = cut(&long, 1024);
        assert_eq!((kept.len(), kept.chars().count()), (1023, 341));
    }
}
