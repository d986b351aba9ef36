//! The operator against a real control plane.
//!
//! These tests run the built binary under the chart's own `ServiceAccount`, as a process beside a real etcd,
//! kube-apiserver and kube-controller-manager (`cluster.sh`), and judge it from outside only: by what the API server
//! stores, shows to watches and logs. Each test has a namespace and an operator of its own, so all of them run at once,
//! and each ends with the verdict of the judge on a [`testkit::feed::Journal`], which has every revision of every pod.

// Tests may take the time, and fail by panicking.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::format_collect,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::unwrap_used
)]

mod harness;
#[path = "../docs/pages.rs"]
mod pages;

mod alone;
mod bad_input;
mod chart;
mod choices;
mod cleanup;
mod companion;
mod crash;
mod drift;
mod examples;
mod failover;
mod first_election;
mod follow;
mod interop;
mod lease;
mod no_candidate;
mod nodes;
mod nominated;
mod nominations;
mod observed;
mod overlap;
mod permissions;
mod policies;
mod process;
mod readme;
mod replicas;
mod role_label;
mod rollout;
mod routing;
mod schemas;
mod services;
mod sticky;
mod switchover;
mod tenant;
mod writes;
