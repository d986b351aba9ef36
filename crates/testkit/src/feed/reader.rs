//! Reads one kind, revision by revision.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use kube::api::{ListParams, VersionMatch, WatchParams};
use kube::core::{DynamicObject, WatchEvent};
use kube::{Api, ResourceExt};
use tokio::sync::watch;

use super::journal::{Change, Journal, Revision};
use super::number;
use crate::kind::Kind;

/// The pause before a watch is taken up again: the API server may be away.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) struct Reader {
    kind: Kind,
    api: Api<DynamicObject>,
    journal: Arc<Mutex<Journal>>,
    notify: Arc<watch::Sender<()>>,
    /// Everything up to here has been seen.
    last: u64,
    /// The objects that exist, by name.
    known: BTreeMap<String, DynamicObject>,
}

/// Why a watch did not go on.
enum Stop {
    /// It ended, or there was no answer.
    Ended,
    /// The API server does not know any more what came next.
    Forgotten,
    /// Something that must not be.
    Lost(String),
}

impl Reader {
    pub(super) fn new(
        kind: Kind,
        api: Api<DynamicObject>,
        last: u64,
        journal: Arc<Mutex<Journal>>,
        notify: Arc<watch::Sender<()>>,
    ) -> Self {
        Self { kind, api, journal, notify, last, known: BTreeMap::new() }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().expect("nobody panicked over the journal")
    }

    pub(super) async fn follow(mut self) {
        loop {
            let stop = match self.watch().await {
                Stop::Forgotten => self.fill().await,
                other => other,
            };
            if let Stop::Lost(why) = stop {
                self.journal().lose(why);
                self.notify.send_replace(());
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn watch(&mut self) -> Stop {
        let stream = match self.api.watch(&WatchParams::default(), &self.last.to_string()).await {
            Ok(stream) => stream,
            Err(kube::Error::Api(status)) if status.code == 410 => return Stop::Forgotten,
            Err(_) => return Stop::Ended,
        };
        let mut stream = std::pin::pin!(stream);
        while let Ok(Some(event)) = stream.try_next().await {
            let (object, change) = match event {
                WatchEvent::Added(object) => (object, Change::Added),
                WatchEvent::Modified(object) => (object, Change::Modified),
                WatchEvent::Deleted(object) => (object, Change::Deleted),
                WatchEvent::Bookmark(bookmark) => {
                    if let Some(version) = number(Some(&bookmark.metadata.resource_version)) {
                        self.saw_all_up_to(version);
                    }
                    continue;
                }
                WatchEvent::Error(status) if status.code == 410 => return Stop::Forgotten,
                WatchEvent::Error(_) => return Stop::Ended,
            };
            let Some(version) = number(object.metadata.resource_version.as_deref()) else {
                return Stop::Lost(format!("an object without a version: {object:?}"));
            };
            self.see(version, object, change);
        }
        Stop::Ended
    }

    /// Reads what came after `last` revision by revision, up to now.
    async fn fill(&mut self) -> Stop {
        let Ok(now) = self.api.list(&ListParams::default()).await else { return Stop::Ended };
        let Some(now) = number(now.metadata.resource_version.as_deref()) else {
            return Stop::Lost("a list without a version".to_owned());
        };
        while self.last < now {
            let next = self.last + 1;
            let exactly = ListParams::default().at(&next.to_string()).matching(VersionMatch::Exact);
            let list = match self.api.list(&exactly).await {
                Ok(list) => list.items,
                Err(kube::Error::Api(status)) if status.code == 410 => {
                    return Stop::Lost(format!("the store does not know revision {next} any more"));
                }
                Err(_) => return Stop::Ended,
            };
            self.compare(next, list);
            self.journal().count_filled();
        }
        Stop::Ended
    }

    /// Finds what a revision changed: one object at most.
    fn compare(&mut self, version: u64, list: Vec<DynamicObject>) {
        let names: Vec<_> = list.iter().map(ResourceExt::name_any).collect();
        let gone = self.known.values().find(|known| !names.contains(&known.name_any())).cloned();
        let mut list = list.into_iter();
        let changed =
            list.find(|object| number(object.metadata.resource_version.as_deref()) == Some(version));
        match (changed, gone) {
            (Some(object), _) => {
                let is_new = !self.known.contains_key(&object.name_any());
                self.see(version, object, if is_new { Change::Added } else { Change::Modified });
            }
            (None, Some(object)) => self.see(version, object, Change::Deleted),
            (None, None) => self.saw_all_up_to(version),
        }
    }

    fn see(&mut self, number: u64, object: DynamicObject, change: Change) {
        let (kind, seen) = (self.kind, Instant::now());
        let value = serde_json::to_value(&object).expect("an object is JSON");
        if change == Change::Deleted {
            self.known.remove(&object.name_any());
        } else {
            self.known.insert(object.name_any(), object);
        }
        self.journal().push(Revision { number, kind, change, object: value, seen });
        self.saw_all_up_to(number);
    }

    fn saw_all_up_to(&mut self, version: u64) {
        self.last = version;
        self.journal().complete(self.kind, version);
        self.notify.send_replace(());
    }
}
