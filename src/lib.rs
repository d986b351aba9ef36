//! Elects one pod of a group, holds its Lease, and labels it as the leader.
//!
//! The judgement is a crate of its own, [`planner`]. So is the leader elector for Rust programs, by
//! which the operator's own replicas take turns: [`lease_elector`], here under the name `elector`.

pub mod api;
pub mod cache;
pub mod clock;
pub mod commands;
pub mod controller;
pub mod convert;
pub mod http;
pub mod lines;
pub mod metrics;
pub mod process;
pub mod telemetry;

pub use lease_elector as elector;
pub use planner;
