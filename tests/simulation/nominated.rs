//! Groups whose pods are nominated: each pod has a companion, which takes the Lease and runs a
//! command while it holds it.
//!
//! Judged as always, and by the laws of [`super::commands`]. When the faults have stopped, one command runs in
//! bounded time: that of the labelled pod, in the recorded term (L3). Then a short outage of the API
//! server, and a long one of the operators, move nothing (L4). A long outage of the API server stops
//! the command. At rest the holder writes, and nobody else does.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::random::Random;

use super::api_server::{Server, State};
use super::book::{OPERATORS, collect_garbage};
use super::companion::{Habit, SHORT_LIFE};
use super::companions::Companions;
use super::world::ALL;
use super::{Cast, World, unsettled};

/// Kinds of faults that only groups of this mode meet.
pub const FAULTS: usize = 7;

/// The lengths of Leases, in seconds.
const DURATIONS: [u64; 3] = [3, 5, 15];

/// An election takes no longer once the faults have stopped: a quarantine, and nominees that are
/// silent.
const LONGEST_ELECTION_SECONDS: u64 = 120;

fn some_duration(random: &mut Random) -> u64 {
    DURATIONS[usize::try_from(random.below(3)).unwrap()]
}

impl World {
    pub async fn run_nominated(mut self) -> Result<(), String> {
        let mut spec = self.spec();
        spec["mode"] = json!("Nominated");
        spec["lease"] = json!({ "durationSeconds": some_duration(&mut self.random) });
        spec["failover"]["nomineeSeconds"] = json!(1 + self.random.below(5));
        let random = Random::new(self.random.next());
        let mut companions = Companions::new(self.server.clone(), random, self.cast.habit);
        // Where the length of the Lease is edited, the record is not lost: docs/safety.md has that limit.
        let things = if self.random.below(2) == 0 { ALL } else { ALL - 1 };
        self.begin(&spec);
        for _ in 0..40 {
            companions.attend();
            let span = self.random.below(4000);
            tokio::time::sleep(Duration::from_millis(span)).await;
            if self.random.below(2) == 0 {
                self.happen_of(things, &spec);
            } else {
                self.strike(&mut companions, things < ALL);
            }
            self.happen_to_routing();
            self.recover();
            self.check()?;
        }
        self.server.outage(false);
        self.calm_down();
        companions.heal();
        self.restart_operators();
        self.elects(&mut companions).await?;
        // The last commands that end by themselves do so.
        self.pass(&mut companions, SHORT_LIFE).await?;
        self.elects(&mut companions).await?;
        self.outages(&mut companions).await?;
        self.only_the_holder_writes(&mut companions, 60).await
    }

    /// One thing that happens to companions, or to what they need.
    fn strike(&mut self, companions: &mut Companions, edits_duration: bool) {
        match self.random.below(16) {
            0..3 => companions.kill_one(),
            3..5 => companions.stop_one(),
            5..7 => companions.cut_one_off(),
            7..10 => companions.go_on(),
            10 => companions.set_a_clock(),
            11 => companions.end_one(),
            12 => self.begin_outage(),
            13 => {
                self.edit(|state| state.test.meet("no operator"));
                self.operators = [None, None];
            }
            14 if edits_duration => {
                let seconds = some_duration(&mut self.random);
                self.edit(|state| state.edit(Kind::Group, "db", |group| set_duration(group, seconds)));
            }
            _ => {}
        }
    }

    fn begin_outage(&self) {
        self.edit(|state| state.test.meet("an outage of the API server"));
        self.server.outage(true);
    }

    /// Outages end after a while.
    fn recover(&mut self) {
        if self.random.below(3) == 0 {
            self.server.outage(false);
        }
        if self.random.below(3) == 0 {
            self.restart_operators();
        }
    }

    fn restart_operators(&mut self) {
        for instance in 0..OPERATORS {
            if self.operators[instance].is_none() {
                self.start(instance);
            }
        }
    }

    /// Time passes, and kubelets do their work.
    async fn pass(&self, companions: &mut Companions, span: Duration) -> Result<(), String> {
        let end = tokio::time::Instant::now() + span;
        while tokio::time::Instant::now() < end {
            companions.attend();
            self.server.with(collect_garbage);
            let left = end - tokio::time::Instant::now();
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
            self.check()?;
        }
        Ok(())
    }

    /// L1 and L3: in bounded time one command runs, that of the labelled leader.
    async fn elects(&self, companions: &mut Companions) -> Result<(), String> {
        for seconds in 0..LONGEST_ELECTION_SECONDS {
            if self.server.with(|state| idle(state)).is_none() {
                self.edit(|state| {
                    state.test.settled_in_seconds = state.test.settled_in_seconds.max(seconds);
                });
                return Ok(());
            }
            self.pass(companions, Duration::from_secs(1)).await?;
        }
        Err(format!("L3: {}", self.server.with(|state| idle(state)).unwrap_or_default()))
    }

