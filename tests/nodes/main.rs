//! The product on real nodes: kubelet, containerd and kube-proxy, and what a client of the Service sees.
//!
//! `nodes.sh` brings up a cluster in namespaces of this machine. `ELECTION_OPERATOR_NODES_KUBECONFIG` names
//! another one: docs/nodes.md has the variables. The tests install the chart as a user does and run
//! `examples/` as they are. They judge facts only: which pod leads, and which pods the Service reaches.
//! Times are printed and never judged. One test runs at a time.

// Tests may read the clock, and fail by panicking.
#![allow(
    clippy::cast_possible_truncation,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod cluster;
mod traffic;
mod world;

mod bench;
mod examples;
mod failover;
mod install;
#[path = "../docs/pages.rs"]
mod pages;
mod postgres;
mod processes;
mod release;
