//! The Lease of Nominated mode: what operators write, what they may know of time, and what must
//! hold.

use planner::seen::{LeaseContent, SeenLease};
use planner::{Millis, Version};

use crate::api_server::Answer;
use crate::companion::Claim;
use crate::objects::{
    GENERATIONS, GroupObject, Key, Label, LeaseObject, PodObject, RecordedLease, Request, TARGETS, Target,
};
use crate::operator_state::Waits;
use crate::seen_snapshot::{Writer, group_identity, identity, name};
use crate::state::State;
use crate::support::{NOW, term};
use crate::world::{Broken, LONG, Rule, SHORT};

/// A version that no copy has: 0 stands for every past version, 1 for the current one.
const NEW: u8 = 2;

/// Applies a write of an operator.
pub fn write(state: &mut State, request: Request, without: Option<Rule>) -> Answer {
    let Request::NewNomination { base, clears, nomination, group } = request else {
        return Answer::Refused;
    };
    let unconditional = match without {
        Some(Rule::ConditionalClear) => clears,
        Some(Rule::ConditionalNomination) => nomination.is_some(),
        _ => false,
    };
    let before = match (state.lease, base) {
        (None, None) => {
            state.leases += 1;
            LeaseObject {
                uid: state.leases,
                version: NEW,
                record: NEW,
                owner: group,
                ..LeaseObject::default()
            }
        }
        (Some(lease), Some(base)) if base == lease.version || unconditional => lease,
        _ => return Answer::Refused,
    };
    let mut after = LeaseObject { version: before.version + 1, owner: group, ..before };
    if clears && before.holder.is_some() {
        (after.holder, after.record) = (None, before.record + 1);
    }
    if let Some(nomination) = nomination {
        let recorded = state.leases_recorded.contains(&(group, nomination.term, before.uid));
        if base.is_none() || !recorded {
            state.broken.insert(Broken::X5);
        }
        if nomination.term <= before.term {
            state.broken.insert(Broken::X4);
        }
        (after.nominee, after.term) = (Some(nomination.nominee), nomination.term);
        after.nominated_seconds = nomination.seconds;
    }
    state.lease = Some(after);
    Answer::Done(Some((Key::Lease, after.version)))
}

impl State {
    /// X1: at most one COMMAND of the group runs.
    pub fn commands(&self) -> usize {
        self.companions.iter().filter(|companion| companion.command.is_some()).count()
    }

    /// X2 (b): while a label of a term stands, no COMMAND of a lower term runs.
    pub fn label_fits_commands(&self) -> bool {
        let ours = |pod: &&PodObject| pod.label == Label::Leader && self.tainted & (1 << pod.uid) == 0;
        let labelled = self.pods.iter().flatten().filter(ours).filter_map(|pod| pod.term).max();
        let mut commands = self.companions.iter().filter_map(|companion| companion.command);
        labelled.is_none_or(|term| commands.all(|command| command.term >= term))
    }

    pub fn judge_take(&mut self, uid: u8, term: u8, rightful: bool) {
        if !rightful {
            self.broken.insert(Broken::X3);
        }
        let group = self.lease.map_or(0, |lease| lease.owner);
        self.leased.push((group, term, uid));
    }

    pub fn judge_start(&mut self, term: u8) {
        if self.started & (1 << term.min(63)) != 0 {
            self.broken.insert(Broken::X9);
        }
        self.started |= 1 << term.min(63);
    }

    pub fn judge_release(&mut self, runs: bool) {
        if runs {
            self.broken.insert(Broken::X7);
        }
    }

    /// The pod has a leader problem (L2).
    pub fn note_problem(&mut self, uid: u8) {
        self.had_problem |= 1 << uid;
    }

    /// A nominee that was silent for too long has a leader problem, as the operator sees it.
    pub fn note_silence(&mut self, op: usize, waits: Waits) {
        let nominee = self.ops[op].lease.and_then(|lease| lease.nominee);
        if let Some(uid) = nominee.filter(|_| waits.silent) {
            self.note_problem(uid);
        }
    }

    /// Everything that may have taken long enough for an operator that sees these objects now.
    pub fn open_waits(&self, op: usize, sees: u8) -> Vec<Waits> {
        let sees =
            |target| TARGETS.iter().zip(0..).any(|(other, bit)| *other == target && sees & (1 << bit) != 0);
        let operator = &self.ops[op];
        let copy = if sees(Target::Lease) { self.lease } else { operator.lease };
        let group = if sees(Target::Group) { self.group } else { operator.group };
        let Some(lease) = copy.filter(|_| self.budget.nominated) else {
            return vec![Waits::default()];
        };
        let recorded = recorded_lease(group);
        let levels = |open: bool, may: &dyn Fn(u8) -> bool| {
            let durations = [0, SHORT, LONG].into_iter();
            let durations =
                durations.filter(|span| *span == 0 || open && self.has_duration(*span) && may(*span));
            durations.collect::<Vec<_>>()
        };
        let expired = levels(lease.holder.is_some(), &|span| self.may_have_expired(lease, span));
        let aged = levels(recorded.uid != lease.uid, &|span| self.may_have_aged(lease, span));
        let is_open = lease.holder.is_none() && lease.nominee.is_some();
        let silent: &[bool] = if is_open && self.budget.silent { &[false, true] } else { &[false] };
        let all = expired.iter().flat_map(|expired| aged.iter().map(move |aged| (*expired, *aged)));
        let all = all.flat_map(|(expired, aged)| {
            silent.iter().map(move |silent| Waits { expired, aged, silent: *silent })
        });
        all.collect()
    }

