//! All writes: carries out a plan, step by step, each write conditional on the version it was decided on.

mod announce;
pub mod events;
mod labels;
mod lease;
mod pod;
mod status;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use kube::{Resource, ResourceExt};

use self::events::EventQueue;
use super::error::Error;
use super::live_reads::LiveReader;
use super::requests::{LowPrioritySlot, PATIENT_AT_ONCE, Requests};
use crate::cache::{Cache, GroupRef};
use crate::clock::Clock;
use crate::convert::{self, RoleLabel};
use crate::metrics::Metrics;
use crate::planner::plan::{self, Intent, Step};
use crate::planner::{Identity, Millis, Version};

/// How many requests one plan has under way: the first election of a group of thousands fences every pod, and neither the
/// failovers nor the renewals of other groups queue behind all of these.
const MAX_IN_FLIGHT_PER_PLAN: usize = PATIENT_AT_ONCE;

/// Carries out plans.
#[derive(Clone)]
pub struct Applier {
    clock: Clock,
    requests: Requests,
    store: Arc<Cache>,
    live: LiveReader,
    events: EventQueue,
    metrics: Arc<Metrics>,
}

/// One plan being carried out. A write on an object that an earlier step of the same plan wrote is conditional on the
/// version that came of it.
struct PlanRun<'a> {
    applier: &'a Applier,
    group: &'a GroupRef,
    seen: Version,
    /// The label to write, the same in every step.
    role: Option<RoleLabel>,
    versions: Mutex<HashMap<String, Version>>,
    /// When the last fence was answered.
    fenced_at: Mutex<Option<Millis>>,
}

