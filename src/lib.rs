//! Elects one pod of a group, holds its Lease, and labels it as the leader.
//!
//! With `default-features = false` the crate is only a leader elector for Rust programs:
//! [`LeaderElector`].

#[cfg(feature = "operator")]
pub mod api;
#[cfg(feature = "operator")]
pub mod cache;
pub mod clock;
#[cfg(feature = "operator")]
pub mod commands;
#[cfg(feature = "operator")]
pub mod controller;
#[cfg(feature = "operator")]
pub mod convert;
pub mod elector;
#[cfg(feature = "operator")]
pub mod http;
#[cfg(feature = "operator")]
pub mod lines;
#[cfg(feature = "operator")]
pub mod metrics;
pub mod planner;
#[cfg(feature = "operator")]
pub mod process;
#[cfg(feature = "operator")]
pub mod telemetry;

pub use elector::{Access, ActiveTerm, ElectorConfig, LeaderElector, LeaderView};
/// The `k8s_openapi` that this crate is built with. A program chooses the Kubernetes version by a
/// feature of it.
pub use k8s_openapi;
