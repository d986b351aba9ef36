//! `election-operator elect`, `watch` and `run` as processes: real signals, real exit codes and
//! real HTTP. The API server runs in the test's process and knows only Leases.

// Tests may read the clock, and fail by panicking.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod access;
mod elect;
mod follow;
mod guard;
mod http;
mod init;
mod nominated;
mod run;
mod run_or_die;
mod running;
mod server;
mod tls;
mod watch;
mod wrapper;
