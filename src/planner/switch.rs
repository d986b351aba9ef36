//! The switch protocol: which writes, in which order.
//!
//! To make Q leader: **record** Q with a higher term, in the group's status; then in parallel **fence** every pod that
//! an earlier operator may still be about to promote and (Managed mode) make the **Lease** name Q; then **promote** Q;
//! then report. Every write is conditional on the version it was decided on, so a stalled operator's late write fails (S1), and
//! every prefix of the steps leaves at most one leader label.
//!
//! Two rules for every write to a pod. *Not above*: a pod whose term is above the record's is not written; a record
//! with a still higher term comes first, and fails if this process was merely out of date. *Not another's*: a pod with
//! the mark of another group that exists is not written, and before a pod is taken over from a group that is gone, the
//! API server is asked about both groups: first about the other one, then about this one's record. A record that follows
//! asks whether the other group exists. If it does, whoever is told later that it is gone sees the later record.

use std::collections::BTreeSet;

use super::decide::{self, Decision, NewLeader, SwitchoverVerdict};
use super::lease::SeenLease;
use super::plan::{EventDraft, Intent, LeaseAction, LeaseWrite, PodWrite, Step};
use super::reason::Reason;
use super::snapshot::{
    ElectionMode, GroupPolicy, GroupStatus, LeaderChange, LeaderRecord, Membership, Owner, PodPhase,
    RecordedLeader, Role, SeenPod, Snapshot, Unfenced,
};
use super::{Identity, Millis, Term};
use super::{refusal, report, services};

/// How far a promotion stays behind the demotion of a pod that was a ready endpoint. Closer than that, the
/// `EndpointSlice` controller finds its own cache stale and now and then retries only a second later.
pub const READY_ENDPOINT_GAP: Millis = Millis(10);

/// The same for a pod that was an endpoint, but not a ready one: that controller has seen it coming.
pub const ENDPOINT_GAP: Millis = Millis(3);

/// How long a report of nothing but other counts waits after the report before: pods that come and go by the dozen
/// cost one write a second, not one each.
pub const REPORT_PAUSE: Millis = Millis(1000);

/// What was seen so short a time ago is not asked for again: a failover acts at once on what the watch has just brought.
pub const FRESH: Millis = Millis(1000);

/// How many labels that nobody waits for one plan writes: a failover of the same group never waits for a thousand.
pub const MAX_LOW_PRIORITY_WRITES: usize = 32;

/// The steps from `snapshot` to where the group should be; none if it is there.
#[must_use]
pub fn steps(snapshot: &Snapshot) -> Vec<Step> {
    let mut draft = Draft {
        status_before: snapshot.group.status.clone(),
        projected: snapshot.clone(),
        steps: Vec::new(),
        change: None,
        notices: Vec::new(),
    };
    draft.rename_recorded();
    match &snapshot.group.policy {
        Ok(policy) if refusal::refusal(snapshot, policy).is_none() => draft.elect(policy),
        _ => draft.refuse(),
    }
    draft.steps
}

/// The plan so far, and the group as it will be after it.
struct Draft {
    /// The status as it was when the plan began.
    status_before: GroupStatus,
    projected: Snapshot,
    steps: Vec<Step>,
    change: Option<LeaderChange>,
    notices: Vec<EventDraft>,
}

impl Draft {
    fn push(&mut self, after_fence: Millis, intents: Vec<Intent>) {
        if intents.is_empty() {
            return;
        }
        for intent in &intents {
            self.projected.project(intent);
        }
        self.steps.push(Step { after_fence, intents });
    }

    /// Pods are known by UID; a name in the record that is not the pod's (an edited status) is put right (S5).
    fn rename_recorded(&mut self) {
        let Some(mut record) = self.projected.record().cloned() else {
            return;
        };
        let name_of = |id: &Identity| self.projected.pod(id).map_or_else(|| id.clone(), |pod| pod.id.clone());
        if let Some(leader) = &mut record.leader {
            leader.id = name_of(&leader.id);
        }
        if let Unfenced::Pods(pods) = &mut record.unfenced {
            *pods = pods.iter().map(name_of).collect();
            pods.sort();
        }
        self.projected.group.status.record = Some(record);
    }

