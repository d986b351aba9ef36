//! Groups whose pods elect among themselves: simulated pods write the Lease, and the operators must
//! follow it.
//!
//! Judged as always, but for the Lease, which no operator may write; in the end exactly the holder
//! is labelled, no pod once it stops renewing, and renewals cost no write.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::random::Random;
use tokio::time::Instant;

use super::api_server::{Server, State};
use super::book::collect_slices;
use super::{PODS, World, routing, unsettled};

/// How long a holder that does not renew keeps the Lease.
const DURATION: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(500);

/// The electors of all pods, as one.
struct Electors {
    random: Random,
    /// Name and UID of the pod that believes to hold the Lease, and the identity it holds it under.
    holding: Option<(String, String, String)>,
    renewed_at: Instant,
    serial: i64,
    hangs: bool,
}

impl Electors {
    fn new(random: Random) -> Self {
        Self { random, holding: None, renewed_at: Instant::now(), serial: 0, hangs: false }
    }

    /// What the pods do at one moment.
    fn tick(&mut self, server: &Server) {
        server.with(|state| {
            let lease = state.object(Kind::Lease, "db").unwrap_or_default();
            let holder = lease.text("/spec/holderIdentity").to_owned();
            let alive = |(name, uid, _): &(String, String, String)| {
                state.object(Kind::Pod, name).is_some_and(|pod| {
                    pod["metadata"]["uid"] == json!(uid) && pod["status"]["phase"] == "Running"
                })
            };
            let lost = |held: &(String, String, String)| !holder.is_empty() && holder != held.2;
            self.holding = self.holding.take().filter(|held| alive(held) && !lost(held));
            let free = holder.is_empty() || self.renewed_at.elapsed() > DURATION;
            if self.holding.is_none() && free {
                self.holding = self.somebody(state);
            }
            if !self.hangs {
                self.renew(state, &lease);
            }
        });
    }

    fn somebody(&mut self, state: &State) -> Option<(String, String, String)> {
        let name = PODS[usize::try_from(self.random.below(3)).unwrap()];
        let pod = state.object(Kind::Pod, name).filter(|pod| pod["status"]["phase"] == "Running")?;
        let suffix = self.random.below(2) == 0;
        let identity = if suffix { format!("{name}_{}", self.random.below(9)) } else { name.to_owned() };
        Some((name.to_owned(), pod.text("/metadata/uid").to_owned(), identity))
    }

    fn renew(&mut self, state: &mut State, lease: &Value) {
        let Some((_, _, identity)) = &self.holding else { return };
        self.serial += 1;
        self.renewed_at = Instant::now();
        let time = jiff::Timestamp::from_second(1_700_000_000 + self.serial).unwrap();
        let time = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
        let spec = json!({ "holderIdentity": identity, "leaseDurationSeconds": 15, "renewTime": time });
        if lease.is_null() {
            state.create(Kind::Lease, json!({ "metadata": { "name": "db" }, "spec": spec }));
        } else {
            state.edit(Kind::Lease, "db", |lease| lease["spec"] = spec);
        }
    }

    fn release(&mut self, server: &Server) {
        self.holding = None;
        server.with(|state| {
            state.edit(Kind::Lease, "db", |lease| lease["spec"]["holderIdentity"] = json!(""));
        });
    }

    async fn run(&mut self, server: &Server, span: Duration) {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.tick(server);
            tokio::time::sleep(TICK).await;
        }
    }
}

impl World {
    pub async fn run_observed(mut self) -> Result<(), String> {
        let mut spec = self.spec();
        spec["mode"] = json!("Observed");
        let mut electors = Electors::new(Random::new(self.random.below(u64::MAX)));
        self.server.with(|state| state.test.pods_hold_the_lease = true);
        self.begin(&spec);
        for _ in 0..40 {
            let span = self.random.below(4000);
            electors.run(&self.server, Duration::from_millis(span)).await;
            match self.random.below(8) {
                0 => electors.release(&self.server),
                1 => electors.hangs = !electors.hangs,
                _ => self.happen(&spec),
            }
            self.happen_to_routing();
            self.check()?;
        }
        self.calm_down();
        electors.hangs = false;
        self.follow(&mut electors).await?;
        self.expire().await?;
        self.follow(&mut electors).await?;
        self.renewals_cost_nothing(&mut electors).await
    }

    /// L1: the holder is labelled in bounded time.
    async fn follow(&self, electors: &mut Electors) -> Result<(), String> {
        for _ in 0..400 {
            electors.run(&self.server, Duration::from_secs(1)).await;
            self.server.with(collect_slices);
            self.check()?;
            if self.misled(electors).is_none() {
                return Ok(());
            }
        }
        Err(format!("L1: {}", self.misled(electors).unwrap_or_default()))
    }

    fn misled(&self, electors: &Electors) -> Option<String> {
        let Some((_, uid, identity)) = &electors.holding else { return Some("nobody holds".to_owned()) };
        self.server.with(|state| {
            let labelled = leaders(state);
            if labelled != [uid.clone()] {
                return Some(format!("{uid} holds as {identity}, {labelled:?} labelled"));
            }
            unsettled(state)
        })
    }

    /// No pod renews the Lease, and none keeps the label.
    async fn expire(&self) -> Result<(), String> {
        tokio::time::sleep(DURATION * 2).await;
        self.check()?;
        let (labelled, routed) = self.server.with(|state| (leaders(state), routing::reaches_a_pod(state)));
        if labelled.is_empty() && !routed {
            return Ok(());
        }
        Err(format!("the Lease ran out, {labelled:?} labelled, routed: {routed}"))
    }

    /// S4.
    async fn renewals_cost_nothing(&self, electors: &mut Electors) -> Result<(), String> {
        electors.run(&self.server, Duration::from_secs(30)).await;
        self.server.with(|state| state.test.writes.clear());
        electors.run(&self.server, Duration::from_secs(60)).await;
        self.check()?;
        let writes = self.server.with(|state| state.test.writes.clone());
        if writes.is_empty() { Ok(()) } else { Err(format!("S4: at rest {writes:?} were sent")) }
    }
}

/// The UIDs of the pods that carry the leader label.
fn leaders(state: &State) -> Vec<String> {
    let present = state.test.judge.present();
    let leaders = present.group("db").into_iter().flat_map(|group| present.leaders(group));
    leaders.map(|pod| pod.uid.clone()).collect()
}
