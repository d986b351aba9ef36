//! The applier: all writes. It carries out a plan step by step. Each write is conditional on the
//! version that it was decided on.
//!
//! A step may also be a live read, or something to announce. The order belongs to the plan.

mod announce;
pub mod events;
mod labels;
mod lease;
mod pod;
mod route;
mod stages;
mod status;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use kube::{Resource, ResourceExt};

use self::events::EventQueue;
use self::stages::Stages;
use super::error::Error;
use super::fair_slots::Lane;
use super::live_reads::LiveReader;
use super::requests::{LowPrioritySlot, MAX_IN_FLIGHT_LOW_PRIORITY, Requests};
use crate::cache::{Cache, GroupRef};
use crate::clock::Clock;
use crate::convert::{self, RoleLabel};
use crate::metrics::Metrics;
use crate::planner::plan::{self, Fact, Intent, LeaseAction, Step};
use crate::planner::{Identity, Millis, Version};

/// The limit of requests in flight of one plan. The first election of a large group fences
/// thousands of pods. Failovers and renewals of other groups must not queue behind all of these
/// requests.
const MAX_IN_FLIGHT_PER_PLAN: usize = MAX_IN_FLIGHT_LOW_PRIORITY;

/// Carries out plans.
#[derive(Clone)]
pub struct Applier {
    clock: Clock,
    requests: Requests,
    cache: Arc<Cache>,
    live: LiveReader,
    events: EventQueue,
    metrics: Arc<Metrics>,
}

/// One plan that is being carried out.
///
/// If an earlier step of the plan wrote an object, a later write of it is conditional on the
/// version of the earlier write.
struct PlanRun<'a> {
    applier: &'a Applier,
    group: &'a GroupRef,
    /// The version of the group that the plan was decided on.
    seen: Version,
    /// The role label: one value for all steps, also if the spec changes meanwhile.
    role: Option<RoleLabel>,
    /// The versions that the writes of this plan produced, by UID.
    versions: Mutex<HashMap<String, Version>>,
    /// When the API server answered the last fence.
    fenced_at: Mutex<Option<Millis>>,
    stages: Stages,
}