    fn elect(&mut self, policy: &GroupPolicy) {
        let mut request = decide::switchover_verdict(&self.projected, policy);
        let decision = decide::decide(&self.projected, policy);
        // With another `*` the leader so far would be forgotten if it was not marked yet and is not selected any more,
        // though an operator may be about to promote it.
        if matches!(decision, Decision::Change(_)) && self.must_list() {
            return;
        }
        match decision {
            Decision::Change(change) => {
                self.confirm_before_change(policy, &change);
                self.record(&change);
                request = match request {
                    SwitchoverVerdict::Grant(_) if self.change.is_none() => {
                        SwitchoverVerdict::Refuse("the terms are used up".to_owned())
                    }
                    SwitchoverVerdict::Done => SwitchoverVerdict::Refuse(format!(
                        "its pod was lost on the way: {}",
                        change.reason.as_str()
                    )),
                    request => request,
                };
            }
            Decision::Keep if is_overtaken(&self.projected, policy) => self.record_again(),
            Decision::Keep => {}
        }
        if self.must_list() {
            return;
        }
        // Still overtaken: the terms are used up. The report says so, and nothing is written on a pod.
        if !is_overtaken(&self.projected, policy) {
            self.settle(policy);
        }
        self.finish(policy, request);
    }

    /// What is merely not known here changes nothing (L2): the API server is asked before.
    fn confirm_before_change(&mut self, policy: &GroupPolicy, change: &NewLeader) {
        let questions = [
            self.confirm_leader_gone(),
            self.confirm_lease(policy),
            self.confirm_node_silent(change),
            self.confirm_leader_not_ready(change),
        ];
        self.push(Millis::default(), questions.into_iter().flatten().collect());
    }

    /// Whether a leader that is absent from the cache is gone.
    fn confirm_leader_gone(&self) -> Option<Intent> {
        let leader = self.projected.leader_id()?;
        let unknown = self.projected.pod(leader).is_none() && !self.projected.gone.contains_key(&leader.uid);
        unknown.then(|| Intent::ConfirmPodGone(leader.clone()))
    }

    /// Whether the Lease that the pods elect by is still as it was seen: with an older copy an operator would take the
    /// label back to a former holder from where another operator has just moved it, or give it to a pod that has its
    /// name from a former holder (S5).
    fn confirm_lease(&self, policy: &GroupPolicy) -> Option<Intent> {
        let lease = self.projected.lease.as_ref();
        let seen = lease.map(|lease| (lease.content.uid.clone(), lease.content.version));
        let will_record = policy.mode == ElectionMode::Observed && self.projected.highest_term() < Term::MAX;
        will_record.then(|| Intent::ConfirmLease { name: policy.lease_name.clone(), seen })
    }

    /// Whether the leader's node, which was not heard, is silent: the watch that tells it may be stalled.
    fn confirm_node_silent(&self, change: &NewLeader) -> Option<Intent> {
        let silent = change.reason == Reason::NodeSilent && self.projected.highest_term() < Term::MAX;
        let leader =
            self.projected.leader_id().filter(|_| silent).and_then(|leader| self.projected.pod(leader))?;
        leader.node.clone().map(Intent::ConfirmNodeSilent)
    }

    /// Whether the leader still is as it was when it was seen to be not Ready, if that is a while ago: the watch of pods
    /// may be stalled since.
    fn confirm_leader_not_ready(&self, change: &NewLeader) -> Option<Intent> {
        let unready = change.reason == Reason::LeaderNotReady && self.projected.highest_term() < Term::MAX;
        let leader =
            self.projected.leader_id().filter(|_| unready).and_then(|leader| self.projected.pod(leader))?;
        let is_old = leader.ready_seen_at + FRESH < self.projected.now;
        is_old.then(|| Intent::ConfirmPodUnchanged(leader.id.clone(), leader.version))
    }

