//! The symmetry reduction: states that no rule can tell apart become one state.

use crate::objects::{
    EVERY_POD, GroupObject, Key, LeaseObject, OTHER_GROUP, PodAction, PodObject, RecordObject, Request,
};
use crate::operator_state::{Listed, Times};
use crate::state::{State, given_up};
use crate::world::{Rule, World};

impl State {
    /// Brings states that no rule can tell apart into one form. Lists are sorted, versions become
    /// "current or not", and facts without an effect are forgotten.
    pub fn reduce(&mut self, world: &World, without: Option<Rule>) {
        if world.nominated {
            self.ops.iter_mut().for_each(|op| op.times = Times::default());
        } else if world.observed {
            self.note_holder();
            self.forget_times();
        } else {
            let current = if world.lease_lags { 0 } else { self.ops.len() };
            (0..current).for_each(|op| self.see_lease(op));
            self.ops.iter_mut().for_each(|op| op.times = Times::default());
        }
        self.mark_present_versions();
        if !matches!(
            without,
            Some(
                Rule::ConditionalPromotion
                    | Rule::ConditionalRecord
                    | Rule::ConditionalLease
                    | Rule::ConditionalRoute
                    | Rule::ConditionalClear
                    | Rule::ConditionalNomination
            )
        ) {
            self.forget_stale_writes();
        }
        self.forget_knowledge(world);
        self.forget_other();
        self.forget_history();
        self.late.sort_unstable();
        self.late.dedup();
        self.ops.iter_mut().for_each(|op| op.flight.sort_unstable());
        self.ops.sort();
    }

    fn note_holder(&mut self) {
        let alive = self.pods.iter().flatten().fold(0, |set, pod| set | (1 << pod.uid));
        let holder = self.lease.and_then(|lease| self.pods[usize::from(lease.holder?)]);
        self.named = (self.named | holder.map_or(0, |pod| 1 << pod.uid)) & alive;
    }

    /// Forgets times without an effect.
    fn forget_times(&mut self) {
        for op in &mut self.ops {
            let holder = op.lease.and_then(|lease| lease.holder).map_or(0, |slot| 1 << slot);
            let there = op.pods.iter().enumerate().filter(|(_, pod)| pod.is_some());
            op.times.new_pods &= there.fold(0, |set, (slot, _)| set | (1 << slot));
            op.times.pods_after_lease &= holder;
            op.times.expired &= holder != 0;
            if given_up(op.group).is_none() {
                op.times.new_record = false;
                op.times.lease_after_record = false;
            }
        }
    }

    fn version_of(&self, key: Key) -> Option<u8> {
        match key {
            Key::Group(uid) => self.group.filter(|group| group.uid == uid).map(|group| group.version),
            Key::Lease => self.lease.map(|lease| lease.version),
            Key::LeaseRecord => self.lease.map(|lease| lease.record),
            Key::Slice(uid) => self.slice.filter(|slice| slice.uid == uid).map(|slice| slice.version),
            Key::Pod(uid) => {
                self.pods[PodObject::slot(uid)].filter(|pod| pod.uid == uid).map(|pod| pod.version)
            }
        }
    }

    /// Makes a version 1 if it is the current one, else 0: it can never be current again.
    fn mark_present_versions(&mut self) {
        let before = self.clone();
        self.each_version(&mut |key, version| *version = u8::from(before.version_of(key) == Some(*version)));
    }

    fn forget_stale_writes(&mut self) {
        let is_stale = |request: &mut Request| {
            request.is_write() && request.condition().is_some_and(|(_, version)| *version == 0)
        };
        self.late.retain_mut(|request| !is_stale(request));
        let alive = self.pods.map(|pod| pod.map(|pod| pod.uid));
        let finds_it_gone = |request: &Request| match request {
            Request::Pod { uid, action: PodAction::Fence | PodAction::Release, .. } => {
                !alive.contains(&Some(*uid))
            }
            _ => false,
        };
        for request in self.ops.iter_mut().flat_map(|op| &mut op.flight) {
            if is_stale(request) && !finds_it_gone(request) {
                *request = Request::Stale;
            }
        }
    }

    fn requests(&self) -> impl Iterator<Item = &Request> {
        let planned = self.ops.iter().flat_map(|op| op.flight.iter().chain(op.rest.iter().flatten()));
        planned.chain(&self.late)
    }

    fn records(&self) -> impl Iterator<Item = Option<RecordObject>> {
        let copies = self.ops.iter().map(|op| op.group).chain([self.group]);
        let written = self.requests().filter_map(|request| match request {
            Request::Status { record, .. } => Some(*record),
            _ => None,
        });
        copies.flatten().map(|group| group.record).chain(written)
    }

