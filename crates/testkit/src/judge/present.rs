//! The objects that exist at one revision, and what can be said of them at a glance: who leads, who
//! holds the Lease, and whether a group is at rest (L1).

use std::collections::BTreeMap;

use super::revision::{Group, Lease, Mode, Object, Pod, Revision, Slice};

/// All pods, groups, Leases and slices of a namespace.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// By UID.
    pods: BTreeMap<String, Pod>,
    /// By UID.
    groups: BTreeMap<String, Group>,
    /// By name.
    leases: BTreeMap<String, Lease>,
    /// By UID.
    slices: BTreeMap<String, Slice>,
}

impl Present {
    /// Takes in the next revision.
    pub fn see(&mut self, revision: &Revision) {
        match &revision.object {
            Object::Pod(pod) if revision.gone => drop(self.pods.remove(&pod.uid)),
            Object::Pod(pod) => drop(self.pods.insert(pod.uid.clone(), pod.clone())),
            Object::Group(group) if revision.gone => drop(self.groups.remove(&group.uid)),
            Object::Group(group) => drop(self.groups.insert(group.uid.clone(), (**group).clone())),
            Object::Lease(lease) if revision.gone => drop(self.leases.remove(&lease.name)),
            Object::Lease(lease) => drop(self.leases.insert(lease.name.clone(), lease.clone())),
            Object::Slice(slice) if revision.gone => drop(self.slices.remove(&slice.uid)),
            Object::Slice(slice) => drop(self.slices.insert(slice.uid.clone(), slice.clone())),
        }
    }

    /// All pods.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// All Leases.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// All slices.
    pub fn slices(&self) -> impl Iterator<Item = &Slice> {
        self.slices.values()
    }

    /// The slice of this UID.
    #[must_use]
    pub fn slice(&self, uid: &str) -> Option<&Slice> {
        self.slices.get(uid)
    }