    /// Step 1 for a change of leader.
    fn record(&mut self, new: &NewLeader) {
        let Some(term) = self.projected.highest_term().next() else {
            return;
        };
        let leader = new.to.as_ref().and_then(|id| self.projected.pod(id)).map(|pod| RecordedLeader {
            id: pod.id.clone(),
            node: pod.node.clone(),
            ip: pod.ip.clone(),
            since: self.projected.wall,
        });
        let previous = self.projected.leader_id().filter(|id| new.to.as_ref() != Some(id));
        let change = LeaderChange {
            term,
            leader: new.to.as_ref().map(|id| id.name.clone()),
            previous: previous.map(|id| id.name.clone()),
            reason: new.reason.as_str().to_owned(),
            detected_at: new.detected_at,
            elected_at: self.projected.wall,
            labelled_at: None,
        };
        let unfenced = next_unfenced(&self.projected, new.to.as_ref());
        let mut status = self.projected.group.status.clone();
        status.record = Some(LeaderRecord { leader, term, unfenced });
        status.lost_term = None;
        status.history.insert(0, change.clone());
        self.change = Some(change);
        self.write_record(status);
    }

    /// Step 1 for the same leader: something with a higher term than the record's is in the way.
    fn record_again(&mut self) {
        let Some(term) = self.projected.highest_term().next() else {
            return;
        };
        let leader = self.projected.leader_id().cloned();
        let unfenced = next_unfenced(&self.projected, leader.as_ref());
        let mut status = self.projected.group.status.clone();
        if let Some(record) = &mut status.record {
            record.term = term;
            record.unfenced = unfenced;
        }
        self.write_record(status);
    }

    fn write_record(&mut self, status: GroupStatus) {
        let before = self.projected.group.status.clone();
        self.projected.group.status = status;
        let status = report::status(&self.projected);
        self.projected.group.status = before;
        self.push(Millis::default(), vec![Intent::WriteStatus(Box::new(status))]);
    }

    /// Without an earlier record, whom to fence is known only from a list made after the record.
    fn must_list(&mut self) -> bool {
        let Some(record) = self.projected.record() else {
            return false;
        };
        let listed = self.projected.listed_for == Some(self.projected.group.version);
        let needed = record.unfenced == Unfenced::All && !listed;
        if needed {
            let list = Intent::ListPods(record.term);
            self.push(Millis::default(), vec![list]);
        }
        needed
    }

    /// Steps 2 and 3: make labels and Lease follow the record.
    fn settle(&mut self, policy: &GroupPolicy) {
        let Some(record) = self.projected.record().cloned() else {
            return;
        };
        let takes_over = self.take_over(policy, &record);
        self.note_repairs(&record);
        let fenced = fences(&self.projected, &record);
        let gap = fenced.iter().filter_map(|pod| endpoint_gap(pod)).max().unwrap_or_default();
        let mut intents: Vec<_> =
            fenced.into_iter().map(|pod| Intent::Fence(write_to(pod, record.term))).collect();
        intents.extend(unconfirmed(&self.projected, &record));
        intents.extend(lease_write(&self.projected, policy, &record).map(Intent::WriteLease));
        if promotion(&self.projected, &record).is_some() && !takes_over && !self.wrote_status() {
            intents.push(self.confirm_record(&record));
        }
        self.push(Millis::default(), intents);
        let promoted = promotion(&self.projected, &record);
        let promote = promoted.map(|pod| Intent::Promote(write_to(pod, record.term)));
        self.push(gap, promote.into_iter().collect());
    }

    /// Before pods are taken over from groups that seem to be gone, the API server is asked for these and, once they are
    /// known to be gone, for the record: also by the plan that wrote it, since a later record may have found them there.
    fn take_over(&mut self, policy: &GroupPolicy, record: &LeaderRecord) -> bool {
        let intents = vanished_owners(&self.projected, policy, record);
        let takes_over = !intents.is_empty();
        self.push(Millis::default(), intents);
        if takes_over {
            self.push(Millis::default(), vec![self.confirm_record(record)]);
        }
        takes_over
    }

    /// The question whether the record is the present one, asked after the pods were read.
    fn confirm_record(&self, record: &LeaderRecord) -> Intent {
        let (group, leader) = (self.projected.group.id.clone(), record.leader_id().cloned());
        Intent::ConfirmRecord { group, leader, term: record.term }
    }

    /// This plan has written the status.
    fn wrote_status(&self) -> bool {
        let mut intents = self.steps.iter().flat_map(|step| &step.intents);
        intents.any(|intent| matches!(intent, Intent::WriteStatus(_)))
    }

