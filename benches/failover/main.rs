//! How fast a failover is, on a real control plane, and what it costs. And how fast electors hand a
//! Lease on, ours beside client-go's: `make bench`.
//!
//! The operator runs as its users run it: the release binary, a process of its own, under the
//! chart's `ServiceAccount`. Everything is measured from outside, on this bench's own watches: from
//! the event that shows the cause to the event that shows the new leader label, and to the event
//! that shows the new leader as the only ready endpoint of its Service. A label PATCH is the
//! yardstick: milliseconds depend on the machine, ratios hardly do. It is made between the switches,
//! in the same form and under the same account as the operator's own.
//!
//! A number is printed beside its target and fails nothing.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `ELECTION_OPERATOR_BENCH_SWITCHES` | 100 | switches in each scenario of the operator's failover; 0 = none of them |
//! | `ELECTION_OPERATOR_BENCH_GROUPS` | 1,100 | numbers of groups |
//! | `ELECTION_OPERATOR_BENCH_CAUSES` | all | of `deleted`, `not-ready`, `terminating`, `switchover` |
//! | `ELECTION_OPERATOR_BENCH_STEADY` | 20 | seconds for which the steady state is watched, once for each number of groups |
//! | `ELECTION_OPERATOR_BENCH_BYSTANDERS` | 2000 | pods of no group, made to see what a watched pod costs in memory; 0 = do not |
//! | `ELECTION_OPERATOR_BENCH_STORM` | 200 | leaders that are lost at once, with Services by the label and with routed ones; 0 = none |
//! | `ELECTION_OPERATOR_BENCH_HANDOVERS` | 30 | clean hand-overs between two of our electors, with and without an operator that follows; a quarter as many of crashes and of client-go's; 0 = none |

// A bench reads clocks, computes with floats and may fail by panicking.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod anatomy;
mod audit;
mod cluster;
mod handover;
mod operator;
mod recorder;
mod report;
mod scenario;
mod storm;
mod switch;
mod world;

use std::str::FromStr;

use cluster::Cluster;
use scenario::{Cause, Scenario};
use world::Route;

#[tokio::main(worker_threads = 2)]
async fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        eprintln!("this measures a release build: cargo bench --bench failover");
        return;
    }
    let cluster = Cluster::find();
    tokio::select! {
        () = run(&cluster) => {}
        _ = tokio::signal::ctrl_c() => eprintln!("interrupted: cleaning up"),
    }
    world::remove_all(&cluster.admin_client().await).await;
}

async fn run(cluster: &Cluster) {
    fail_over(cluster).await;
    lose_many(cluster).await;
    hand_over(cluster).await;
}

async fn lose_many(cluster: &Cluster) {
    let groups = number("ELECTION_OPERATOR_BENCH_STORM", 200);
    if groups == 0 {
        return;
    }
    let mut lines = Vec::new();
    for route in [Route::Label, Route::Slice] {
        eprintln!("{groups} leaders lost at once, {route:?} (load {})", operator::load());
        let line = storm::run(cluster, groups, route).await;
        eprintln!("{line}");
        lines.push(line);
        // The controllers' requests for one namespace must not delay the next.
        let client = cluster.admin_client().await;
        world::remove_all(&client).await;
        world::until_gone(&client).await;
    }
    println!("\n## Many leaders lost at once\n\n{}\n{}", storm::HEADER, lines.join("\n"));
}

async fn hand_over(cluster: &Cluster) {
    let changes = number("ELECTION_OPERATOR_BENCH_HANDOVERS", 30);
    if changes == 0 {
        return;
    }
    let mut results = Vec::new();
    for relay in handover::relays(changes) {
        if !relay.make.is_there() {
            eprintln!("hand-overs of {}: left out", relay.make);
            continue;
        }
        eprintln!("hand-overs: {relay} (load {})", operator::load());
        let outcome = relay.run(cluster).await;
        eprintln!("{}", handover::report::line(&outcome));
        results.push(outcome);
    }
    handover::report::print(&results);
}

async fn fail_over(cluster: &Cluster) {
    let sizes: Vec<usize> = list("ELECTION_OPERATOR_BENCH_GROUPS", "1,100");
    let causes: Vec<Cause> =
        list("ELECTION_OPERATOR_BENCH_CAUSES", "deleted,not-ready,terminating,switchover");
    let switches = number("ELECTION_OPERATOR_BENCH_SWITCHES", 100);
    if switches == 0 {
        return;
    }
    let largest = sizes.iter().max().copied();
    let mut results = Vec::new();
    for &groups in &sizes {
        for (index, &cause) in causes.iter().enumerate() {
            eprintln!("{groups} groups, {cause}: {switches} switches (load {})", operator::load());
            // Rest and memory are the same whatever the cause was: once for each number of groups.
            let steady = if index == 0 { number("ELECTION_OPERATOR_BENCH_STEADY", 20) } else { 0 };
            let crowd = index + 1 == causes.len() && Some(groups) == largest;
            let bystanders = if crowd { number("ELECTION_OPERATOR_BENCH_BYSTANDERS", 2000) } else { 0 };
            let scenario = Scenario { groups, cause, switches, steady, bystanders };
            let outcome = scenario.run(cluster).await;
            eprintln!("{}", report::line(&outcome));
            results.push(outcome);
        }
    }
    report::print(&results);
}

fn number(variable: &str, default: usize) -> usize {
    let default = default.to_string();
    list(variable, &default).into_iter().next().unwrap_or_default()
}

fn list<T: FromStr>(variable: &str, default: &str) -> Vec<T> {
    let text = std::env::var(variable).unwrap_or_else(|_| default.to_owned());
    let parse = |word: &str| word.trim().parse().ok();
    text.split(',')
        .map(|word| parse(word).unwrap_or_else(|| panic!("{variable}: what is {word:?}?")))
        .collect()
}
