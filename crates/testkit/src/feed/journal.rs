//! Everything that a feed has seen, in the order of its revisions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::json::At;
use crate::judge::{self, Judge, Object, Present};
use crate::kind::Kind;

/// The annotation with a pod's term.
pub const TERM: &str = "election-operator.io/term";

/// The annotation with name and UID of the group that owns a pod.
pub const GROUP: &str = "election-operator.io/group";

/// Under which name the operator writes.
pub const FIELD_MANAGER: &str = "election-operator";

/// One revision of one object.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Revision {
    /// The revision of the whole store: one counter for all kinds.
    pub number: u64,
    pub kind: Kind,
    pub change: Change,
    pub object: Value,
    /// When it arrived here.
    pub seen: Instant,
}

/// How an object changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Change {
    Added,
    Modified,
    Deleted,
}

impl Revision {
    /// `metadata.name`
    #[must_use]
    pub fn name(&self) -> &str {
        self.object.text("/metadata/name")
    }

    /// `metadata.uid`
    #[must_use]
    pub fn uid(&self) -> &str {
        self.object.text("/metadata/uid")
    }

    /// The value of a label, or nothing.
    #[must_use]
    pub fn label(&self, key: &str) -> &str {
        self.object.at("/metadata/labels")[key].as_str().unwrap_or_default()
    }

    /// The value of an annotation, or nothing.
    #[must_use]
    pub fn annotation(&self, key: &str) -> &str {
        self.object.at("/metadata/annotations")[key].as_str().unwrap_or_default()
    }

    /// Whether the object is gone from here on.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.change == Change::Deleted
    }

    /// Whether its deletion has begun.
    #[must_use]
    pub fn is_terminating(&self) -> bool {
        !self.object.text("/metadata/deletionTimestamp").is_empty()
    }

    /// Whether this is a pod that is Ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.kind == Kind::Pod && self.object.has("Ready", "True")
    }

    /// What the judge reads of it. `start` is the beginning of its time.
    #[must_use]
    pub fn facts(&self, start: Instant) -> Option<judge::Revision> {
        let object = match self.kind {
            Kind::Pod => Object::Pod(judge::Pod::read(&self.object)),
            Kind::Group => Object::Group(Box::new(judge::Group::read(&self.object))),
            Kind::Lease => Object::Lease(judge::Lease::read(&self.object)),
            Kind::EndpointSlice => Object::Slice(judge::Slice::read(&self.object)),
            _ => return None,
        };
        let at = self.seen.saturating_duration_since(start);
        Some(judge::Revision { number: self.number, object, gone: self.is_deleted(), at })
    }
}

/// One pod begins or ends to carry the leader label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The revision.
    pub number: u64,
    /// The name of the pod.
    pub pod: String,
    /// Its UID.
    pub uid: String,
    /// The term on the pod at this revision.
    pub term: String,
    /// Which of the two it is.
    pub what: What,
    /// When it arrived here.
    pub seen: Instant,
}

/// What becomes of a leader label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The pod carries it from here on.
    Gained,
    /// It was taken from the pod.
    Lost,
    /// The pod was deleted, and the label with it.
    Vanished,
}

/// Everything seen so far, in the order of its revisions.
#[derive(Clone, Debug)]
pub struct Journal {
    start: Instant,
    /// Key and value of the leader label, for [`Self::steps`].
    leader_label: (&'static str, &'static str),
    /// Revisions written by the test itself that break a rule on purpose.
    forgiven: BTreeSet<u64>,
    revisions: BTreeMap<u64, Arc<Revision>>,
    present: Present,
    /// Up to here everything of a kind is there.
    complete: BTreeMap<Kind, u64>,
    /// A watch could not go on: the revisions in between are not known.
    lost: Option<String>,
    filled: usize,
}

impl Default for Journal {
    fn default() -> Self {
        Self::of_label("role", "leader")
    }
}

impl Journal {
    /// A journal of groups with this leader label.
    #[must_use]
    pub fn of_label(key: &'static str, leader: &'static str) -> Self {
        Self {
            start: Instant::now(),
            leader_label: (key, leader),
            forgiven: BTreeSet::new(),
            revisions: BTreeMap::new(),
            present: Present::default(),
            complete: BTreeMap::new(),
            lost: None,
            filled: 0,
        }
    }

    pub(super) fn push(&mut self, revision: Revision) {
        if let Some(facts) = revision.facts(self.start) {
            self.present.see(&facts);
        }
        self.revisions.insert(revision.number, Arc::new(revision));
    }

    pub(super) fn forgive(&mut self, number: u64) {
        self.forgiven.insert(number);
    }

    pub(super) fn complete(&mut self, kind: Kind, number: u64) {
        self.complete.insert(kind, number);
    }

    pub(super) fn is_complete(&self, kind: Kind, number: u64) -> bool {
        self.complete.get(&kind).is_some_and(|seen| *seen >= number)
    }

    pub(super) fn lose(&mut self, why: String) {
        self.lost = Some(why);
    }

    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    pub(super) fn count_filled(&mut self) {
        self.filled += 1;
    }

    pub(super) fn take_until(&mut self, number: u64) -> Vec<Arc<Revision>> {
        let rest = self.revisions.split_off(&(number + 1));
        std::mem::replace(&mut self.revisions, rest).into_values().collect()
    }