    /// Step 4: the answer to a request, the report, then the labels that nobody waits for, and what is to be said.
    fn finish(&mut self, policy: &GroupPolicy, request: SwitchoverVerdict) {
        self.answer(request);
        let mut status = report::status(&self.projected);
        let settled = !is_overtaken(&self.projected, policy);
        if let Some(record) = status.record.as_mut().filter(|_| settled) {
            record.unfenced = Unfenced::NONE;
        }
        let completed = report::complete(&mut status, &self.projected, self.change.take());
        self.report(status);
        let mut last: Vec<_> = completed.map(Intent::AnnounceChange).into_iter().collect();
        if settled {
            last.extend(tidying(&self.projected, policy));
        }
        last.extend(services::warnings(&self.projected));
        self.announce(last);
    }

    /// The group cannot be served: say so, and touch nothing but pods that it no longer has, or should not have. A request is not left lying
    /// until it can, when nobody expects it any more.
    fn refuse(&mut self) {
        let request = self
            .projected
            .group
            .policy
            .as_ref()
            .map(|policy| decide::switchover_verdict(&self.projected, policy));
        if self.projected.group.switchover.is_some() && request != Ok(SwitchoverVerdict::Done) {
            let (_, reason, _) = report::accepted(&self.projected);
            self.answer(SwitchoverVerdict::Refuse(format!("the group is not served: {reason}")));
        }
        let mut last = releasable_while_refused(&self.projected);
        last.extend(refusal::undo(&self.projected));
        // It tells how the group is when these have lost their marks, and why before they do.
        let mut after = self.projected.clone();
        after.group.status = report::status(&self.projected);
        for intent in &last {
            after.project(intent);
        }
        self.report(report::status(&after));
        self.announce(last);
    }

    /// Writes `status` if it says something new.
    fn report(&mut self, status: GroupStatus) {
        self.notices.extend(report::notices(&self.status_before, &status));
        let before = if self.wrote_status() { &self.projected.group.status } else { &self.status_before };
        let recently = self.projected.now < self.projected.reported_at + REPORT_PAUSE;
        if status == *before || (recently && report::differ_in_counts_only(before, &status)) {
            return;
        }
        self.push(Millis::default(), vec![Intent::WriteStatus(Box::new(status))]);
    }

    /// The last step, with Events.
    fn announce(&mut self, mut last: Vec<Intent>) {
        last.extend(self.notices.drain(..).map(Intent::PublishEvent));
        self.push(Millis::default(), last);
    }

    /// A request is removed once it is fulfilled or refused; before the report, which closes the change that tells a
    /// fulfilled one from a new one.
    fn answer(&mut self, request: SwitchoverVerdict) {
        match request {
            SwitchoverVerdict::None => return,
            SwitchoverVerdict::Grant(_) | SwitchoverVerdict::Done => {}
            SwitchoverVerdict::Refuse(why) => {
                let note = format!("the switchover request was refused and removed: {why}");
                let reason = EventDraft::REFUSED.to_owned();
                self.notices.push(EventDraft { reason, warning: true, note, pod: None });
            }
        }
        self.push(Millis::default(), vec![Intent::DropSwitchover]);
    }

    /// Labels that somebody else changed are an Event, not a change of leader.
    fn note_repairs(&mut self, record: &LeaderRecord) {
        let newest = self.projected.group.status.history.first();
        let switching = newest.is_some_and(|c| c.term == record.term && c.labelled_at.is_none());
        // The label of an edited spec differs by its user's order.
        let edited = self.status_before.observed_generation != Some(self.projected.group.generation);
        if switching || edited || self.change.is_some() {
            return;
        }
        let given = promotion(&self.projected, record).filter(|pod| pod.role != Role::Leader);
        let given = given.map(|pod| (pod, format!("gave the leader label back to pod {}", pod.id.name)));
        let taken = fences(&self.projected, record).into_iter().filter(|pod| pod.role == Role::Leader);
        let taken = taken
            .map(|pod| (pod, format!("took the leader label from pod {}, which does not lead", pod.id.name)));
        let notices = given.into_iter().chain(taken).map(|(pod, note)| {
            let pod = Some(pod.id.name.clone());
            EventDraft { reason: "LabelRepaired".to_owned(), warning: true, note, pod }
        });
        self.notices = notices.collect();
    }
}

