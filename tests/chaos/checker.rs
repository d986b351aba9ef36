//! The judge: sees every revision of every pod and group in their order, and says which of them break a promise.
//!
//! It knows the promises (S1, S2, S3 of `docs/safety.md`) and nothing of the operator: values in, verdicts out.
//!
//! Where the pods elect (mode Observed), a pod may be promoted only if their Lease has named it while it was there, and
//! nobody but the test writes that Lease.
//!
//! What the test itself writes over an operator's marks is not the operators' doing: such a pod is not judged from that
//! revision on until the next write of an operator on it, which is the next revision by anybody else in which role
//! label, term or group differ and that leaves a mark.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use crate::revision::{Group, Lease, Object, Pod, Revision};

/// How many of the revisions before a violation are told with it.
const CONTEXT: usize = 40;

/// How many of the revisions up to the end of the longest gap are told.
const GAP_CONTEXT: usize = 15;

/// Everything that has been seen so far, as far as it matters for what comes.
#[derive(Default)]
pub(crate) struct Judge {
    pods: BTreeMap<String, Seen>,
    /// Every record that ever was: UIDs of group and leader, term.
    records: BTreeSet<(String, String, u64)>,
    /// The present term of each group.
    terms: BTreeMap<String, u64>,
    /// Names of the groups whose pods elect.
    observed: BTreeSet<String>,
    leases: BTreeMap<String, Lease>,
    /// Every pod, by UID, that the Lease of its group has named while it was there.
    named: BTreeSet<String>,
    /// Who was promoted in a term of a group.
    promoted: BTreeMap<(String, String), String>,
    services: BTreeMap<String, Service>,
    gaps: Vec<Duration>,
    /// What was seen of the group that was longest without a leader label.
    longest: String,
    violations: Vec<String>,
    recent: BTreeMap<String, VecDeque<String>>,
    revisions: usize,
    promotions: usize,
    /// Those among them in groups whose pods elect.
    followed: usize,
    newest: u64,
}

/// A pod, and whether its marks are the test's.
struct Seen {
    pod: Pod,
    tampered: bool,
}

/// A group as a client of its leader sees it.
#[derive(Default)]
struct Service {
    /// It exists and may move.
    served: bool,
    /// Since when it has no leader label, though a pod could lead.
    bare_since: Option<Duration>,
}

impl Judge {
    /// The next revision. `by_test`: the test itself wrote over the marks in it.
    pub(crate) fn see(&mut self, revision: &Revision, by_test: bool) {
        assert!(revision.number > self.newest, "{revision} comes after {}", self.newest);
        self.newest = revision.number;
        self.revisions += 1;
        self.remember(revision, by_test);
        match &revision.object {
            Object::Group(group) => self.see_group(group, revision.gone),
            Object::Pod(pod) if revision.gone => {
                self.pods.remove(&pod.uid);
            }
            Object::Pod(pod) => self.see_pod(pod, by_test),
            Object::Lease(lease) => self.see_lease(lease, revision.gone),
        }
        self.note_holder(revision.about());
        self.look_at_service(revision.about(), revision.at);
    }

    fn remember(&mut self, revision: &Revision, by_test: bool) {
        let recent = self.recent.entry(revision.about().to_owned()).or_default();
        let author = if by_test { " by the test" } else { "" };
        recent.push_back(format!("{revision}{author}"));
        if recent.len() > CONTEXT {
            recent.pop_front();
        }
    }

    fn violate(&mut self, about: &str, what: String) {
        let recent = self.recent.get(about).into_iter().flatten().cloned().collect::<Vec<_>>();
        self.violations.push(format!("{what}\n  {}", recent.join("\n  ")));
    }

    fn see_group(&mut self, group: &Group, gone: bool) {
        let Group { name, uid, leader, term, observed, paused, .. } = group;
        if *observed {
            self.observed.insert(name.clone());
        }
        // Where the pods elect, nobody is to be labelled while nobody holds the Lease.
        self.services.entry(name.clone()).or_default().served = !gone && !paused && !observed;
        if let Some(term) = term {
            self.records.insert((uid.clone(), leader.clone(), *term));
        }
        let before = self.terms.get(uid).copied();
        if before > *term {
            self.violate(name, format!("S2: the term of {name} fell from {before:?} to {term:?}"));
        }
        if let Some(term) = term {
            self.terms.insert(uid.clone(), *term);
        }
    }

