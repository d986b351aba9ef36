//! Companions (Nominated): what the process beside each COMMAND may do, and what ends.
//!
//! Each pod has one, by UID; that of a pod deleted by force lives on. Requests that are conditional
//! on a version do nothing unless they arrive before the next change. So a take, a renewal and a
//! release are carried out at once; only the answer to a take may be late, or lost. A companion that
//! dies and starts again has forgotten its take. COMMAND may end at any time without a release.

use crate::objects::{GENERATIONS, LeaseObject, PodObject};
use crate::state::State;
use crate::world::Rule;

/// The companion of a pod, and its COMMAND.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Companion {
    /// A take that was carried out, and whose answer may still come.
    pub take: Option<Claim>,
    /// The COMMAND that runs, also after its companion died.
    pub command: Option<Claim>,
    /// A request under way that is not conditional. No rule allows one.
    pub blind: Option<Blind>,
}

/// What a COMMAND relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// The UID of the Lease.
    pub lease: u8,
    /// The newest record of it that is acknowledged.
    pub record: u8,
    pub term: u8,
    pub seconds: u8,
    /// The deadline counts from a later moment than that at which operators may see the record. No
    /// rule allows that.
    pub late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Blind {
    Take,
    Release,
}

/// What happens to a companion or its COMMAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    Take,
    /// The take is answered, and COMMAND starts.
    Start,
    /// The answer is lost, or comes too late.
    Lose,
    Renew,
    /// COMMAND has ended, and the Lease is released.
    Release,
    /// COMMAND ends, and nothing is written.
    End,
    /// Without a rule: a COMMAND starts since the Lease names its pod.
    StartAsHolder,
    /// Without a rule: a request departs that is not conditional, or arrives.
    SendBlind(Blind),
    Arrive(Blind),
}

impl Act {
    pub const fn writes_lease(self) -> bool {
        matches!(self, Self::Take | Self::Renew | Self::Release | Self::Arrive(_))
    }
}

impl Claim {
    fn of(lease: LeaseObject) -> Self {
        let LeaseObject { uid, record, term, seconds, .. } = lease;
        Self { lease: uid, record, term, seconds, late: false }
    }
}

/// Whether two UIDs mean one pod. With identity by name a pod of the same name does.
fn same(one: Option<u8>, uid: u8, without: Option<Rule>) -> bool {
    let by_name = without == Some(Rule::CompanionByUid);
    one == Some(uid) || (by_name && one.is_some_and(|one| PodObject::slot(one) == PodObject::slot(uid)))
}

/// Everything that companions and COMMANDs may do now.
pub fn acts(state: &State, without: Option<Rule>) -> Vec<(u8, Act)> {
    let mut acts = Vec::new();
    for uid in (0..).take(state.companions.len()) {
        let created = uid % GENERATIONS <= state.generation[PodObject::slot(uid)];
        let ended = state.ended & (1 << uid) != 0;
        // A take that was sent before the end may arrive after it.
        let may = |act: &Act| created && (!ended || matches!(act, Act::Take | Act::Lose));
        acts.extend(acts_of(state, uid, without).into_iter().filter(may).map(|act| (uid, act)));
    }
    acts
}

fn acts_of(state: &State, uid: u8, without: Option<Rule>) -> Vec<Act> {
    let Companion { take, command, blind } = state.companions[usize::from(uid)];
    let mut acts = Vec::new();
    let mut may = |holds: bool, act| acts.extend(holds.then_some(act));
    let idle = take.is_none() && command.is_none();
    if let Some(lease) = state.lease {
        let holds = same(lease.holder, uid, without);
        let free = lease.holder.is_none() || without == Some(Rule::TakeFree);
        let nominated = same(lease.nominee, uid, without) || without == Some(Rule::TakeAsNominee);
        let held_by_command = holds && command.is_some_and(|command| command.lease == lease.uid);
        let unconditional = without == Some(Rule::ConditionalTake);
        may(idle && free && nominated && !unconditional, Act::Take);
        may(idle && free && nominated && unconditional && blind.is_none(), Act::SendBlind(Blind::Take));
        may(held_by_command && state.budget.renewed > 0, Act::Renew);
        let proved = idle || without == Some(Rule::RestartProvesNothing) && take.is_none();
        let unconditional = without == Some(Rule::ConditionalRelease);
        let releases = holds && (proved || held_by_command);
        may(releases && !unconditional, Act::Release);
        may(releases && unconditional && blind.is_none(), Act::SendBlind(Blind::Release));
        may(idle && holds && without == Some(Rule::StartByTake), Act::StartAsHolder);
    }
    may(take.is_some() && command.is_none(), Act::Start);
    may(take.is_some_and(|take| !take.late || without != Some(Rule::DropUnanswered)), Act::Lose);
    may(command.is_some(), Act::End);
    acts.extend(blind.map(Act::Arrive));
    acts
}