/// What is to be looked at again after its condition was refused.
enum Stale<'a> {
    Pod(&'a Identity),
    Group,
    Lease(&'a str),
}

impl Applier {
    /// Writes through `requests`, answers go into `store`, and what is to be said is left with `events`.
    #[must_use]
    pub fn new(
        clock: Clock,
        requests: Requests,
        store: Arc<Cache>,
        events: EventQueue,
        metrics: Arc<Metrics>,
    ) -> Self {
        let asker = LiveReader::new(requests.clone(), store.clone());
        Self { clock, requests, store, live: asker, events, metrics }
    }

    /// Waits for a turn of a plan with so many requests that nobody waits for.
    pub async fn low_priority_slot(&self, requests: usize) -> LowPrioritySlot {
        self.requests.low_priority_slot(requests.min(MAX_IN_FLIGHT_PER_PLAN)).await
    }

    /// Carries out `steps` for `group`, decided on its version `seen`. The first failure ends the plan after its step;
    /// what was refused because it was out of date has been looked at again by then. What nobody waits for goes by `turn`,
    /// or waits for one here.
    ///
    /// # Errors
    /// The first failure.
    pub async fn apply(
        &self,
        group: &GroupRef,
        seen: Version,
        steps: &[Step],
        mut turn: Option<LowPrioritySlot>,
    ) -> Result<(), Error> {
        let run = PlanRun::new(self, group, seen);
        let patient_from = plan::low_priority_from(steps);
        for (number, step) in steps.iter().enumerate() {
            run.stay_behind_fence(step.after_fence).await;
            let requests = step.intents.iter().filter(|intent| !intent.is_announcement()).count();
            if turn.is_none() && number >= patient_from && requests > 0 {
                turn = Some(self.low_priority_slot(requests).await);
            }
            let mut results = Vec::new();
            for portion in step.intents.chunks(MAX_IN_FLIGHT_PER_PLAN) {
                results.extend(join_all(portion.iter().map(|intent| run.carry_out(intent))).await);
            }
            results.into_iter().collect::<Result<(), Error>>()?;
        }
        Ok(())
    }
}

impl<'a> PlanRun<'a> {
    fn new(applier: &'a Applier, group: &'a GroupRef, seen: Version) -> Self {
        let role = applier.store.role_label(group);
        Self { applier, group, seen, role, versions: Mutex::default(), fenced_at: Mutex::default() }
    }

    async fn stay_behind_fence(&self, gap: Millis) {
        let fenced_at = *self.fenced_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fenced_at) = fenced_at {
            self.applier.clock.sleep_until(fenced_at + gap).await;
        }
    }

    async fn carry_out(&self, intent: &Intent) -> Result<(), Error> {
        let asker = &self.applier.live;
        let other = |id: &Identity| GroupRef { namespace: self.group.namespace.clone(), id: id.clone() };
        match intent {
            Intent::WriteStatus(status) => self.counted("status", self.write_status(status).await),
            Intent::ConfirmPodGone(pod) => asker.confirm_pod_gone(&self.group.namespace, pod).await,
            Intent::ConfirmGroupGone(group) => asker.confirm_group_gone(&other(group)).await,
            Intent::ConfirmGroupExists(group) => asker.confirm_group_exists(&other(group)).await,
            Intent::ConfirmPodUnchanged(pod, version) => {
                asker.confirm_pod_unchanged(&self.group.namespace, pod, *version).await
            }
            Intent::ConfirmRecord { group, leader, term } => {
                asker.confirm_record(&other(group), leader.as_ref(), *term).await
            }
            Intent::ConfirmNodeSilent(node) => asker.confirm_node_silent(node).await,
            Intent::ConfirmLease { name, seen } => {
                asker.confirm_lease(&self.group.namespace, name, seen.as_ref()).await
            }
            Intent::ListPods(_) => {
                asker.list_pods(self.group, self.version(&self.group.id.uid, self.seen)).await
            }
            Intent::Fence(write) => self.counted("fence", self.fence(write).await),
            Intent::Promote(write) => self.counted("promote", self.label(write, true).await),
            Intent::LabelFollower(write) => self.counted("follow", self.label(write, false).await),
            Intent::Release(pod, version) => {
                self.counted("unmark", or_gone(self.unmark(pod, *version).await))
            }
            Intent::WriteLease(write) => self.counted("lease", self.write_lease(write).await),
            Intent::DropSwitchover => self.counted("switchover", self.drop_switchover().await),
            Intent::AnnounceChange(change) => {
                self.announce_change(change);
                Ok(())
            }
            Intent::PublishEvent(notice) => {
                self.applier.announce(self.group, notice, "Report", notice.is_answer());
                Ok(())
            }
            Intent::WarnOnce(warning, notice) => {
                self.applier.announce(self.group, notice, "Report", true);
                self.applier.store.note_warned(self.group, warning.clone());
                Ok(())
            }
        }
    }

    fn counted(&self, kind: &'static str, result: Result<(), Error>) -> Result<(), Error> {
        let outcome = result.as_ref().map_or_else(Error::reason, |()| "ok");
        self.applier.metrics.wrote(kind, outcome);
        result
    }

    /// The version that this plan knows of an object: that of its own latest write, else the one it was decided on.
    fn version(&self, uid: &str, decided_on: Version) -> Version {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(uid).copied().unwrap_or(decided_on)
    }

    /// The version to make a write of `object` conditional on. To the API server, 0 is no condition.
    fn condition(&self, uid: &str, decided_on: Version, object: &str) -> Result<String, Error> {
        match self.version(uid, decided_on) {
            Version(0) => Err(Error::NoVersion { object: object.to_owned() }),
            Version(version) => Ok(version.to_string()),
        }
    }

    /// `known`: what was known of the object before the write.
    fn wrote<K>(&self, known: Option<&(String, Version)>, written: &K)
    where
        K: Resource<DynamicType = ()>,
    {
        self.applier.store.check_answer(known, written);
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.insert(written.uid().unwrap_or_default(), convert::version(written));
    }

    /// A refused condition means: look again. The refusal stays the result.
    async fn look_again<T>(&self, stale: Stale<'_>, result: Result<T, Error>) -> Result<T, Error> {
        let namespace = &self.group.namespace;
        let Applier { live: asker, store, .. } = self.applier;
        match (&result, stale) {
            (Err(Error::Gone { .. }), Stale::Pod(pod)) => store.remove_pod(namespace, pod, true),
            (Err(Error::Changed { .. }), Stale::Pod(pod)) => asker.read_pod(namespace, pod).await?,
            // Its name may be another Lease's by now.
            (Err(Error::Changed { .. } | Error::Gone { .. }), Stale::Lease(name)) => {
                asker.read_lease(namespace, name).await?;
            }
            (Err(Error::Changed { .. } | Error::Gone { .. }), Stale::Group) => {
                asker.confirm_group_exists(self.group).await?;
            }
            _ => {}
        }
        result
    }
}

/// A pod that is gone needs neither fence nor cleaning: the answer proves it.
fn or_gone(result: Result<(), Error>) -> Result<(), Error> {
    if let Err(Error::Gone { .. }) = result { Ok(()) } else { result }
}
