//! Watches: each change to the clients that wait for it.

use futures::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::answer::{self, Answer};
use super::selection::Selection;
use super::store::Commit;
use crate::feed::Change;
use crate::kind::Kind;

/// A watch from the server's side.
pub(super) struct Watcher {
    pub(super) kind: Kind,
    pub(super) selection: Selection,
    pub(super) sender: mpsc::UnboundedSender<Value>,
}

impl Watcher {
    /// Whether it is still there after this commit.
    pub(super) fn tell(&self, commit: &Commit) -> bool {
        match self.event(commit) {
            Some(event) => self.sender.send(event).is_ok(),
            None => !self.sender.is_closed(),
        }
    }

    /// What the watch is told of a commit. An object comes when the selection begins to match it,
    /// and goes when it ceases to.
    fn event(&self, commit: &Commit) -> Option<Value> {
        if self.kind != commit.kind {
            return None;
        }
        let matched = commit.before.as_ref().filter(|before| self.selection.matches(before));
        let exists = commit.change != Change::Deleted;
        let (name, object) = match (matched, exists && self.selection.matches(&commit.object)) {
            (None, true) => ("ADDED", commit.object.clone()),
            (Some(_), true) => ("MODIFIED", commit.object.clone()),
            // The object as it still matched, at the version at which it ceased to.
            (Some(before), false) => {
                let mut object = before.clone();
                object["metadata"]["resourceVersion"] = commit.object["metadata"]["resourceVersion"].clone();
                ("DELETED", object)
            }
            (None, false) => return None,
        };
        Some(json!({ "type": name, "object": object }))
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