/// The object to read again after the API server refused the condition of its write.
enum Stale<'a> {
    Pod(&'a Identity),
    Group,
    Lease(&'a str),
}

impl Applier {
    /// An applier that writes through `requests`, puts answers into `cache` and Events into
    /// `events`.
    #[must_use]
    pub fn new(
        clock: Clock,
        requests: Requests,
        cache: Arc<Cache>,
        events: EventQueue,
        metrics: Arc<Metrics>,
    ) -> Self {
        let live = LiveReader::new(requests.clone(), cache.clone());
        Self { clock, requests, cache, live, events, metrics }
    }

    /// Waits for a slot of a low-priority plan with this many requests.
    pub async fn low_priority_slot(&self, requests: usize) -> LowPrioritySlot {
        self.requests.low_priority_slot(requests.min(MAX_IN_FLIGHT_PER_PLAN)).await
    }

    /// Carries out `steps` for `group`, decided on its version `seen`.
    ///
    /// The first failure ends the plan after its step. By then, the cache has the present version
    /// of an object whose condition was refused. Steps of low priority use `slot`, or wait for one
    /// here.
    ///
    /// # Errors
    /// The first failure.
    pub async fn apply(
        &self,
        group: &GroupRef,
        seen: Version,
        steps: &[Step],
        mut slot: Option<LowPrioritySlot>,
    ) -> Result<(), Error> {
        let run = PlanRun::new(self, group, seen);
        let low_priority_from = plan::low_priority_from(steps);
        for (number, step) in steps.iter().enumerate() {
            run.wait_after_fence(step.after_fence).await;
            let requests = step.intents.iter().filter(|intent| !intent.is_announcement()).count();
            if slot.is_none() && number >= low_priority_from && requests > 0 {
                slot = Some(self.low_priority_slot(requests).await);
            }
            let mut results = Vec::new();
            for chunk in step.intents.chunks(MAX_IN_FLIGHT_PER_PLAN) {
                results.extend(join_all(chunk.iter().map(|intent| run.carry_out_and_note(intent))).await);
            }
            results.into_iter().collect::<Result<(), Error>>()?;
        }
        run.stages.count(self.cache.nominates(group), &self.metrics);
        Ok(())
    }
}

impl<'a> PlanRun<'a> {
    fn new(applier: &'a Applier, group: &'a GroupRef, seen: Version) -> Self {
        let role = applier.cache.role_label(group);
        let (versions, fenced_at) = (Mutex::default(), Mutex::default());
        let stages = Stages::new(applier.clock.wall());
        Self { applier, group, seen, role, versions, fenced_at, stages }
    }

    /// Waits until `gap` after the last fence.
    async fn wait_after_fence(&self, gap: Millis) {
        let fenced_at = *self.fenced_at.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fenced_at) = fenced_at {
            self.applier.clock.sleep_until(fenced_at + gap).await;
        }
    }

    /// What a request of this intent is for.
    fn lane(&self, intent: &Intent) -> Lane {
        match intent {
            Intent::WriteStatus(status) if self.keeps_record(status) => Lane::Report,
            Intent::WriteLease(write) if write.action == LeaseAction::Renew => Lane::Lease,
            Intent::DropSwitchover => Lane::Report,
            intent if intent.is_low_priority() => Lane::Report,
            _ => Lane::Switch,
        }
    }

    async fn carry_out_and_note(&self, intent: &Intent) -> Result<(), Error> {
        let records = matches!(intent, Intent::WriteStatus(status) if self.begins_term(status));
        self.carry_out(intent).await?;
        self.stages.note(intent, records, self.applier.clock.wall());
        Ok(())
    }

    async fn carry_out(&self, intent: &Intent) -> Result<(), Error> {
        let live = &self.applier.live;
        let requests = &self.applier.requests.in_lane(self.lane(intent));
        match intent {
            Intent::WriteStatus(status) => self.count("status", self.write_status(requests, status).await),
            Intent::Confirm(fact @ Fact::NoOtherSlices { .. }) => {
                self.note_route_refusal(live.confirm(&self.group.namespace, fact).await)
            }
            Intent::Confirm(fact) => live.confirm(&self.group.namespace, fact).await,
            Intent::ListPods(_) => {
                live.list_pods(self.group, self.version(&self.group.id.uid, self.seen)).await
            }
            Intent::Fence(write) => self.count("fence", self.fence(requests, write).await),
            Intent::Promote(write) => self.count("promote", self.label(requests, write, true).await),
            Intent::LabelFollower(write) => self.count("follow", self.label(requests, write, false).await),
            Intent::Release(pod, version) => {
                self.count("unmark", ok_if_gone(self.release(requests, pod, *version).await))
            }
            Intent::WriteLease(write) => self.count("lease", self.write_lease(requests, write).await),
            Intent::WriteNomination(write) => {
                self.count("lease", self.write_nomination(requests, write).await)
            }
            Intent::Route(write) => self.count("route", self.route(requests, write).await),
            Intent::CreateSlice(slice, headless) => {
                self.count("slice", self.create_slice(requests, slice, *headless).await)
            }
            Intent::DeleteSlice(slice, uid, version) => {
                self.count("slice", self.delete_slice(requests, slice, uid, *version).await)
            }
            Intent::DropSwitchover => self.count("switchover", self.drop_switchover(requests).await),
            Intent::AnnounceChange(change) => {
                self.announce_change(change);
                Ok(())
            }
            Intent::PublishEvent(event) => {
                self.applier.announce(self.group, event, "Report", event.is_answer());
                Ok(())
            }
            Intent::WarnOnce(warning, event) => {
                self.applier.announce(self.group, event, "Report", true);
                self.applier.cache.note_warned(self.group, warning.clone());
                Ok(())
            }
        }
    }

    /// Counts the result of a write in the metrics.
    fn count(&self, kind: &'static str, result: Result<(), Error>) -> Result<(), Error> {
        let outcome = result.as_ref().map_or_else(Error::reason, |()| "ok");
        self.applier.metrics.wrote(kind, outcome);
        result
    }

    /// The version of an object for this plan: that of its own latest write, else the one that the
    /// write was decided on.
    fn version(&self, uid: &str, decided_on: Version) -> Version {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.get(uid).copied().unwrap_or(decided_on)
    }

    /// The version as the condition of a write of `object`. The API server takes 0 for no
    /// condition.
    fn condition(&self, uid: &str, decided_on: Version, object: &str) -> Result<String, Error> {
        match self.version(uid, decided_on) {
            Version(0) => Err(Error::NoVersion { object: object.to_owned() }),
            Version(version) => Ok(version.to_string()),
        }
    }

    /// Takes the answer to a write. `known` is the version in the cache before the write.
    fn note_written<K>(&self, known: Option<&(String, Version)>, written: &K)
    where
        K: Resource<DynamicType = ()>,
    {
        self.applier.cache.check_answer(known, written);
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        versions.insert(written.uid().unwrap_or_default(), convert::version(written));
    }

    /// Refreshes the object in the cache if the condition of its write was refused. The refusal
    /// stays the result.
    async fn refresh_if_stale<T>(&self, stale: Stale<'_>, result: Result<T, Error>) -> Result<T, Error> {
        let namespace = &self.group.namespace;
        let Applier { live, cache, .. } = self.applier;
        match (&result, stale) {
            (Err(Error::Gone { .. }), Stale::Pod(pod)) => cache.remove_pod(namespace, pod, true),
            (Err(Error::Changed { .. }), Stale::Pod(pod)) => live.read_pod(namespace, pod).await?,
            // The name may belong to another Lease by now.
            (Err(Error::Changed { .. } | Error::Gone { .. }), Stale::Lease(name)) => {
                live.read_lease(namespace, name).await?;
            }
            (Err(Error::Changed { .. } | Error::Gone { .. }), Stale::Group) => {
                live.confirm_group_exists(self.group).await?;
            }
            _ => {}
        }
        result
    }
}

/// A gone pod needs neither a fence nor a release. The answer proves that it is gone.
fn ok_if_gone(result: Result<(), Error>) -> Result<(), Error> {
    if let Err(Error::Gone { .. }) = result { Ok(()) } else { result }
}