    /// Forgets knowledge of pods that no record and no copy names, and lists for records that no
    /// longer exist.
    fn forget_knowledge(&mut self, world: &World) {
        let alive = self.pods.iter().flatten().fold(0, |set, pod| set | (1 << pod.uid));
        let named = self
            .records()
            .flatten()
            .fold(0u16, |set, record| set | record.unfenced | record.leader.map_or(0, |leader| 1 << leader));
        let copied =
            self.ops.iter().flat_map(|op| &op.pods).flatten().fold(0, |set, pod| set | (1 << pod.uid));
        let leases = self.ops.iter().filter_map(|op| op.lease).chain(self.lease);
        let held = leases.filter_map(|lease| lease.holder.filter(|_| world.nominated));
        let held = held.fold(0_u16, |set, uid| set | (1 << uid));
        let is_open = |group: Option<GroupObject>| {
            group.and_then(|group| group.record).is_some_and(|record| record.unfenced & EVERY_POD != 0)
        };
        self.tainted &= alive;
        self.had_problem &= alive;
        for op in &mut self.ops {
            op.gone &= named | copied | held;
            op.ended &= named | copied | held;
            let useful = match op.listed {
                Listed::No => false,
                Listed::Copy => is_open(op.group),
                Listed::Present => is_open(self.group),
            };
            if !useful {
                op.listed = Listed::No;
            }
        }
    }

    /// Forgets the other group once no pod is owned by it or can become so.
    fn forget_other(&mut self) {
        let copies = self.ops.iter().flat_map(|op| &op.pods);
        let owned = self.pods.iter().chain(copies).flatten().any(|pod| pod.owner == OTHER_GROUP);
        if !owned && (self.budget.captured == 0 || !self.other_exists) {
            (self.other_exists, self.budget.captured) = (false, 0);
            self.ops.iter_mut().for_each(|op| op.knows_other = false);
        }
    }

    /// Forgets terms below every term that a request or a record still has.
    fn forget_history(&mut self) {
        let leaders = self.requests().filter_map(|request| match request {
            Request::Pod { action: PodAction::Promote, term, .. } | Request::Route { term, .. } => {
                Some(*term)
            }
            Request::CreateSlice { term, .. } => *term,
            Request::NewNomination { nomination, .. } => nomination.map(|nomination| nomination.term),
            _ => None,
        });
        let recorded = self.records().map(|record| record.map_or(0, |record| record.term));
        let oldest = leaders.chain(recorded).min().unwrap_or(0);
        for set in [&mut self.recorded, &mut self.leased, &mut self.promoted, &mut self.leases_recorded] {
            set.retain(|(_, term, _)| *term >= oldest);
            set.sort_unstable();
            set.dedup();
        }
    }

    fn each_version(&mut self, visit: &mut impl FnMut(Key, &mut u8)) {
        let mut objects =
            |g: &mut Option<GroupObject>, ps: &mut [Option<PodObject>], l: &mut Option<LeaseObject>| {
                if let Some(group) = g {
                    visit(Key::Group(group.uid), &mut group.version);
                }
                ps.iter_mut().flatten().for_each(|pod| visit(Key::Pod(pod.uid), &mut pod.version));
                if let Some(lease) = l {
                    visit(Key::Lease, &mut lease.version);
                    visit(Key::LeaseRecord, &mut lease.record);
                }
            };
        objects(&mut self.group, &mut self.pods, &mut self.lease);
        for op in &mut self.ops {
            objects(&mut op.group, &mut op.pods, &mut op.lease);
        }
        let copies = self.ops.iter_mut().map(|op| &mut op.slice).chain([&mut self.slice]);
        copies.flatten().for_each(|slice| visit(Key::Slice(slice.uid), &mut slice.version));
        let planned =
            self.ops.iter_mut().flat_map(|op| op.flight.iter_mut().chain(op.rest.iter_mut().flatten()));
        for request in planned.chain(&mut self.late) {
            if let Some((key, version)) = request.condition() {
                visit(key, version);
            }
        }
        let claims = self.companions.iter_mut().flat_map(|own| [&mut own.take, &mut own.command]);
        claims.flatten().for_each(|claim| visit(Key::LeaseRecord, &mut claim.record));
        let carried = self.ops.iter_mut().flat_map(|op| &mut op.carried);
        carried.for_each(|(key, version)| visit(*key, version));
    }
}