/// Carries out an act that `acts` allows.
pub fn act(state: &mut State, uid: u8, act: Act, without: Option<Rule>) {
    let at = usize::from(uid);
    match act {
        Act::Take => take(state, uid, without),
        Act::Start => {
            let claim = state.companions[at].take.take();
            start(state, uid, claim);
        }
        Act::Lose => {
            state.note_problem(uid);
            let take = &mut state.companions[at].take;
            // A companion that starts again reads its own name, and counts from then.
            let reads_back = without == Some(Rule::DropUnanswered);
            *take = take.filter(|_| reads_back).map(|claim| Claim { late: true, ..claim });
        }
        Act::Renew => renew(state, uid, without),
        Act::Release => release(state, uid, without),
        Act::End => {
            state.note_problem(uid);
            state.companions[at].command = None;
        }
        Act::StartAsHolder => {
            let claim = state.lease.map(|lease| Claim { late: true, ..Claim::of(lease) });
            start(state, uid, claim);
        }
        Act::SendBlind(blind) => {
            state.companions[at].blind = Some(blind);
            if blind == Blind::Release {
                state.companions[at].command = None;
            }
        }
        Act::Arrive(blind) => {
            state.companions[at].blind = None;
            match blind {
                Blind::Take => take(state, uid, without),
                Blind::Release => release(state, uid, without),
            }
        }
    }
}

fn start(state: &mut State, uid: u8, claim: Option<Claim>) {
    state.companions[usize::from(uid)].command = claim;
    if let Some(claim) = claim {
        state.judge_start(claim.term);
    }
}

fn take(state: &mut State, uid: u8, without: Option<Rule>) {
    let Some(lease) = &mut state.lease else { return };
    let rightful = lease.holder.is_none() && lease.nominee == Some(uid);
    lease.holder = Some(uid);
    lease.seconds = lease.nominated_seconds;
    (lease.version, lease.record) = (lease.version + 1, lease.record + 1);
    if !matches!(without, Some(Rule::EmptyByTake | Rule::EmptyNominee)) {
        lease.nominee = None;
    }
    let claim = Claim { late: without == Some(Rule::CountFromSend), ..Claim::of(*lease) };
    state.companions[usize::from(uid)].take = Some(claim);
    state.judge_take(uid, claim.term, rightful);
}

/// The holder renews. Without [`Rule::RenewalChanges`] no operator can see that.
fn renew(state: &mut State, uid: u8, without: Option<Rule>) {
    state.budget.renewed -= 1;
    let (Some(lease), Some(command)) = (&mut state.lease, &mut state.companions[usize::from(uid)].command)
    else {
        return;
    };
    if without == Some(Rule::RenewalChanges) {
        command.late = true;
    } else {
        (lease.version, lease.record) = (lease.version + 1, lease.record + 1);
        command.record = lease.record;
    }
}

fn release(state: &mut State, uid: u8, without: Option<Rule>) {
    state.note_problem(uid);
    let runs_on = matches!(without, Some(Rule::ReleaseAfterEnd | Rule::RestartProvesNothing));
    let companion = &mut state.companions[usize::from(uid)];
    companion.command = companion.command.filter(|_| runs_on);
    let runs = companion.command.is_some();
    if let Some(lease) = &mut state.lease {
        lease.holder = None;
        (lease.version, lease.record) = (lease.version + 1, lease.record + 1);
        if without == Some(Rule::EmptyByTake) {
            lease.nominee = None;
        }
    }
    state.judge_release(runs);
}

/// What companions do at once when nothing is in their way. False if they have nothing to do.
pub fn settle(state: &mut State, without: Option<Rule>) -> bool {
    let before = state.companions;
    let living = state.pods.iter().flatten().filter(|pod| !pod.ended);
    let living = living.fold(0_u16, |set, pod| set | (1 << pod.uid));
    for uid in (0..).take(before.len()) {
        match state.lease.filter(|_| living & (1 << uid) != 0) {
            Some(lease) => settle_one(state, lease, uid, without),
            None => state.companions[usize::from(uid)] = Companion::default(),
        }
    }
    let free = state.lease.filter(|lease| lease.holder.is_none());
    if let Some(uid) = free.and_then(|lease| lease.nominee).filter(|uid| living & (1 << uid) != 0) {
        act(state, uid, Act::Take, without);
        act(state, uid, Act::Start, without);
    }
    state.companions != before
}

fn settle_one(state: &mut State, lease: LeaseObject, uid: u8, without: Option<Rule>) {
    let companion = &mut state.companions[usize::from(uid)];
    let holds = lease.holder == Some(uid);
    let stands = |claim: &Claim| claim.lease == lease.uid && holds;
    companion.take = companion.take.filter(stands);
    let works = companion.command.as_ref().is_some_and(stands) && lease.nominee.is_none();
    if companion.take.is_some() {
        act(state, uid, Act::Start, without);
    } else if holds && !works {
        act(state, uid, Act::Release, without);
    } else if !works {
        companion.command = None;
    }
}