fn write_to(pod: &SeenPod, term: Term) -> PodWrite {
    PodWrite { pod: pod.id.clone(), version: pod.version, term }
}

/// How far a promotion must stay behind the fence of this pod, if it is an endpoint.
fn endpoint_gap(pod: &SeenPod) -> Option<Millis> {
    let gap = if pod.ready && !pod.terminating { READY_ENDPOINT_GAP } else { ENDPOINT_GAP };
    (pod.role == Role::Leader).then_some(gap)
}

/// No operator with an earlier record can promote it any more; true in a stale read, too, since terms only rise.
fn is_fenced(pod: &SeenPod, term: Term) -> bool {
    pod.role != Role::Leader && pod.owner == Owner::Ours && pod.term >= Some(term)
}

/// Marked by another group that exists: never written. That says nothing for good, the other group may let it go.
const fn belongs_to_other(pod: &SeenPod) -> bool {
    matches!(pod.owner, Owner::Other(_))
}

/// Of this group, and not marked by another that exists.
fn may_be_fenced(pod: &SeenPod) -> bool {
    let of_this_group = pod.membership == Membership::Selected || pod.owner == Owner::Ours;
    of_this_group && !matches!(pod.owner, Owner::Other(_))
}

/// Whom the next record must fence: the leader so far, and those of the present record that are not known to be fenced.
fn next_unfenced(view: &Snapshot, next: Option<&Identity>) -> Unfenced {
    let Some(record) = view.record() else {
        return Unfenced::All;
    };
    let mut pods: Vec<Identity> = match &record.unfenced {
        Unfenced::Pods(pods) => pods.clone(),
        Unfenced::All if view.listed_for == Some(view.group.version) => {
            view.pods.iter().map(|pod| pod.id.clone()).collect()
        }
        Unfenced::All => return Unfenced::All,
    };
    pods.retain(|id| !view.pod(id).is_some_and(|pod| is_fenced(pod, record.term)));
    pods.extend(record.leader_id().cloned());
    pods.retain(|id| next != Some(id) && !view.gone.contains_key(&id.uid));
    pods.sort();
    pods.dedup();
    Unfenced::Pods(pods)
}

/// Pods that must lose the leader label, or the right of an earlier operator to give it to them.
fn fences<'a>(view: &'a Snapshot, record: &LeaderRecord) -> Vec<&'a SeenPod> {
    let named = |pod: &SeenPod| match &record.unfenced {
        Unfenced::All => pod.membership != Membership::Deselected || pod.owner == Owner::Ours,
        Unfenced::Pods(pods) => pods.contains(&pod.id),
    };
    let pods = view.pods.iter().filter(|pod| record.leader_id() != Some(&pod.id));
    pods.filter(|pod| {
        let unfenced = named(pod) && !is_fenced(pod, record.term) && !belongs_to_other(pod);
        unfenced || (pod.role == Role::Leader && may_be_fenced(pod))
    })
    .collect()
}

/// Unfenced pods that are not in the cache, or there with the mark of another group: neither proves anything, so the
/// API server is asked. With another group's mark a pod must be as it was seen, and that group must exist: then no
/// operator has been told yet that it may take the pod over, and one that is told so later asks for the record.
fn unconfirmed(view: &Snapshot, record: &LeaderRecord) -> Vec<Intent> {
    let leader = record.leader_id();
    let (mut questions, mut taken) = (Vec::new(), Vec::new());
    match &record.unfenced {
        // All were listed after the record.
        Unfenced::All => {
            taken.extend(
                view.pods
                    .iter()
                    .filter(|pod| pod.membership != Membership::Deselected && belongs_to_other(pod)),
            );
        }
        Unfenced::Pods(pods) => {
            for id in pods.iter().filter(|id| leader != Some(*id)) {
                match view.pod(id) {
                    Some(pod) if belongs_to_other(pod) => taken.push(pod),
                    None if !view.gone.contains_key(&id.uid) => {
                        questions.push(Intent::ConfirmPodGone(id.clone()));
                    }
                    _ => {}
                }
            }
            let same = taken.iter().map(|pod| Intent::ConfirmPodUnchanged(pod.id.clone(), pod.version));
            questions.extend(same);
        }
    }
    let owners = taken.into_iter().filter_map(|pod| match &pod.owner {
        Owner::Other(owner) if leader != Some(&pod.id) => Some(owner.clone()),
        _ => None,
    });
    questions.extend(owners.collect::<BTreeSet<_>>().into_iter().map(Intent::ConfirmGroupExists));
    questions
}

