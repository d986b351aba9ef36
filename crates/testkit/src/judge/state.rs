//! The judge at work: takes in one revision after the other, and remembers what the laws ask for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::gaps::Gaps;
use super::moves::Moves;
use super::present::Present;
use super::revision::{Group, Lease, Mode, Object, Pod, Revision, Slice};

/// How many of the revisions before a violation are told with it.
const CONTEXT: usize = 40;

/// How many of the revisions up to the end of the longest gap are told.
const GAP_CONTEXT: usize = 15;

/// How many violations are told in full, as one tends to bring others.
const EVIDENCE: usize = 5;

/// A broken promise.
#[derive(Debug)]
struct Violation {
    /// In words that begin with the name of the promise.
    what: String,
    /// The revisions that led to it.
    context: String,
}

/// When the record of a leader was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded {
    pub(super) number: u64,
    /// There was no record before it.
    pub(super) is_first: bool,
}

/// Everything that has been seen so far, as far as it matters for what comes.
#[derive(Default)]
pub struct Judge {
    pub(super) present: Present,
    /// Each group as it was last seen, by UID, also after its deletion.
    pub(super) groups: BTreeMap<String, Group>,
    /// Every label key that stands for the role in some group.
    role_keys: BTreeSet<String>,
    /// Pods, by UID, whose marks are a user's doing.
    pub(super) by_users: BTreeSet<String>,
    /// Every record that ever was: UIDs of group and leader, term.
    pub(super) records: BTreeMap<(String, String, u64), Recorded>,
    /// The present term of each group, by UID.
    pub(super) terms: BTreeMap<String, u64>,
    /// The UID of the pod that was promoted in a term of a group.
    pub(super) promoted: BTreeMap<(String, u64), String>,
    /// What Leases without a nominee ever said: name of the Lease, holder, term.
    pub(super) held: BTreeSet<(String, String, u64)>,
    /// Pods that an Observed group has selected: by UIDs of group and pod.
    selected: BTreeSet<(String, String)>,
    /// When the Lease of an Observed group first named a pod: by UIDs of group and pod.
    pub(super) named: BTreeMap<(String, String), u64>,
    /// Only if L2 is judged.
    pub(super) moves: Option<Moves>,
    gaps: Gaps,
    violations: Vec<Violation>,
    /// The latest revisions of each group, in words.
    recent: BTreeMap<String, VecDeque<String>>,
    pub(super) newest: u64,
    revisions: usize,
    pub(super) promotions: usize,
    /// The promotions of groups whose pods elect.
    pub(super) followed: usize,
    /// The highest term in which operators routed, by UID of the group and name of the slice.
    pub(super) routed: BTreeMap<(String, String), u64>,
    pub(super) routes: usize,
    /// Slices, by UID, whose newest revision is a user's doing.
    pub(super) slices_by_users: BTreeSet<String>,
}

impl Judge {
    /// A judge that applies L2, too.
    #[must_use]
    pub fn of_moves() -> Self {
        Self { moves: Some(Moves::default()), ..Self::default() }
    }

    /// The next revision. `by_user`: a user wrote it, not an operator. Of a pod and of a group this
    /// matters only where marks or record change in it.
    ///
    /// # Panics
    /// If it does not come after all others.
    pub fn see(&mut self, revision: &Revision, by_user: bool) {
        assert!(revision.number > self.newest, "{revision} comes after {}", self.newest);
        self.newest = revision.number;
        self.revisions += 1;
        let concerned = self.concerned(revision);
        for name in &concerned {
            self.remember(name, revision, by_user);
        }
        match &revision.object {
            Object::Pod(pod) => self.see_pod(revision, pod, by_user),
            Object::Group(group) => self.see_group(revision, group, by_user),
            Object::Lease(lease) => self.see_lease(revision, lease, by_user),
            Object::Slice(slice) => self.see_slice(revision, slice, by_user),
        }
        for name in &concerned {
            self.note_holder(name);
            let recent = || told(self.recent.get(name), GAP_CONTEXT);
            self.gaps.look(&self.present, name, revision.at, recent);
        }
    }

