//! The whole operator, two of it at once, on an API server in the process with a paused clock and
//! faults from a seed.
//!
//! Every commit is judged against S1–S5, R1–R5 and L2; in the end, when the faults have stopped, a leader
//! must be labelled (L1), and then nothing but renewals is written (S4). `SIMULATION_SEEDS=N` runs
//! N seeds, half as many in Observed mode, and a quarter in Nominated mode (`make sim`: 2,000).
//! `SIMULATION_SEED=N` runs one and prints its history: the same one each time. In Nominated mode not
//! always: tokio wakes the tasks of an elector in an order left to chance.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test: what cannot be is a failure, and time is virtual"
)]

mod api_server;
mod book;
#[path = "../../crates/lease-elector/tests/elector/clock.rs"]
#[allow(dead_code, reason = "the tests of the elector use all of it")]
mod clock;
mod commands;
mod companion;
mod companions;
mod nominated;
mod nominated_broken;
mod observed;
mod queues;
mod routing;
mod upkeep;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use api_server::Server;
use book::Mangle;
use companion::Habit;
use election_operator::planner::plan;
use election_operator::planner::plan::{Fact, Intent, Plan, PodWrite, Step};
use election_operator::planner::seen::{GroupView, Role};
use testkit::random::Random;
use world::{Operator, World, group, pod, unsettled};

const PODS: [&str; 3] = ["db-0", "db-1", "db-2"];
/// Decides what to do.
type Planner = fn(&GroupView) -> Plan;

/// Who takes part.
#[derive(Clone, Copy)]
struct Cast {
    planner: Planner,
    habit: Habit,
    mangle: Option<Mangle>,
}

impl Cast {
    /// All of them are right.
    const RIGHT: Self = Self { planner: plan, habit: Habit::Right, mangle: None };
}

/// Kinds of faults that the API server knows; a run of many seeds meets all of them.
const FAULTS: usize = 14;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// How many seeds run in Managed and in Nominated mode, and twice as many as in Observed mode. Without
/// the variable: enough to meet every kind of fault.
fn seeds() -> u64 {
    env("SIMULATION_SEEDS").unwrap_or(100)
}

#[test]
fn two_operators_keep_the_invariants_whatever_happens_to_them() {
    keep_the_invariants(Mode::Managed, seeds());
}

#[test]
fn two_operators_follow_the_lease_of_the_pods_whatever_happens_to_them() {
    keep_the_invariants(Mode::Observed, seeds() / 2);
}

#[test]
fn two_operators_nominate_and_one_command_runs_whatever_happens_to_all_of_them() {
    keep_the_invariants(Mode::Nominated, seeds());
}

/// Who elects, and who holds the Lease.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Managed,
    Observed,
    Nominated,
}

fn keep_the_invariants(mode: Mode, seeds: u64) {
    if let Some(seed) = env("SIMULATION_SEED") {
        election_operator::telemetry::start(election_operator::telemetry::LogFormat::Text);
        let run = simulate(mode, seed, plan);
        println!("{}", run.log.join("\n"));
        run.result.unwrap();
        return;
    }
    let next = AtomicU64::new(0);
    let met: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let (promotions, routes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (starts, slowest) = (AtomicU64::new(0), AtomicU64::new(0));
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let run = simulate(mode, seed, plan);
            if let Err(failure) = run.result {
                next.store(seeds, Ordering::Relaxed);
                panic!("{failure}; see it with SIMULATION_SEED={seed}");
            }
            promotions.fetch_add(run.promotions, Ordering::Relaxed);
            routes.fetch_add(run.routes, Ordering::Relaxed);
            starts.fetch_add(run.starts, Ordering::Relaxed);
            slowest.fetch_max(run.settled_in_seconds, Ordering::Relaxed);
            for (fault, times) in run.met {
                *met.lock().unwrap().entry(fault).or_default() += times;
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(run);
        }
    });
    let met = met.into_inner().unwrap();
    let (promotions, routes) = (promotions.into_inner(), routes.into_inner());
    println!("{seeds} seeds, {promotions} promotions, {routes} routes; faults met: {met:#?}");
    println!("{} starts of commands; at rest after {} s", starts.into_inner(), slowest.into_inner());
    let faults = if mode == Mode::Nominated { FAULTS + nominated::FAULTS } else { FAULTS };
    assert!(seeds < 100 || met.len() == faults, "not every kind of fault was met");
    assert!(seeds < 100 || (promotions > 0 && routes > 0), "too little was judged");
}