/// The leader's pod, if its label or marks are not as the record says. Beside a label that only another group can take
/// away it stays without: none is better than two (S1).
fn promotion<'a>(view: &'a Snapshot, record: &LeaderRecord) -> Option<&'a SeenPod> {
    let pod = view.pod(record.leader_id()?)?;
    let done = pod.role == Role::Leader && pod.owner == Owner::Ours && pod.term == Some(record.term);
    let possible = pod.membership == Membership::Selected
        && pod.phase != PodPhase::Finished
        && !matches!(pod.owner, Owner::Other(_))
        && view.labelled_by_another().is_none();
    (possible && !done).then_some(pod)
}

fn wants_follower_label(view: &Snapshot, pod: &SeenPod, leader: Option<&Identity>) -> bool {
    let may = pod.is_candidate() && leader != Some(&pod.id);
    match pod.owner {
        Owner::Other(_) => false,
        Owner::Vanished(_) => may,
        Owner::Ours | Owner::None => may && pod.role != view.follower_role(),
    }
}

/// A pod that this group marked and no longer has. A paused group leaves its leader alone, unless an older group has it.
fn must_release(pod: &SeenPod, policy: &GroupPolicy, leader: Option<&Identity>) -> bool {
    let stays = policy.paused && leader == Some(&pod.id) && !is_claimed(pod);
    pod.membership != Membership::Selected && pod.owner == Owner::Ours && !stays
}

/// An older group has it.
const fn is_claimed(pod: &SeenPod) -> bool {
    matches!(pod.membership, Membership::ClaimedBy(_))
}

/// Follower labels to give, and marks to take away.
fn tidying(view: &Snapshot, policy: &GroupPolicy) -> Vec<Intent> {
    let leader = view.leader_id();
    let leavers = view.pods.iter().filter(|pod| must_release(pod, policy, leader));
    let mut intents: Vec<_> = leavers.map(|pod| Intent::Release(pod.id.clone(), pod.version)).collect();
    if let Some(record) = view.record() {
        let followers = view.pods.iter().filter(|pod| wants_follower_label(view, pod, leader));
        intents.extend(followers.map(|pod| Intent::LabelFollower(write_to(pod, record.term))));
    }
    intents.truncate(MAX_LOW_PRIORITY_WRITES);
    intents
}

/// Marks to take away while the group is refused: another group may wait for these pods. What an older group has goes.
/// Otherwise the leader stays as it is, and so does a pod that carries its label or that an unfinished switch names. A
/// spec that says nothing deselects nobody.
fn releasable_while_refused(view: &Snapshot) -> Vec<Intent> {
    let (Ok(policy), Some(record)) = (&view.group.policy, view.record()) else {
        return Vec::new();
    };
    if is_overtaken(view, policy) {
        return Vec::new();
    }
    let leader = record.leader_id();
    let unfenced = |pod: &SeenPod| match &record.unfenced {
        Unfenced::All => true,
        Unfenced::Pods(pods) => pods.contains(&pod.id),
    };
    let in_use = |pod: &SeenPod| leader == Some(&pod.id) || pod.role == Role::Leader || unfenced(pod);
    let needed = |pod: &SeenPod| in_use(pod) && !is_claimed(pod);
    let leavers = view.pods.iter().filter(|pod| must_release(pod, policy, leader) && !needed(pod));
    let unmark = leavers.map(|pod| Intent::Release(pod.id.clone(), pod.version));
    unmark.take(MAX_LOW_PRIORITY_WRITES).collect()
}

/// Pods that labels and marks still have to be written on.
fn unsettled<'a>(view: &'a Snapshot, policy: &GroupPolicy, record: &LeaderRecord) -> Vec<&'a SeenPod> {
    let leader = record.leader_id();
    let tidied =
        |pod: &&SeenPod| must_release(pod, policy, leader) || wants_follower_label(view, pod, leader);
    let mut pods = fences(view, record);
    pods.extend(promotion(view, record));
    pods.extend(view.pods.iter().filter(tidied));
    pods
}

