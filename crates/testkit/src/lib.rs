//! What the tests of the operator share. Every harness of this repository is built of these parts.
//!
//! The judge must not believe the operator: this crate shares no code with it, and does not depend
//! on it. `tests/architecture.rs` keeps that so.

pub mod api_server;
pub mod audit;
pub mod cluster;
pub mod feed;
pub mod json;
pub mod judge;
pub mod kind;
pub mod process;
pub mod random;
pub mod wait;
pub mod world;