#[test]
fn a_seed_gives_the_same_history_again() {
    let of = |seed| simulate(Mode::Managed, seed, plan).log;
    // tokio wakes the tasks that wait for one value in an order left to chance: of two groups either
    // may come first.
    for seed in (0..30).filter(|seed| !routing::has_rival(*seed)) {
        let (first, second) = (of(seed), of(seed));
        let same = first.iter().zip(&second).position(|(first, second)| first != second);
        let at = same.unwrap_or(first.len().min(second.len()));
        let (one, other) = (first.get(at), second.get(at));
        assert_eq!(one, other, "seed {seed}, line {at}, after {:#?}", &first[at.saturating_sub(5)..at]);
    }
}

/// Operators that are wrong on purpose do not get through.
#[test]
fn a_broken_operator_is_found_out() {
    let promotes_first: Planner = |view| {
        let mut steps = plan(view).into_steps();
        let promotes = |step: &Step| step.intents.iter().any(|intent| matches!(intent, Intent::Promote(_)));
        steps.sort_by_key(|step| !promotes(step));
        Plan::Write(steps)
    };
    let never_fences: Planner = |view| {
        let mut steps = plan(view).into_steps();
        for step in &mut steps {
            step.intents.retain(|intent| !matches!(intent, Intent::Fence(_)));
        }
        Plan::Write(steps)
    };
    let writes_again: Planner = |view| {
        let mut steps = plan(view).into_steps();
        let Some(snapshot) = view.present() else { return Plan::of(steps) };
        let term = snapshot.record().map(|record| record.term);
        let kept = snapshot.pods.iter().filter(|pod| pod.role == Role::Follower && pod.term == term);
        let again = kept.zip(term).map(|(pod, term)| {
            Intent::LabelFollower(PodWrite { pod: pod.id.clone(), version: pod.version, term })
        });
        steps.extend(again.map(|intent| Step { intents: vec![intent], ..Step::default() }));
        Plan::Write(steps)
    };
    let never_asks: Planner = |view| {
        let mut steps = plan(view).into_steps();
        for step in &mut steps {
            step.intents.retain(|intent| {
                !matches!(
                    intent,
                    Intent::Confirm(Fact::PodGone(_) | Fact::Record { .. } | Fact::GroupGone(_))
                )
            });
        }
        Plan::Write(steps)
    };
    let broken = [(promotes_first, "S3"), (never_fences, "S1"), (writes_again, "S4"), (never_asks, "S1")];
    for (planner, promise) in broken {
        let mut failures = (0..2000).filter_map(|seed| simulate(Mode::Managed, seed, planner).result.err());
        let found = failures.find(|failure| failure.starts_with(promise));
        assert!(found.is_some(), "nobody noticed that {promise} does not hold");
    }
}

/// One run, from its seed to its end.
struct Run {
    result: Result<(), String>,
    log: Vec<String>,
    /// How often each kind of fault happened.
    met: BTreeMap<&'static str, u64>,
    promotions: usize,
    /// How often a slice came to route to another pod.
    routes: usize,
    /// How many commands were started.
    starts: u64,
    /// How long the group took to come to rest after the faults (Nominated).
    settled_in_seconds: u64,
}

fn simulate(mode: Mode, seed: u64, planner: Planner) -> Run {
    simulate_with(mode, seed, Cast { planner, ..Cast::RIGHT })
}

fn simulate_with(mode: Mode, seed: u64, cast: Cast) -> Run {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let server = Server::new(Random::new(seed));
        server.with(|state| state.test.mangle = cast.mangle);
        let world = World::new(server.clone(), seed, cast);
        let result = match mode {
            Mode::Managed => world.run().await,
            Mode::Observed => world.run_observed().await,
            Mode::Nominated => world.run_nominated().await,
        };
        server.with(|state| Run {
            result,
            log: state.test.log.iter().map(|line| without_times(line)).collect(),
            met: std::mem::take(&mut state.test.met),
            promotions: state.test.judge.promotions(),
            routes: state.test.judge.routes(),
            starts: state.test.commands.starts,
            settled_in_seconds: state.test.settled_in_seconds,
        })
    })
}

/// The wall clock is the only thing that is not simulated.
fn without_times(line: &str) -> String {
    let is_time = |word: &str| word.parse::<jiff::Timestamp>().is_ok();
    let words = line.split('"').map(|word| if is_time(word) { "now" } else { word });
    words.collect::<Vec<_>>().join("\"")
}
