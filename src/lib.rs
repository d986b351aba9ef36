//! Elects one pod of a group, holds its Lease, and labels it as the leader.

pub mod api;
pub mod clock;
pub mod commands;
pub mod controller;
pub mod election;
pub mod http;
pub mod metrics;
pub mod process;
pub mod telemetry;
