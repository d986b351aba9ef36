//! The public names of the crate, and in `surface.txt` what they offer. A change of either is a
//! decision, and these lists its record.
//!
//! `UPDATE_GENERATED=1 cargo test --test surface` (`make generate`) writes the file instead of
//! comparing it.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

/// The name that a declaration or an `impl` is about: `Ended` of `impl<T> Ended<T> {`.
fn subject(head: &str) -> &str {
    let words = head.split_once(" for ").map_or(head, |(_, subject)| subject);
    let words = words.trim_start_matches("impl<T>").trim_start_matches("impl ").trim_start_matches("pub ");
    let declared = ["const ", "enum ", "fn ", "async fn ", "struct ", "trait ", "type "];
    let words = declared.iter().find_map(|word| words.strip_prefix(word)).unwrap_or(words).trim_start();
    words.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap()
}

/// A block of a formatted file: its head, which begins a line, and the indented lines that follow.
fn blocks(text: &str) -> Vec<Vec<&str>> {
    let mut blocks: Vec<Vec<&str>> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//")) {
        match blocks.last_mut() {
            Some(block) if line.starts_with([' ', '}', ')']) || block.last().unwrap().starts_with("#[") => {
                block.push(line);
            }
            _ => blocks.push(vec![line]),
        }
    }
    blocks
}

/// What of a block users can name: its head, and below it public fields and methods, or whatever an
/// enum or a trait has.
fn offered(block: &[&str]) -> Option<String> {
    let (marks, item): (Vec<&str>, Vec<&str>) = block.iter().partition(|line| line.starts_with("#["));
    let (head, inner) = item.split_first()?;
    let is_impl = head.starts_with("impl");
    if marks.contains(&"#[cfg(test)]") || !(head.starts_with("pub ") || is_impl) {
        return None;
    }
    let mut told: Vec<_> =
        marks.into_iter().filter(|mark| !mark.contains("expect(")).map(str::to_owned).collect();
    if head.contains("fn ") && !is_impl {
        told.push(signature(head, &mut inner.iter()));
    } else {
        told.push(head.trim_end_matches(" {").to_owned());
    }
    let is_open = head.contains("enum ") || head.contains("trait ");
    if is_open || head.contains("struct ") || (is_impl && !head.contains(" for ")) {
        told.extend(members(inner, is_open));
    }
    (!is_impl || head.contains(" for ") || told.len() > 1).then(|| told.join("\n"))
}

/// The members that users can name: all, or those that are public.
fn members(lines: &[&str], all: bool) -> Vec<String> {
    let mut members = Vec::new();
    let mut lines = lines.iter().filter(|line| line.starts_with("    "));
    while let Some(line) = lines.next() {
        if line.starts_with("    pub ") && line.contains("fn ") {
            members.push(format!("    {}", signature(line, &mut lines)));
        } else if line.starts_with("    pub ") || (all && !line.trim_start().starts_with('#')) {
            members.push((*line).to_owned());
        }
    }
    members
}

/// A signature as one line: the formatter may have broken it.
fn signature<'a>(first: &str, rest: &mut impl Iterator<Item = &'a &'a str>) -> String {
    let mut text = first.trim().to_owned();
    while !text.ends_with(['{', ';', '}']) {
        let Some(more) = rest.next() else { break };
        text = format!("{text} {}", more.trim());
    }
    text.trim_end_matches(" {").to_owned()
}

#[test]
fn what_the_names_offer_is_what_the_list_says() {
    let mut offers = BTreeSet::new();
    for path in sources(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
        for block in blocks(code) {
            let head = block.iter().find(|line| !line.starts_with("#[")).unwrap_or(&"");
            let is_of_the_clock = path.starts_with(root().join("src/clock.rs"));
            if NAMES.contains(&subject(head)) || is_of_the_clock {
                offers.extend(offered(&block));
            }
        }
    }
    let found = offers.into_iter().map(|offer| offer + "\n").collect::<Vec<_>>().join("\n");
    let file = root().join("tests/surface.txt");
    if std::env::var_os("UPDATE_GENERATED").is_some_and(|value| value == "1") {
        fs::write(&file, &found).unwrap();
    }
    let listed = fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(listed.lines()).find(|(found, listed)| found != listed);
    assert!(found == listed, "tests/surface.txt is old, first at {differs:?}: run `make generate`");
}