    /// The names of the groups that a revision is about.
    fn concerned(&self, revision: &Revision) -> BTreeSet<String> {
        let before = match &revision.object {
            Object::Group(group) => return BTreeSet::from([group.name.clone()]),
            Object::Lease(_) | Object::Slice(_) => None,
            Object::Pod(pod) => self.present.pod(&pod.uid),
        };
        let is_about = |group: &&Group| match &revision.object {
            Object::Pod(pod) => {
                let selected = before.into_iter().chain([pod]).any(|pod| group.selects(pod));
                selected || pod.group_uid() == group.uid
            }
            Object::Lease(lease) => group.lease == lease.name,
            Object::Slice(slice) => group.uid == slice.group,
            Object::Group(_) => false,
        };
        self.present.groups().filter(is_about).map(|group| group.name.clone()).collect()
    }

    fn remember(&mut self, name: &str, revision: &Revision, by_user: bool) {
        let recent = self.recent.entry(name.to_owned()).or_default();
        let author = if by_user { " by a user" } else { "" };
        recent.push_back(format!("{revision}{author}"));
        if recent.len() > CONTEXT {
            recent.pop_front();
        }
    }

    pub(super) fn violate(&mut self, group: &str, what: String) {
        let context = told(self.recent.get(group), CONTEXT);
        self.violations.push(Violation { what, context });
    }

    fn see_group(&mut self, revision: &Revision, group: &Group, by_user: bool) {
        let before = self.present.group_of_uid(&group.uid).cloned();
        if !revision.gone {
            if let Some(before) = &before {
                self.excuse_selected_by_edit(before, group);
                self.judge_move(before, group, by_user);
            }
            self.judge_term(group, by_user);
            self.note_record(group, before.as_ref());
        }
        self.role_keys.insert(group.role_key.clone());
        self.groups.insert(group.uid.clone(), group.clone());
        self.present.see(revision);
        if let Some(moves) = &mut self.moves {
            moves.note_pods(&self.present);
        }
    }

    /// Excuses a leader of an earlier group that a user's edit of the selector takes in.
    fn excuse_selected_by_edit(&mut self, before: &Group, group: &Group) {
        let comes = |pod: &&Pod| {
            let taken_in = !before.selects(pod) && group.selects(pod);
            taken_in && pod.leads(group) && pod.group_uid() != group.uid
        };
        let pods: Vec<_> = self.present.pods().filter(comes).map(|pod| pod.uid.clone()).collect();
        self.by_users.extend(pods);
    }

    fn note_record(&mut self, group: &Group, before: Option<&Group>) {
        let Some(term) = group.term else { return };
        let is_first = before.is_none_or(|before| before.term.is_none());
        let record = (group.uid.clone(), group.leader.clone(), term);
        self.records.entry(record).or_insert(Recorded { number: self.newest, is_first });
    }

    fn see_lease(&mut self, revision: &Revision, lease: &Lease, by_user: bool) {
        let before = self.present.lease(&lease.name).filter(|before| before.uid == lease.uid).cloned();
        self.present.see(revision);
        if revision.gone {
            return;
        }
        if !by_user {
            self.judge_nomination(before.as_ref(), lease);
        }
        if let Some(term) = lease.term.filter(|_| lease.nominee.is_empty()) {
            self.held.insert((lease.name.clone(), lease.holder.clone(), term));
        }
        if !by_user {
            self.judge_lease(lease);
        }
    }

    /// Remembers which pod the Lease of an Observed group names now.
    fn note_holder(&mut self, name: &str) {
        let Some(group) = self.present.group(name).filter(|group| group.mode == Mode::Observed) else {
            return;
        };
        let selected = self.present.pods().filter(|pod| group.selects(pod));
        self.selected.extend(selected.map(|pod| (group.uid.clone(), pod.uid.clone())));
        // An operator may not know yet that the group selects the pod no more.
        let was_selected = |pod: &Pod| self.selected.contains(&(group.uid.clone(), pod.uid.clone()));
        let holders = [self.present.holder(group), self.present.holder_among(group, was_selected)];
        for holder in holders.into_iter().flatten() {
            self.named.entry((group.uid.clone(), holder.uid.clone())).or_insert(self.newest);
        }
    }

    /// A revision by a user is not judged.
    fn see_slice(&mut self, revision: &Revision, slice: &Slice, by_user: bool) {
        let before = self.present.slice(&slice.uid).cloned();
        self.present.see(revision);
        if by_user && !revision.gone {
            self.slices_by_users.insert(slice.uid.clone());
        } else {
            self.slices_by_users.remove(&slice.uid);
        }
        if !revision.gone && !by_user && !slice.group.is_empty() {
            self.judge_slice(before.as_ref(), slice);
        }
    }