    /// When the journal was begun.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.start
    }

    /// The objects that exist now.
    #[must_use]
    pub fn present(&self) -> &Present {
        &self.present
    }

    /// How many revisions had to be read one by one.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// All revisions, oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Revision> {
        self.revisions.values().map(|revision| &**revision)
    }

    /// All revisions of a kind, oldest first.
    pub fn of(&self, kind: Kind) -> impl DoubleEndedIterator<Item = &Revision> {
        self.all().filter(move |revision| revision.kind == kind)
    }

    /// Each gain and each loss of the leader label.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let (key, leader) = self.leader_label;
        let mut leaders = BTreeSet::new();
        let mut steps = Vec::new();
        for revision in self.of(Kind::Pod) {
            let leads = !revision.is_deleted() && revision.label(key) == leader;
            let what = match (leaders.contains(revision.uid()), leads) {
                (false, true) => What::Gained,
                (true, false) if revision.is_deleted() => What::Vanished,
                (true, false) => What::Lost,
                _ => continue,
            };
            if what == What::Gained {
                leaders.insert(revision.uid());
            } else {
                leaders.remove(revision.uid());
            }
            steps.push(Step {
                number: revision.number,
                pod: revision.name().to_owned(),
                uid: revision.uid().to_owned(),
                term: revision.annotation(TERM).to_owned(),
                what,
                seen: revision.seen,
            });
        }
        steps
    }

    /// The names of the pods that gained the leader label, in that order.
    #[must_use]
    pub fn leaders(&self) -> Vec<String> {
        self.steps().into_iter().filter(|step| step.what == What::Gained).map(|step| step.pod).collect()
    }

    /// The judge's verdict: every broken promise, in words.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let mut judge = Judge::default();
        for revision in self.all() {
            if let Some(facts) = revision.facts(self.start) {
                judge.see(&facts, self.is_by_user(revision.number, &facts.object));
            }
        }
        self.lost.iter().cloned().chain(judge.violations().map(str::to_owned)).collect()
    }

    /// Of a Lease the API server tells who wrote it; of everything else the test does.
    fn is_by_user(&self, number: u64, object: &Object) -> bool {
        match object {
            Object::Lease(lease) => !lease.managers.iter().any(|manager| manager == FIELD_MANAGER),
            _ => self.forgiven.contains(&number),
        }
    }

    pub(super) fn told_present(&self) -> String {
        let groups = self.present.groups().map(|group| format!("{group:?}"));
        let leases = self.present.leases().map(|lease| format!("{lease:?}"));
        let pods = self.present.pods().map(|pod| format!("{pod:?}"));
        let slices = self.present.slices().map(|slice| format!("{slice:?}"));
        groups.chain(leases).chain(pods).chain(slices).collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for revision in self.all() {
            let at = revision.seen.saturating_duration_since(self.start).as_millis();
            let (number, change, name) = (revision.number, revision.change, revision.name());
            write!(f, "{at:>6} ms  {number:>6}  {:<5} {change:<8?} {name:<16}", revision.kind.short())?;
            self.tell(revision, f)?;
        }
        Ok(())
    }
}

impl Journal {
    fn tell(&self, revision: &Revision, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = &revision.object;
        match revision.kind {
            Kind::Pod => writeln!(
                f,
                " {}={:<8} term={:<3} {}{}",
                self.leader_label.0,
                revision.label(self.leader_label.0),
                revision.annotation(TERM),
                if revision.is_ready() { "Ready " } else { "" },
                if revision.is_terminating() { "terminating" } else { "" },
            ),
            Kind::Lease => writeln!(f, " holder={}", object.text("/spec/holderIdentity")),
            Kind::EndpointSlice => {
                let pods = object.list("/endpoints").iter().map(|endpoint| endpoint.text("/targetRef/name"));
                let pods: Vec<_> = pods.collect();
                writeln!(f, " endpoints={pods:?} term={}", revision.annotation(TERM))
            }
            _ => writeln!(
                f,
                " leader={} term={} unfenced={} Ready={}",
                object.text("/status/leader/name"),
                object.at("/status/term"),
                object.at("/status/unfenced"),
                object.condition("Ready").text("/reason"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(number: u64, name: &str, role: &str, change: Change) -> Revision {
        let object = json!({ "metadata": { "name": name, "uid": name, "labels": { "role": role } } });
        Revision { number, kind: Kind::Pod, change, object, seen: Instant::now() }
    }

    #[test]
    fn each_gain_and_each_loss_of_the_leader_label_is_a_step() {
        let mut journal = Journal::default();
        for revision in [
            pod(1, "a", "", Change::Added),
            pod(2, "a", "leader", Change::Modified),
            pod(3, "a", "leader", Change::Modified),
            pod(4, "a", "follower", Change::Modified),
            pod(5, "b", "leader", Change::Added),
            pod(6, "b", "leader", Change::Deleted),
        ] {
            journal.push(revision);
        }
        let steps: Vec<_> = journal.steps().into_iter().map(|step| (step.pod, step.what)).collect();
        let expected = [("a", What::Gained), ("a", What::Lost), ("b", What::Gained), ("b", What::Vanished)];
        assert_eq!(steps, expected.map(|(pod, what)| (pod.to_owned(), what)));
        assert_eq!(journal.leaders(), ["a", "b"]);
    }

    #[test]
    fn everything_up_to_a_revision_can_be_taken_out_and_what_exists_stays_known() {
        let mut journal = Journal::default();
        journal.push(pod(1, "a", "", Change::Added));
        journal.push(pod(3, "b", "", Change::Added));
        journal.complete(Kind::Pod, 3);
        assert!(journal.is_complete(Kind::Pod, 3) && !journal.is_complete(Kind::Pod, 4));
        assert!(!journal.is_complete(Kind::Lease, 1));
        assert_eq!(journal.take_until(2).len(), 1);
        assert_eq!(journal.all().count(), 1);
        assert_eq!(journal.present().pods().count(), 2);
    }
}