/// Something is in the way of the record's term: a pod or Lease to be written has a higher one (not above), or a pod
/// that does not lead carries the leader label with this one.
fn is_overtaken(view: &Snapshot, policy: &GroupPolicy) -> bool {
    let Some(record) = view.record() else { return false };
    let claims_current_term = |pod: &&SeenPod| {
        let labelled = pod.role == Role::Leader && may_be_fenced(pod);
        labelled && record.leader_id() != Some(&pod.id) && pod.term >= Some(record.term)
    };
    let above = |pod: &&SeenPod| pod.term > Some(record.term);
    let lease_is_above =
        view.term_of_lease() > Some(record.term) && lease_write(view, policy, record).is_some();
    lease_is_above
        || view.pods.iter().any(|pod| claims_current_term(&pod))
        || unsettled(view, policy, record).iter().any(above)
}

/// Whether the groups are gone from which pods, or the Lease, are to be taken over.
fn vanished_owners(view: &Snapshot, policy: &GroupPolicy, record: &LeaderRecord) -> Vec<Intent> {
    let lease = lease_write(view, policy, record).and(view.lease.as_ref());
    let marks = unsettled(view, policy, record).into_iter().map(|pod| &pod.owner);
    let owners = marks.chain(lease.map(|lease| &lease.content.owner)).filter_map(|mark| match mark {
        Owner::Vanished(owner) => Some(owner.clone()),
        _ => None,
    });
    let mut owners: Vec<_> = owners.collect();
    owners.sort();
    owners.dedup();
    owners.into_iter().map(Intent::ConfirmGroupGone).collect()
}

/// The write that makes the Lease name the leader, or renews it, if it is time. In Observed mode, none ever.
fn lease_write(view: &Snapshot, policy: &GroupPolicy, record: &LeaderRecord) -> Option<LeaseWrite> {
    if policy.mode == ElectionMode::Observed {
        return None;
    }
    let lease = view.lease.as_ref();
    // Its ownerReference may have been lost: the term tells that this group has written it.
    let stripped =
        |lease: &SeenLease| lease.content.owner == Owner::None && lease.content.term == Some(record.term);
    let ours = lease.filter(|lease| lease.content.is_ours() || stripped(lease));
    let transitions = lease.map_or(0, |lease| lease.content.transitions);
    let write = |turn, holder: Option<&str>, transitions| LeaseWrite {
        name: policy.lease_name.clone(),
        base: lease.map(|lease| (lease.content.uid.clone(), lease.content.version)),
        action: turn,
        holder: holder.map(str::to_owned),
        term: record.term,
        duration_seconds: policy.lease_duration_seconds,
        transitions,
    };
    let Some(leader) = record.leader_id() else {
        let held = ours.is_some_and(|lease| lease.holder().is_some());
        return held.then(|| write(LeaseAction::Release, None, transitions));
    };
    // The Lease lives as long as the leader can come back: a pod that is gone or finished does not renew.
    view.pod(leader).filter(|pod| pod.phase != PodPhase::Finished)?;
    let named = ours.filter(|lease| {
        lease.holder() == Some(leader.name.as_str()) && lease.content.term == Some(record.term)
    });
    let Some(named) = named else {
        // A pod recreated under its name is a new holder, though the text is the same.
        let newest = view.group.status.history.first();
        let is_change = newest.is_some_and(|change| change.term == record.term);
        let same_holder =
            !is_change && ours.is_some_and(|lease| lease.holder() == Some(leader.name.as_str()));
        let (turn, transitions) = match lease {
            None => (LeaseAction::Take, 0),
            Some(_) if same_holder => (LeaseAction::Renew, transitions),
            Some(_) => (LeaseAction::Take, transitions.saturating_add(1)),
        };
        return Some(write(turn, Some(&leader.name), transitions));
    };
    let due =
        !named.content.is_ours() || !named.change_was_seen || named.changed_at + policy.renew <= view.now;
    let same_duration = named.content.duration_seconds == i32::try_from(policy.lease_duration_seconds).ok();
    (due || !same_duration).then(|| write(LeaseAction::Renew, Some(&leader.name), transitions))
}