    /// L4: what is short moves nothing. What is long stops the command, and ends.
    async fn outages(&mut self, companions: &mut Companions) -> Result<(), String> {
        let (seconds, command) = self.server.with(|state| {
            let lease = state.object(Kind::Lease, "db").unwrap_or_default();
            let command = state.test.commands.only().map(|(number, _)| number);
            (u32::try_from(lease.number("/spec/leaseDurationSeconds")).unwrap_or(1), command)
        });
        let duration = Duration::from_secs(seconds.into());
        let still = |world: &Self, what: &str| {
            let now = world.server.with(|state| state.test.commands.only().map(|(number, _)| number));
            let moved = world.server.with(|state| idle(state));
            if now == command && moved.is_none() {
                Ok(())
            } else {
                Err(format!("L4: {what}: {now:?}, {moved:?}"))
            }
        };
        let phase = Duration::from_millis(self.random.below(u64::from(seconds) * 1000));
        self.pass(companions, phase).await?;
        self.server.outage(true);
        self.pass(companions, duration / 5).await?;
        self.server.outage(false);
        self.pass(companions, duration * 2).await?;
        still(self, "after a short outage of the API server")?;
        self.operators = [None, None];
        self.pass(companions, duration * 3).await?;
        self.restart_operators();
        self.pass(companions, duration).await?;
        still(self, "after a long time without operator")?;
        self.server.outage(true);
        self.pass(companions, duration).await?;
        if let Some(number) = command.filter(|_| self.server.with(|state| state.test.commands.any())) {
            return Err(format!("L4: command {number} runs though no Lease can be renewed"));
        }
        self.pass(companions, duration / 2).await?;
        self.server.outage(false);
        self.elects(companions).await
    }

    /// At rest the holder renews, three times in the length of its Lease, and nothing else is
    /// written. No operator asks for anything, but to list what a watch has missed.
    async fn only_the_holder_writes(&self, companions: &mut Companions, seconds: u64) -> Result<(), String> {
        self.pass(companions, Duration::from_secs(30)).await?;
        self.edit(|state| state.test.calls.clear());
        self.pass(companions, Duration::from_secs(seconds)).await?;
        let (calls, lease) = self.server.with(|state| {
            (std::mem::take(&mut state.test.calls), state.object(Kind::Lease, "db").unwrap_or_default())
        });
        let is_renewal = |(who, what): &(usize, String)| *who >= OPERATORS && what == "update leases";
        let reads = |(who, what): &(usize, String)| {
            what.starts_with("list ") || (*who >= OPERATORS && what == "get leases")
        };
        let renewals: Vec<_> =
            calls.iter().filter(|(call, _)| is_renewal(call)).map(|(_, times)| *times).collect();
        let others: Vec<_> = calls.keys().filter(|call| !is_renewal(call) && !reads(call)).collect();
        if !others.is_empty() {
            return Err(format!("S4: at rest {others:?} were sent"));
        }
        let period = u64::try_from(lease.number("/spec/leaseDurationSeconds")).unwrap_or(0) * 1000 / 3;
        // The pause between two renewals is a third of the length, or up to a tenth less.
        let expected = seconds * 1000 / (period + 10) - 1..=seconds * 10_000 / (period * 9) + 1;
        match renewals[..] {
            [once] if expected.contains(&once) => Ok(()),
            _ => Err(format!("{renewals:?} renewals in {seconds} s, not {expected:?} of one companion")),
        }
    }
}

fn set_duration(group: &mut Value, seconds: u64) {
    group["spec"]["lease"]["durationSeconds"] = json!(seconds);
    let generation = group.at("/metadata/generation").as_u64().unwrap_or(0);
    group["metadata"]["generation"] = json!(generation + 1);
}

/// What is missing: a leader that is labelled, and whose command runs in the recorded term.
fn idle(state: &State) -> Option<String> {
    let present = state.test.judge.present();
    let record = present.group("db").map(|group| (group.leader.clone(), group.term));
    let command = state.test.commands.only().map(|(_, only)| (only.pod.clone(), Some(only.term)));
    let works = command.is_some() && command == record;
    unsettled(state).or_else(|| (!works).then(|| format!("{command:?} runs, {record:?} is recorded")))
}

#[tokio::test(start_paused = true)]
async fn at_rest_the_holder_writes_once_in_a_third_of_its_time_and_nobody_else_does() {
    for seconds in [3, 15, 60] {
        let server = Server::new(Random::new(0));
        server.with(|state| state.test.calm = true);
        let mut world = World::new(server.clone(), 0, Cast::RIGHT);
        world.begin(&json!({
            "mode": "Nominated",
            "lease": { "durationSeconds": seconds },
            "selector": { "matchLabels": { "app": "db" } },
        }));
        let mut companions = Companions::new(server, Random::new(1), Habit::Right);
        world.elects(&mut companions).await.unwrap();
        world.only_the_holder_writes(&mut companions, 600).await.unwrap();
    }
}
