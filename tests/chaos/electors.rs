//! The electors of the pods of groups in Observed mode: each reads the Lease, renews it while it
//! holds it, and takes it when it is free or has not changed for as long as it is valid; every
//! write is a compare-and-swap, and says what client-go's says.
//!
//! They know nothing of pods: whether an elector ends with its pod is up to the faults. So some
//! renew for a pod that is gone, and some come back after their Lease ran out.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::Api;
use kube::api::PostParams;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::{AUTHOR, LEASE_SECONDS, create_lease, identity};
use testkit::random::Random;
use testkit::world::micro_time;

/// The mean time between two looks.
const RETRY: u64 = 400;

/// How long one waits for an answer; what was sent may still arrive.
const ANSWER: Duration = Duration::from_secs(1);

/// All that run, by the name of their pod.
pub(crate) struct Electors {
    leases: Api<DynamicObject>,
    random: Random,
    running: BTreeMap<String, (String, JoinHandle<()>)>,
}

impl Electors {
    pub(crate) fn new(leases: Api<DynamicObject>, random: Random) -> Self {
        Self { leases, random, running: BTreeMap::new() }
    }

    /// Starts that of a pod, if it does not run: under its name, its name and something, or its
    /// other identity.
    pub(crate) fn start(&mut self, pod: &str) {
        if self.running.contains_key(pod) {
            return;
        }
        let identity = match self.random.below(5) {
            0 | 1 => pod.to_owned(),
            2 | 3 => format!("{pod}_{:x}", self.random.below(1 << 32)),
            _ => Some(identity(pod)).filter(|own| own.ends_with("alias")).unwrap_or_else(|| pod.to_owned()),
        };
        let elector = Elector {
            lease: pod.split('-').next().unwrap_or_default().to_owned(),
            identity: identity.clone(),
            leases: self.leases.clone(),
            random: Random::new(self.random.next()),
            seen: (Value::Null, Instant::now()),
        };
        self.running.insert(pod.to_owned(), (identity, tokio::spawn(elector.run())));
    }

    /// Ends that of a pod as a crash does. What it has sent may still arrive.
    pub(crate) fn kill(&mut self, pod: &str) {
        if let Some((_, task)) = self.running.remove(pod) {
            task.abort();
        }
    }

    /// Who the elector of a pod is, or would be.
    pub(crate) fn identity(&self, pod: &str) -> String {
        self.running.get(pod).map_or_else(|| pod.to_owned(), |(identity, _)| identity.clone())
    }
}

impl Drop for Electors {
    fn drop(&mut self) {
        for (_, task) in self.running.values() {
            task.abort();
        }
    }
}

struct Elector {
    lease: String,
    identity: String,
    leases: Api<DynamicObject>,
    random: Random,
    /// What the Lease said last, and since when.
    seen: (Value, Instant),
}

impl Elector {
    async fn run(mut self) {
        loop {
            if let Ok(Ok(lease)) = tokio::time::timeout(ANSWER, self.leases.get_opt(&self.lease)).await {
                self.look(lease).await;
            }
            let pause = RETRY / 2 + self.random.below(RETRY);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn look(&mut self, lease: Option<DynamicObject>) {
        let spec = lease.as_ref().map_or(Value::Null, |lease| lease.data["spec"].clone());
        if spec != self.seen.0 {
            self.seen = (spec.clone(), Instant::now());
        }
        let holder = spec["holderIdentity"].as_str().unwrap_or_default();
        let held = holder == self.identity;
        let ran_out = self.seen.1.elapsed() > Duration::from_secs(LEASE_SECONDS);
        if !held && !holder.is_empty() && !ran_out {
            return;
        }
        if self.random.below(40) == 0 {
            // It stalls with what it has read.
            let stall = self.random.below(4000);
            tokio::time::sleep(Duration::from_millis(stall)).await;
        }
        // Whatever becomes of it, the next look tells.
        let _ = tokio::time::timeout(ANSWER, self.write(lease, spec, held)).await;
    }

    async fn write(&self, lease: Option<DynamicObject>, mut spec: Value, held: bool) -> kube::Result<()> {
        let now = micro_time();
        let taken = json!({
            "holderIdentity": self.identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": 0,
        });
        let Some(mut lease) = lease else {
            return create_lease(&self.leases, &self.lease, &taken).await.map(|_| ());
        };
        if held {
            spec["leaseDurationSeconds"] = json!(LEASE_SECONDS);
            spec["renewTime"] = json!(now);
        } else {
            let transitions = spec["leaseTransitions"].as_i64().unwrap_or_default() + 1;
            spec = taken;
            spec["leaseTransitions"] = json!(i32::try_from(transitions).unwrap_or_default());
        }
        lease.data["spec"] = spec;
        lease.metadata.managed_fields = None;
        let params = PostParams { field_manager: Some(AUTHOR.to_owned()), ..PostParams::default() };
        self.leases.replace(&self.lease, &params, &lease).await.map(|_| ())
    }
}
