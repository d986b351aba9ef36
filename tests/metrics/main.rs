//! What `/metrics` prints, and that alerts, dashboard and runbooks name it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::needless_pass_by_value,
    reason = "a test: what cannot be is a failure, and one prints how long a scrape takes"
)]

mod alerts;
mod groups;
mod names;

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}