    fn see_lease(&mut self, lease: &Lease, gone: bool) {
        let Lease { name, authors, .. } = lease;
        if gone {
            self.leases.remove(name);
            return;
        }
        if self.observed.contains(name) && !lease.is_the_tests() {
            let number = self.newest;
            self.violate(
                name,
                format!("Lease: at revision {number} that of {name} is written by {authors:?}"),
            );
        }
        self.leases.insert(name.clone(), lease.clone());
    }

    /// Remembers whom the Lease of a group names now.
    fn note_holder(&mut self, group: &str) {
        let Some(lease) = self.leases.get(group) else { return };
        let pods = self.pods.values().map(|seen| &seen.pod).filter(|pod| pod.app == group);
        let holder = lease.names(&pods.collect::<Vec<_>>());
        self.named.extend(holder.map(|pod| pod.uid.clone()));
    }

    fn see_pod(&mut self, pod: &Pod, by_test: bool) {
        let before = self.pods.remove(&pod.uid);
        let written = before.as_ref().map(|before| &before.pod.marks) != Some(&pod.marks);
        // Whoever takes away the marks of a group that is gone leaves a label that the test has put there.
        let kept = |before: &Seen| {
            !written || (before.pod.marks.role == pod.marks.role && pod.marks.term.is_empty())
        };
        let tampered = by_test || before.as_ref().is_some_and(|before| before.tampered && kept(before));
        let counted = |seen: &Seen| seen.pod.leads() && !seen.tampered;
        let led = before.as_ref().is_some_and(counted);
        let seen = Seen { pod: pod.clone(), tampered };
        let leads = counted(&seen);
        self.pods.insert(pod.uid.clone(), seen);
        if leads && !led {
            self.judge_single(pod);
        }
        if leads && written {
            self.judge_promotion(pod);
        }
    }

    /// S1: at every revision at most one pod of a group carries the leader label.
    fn judge_single(&mut self, pod: &Pod) {
        let of_group = self.pods.values().filter(|seen| seen.pod.app == pod.app && !seen.tampered);
        let leaders = of_group.filter(|seen| seen.pod.leads());
        let leaders: Vec<_> = leaders.map(|seen| format!("{}/{}", seen.pod.name, seen.pod.uid)).collect();
        if leaders.len() > 1 {
            let what = format!("S1: at revision {} these lead {}: {leaders:?}", self.newest, pod.app);
            self.violate(&pod.app, what);
        }
    }

    /// S2: no two pods are promoted in one term. S3: an earlier record names the pod in that term; where the pods elect,
    /// so did their Lease.
    fn judge_promotion(&mut self, pod: &Pod) {
        self.promotions += 1;
        self.followed += usize::from(self.observed.contains(&pod.app));
        let Pod { name, uid, app, marks, .. } = pod;
        let (group, term, number) = (pod.group_uid().to_owned(), marks.term.clone(), self.newest);
        let other = self.promoted.insert((group.clone(), term.clone()), uid.clone());
        if let Some(other) = other.filter(|other| other != uid) {
            let what =
                format!("S2: at revision {number} {name}/{uid} is promoted in term {term} after {other}");
            self.violate(app, what);
        }
        let record = term.parse().map(|term| (group, uid.clone(), term));
        if !record.is_ok_and(|record| self.records.contains(&record)) {
            let what = format!(
                "S3: at revision {number} {name}/{uid} is promoted in term {term}, as no record says"
            );
            self.violate(app, what);
        }
        if self.observed.contains(app) && !self.named.contains(uid) {
            let what =
                format!("S3: at revision {number} {name}/{uid} is promoted, whom the Lease never named");
            self.violate(app, what);
        }
    }

    fn look_at_service(&mut self, name: &str, at: Duration) {
        let mut of_group = self.pods.values().map(|seen| &seen.pod).filter(|pod| pod.app == name);
        let led = of_group.clone().any(Pod::leads);
        let able = of_group.any(|pod| pod.able);
        let Some(service) = self.services.get_mut(name) else { return };
        let bare = service.served && able && !led;
        match (bare, service.bare_since) {
            (true, None) => service.bare_since = Some(at),
            (false, Some(since)) => {
                service.bare_since = None;
                if service.served {
                    self.note_gap(name, at.saturating_sub(since));
                }
            }
            _ => {}
        }
    }

