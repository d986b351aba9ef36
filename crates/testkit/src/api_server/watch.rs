//! Watches: each change to the clients that wait for it.

use futures::stream;
use serde_json::Value;
use tokio::sync::mpsc;

use super::answer::{self, Answer};
use super::selection::Selection;
use crate::kind::Kind;

/// A watch from the server's side.
pub(super) struct Watcher {
    pub(super) kind: Kind,
    pub(super) selection: Selection,
    pub(super) sender: mpsc::UnboundedSender<Value>,
}

impl Watcher {
    /// Whether it is still there after this event.
    pub(super) fn tell(&self, kind: Kind, event: &Value) -> bool {
        let concerns = self.kind == kind && self.selection.matches(&event["object"]);
        if concerns { self.sender.send(event.clone()).is_ok() } else { !self.sender.is_closed() }
    }
}

/// The events of a watch, on their way to the client.
#[derive(Debug)]
pub struct Watch(pub(super) mpsc::UnboundedReceiver<Value>);

impl Watch {
    /// The next event; none at the end of the watch.
    pub async fn next(&mut self) -> Option<Value> {
        self.0.recv().await
    }

    /// Delivers every event at once, until the watch ends.
    #[must_use]
    pub fn into_answer(self) -> Answer {
        answer::of_lines(stream::unfold(self, |mut watch| async {
            let event = watch.next().await?;
            Some((Ok(line(&event)), watch))
        }))
    }
}

/// An event as it stands in the answer.
#[must_use]
pub fn line(event: &Value) -> String {
    format!("{event}\n")
}
