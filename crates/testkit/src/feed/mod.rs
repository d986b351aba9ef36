//! Sees every revision of the pods, groups and Leases of a namespace, from the first one on, and
//! puts them into one order.
//!
//! A watch delivers each revision of its kind, and is taken up again where it ended. An API server
//! that has just been started does not know the earlier revisions. Then the feed reads each single
//! revision in between from the store, by lists at exactly that revision. So it misses none; if it
//! did, every wait would fail.

mod journal;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use kube::api::ListParams;
use kube::core::DynamicObject;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use journal::{Change, FIELD_MANAGER, GROUP, Journal, Revision, Step, TERM, What};
use reader::Reader;

use crate::kind::Kind;

/// The kinds that every feed follows.
const KINDS: [Kind; 3] = [Kind::Pod, Kind::Group, Kind::Lease];

/// Follows a namespace.
#[derive(Debug)]
pub struct Feed {
    journal: Arc<Mutex<Journal>>,
    changed: watch::Receiver<()>,
    apis: Vec<(Kind, Api<DynamicObject>)>,
    tasks: Vec<JoinHandle<()>>,
    patience: Duration,
}

impl Feed {
    /// Begins with an empty namespace. Nothing that is waited for may take longer than `patience`.
    ///
    /// # Panics
    /// If there is an object already: its earlier revisions would be missing.
    pub async fn start(client: &Client, namespace: &str, journal: Journal, patience: Duration) -> Self {
        Self::start_with(&[], client, namespace, journal, patience).await
    }

    /// The same, and it follows these kinds, too.
    ///
    /// # Panics
    /// If there is an object already.
    pub async fn start_with(
        more: &[Kind],
        client: &Client,
        namespace: &str,
        journal: Journal,
        patience: Duration,
    ) -> Self {
        let (notify, changed) = watch::channel(());
        let (journal, notify) = (Arc::new(Mutex::new(journal)), Arc::new(notify));
        let kinds = KINDS.iter().chain(more).copied();
        let apis: Vec<_> = kinds.map(|kind| (kind, kind.api(client, namespace))).collect();
        let mut tasks = Vec::new();
        for (kind, api) in &apis {
            let found = api.list(&ListParams::default()).await.expect("the namespace can be listed");
            assert!(found.items.is_empty(), "the feed begins before there is anything to see");
            let last = number(found.metadata.resource_version.as_deref()).expect("a list has a version");
            let reader = Reader::new(*kind, api.clone(), last, journal.clone(), notify.clone());
            tasks.push(tokio::spawn(reader.follow()));
        }
        Self { journal, changed, apis, tasks, patience }
    }

    /// Everything seen so far. Nothing new is taken in while it is held.
    ///
    /// # Panics
    /// If a task of the feed has panicked.
    pub fn look(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().expect("no reader panicked")
    }

    /// A copy of everything seen so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.look().clone()
    }

    /// Takes a write of a test itself for what it is: a user's. `version` is the `resourceVersion`
    /// that it got.
    ///
    /// # Panics
    /// If that is no version.
    pub fn forgive(&self, version: Option<&str>) {
        self.look().forgive(number(version).expect("a written object has a version"));
    }

    /// Waits until `find` finds something.
    ///
    /// # Panics
    /// If it has found nothing in time, or if a revision was missed.
    pub async fn until<T>(&self, what: &str, find: impl Fn(&Journal) -> Option<T>) -> T {
        let mut changed = self.changed.clone();
        let search = async {
            loop {
                changed.mark_unchanged();
                {
                    let journal = self.look();
                    assert_eq!(journal.lost(), None, "revisions were missed: nothing can be said");
                    if let Some(found) = find(&journal) {
                        return found;
                    }
                }
                changed.changed().await.expect("the feed goes on");
            }
        };
        let found = tokio::time::timeout(self.patience, search).await;
        found.unwrap_or_else(|_| {
            panic!("not within {:?}: {what}; there are\n{}", self.patience, self.look().told_present())
        })
    }

    /// Waits until everything that is stored now has been seen.
    ///
    /// # Panics
    /// If that takes too long.
    pub async fn catch_up(&self) {
        for (kind, api) in &self.apis {
            let stored = api.list(&ListParams::default()).await.expect("the namespace can be listed").items;
            self.until("a feed that has seen everything", |journal| {
                journal.has_seen_all(*kind, &stored).then_some(())
            })
            .await;
        }
    }

    /// Takes out everything up to the oldest of some revisions that a test has just written itself,
    /// one of each kind.
    pub async fn take_until<const N: usize>(&self, written: [(Kind, u64); N]) -> Vec<Arc<Revision>> {
        self.until("a feed that has seen everything", |journal| {
            written.iter().all(|(kind, number)| journal.is_complete(*kind, *number)).then_some(())
        })
        .await;
        let oldest = written.into_iter().map(|(_, number)| number).min().unwrap_or_default();
        self.look().take_until(oldest)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The number of a revision, as it stands in an object.
fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}

impl Journal {
    /// Everything of these objects has arrived, and so has the end of all that are not among them.
    fn has_seen_all(&self, kind: Kind, stored: &[DynamicObject]) -> bool {
        let uid = |object: &DynamicObject| object.metadata.uid.clone().unwrap_or_default();
        let numbers = stored.iter().filter_map(|object| number(object.metadata.resource_version.as_deref()));
        let (uids, last): (BTreeSet<_>, _) = (stored.iter().map(uid).collect(), numbers.max().unwrap_or(0));
        let mut newest: BTreeMap<&str, &Revision> = BTreeMap::new();
        newest.extend(self.of(kind).map(|revision| (revision.uid(), revision)));
        let all_seen = stored.iter().all(|object| {
            let seen = newest.get(uid(object).as_str());
            seen.is_some_and(|seen| Some(seen.number) >= number(object.metadata.resource_version.as_deref()))
        });
        let all_gone = newest.values().all(|seen| seen.is_deleted() || uids.contains(seen.uid()));
        // Objects younger than the list are no news to wait for.
        let younger = newest.values().any(|seen| seen.change == Change::Added && seen.number > last);
        all_seen && (all_gone || younger)
    }
}