    /// Everything has taken as long as it can, but the patience with nominees.
    pub fn longest_waits(&self, op: usize) -> Waits {
        let all = self.open_waits(op, 0).into_iter().filter(|waits| !waits.silent);
        all.max_by_key(|waits| (waits.expired, waits.aged)).unwrap_or_default()
    }

    const fn has_duration(&self, span: u8) -> bool {
        span == SHORT || self.budget.minute
    }

    /// The axiom of time: an operator has seen a record for `span` seconds only after every COMMAND
    /// has ended that relies on that record, or on an older one, for no longer.
    fn may_have_expired(&self, lease: LeaseObject, span: u8) -> bool {
        let is_current = self.lease.is_some_and(|now| now.uid == lease.uid && now.record == lease.record);
        let is_older = |claim: &Claim| {
            claim.lease < lease.uid
                || claim.lease == lease.uid && (is_current || claim.record == lease.record)
        };
        !self.claims().any(|claim| is_older(&claim) && claim.seconds <= span)
    }

    /// The same for a Lease of this UID: every COMMAND of an older Lease has ended.
    fn may_have_aged(&self, lease: LeaseObject, span: u8) -> bool {
        !self.claims().any(|claim| claim.lease < lease.uid && claim.seconds <= span)
    }

    fn claims(&self) -> impl Iterator<Item = Claim> {
        let claims = self.companions.iter().flat_map(|companion| [companion.take, companion.command]);
        claims.flatten().filter(|claim| !claim.late)
    }

    /// L3: somebody leads, if somebody can: it holds the Lease, works in the term of the record, and
    /// has the label.
    pub fn leader_works(&self, group: GroupObject) -> bool {
        let record = group.record.and_then(|record| Some((record.leader?, record.term)));
        record.is_some_and(|(leader, term)| {
            let command = self.companions[usize::from(leader)].command;
            let lease = self.lease.filter(|lease| lease.holder == Some(leader) && lease.nominee.is_none());
            lease.is_some() && command.is_some_and(|command| command.term == term) && self.commands() == 1
        })
    }
}

/// What the record of a group says of the Lease.
pub fn recorded_lease(group: Option<GroupObject>) -> RecordedLease {
    group.and_then(|group| group.record).map(|record| record.lease).unwrap_or_default()
}

impl Writer<'_> {
    /// The Lease that the status names, or without that rule the one that the operator sees.
    pub fn lease_in_status(&self, lease: RecordedLease) -> Option<planner::seen::RecordedLease> {
        let RecordedLease { uid, seconds, longest, .. } = lease;
        let any = self.without == Some(Rule::NominateInRecorded);
        let seen = self.op.lease.filter(|_| any && uid != 0).map_or(uid, |lease| lease.uid);
        (uid != 0).then(|| planner::seen::RecordedLease {
            uid: lease_uid(seen),
            duration_seconds: seconds.into(),
            longest_seconds: longest.into(),
        })
    }

    /// The Lease as the planner sees it.
    pub fn nominated_lease(&self, mut lease: LeaseObject) -> SeenLease {
        self.bend(&mut lease);
        let nominee = lease.nominee.map(|uid| match uid {
            LeaseObject::NO_POD => group_identity(self.group.uid),
            uid => identity(uid, self.without),
        });
        let content = LeaseContent {
            uid: lease_uid(lease.uid),
            version: Version(lease.version.into()),
            owner: self.owner_of(lease.owner),
            holder: lease.holder.map(|uid| format!("{}_uid{uid}", name(uid / GENERATIONS))),
            duration_seconds: (lease.seconds != 0).then(|| lease.seconds.into()),
            term: Some(term(lease.term.into())),
            nominee,
            nominated_seconds: lease.nominee.map(|_| lease.nominated_seconds.into()),
            times: (None, Some(lease.record.into())),
            ..LeaseContent::default()
        };
        let Waits { expired, aged, silent } = self.op.waits;
        let since = |seconds: u8| Millis(NOW.0 - u64::from(seconds) * 1000);
        let quarantined = match self.without {
            Some(Rule::Quarantine) => false,
            Some(Rule::QuarantineAtFirst) => self.group.record.is_some(),
            _ => true,
        };
        SeenLease {
            content,
            changed_at: since(expired),
            change_was_seen: true,
            uid_seen_at: since(if quarantined { aged } else { LONG }),
            nominee_seen_at: since(if silent { SHORT } else { 0 }),
        }
    }

    /// Shows another Lease than there is, where a rule about it is left out.
    fn bend(&self, lease: &mut LeaseObject) {
        let Some(record) = self.group.record else { return };
        let below = record.term.saturating_sub(1);
        match self.without {
            Some(Rule::NominateOnce)
                if lease.holder.is_none() && lease.nominee.is_none() && lease.term == record.term =>
            {
                lease.term = below;
            }
            Some(Rule::NominateAbove) if lease.term > record.term => lease.term = below,
            Some(Rule::PromoteHolder) if lease.nominee == record.leader && lease.term == record.term => {
                (lease.holder, lease.nominee) = (record.leader, None);
            }
            Some(Rule::PromoteInTerm) if lease.holder == record.leader => {
                (lease.term, lease.nominee) = (record.term, None);
            }
            _ => {}
        }
    }
}

fn lease_uid(uid: u8) -> String {
    format!("lease{uid}")
}