    fn note_gap(&mut self, name: &str, gap: Duration) {
        if self.gaps.iter().all(|other| *other < gap) {
            let recent = self.recent.get(name).into_iter().flatten().rev().take(GAP_CONTEXT);
            let mut recent: Vec<_> = recent.cloned().collect();
            recent.reverse();
            self.longest = recent.join("\n  ");
        }
        self.gaps.push(gap);
    }

    pub(crate) fn violations(&self) -> &[String] {
        &self.violations
    }

    /// How often a pod got the leader label, or got it again in a higher term.
    pub(crate) fn promotions(&self) -> usize {
        self.promotions
    }

    /// How often that was so because pods elected it.
    pub(crate) fn followed(&self) -> usize {
        self.followed
    }

    /// The violations with the revisions that led to them; the first few, as one tends to bring others.
    pub(crate) fn evidence(&self) -> String {
        let first: Vec<_> = self.violations.iter().take(5).cloned().collect();
        format!("{self}\n{}", first.join("\n"))
    }

    /// How long groups that had an eligible pod were without a leader label, first elections included.
    pub(crate) fn gaps(&self) -> String {
        let mut gaps = self.gaps.clone();
        gaps.sort_unstable();
        let at = |percent: usize| gaps.get((gaps.len() * percent / 100).min(gaps.len().saturating_sub(1)));
        let told =
            |gap: Option<&Duration>| gap.map_or("-".to_owned(), |gap| format!("{:.3} s", gap.as_secs_f64()));
        let (p50, p99, max) = (told(at(50)), told(at(99)), told(gaps.last()));
        let times = gaps.len();
        format!(
            "time without a leader label: {times} times, p50 {p50}, p99 {p99}, max {max}; the longest:\n  {}",
            self.longest
        )
    }
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promotions, followed, revisions, .. } = self;
        let violations = self.violations.len();
        write!(
            f,
            "{promotions} promotions ({followed} as pods elected), {revisions} revisions judged, \
             {violations} violations"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Marks;
    use crate::world::AUTHOR;

    /// A little history: each line is one revision.
    #[derive(Default)]
    struct Story {
        judge: Judge,
        number: u64,
    }

    impl Story {
        fn push(mut self, object: Object, gone: bool, by_test: bool) -> Self {
            self.number += 1;
            let at = Duration::from_secs(self.number);
            self.judge.see(&Revision { number: self.number, object, gone, at }, by_test);
            self
        }

        fn pod(self, name: &str, role: &str, term: &str) -> Self {
            self.push(pod(name, role, term), false, false)
        }

        fn tampered(self, name: &str, role: &str, term: &str) -> Self {
            self.push(pod(name, role, term), false, true)
        }

        fn gone(self, name: &str) -> Self {
            self.push(pod(name, "leader", "1"), true, false)
        }

        fn record(self, leader: &str, term: u64) -> Self {
            let observed = self.judge.observed.contains("g");
            let group =
                Group { name: "g".into(), uid: "u".into(), leader: leader.into(), ..Group::default() };
            self.push(Object::Group(Group { term: Some(term), observed, ..group }), false, false)
        }

        fn lease(self, holder: &str) -> Self {
            self.written_lease(holder, AUTHOR)
        }

        fn written_lease(self, holder: &str, author: &str) -> Self {
            let authors = vec![author.to_owned()];
            let lease = Lease { name: "g".into(), uid: "l".into(), holder: holder.into(), authors };
            self.push(Object::Lease(lease), false, false)
        }

        fn found(&self) -> Vec<&str> {
            self.judge.violations().iter().map(|what| &what[..2]).collect()
        }
    }

    fn pod(name: &str, role: &str, term: &str) -> Object {
        let group = if term.is_empty() { "" } else { "g/u" };
        let marks = Marks { role: role.into(), term: term.into(), group: group.into() };
        let (name, app) = (name.to_owned(), "g".to_owned());
        Object::Pod(Pod { uid: name.clone(), name, app, marks, able: true, ..Pod::default() })
    }

    fn led() -> Story {
        Story::default().pod("a", "", "").pod("b", "", "").record("a", 1).pod("a", "leader", "1")
    }

    #[test]
    fn a_switch_in_the_right_order_breaks_nothing() {
        let story = led().record("b", 2).pod("a", "follower", "2").pod("b", "leader", "2").gone("b");
        assert!(story.found().is_empty(), "{}", story.judge.evidence());
        assert_eq!((story.judge.promotions(), story.judge.revisions), (2, 8));
    }

    /// The pods elect, and nobody leads yet.
    fn electing() -> Story {
        let group = Group { name: "g".into(), uid: "u".into(), observed: true, ..Group::default() };
        Story::default().push(Object::Group(group), false, false).pod("a", "", "")
    }

    #[test]
    fn a_pod_that_the_lease_names_by_any_rule_may_be_promoted() {
        for holder in ["a", "a_1", "also-a"] {
            let Object::Pod(a) = pod("a", "", "") else { panic!("it is a pod") };
            let story = electing().push(Object::Pod(Pod { identity: "also-a".into(), ..a }), false, false);
            let story = story.lease(holder).lease("").record("a", 1).pod("a", "leader", "1");
            assert!(story.found().is_empty(), "{}", story.judge.evidence());
        }
    }

    #[test]
    fn a_promotion_that_no_lease_asked_for_is_found() {
        let never = electing().pod("b", "", "").lease("b").record("a", 1).pod("a", "leader", "1");
        assert_eq!(never.found(), ["S3"]);
        // b was named when it was not there yet
        let before = electing().lease("b").lease("a").pod("b", "", "").record("b", 1).pod("b", "leader", "1");
        assert_eq!(before.found(), ["S3"]);
    }

    #[test]
    fn a_lease_of_the_pods_that_an_operator_writes_is_found() {
        assert_eq!(electing().written_lease("a", "somebody").found(), ["Le"]);
        assert!(led().written_lease("a", "somebody").found().is_empty(), "it is the operator's own");
    }

    #[test]
    fn two_leader_labels_at_one_revision_are_found() {
        let story = led().record("b", 2).pod("b", "leader", "2").pod("a", "follower", "2");
        assert_eq!(story.found(), ["S1"]);
    }

    #[test]
    fn a_leader_that_is_gone_is_no_second_one() {
        assert!(led().gone("a").record("b", 2).pod("b", "leader", "2").found().is_empty());
    }

    #[test]
    fn two_promotions_in_one_term_are_found() {
        let story = led().record("b", 1).pod("a", "follower", "1").pod("b", "leader", "1");
        assert_eq!(story.found(), ["S2"]);
    }

    #[test]
    fn a_term_that_falls_or_vanishes_is_found() {
        assert_eq!(led().record("a", 3).record("a", 2).found(), ["S2"]);
        let vanished = Group { name: "g".into(), uid: "u".into(), ..Group::default() };
        assert_eq!(led().push(Object::Group(vanished), false, false).found(), ["S2"]);
    }

    #[test]
    fn a_promotion_before_its_record_is_found() {
        let story = led().pod("a", "follower", "2").pod("b", "leader", "2").record("b", 2);
        assert_eq!(story.found(), ["S3"]);
    }

    #[test]
    fn a_promotion_in_another_term_than_the_records_is_found() {
        assert_eq!(led().record("a", 2).pod("a", "leader", "3").found(), ["S3"]);
    }

    #[test]
    fn a_label_put_there_by_the_test_is_not_judged_until_an_operator_writes_the_pod() {
        let tampered = led().tampered("b", "leader", "");
        assert!(tampered.found().is_empty());
        // not Ready, say: no mark has changed
        let still = tampered.pod("b", "leader", "");
        assert!(still.found().is_empty());
        assert_eq!(still.record("b", 2).pod("b", "leader", "2").found(), ["S1"]);
    }

    #[test]
    fn a_label_of_the_test_that_clean_up_leaves_is_still_the_tests() {
        let cleaned = led().pod("b", "follower", "1").tampered("b", "leader", "1").pod("b", "leader", "");
        assert!(cleaned.found().is_empty(), "{}", cleaned.judge.evidence());
        assert_eq!(cleaned.record("b", 2).pod("b", "leader", "2").found(), ["S1"]);
    }

    #[test]
    fn time_without_a_label_counts_while_a_pod_could_lead() {
        let story = led().pod("a", "follower", "1").record("b", 2).pod("b", "leader", "2");
        // from the group's first revision to the first label, and from 5 to 7
        assert_eq!(story.judge.gaps, [Duration::from_secs(1), Duration::from_secs(2)]);
    }
}
