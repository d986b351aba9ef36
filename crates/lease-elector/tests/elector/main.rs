//! The leader elector on an API server in the process, under tokio's paused time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::unchecked_time_subtraction,
    clippy::semicolon_if_nothing_returned,
    clippy::struct_excessive_bools,
    unreachable_pub,
    reason = "a test: what cannot be is a failure, and time is virtual"
)]

mod clock;
mod conformance;
mod contending;
mod enforcer;
mod health;
mod leading;
mod mistakes;
mod nominee;
mod numbers;
mod patience;
mod regressions;
mod server;
mod settings;
mod simulation;
mod stopping;
mod support;
mod wire;
