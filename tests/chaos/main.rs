//! Chaos: several operators at once on a control plane of its own, faults of every kind from a
//! seed, and a judge of every single revision of every pod, group, Lease and slice.
//!
//! `make chaos` runs it for ten minutes. `CHAOS_SECONDS`, `CHAOS_SEED`, `CHAOS_GROUPS` and
//! `CHAOS_OPERATORS` change that. The seed gives the same faults again; what they meet depends on
//! the machine.
//!
//! In a third of the groups, and at least in one, the pods elect (mode Observed): their electors
//! ([`electors`]) are played here. In another third the pods are nominated: their companions
//! ([`companions`]) are processes of the program. Every other group routes a Service.
//!
//! The operators are processes, and nothing but processes: the judge and the feed (the crate
//! `testkit`) share no code with them. Only [`broken`] knows the operator's crate: it runs
//! operators and companions that are wrong on purpose, which the judge and the kernel must find out.
//! `tests/chaos/run.sh broken::` runs these alone.

// Tests may take the time, and fail by panicking.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used,
    unreachable_pub
)]

mod admission;
mod broken;
mod commands;
mod companions;
mod control_plane;
mod electors;
mod faults;
mod operators;
mod world;

use std::time::{Duration, SystemTime};

use admission::Webhooks;
use companions::Companions;
use control_plane::ControlPlane;
use faults::Chaos;
use operators::Operators;
use testkit::judge::Judge;
use testkit::random::Random;
use world::{Shares, World};

/// How long faults go on before everything must come to rest once.
const ROUND: u64 = 20;

fn number(name: &str, usual: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return usual };
    text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane of its own: make chaos"]
async fn no_revision_shows_two_leaders_whatever_happens() {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("the clock is past 1970").as_secs();
    let seed = number("CHAOS_SEED", now);
    let (groups, operators) = (number("CHAOS_GROUPS", 6), number("CHAOS_OPERATORS", 3));
    let seconds = number("CHAOS_SECONDS", 600);
    println!("CHAOS_SEED={seed} CHAOS_SECONDS={seconds} CHAOS_GROUPS={groups} CHAOS_OPERATORS={operators}");
    let plane = ControlPlane::find();
    let mut random = Random::new(seed);
    let third = (groups / 3).max(1);
    let world = World::new("chaos", groups, Shares { observed: third, nominated: third }, &mut random).await;
    println!("the pods elect in {:?}, and are nominated in {:?}", world.observed(), world.nominated());
    let operators = Operators::new(&world.namespace, operators);
    let webhooks = Webhooks::new(&world.namespace).await;
    let companions = Companions::new(&world.namespace, Random::new(random.next()));
    let mut chaos = Chaos::new(random, world, plane, operators, companions, webhooks);
    let mut judge = Judge::default();
    let mut left = seconds;
    for round in 1.. {
        let length = left.min(ROUND);
        chaos.strike_for(Duration::from_secs(length)).await;
        chaos.come_to_rest().await;
        chaos.hand_over(&mut judge).await;
        let starts = chaos.starts_of_commands();
        println!("round {round}: {}; so far {judge}, {starts} commands", chaos.told());
        assert_eq!(judge.violations().len(), 0, "CHAOS_SEED={seed}\n{}", judge.evidence());
        left -= length;
        if left == 0 {
            break;
        }
    }
    println!("{}", judge.gaps());
    let starts = chaos.starts_of_commands();
    let judged = judge.promotions() > 0 && judge.followed() > 0 && judge.routes() > 0 && starts > 0;
    assert!(judged, "too little was judged: {judge}, {starts} commands");
    chaos.end().await;
}