    fn see_pod(&mut self, revision: &Revision, pod: &Pod, by_user: bool) {
        let before = self.present.pod(&pod.uid).cloned();
        let was_by_user = self.by_users.remove(&pod.uid);
        if revision.gone {
            self.present.see(revision);
            return;
        }
        let led = before.as_ref().filter(|_| !was_by_user).map(|before| self.groups_led_by(before));
        let written = before.as_ref().is_some_and(|before| self.marks(before) != self.marks(pod));
        let is_by_user = match &before {
            Some(before) => self.is_by_user(before, pod, written, by_user, was_by_user),
            // Operators create no pods.
            None => true,
        };
        self.present.see(revision);
        if let Some(moves) = &mut self.moves {
            moves.note_pod(&self.present, pod);
        }
        if is_by_user {
            self.by_users.insert(pod.uid.clone());
            return;
        }
        let leads = self.groups_led_by(pod);
        for group in leads.difference(&led.unwrap_or_default()) {
            self.judge_single(group);
        }
        if written && !leads.is_empty() {
            self.judge_promotion(before.as_ref(), pod, was_by_user);
        }
    }

    /// Whether the marks of a pod are a user's doing from now on.
    fn is_by_user(&self, before: &Pod, pod: &Pod, written: bool, by_user: bool, was_by_user: bool) -> bool {
        let taken_in = |group: &Group| {
            let relabelled = !group.selects(before) && group.selects(pod);
            relabelled && pod.leads(group) && pod.group_uid() != group.uid
        };
        let left = self.roles(before) == self.roles(pod) && pod.term.is_empty();
        (by_user && written) || self.present.groups().any(taken_in) || (was_by_user && (!written || left))
    }

    /// The values of all labels that stand for the role.
    fn roles<'a>(&'a self, pod: &'a Pod) -> Vec<&'a str> {
        // The usual one also before there is a group.
        let keys = ["role"].into_iter().chain(self.role_keys.iter().map(String::as_str));
        keys.map(|key| pod.label(key)).collect()
    }

    /// Everything that only operators write.
    fn marks<'a>(&'a self, pod: &'a Pod) -> (Vec<&'a str>, &'a str, &'a str) {
        (self.roles(pod), &pod.term, &pod.group)
    }

    /// The UIDs of the groups, deleted ones included, for which a pod counts as a leader.
    fn groups_led_by(&self, pod: &Pod) -> BTreeSet<String> {
        let leads = |group: &&Group| self.present.is_member(pod, group) && pod.leads(group);
        let owner = self.groups.get(pod.group_uid());
        let all = self.present.groups().chain(owner).filter(leads);
        all.map(|group| group.uid.clone()).collect()
    }

    /// The objects that exist now.
    #[must_use]
    pub fn present(&self) -> &Present {
        &self.present
    }

    /// The broken promises, each in words that begin with its name.
    pub fn violations(&self) -> impl DoubleEndedIterator<Item = &str> + ExactSizeIterator {
        self.violations.iter().map(|violation| violation.what.as_str())
    }

    /// How often a pod got the leader label, or got it again in a higher term.
    pub fn promotions(&self) -> usize {
        self.promotions
    }

    /// How often that was so because pods elected it.
    pub fn followed(&self) -> usize {
        self.followed
    }

    /// How often an operator let a slice route to another pod.
    pub fn routes(&self) -> usize {
        self.routes
    }

    /// The first violations with the revisions that led to them.
    pub fn evidence(&self) -> String {
        let first = self.violations.iter().take(EVIDENCE);
        let first: Vec<_> = first.map(|Violation { what, context }| format!("{what}\n  {context}")).collect();
        format!("{self}\n{}", first.join("\n"))
    }

    /// How long groups that had an eligible pod were without a leader label, first elections
    /// included.
    pub fn gaps(&self) -> String {
        self.gaps.to_string()
    }

    #[cfg(test)]
    pub(super) fn closed_gaps(&self) -> &[std::time::Duration] {
        self.gaps.closed()
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promotions, followed, routes, revisions, .. } = self;
        let violations = self.violations.len();
        write!(
            f,
            "{promotions} promotions ({followed} as pods elected), {routes} routes, \
             {revisions} revisions judged, {violations} violations"
        )
    }
}

/// The last of some revisions, one a line.
fn told(recent: Option<&VecDeque<String>>, last: usize) -> String {
    let recent = recent.into_iter().flatten();
    let mut recent: Vec<_> = recent.rev().take(last).cloned().collect();
    recent.reverse();
    recent.join("\n  ")
}