    /// The pod of this UID.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&Pod> {
        self.pods.get(uid)
    }

    /// The group of this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.values().find(|group| group.name == name)
    }

    /// The group of this UID.
    #[must_use]
    pub fn group_of_uid(&self, uid: &str) -> Option<&Group> {
        self.groups.get(uid)
    }

    /// The Lease of this name.
    #[must_use]
    pub fn lease(&self, name: &str) -> Option<&Lease> {
        self.leases.get(name)
    }

    /// Whether a pod counts for a group: the group owns it, or selects it while no other group that
    /// exists owns it.
    #[must_use]
    pub fn is_member(&self, pod: &Pod, group: &Group) -> bool {
        let owner = pod.group_uid();
        owner == group.uid || (group.selects(pod) && !self.groups.contains_key(owner))
    }

    /// The pods that count for a group.
    pub fn members<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Pod> {
        self.pods.values().filter(|pod| self.is_member(pod, group))
    }

    /// The members that carry the leader label.
    pub fn leaders<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Pod> {
        self.members(group).filter(|pod| pod.leads(group))
    }

    /// The member that the Lease of a group names, if it names exactly one. `docs/operations.md`
    /// has the rules; the first rule that fits any pod decides.
    #[must_use]
    pub fn holder<'a>(&'a self, group: &'a Group) -> Option<&'a Pod> {
        self.holder_among(group, |pod| group.selects(pod))
    }

    /// The pod among these that the Lease of a group names, if it names exactly one.
    pub(super) fn holder_among<'a>(
        &'a self,
        group: &'a Group,
        is_among: impl Fn(&Pod) -> bool,
    ) -> Option<&'a Pod> {
        let identity = self.leases.get(&group.lease).map(|lease| lease.holder.as_str())?;
        let prefix = identity.split_once('_').map(|(name, _)| name);
        let pods = || self.pods().filter(|pod| is_among(pod) && !identity.is_empty());
        let rules: [&dyn Fn() -> Vec<&'a Pod>; 6] = [
            &|| pods().filter(|pod| pod.name == identity).collect(),
            &|| pods().filter(|pod| prefix == Some(&pod.name)).collect(),
            &|| pods().filter(|pod| pod.identity == identity).collect(),
            &|| pods().filter(|pod| prefix == Some(&pod.identity)).collect(),
            &|| longest(pods().map(|pod| (pod, pod.name.as_str())), identity),
            &|| longest(pods().map(|pod| (pod, pod.host.as_str())), identity),
        ];
        match rules.into_iter().map(|rule| rule()).find(|pods| !pods.is_empty())?.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// L1: exactly one member carries the leader label. The record names it, in the pod's own term.
    /// Nothing is left to fence, the Lease names the leader, and the group says that it is Ready.
    ///
    /// # Errors
    /// What is missing.
    pub fn is_settled(&self, name: &str) -> Result<(), String> {
        let group = self.group(name).ok_or("there is no group")?;
        let leaders: Vec<_> = self.leaders(group).collect();
        let [leader] = leaders[..] else {
            let names: Vec<_> = leaders.iter().map(|pod| &pod.name).collect();
            return Err(format!("{names:?} carry the leader label, {group:?}"));
        };
        let recorded = leader.uid == group.leader && leader.term.parse().ok() == group.term;
        let held = if group.mode == Mode::Observed {
            self.holder(group).is_some_and(|holder| holder.uid == leader.uid)
        } else {
            self.leases.get(&group.lease).is_some_and(|lease| lease.holder == group.holder_name(leader))
        };
        match (recorded, group.unfenced.is_empty(), held, group.ready) {
            (true, true, true, true) => Ok(()),
            (false, ..) => Err(format!("{leader:?} is not as recorded in {group:?}")),
            (_, false, ..) => Err(format!("not all is fenced: {group:?}")),
            (_, _, false, _) => Err(format!("the Lease does not name {leader:?}")),
            (_, _, _, false) => Err(format!("not Ready: {group:?}")),
        }
    }

    /// L1 of a Service that a group routes: one slice names it, the group's own. The slice routes to
    /// the recorded leader, in the record's term, and the group says that it is Routed.
    ///
    /// # Errors
    /// What is missing.
    pub fn is_routed(&self, name: &str, service: &str) -> Result<(), String> {
        let group = self.group(name).ok_or("there is no group")?;
        let slices: Vec<_> = self.slices_of(service).collect();
        let [slice] = slices[..] else { return Err(format!("{service} has the slices {slices:?}")) };
        let [endpoint] = &slice.endpoints[..] else { return Err(format!("{slice:?} routes to no one pod")) };
        let recorded = endpoint.pod == group.leader && slice.term == group.term;
        match (slice.group == group.uid, recorded, endpoint.ready, group.routed) {
            (true, true, true, true) => Ok(()),
            (false, ..) => Err(format!("{slice:?} is not of {group:?}")),
            (_, false, ..) => Err(format!("{slice:?} does not route as recorded in {group:?}")),
            (_, _, false, _) => Err(format!("{slice:?} does not let clients in")),
            (_, _, _, false) => Err(format!("not Routed: {group:?}")),
        }
    }

    /// No operator's slice routes a Service to any pod, and the group does not say so.
    #[must_use]
    pub fn is_not_routed(&self, name: &str, service: &str) -> bool {
        let managed = self.slices_of(service).filter(|slice| !slice.group.is_empty());
        let says_so = self.group(name).is_some_and(|group| group.routed);
        !says_so && managed.flat_map(|slice| &slice.endpoints).next().is_none()
    }

    fn slices_of(&self, service: &str) -> impl Iterator<Item = &Slice> {
        self.slices().filter(move |slice| slice.service == service)
    }

    /// L1 where the pods elect and no pod holds the Lease: no member carries the leader label, none
    /// is recorded, and the group is not Ready.
    #[must_use]
    pub fn leads_no_pod(&self, name: &str) -> bool {
        let group = self.group(name).filter(|group| group.leader.is_empty() && !group.ready);
        group.is_some_and(|group| self.leaders(group).next().is_none())
    }
}

/// The pods with the longest of the names that `identity` is, or continues with `-` or `_`.
fn longest<'a>(named: impl Iterator<Item = (&'a Pod, &'a str)>, identity: &str) -> Vec<&'a Pod> {
    let continues = |name: &str| {
        let rest = identity.strip_prefix(name).filter(|_| !name.is_empty());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    };
    let fitting: Vec<_> = named.filter(|(_, name)| continues(name)).collect();
    let most = fitting.iter().map(|(_, name)| name.len()).max();
    fitting.into_iter().filter(|(_, name)| Some(name.len()) == most).map(|(pod, _)| pod).collect()
}
