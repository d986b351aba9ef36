//! X1 and X3 to X5, as the documentation of [`super`] has them.

use super::revision::{Group, Lease, Mode};
use super::state::Judge;

impl Judge {
    /// Judges one revision of the Lease of a group in Nominated mode. `before`: the same Lease, one
    /// revision earlier.
    pub(super) fn judge_nomination(&mut self, before: Option<&Lease>, lease: &Lease) {
        let is_nominated = |group: &&Group| group.mode == Mode::Nominated && group.lease == lease.name;
        let group = self.present.groups().find(is_nominated);
        let Some((name, uid)) = group.map(|group| (group.name.clone(), group.uid.clone())) else { return };
        let broken = before.map_or_else(|| created(lease), |before| self.changed(&uid, before, lease));
        if let Some((law, what)) = broken {
            let number = self.newest;
            self.violate(&name, format!("{law}: at revision {number} the Lease of {name} {what}"));
        }
    }

    fn changed(&self, group: &str, before: &Lease, lease: &Lease) -> Option<(&'static str, String)> {
        let Lease { holder, nominee, term, .. } = lease;
        let is_taken = !holder.is_empty() && before.holder != *holder;
        if is_taken && !before.holder.is_empty() {
            return Some(("X1", format!("passes from {} to {holder} at once", before.holder)));
        }
        let as_nominee = before.nominee.replacen('/', "_", 1) == *holder;
        if is_taken && !(as_nominee && nominee.is_empty() && before.term == *term) {
            return Some(("X3", format!("is taken by {holder}, nominee {:?} → {nominee:?}", before.nominee)));
        }
        if nominee.is_empty() || (before.nominee == *nominee && before.term == *term) {
            return None;
        }
        // The group itself as nominee asks the holder to end: the record has no leader.
        let pod = nominee.split_once('/').map_or("", |(_, uid)| uid);
        let pod = if pod == group { "" } else { pod };
        let is_recorded =
            term.is_some_and(|term| self.records.contains_key(&(group.to_owned(), pod.to_owned(), term)));
        let rises = before.term < *term;
        let from = before.term;
        (!rises || !is_recorded).then(|| {
            ("X4", format!("nominates {nominee} in term {term:?} after {from:?}, recorded: {is_recorded}"))
        })
    }
}

fn created(lease: &Lease) -> Option<(&'static str, String)> {
    let Lease { holder, nominee, .. } = lease;
    let is_free = holder.is_empty() && nominee.is_empty();
    (!is_free).then(|| ("X5", format!("is created with holder {holder:?} and nominee {nominee:?}")))
}
