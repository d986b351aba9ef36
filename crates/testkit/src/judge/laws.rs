//! The laws, as the documentation of [`super`] has them.

use super::revision::{Group, Lease, Mode, Pod};
use super::state::Judge;

impl Judge {
    /// S1: at most one pod of a group carries the leader label.
    pub(super) fn judge_single(&mut self, group: &str) {
        let Some(group) = self.groups.get(group) else { return };
        let counted = self.present.leaders(group).filter(|pod| !self.by_users.contains(&pod.uid));
        let leaders: Vec<_> = counted.map(|pod| format!("{}/{}", pod.name, pod.uid)).collect();
        if leaders.len() > 1 {
            let (name, number) = (group.name.clone(), self.newest);
            self.violate(&name, format!("S1: at revision {number} these lead {name}: {leaders:?}"));
        }
    }

    /// S2: the term of a group never falls.
    pub(super) fn judge_term(&mut self, group: &Group, by_user: bool) {
        let before = self.terms.get(&group.uid).copied();
        if before > group.term && by_user {
            self.terms.remove(&group.uid);
            self.promoted.retain(|(of, _), _| *of != group.uid);
            self.routed.retain(|(of, _), _| *of != group.uid);
        } else if before > group.term {
            let (name, now) = (&group.name, group.term);
            self.violate(name, format!("S2: the term of {name} fell from {before:?} to {now:?}"));
        }
        if let Some(term) = group.term {
            self.terms.insert(group.uid.clone(), term);
        }
    }

    /// L2: a healthy leader is not moved.
    pub(super) fn judge_move(&mut self, before: &Group, after: &Group, by_user: bool) {
        let Some(moves) = &mut self.moves else { return };
        let broken = moves.are_broken_by(&self.present, before, after);
        if broken && !by_user && after.mode == Mode::Managed {
            let (name, number, from, to) = (&after.name, self.newest, &before.leader, &after.leader);
            let what = format!("L2: at revision {number} {name} moves from {from}, which is well, to {to:?}");
            self.violate(name, what);
        }
    }

    /// No operator writes the Lease of pods that elect.
    pub(super) fn judge_lease(&mut self, lease: &Lease) {
        let observed =
            self.present.groups().find(|group| group.mode == Mode::Observed && group.lease == lease.name);
        let Some(name) = observed.map(|group| group.name.clone()) else { return };
        let (number, managers) = (self.newest, &lease.managers);
        let what = format!("Lease: at revision {number} that of {name} is written by {managers:?}");
        self.violate(&name, what);
    }

    /// S2: no two pods are promoted in one term. S3: see [`Self::may_be_promoted`].
    pub(super) fn judge_promotion(&mut self, before: Option<&Pod>, pod: &Pod, was_by_user: bool) {
        let group = self.groups.get(pod.group_uid()).cloned().unwrap_or_default();
        self.promotions += 1;
        self.followed += usize::from(group.mode == Mode::Observed);
        let (name, number) = (format!("{}/{}", pod.name, pod.uid), self.newest);
        let Ok(term) = pod.term.parse() else {
            let what = format!("S3: at revision {number} {name} is promoted in no term: {:?}", pod.term);
            return self.violate(&group.name, what);
        };
        let other = self.promoted.insert((group.uid.clone(), term), pod.uid.clone());
        if let Some(other) = other.filter(|other| *other != pod.uid) {
            let what = format!("S2: at revision {number} {name} is promoted in term {term} after {other}");
            self.violate(&group.name, what);
        }
        let kept = before.is_some_and(|before| before.leads(&group));
        let fence = before.filter(|before| !was_by_user && before.group_uid() == group.uid);
        let fence = fence.and_then(|before| before.term.parse().ok());
        if let Err(why) = self.may_be_promoted(pod, &group, term, fence, kept) {
            let what = format!("S3: at revision {number} {name} is promoted in term {term}, {why}");
            self.violate(&group.name, what);
        }
    }

    /// S3, with the numbers of the documentation of [`super`]. `fence` is the term that the pod had
    /// before; `kept`: it carried the leader label before.
    fn may_be_promoted(
        &self,
        pod: &Pod,
        group: &Group,
        term: u64,
        fence: Option<u64>,
        kept: bool,
    ) -> Result<(), String> {
        let record = (group.uid.clone(), pod.uid.clone(), term);
        let recorded = self.records.get(&record).ok_or("as no record says (1)")?;
        let latest = self.present.group_of_uid(&group.uid).filter(|latest| latest.term.is_some());
        if let Some(latest) =
            latest.filter(|latest| latest.leader != pod.uid && !latest.lists_as_unfenced(&pod.uid))
        {
            let (leader, term, unfenced) = (&latest.leader, latest.term, &latest.unfenced);
            return Err(format!("though {leader:?} is recorded in {term:?}, unfenced {unfenced:?} (2)"));
        }
        if fence > Some(term) {
            return Err(format!("though it is fenced in term {fence:?} (3)"));
        }
        if group.mode != Mode::Observed {
            let named = self.held.contains(&(group.lease.clone(), group.holder_name(pod), term));
            return if named { Ok(()) } else { Err("before the Lease names it in that term (4)".to_owned()) };
        }
        let named = self.named.get(&(group.uid.clone(), pod.uid.clone()));
        let named = named.is_some_and(|named| *named < recorded.number);
        let excused = recorded.is_first && kept;
        if named || excused {
            Ok(())
        } else {
            Err("before whose record the Lease never named it (5)".to_owned())
        }
    }
}
