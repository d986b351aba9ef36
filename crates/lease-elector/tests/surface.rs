//! The public names of the crate. A name that comes or goes is a decision, and this list its record.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const NAMES: [&str; 32] = [
    "Access",
    "ActiveTerm",
    "BuildError",
    "ConfigError",
    "Died",
    "ElectorConfig",
    "ElectorMetrics",
    "Ended",
    "Ending",
    "FencingToken",
    "HealthCheck",
    "LeaderElector",
    "LeaderView",
    "Liveness",
    "LossReason",
    "Nanos",
    "Notice",
    "Number",
    "OVERRUN_MARGIN",
    "Options",
    "Overrun",
    "Picked",
    "RunError",
    "SameIdentity",
    "SettingsRead",
    "TermSource",
    "Unhealthy",
    "clock",
    "default_identity",
    "kube",
    "pod_identity",
    "run_or_die",
];

/// What `lib.rs` declares or re-exports.
fn names(lib: &str) -> BTreeSet<String> {
    let code: Vec<_> = lib.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut names = BTreeSet::new();
    for statement in code.join("\n").split(';') {
        let statement = statement.trim();
        if statement.contains("#[doc(hidden)]") {
            continue;
        }
        if let Some(module) = statement.strip_prefix("pub mod ") {
            names.insert(module.to_owned());
        } else if let Some(path) = statement.strip_prefix("pub use ") {
            let list = path.rsplit_once("::{").map_or_else(
                || path.rsplit("::").next().unwrap().to_owned(),
                |(_, list)| list.trim_end_matches('}').to_owned(),
            );
            names.extend(list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()));
        }
    }
    names
}

#[test]
fn the_crate_offers_these_names_and_no_other() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let hidden = lib.matches("#[doc(hidden)]").count();
    assert_eq!(hidden, 2, "decisions and lease_client, for tests");
    assert_eq!(names(&lib), NAMES.map(str::to_owned).into());
}
