//! The layers of the crate, as `src/` really is: who may know whom.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// For each module of the operator: the other modules it may name. What the crates `planner` and
/// `lease-elector` may name, their manifests say.
const MAY_KNOW: [(&str, &[&str]); 12] = [
    ("api", &[]),
    ("metrics", &["clock"]),
    ("http", &["metrics"]),
    ("lines", &[]),
    ("telemetry", &["lines"]),
    ("process", &["lines"]),
    ("clock", &[]),
    ("convert", &["api"]),
    ("cache", &["api", "clock", "convert"]),
    ("controller", &["api", "cache", "clock", "convert", "metrics"]),
    (
        "commands",
        &["api", "clock", "controller", "convert", "http", "lines", "metrics", "process", "telemetry"],
    ),
    ("main", &["api", "commands", "lines", "process"]),
];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

/// Each source file of a crate with the module that it belongs to, and its text without the unit
/// tests.
fn sources_of(folder: &str) -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let with_module = files(&root).into_iter().map(|path| {
        let first = path.strip_prefix(&root).unwrap().iter().next().unwrap();
        let module = first.to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
        (module, path, text)
    });
    with_module.filter(|(module, ..)| module != "lib").collect()
}

/// The operator's own.
fn sources() -> Vec<(String, PathBuf, String)> {
    sources_of("src")
}

/// Those of every crate that ships.
fn all_sources() -> Vec<(String, PathBuf, String)> {
    ["src", "crates/planner/src", "crates/lease-elector/src"].into_iter().flat_map(sources_of).collect()
}

fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn every_module_is_in_the_table() {
    for (module, path, _) in sources() {
        assert!(MAY_KNOW.iter().any(|(known, _)| *known == module), "{} has no row", path.display());
    }
}

#[test]
fn arrows_point_one_way() {
    for (module, path, text) in sources() {
        let (_, allowed) = MAY_KNOW.iter().find(|(known, _)| *known == module).unwrap();
        for (other, _) in MAY_KNOW.iter().filter(|(other, _)| *other != module && !allowed.contains(other)) {
            let names = [format!("crate::{other}"), format!("election_operator::{other}")];
            let found = code_lines(&text).find(|line| names.iter().any(|name| line.contains(name.as_str())));
            assert_eq!(found, None, "{} must not know {other}", path.display());
        }
    }
}

/// The judge must not believe the operator. So the testkit does not know the operator's crate, and in chaos only the
/// operators and companions that are wrong on purpose do.
#[test]
fn the_judge_shares_no_code_with_the_operator() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let testkit = files(&root.join("crates/testkit"));
    let is_broken = |path: &Path| path.ends_with("broken.rs") || path.parent().unwrap().ends_with("broken");
    let chaos = files(&root.join("tests/chaos")).into_iter().filter(|path| !is_broken(path));
    for path in testkit.into_iter().chain(chaos) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("election_operator::"), "{} knows the crate", path.display());
        assert!(!text.contains("../../src"), "{} includes its source", path.display());
    }
    let manifest = fs::read_to_string(root.join("crates/testkit/Cargo.toml")).unwrap();
    let dependencies = manifest.split_once("[dependencies]").unwrap().1;
    assert!(!dependencies.contains("election-operator"), "the testkit depends on the operator");
    assert!(!dependencies.contains("path ="), "the testkit depends on a crate of this repository");
}

/// The judgement of both products: of groups, and of one elector.
fn is_judgement(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.contains("/planner/src/") || path.contains("/lease-elector/src/decisions/")
}

#[test]
fn judgement_is_std_only() {
    let foreign = [
        "kube",
        "k8s_openapi",
        "tokio",
        "serde",
        "jiff",
        "tracing",
        "futures",
        "std::time",
        "std::io",
        "std::env",
    ];
    for (_, path, text) in all_sources().into_iter().filter(|(_, path, _)| is_judgement(path)) {
        for name in foreign {
            let used = code_lines(&text)
                .find(|line| line.contains(&format!("{name}::")) || line.contains(&format!("use {name}")));
            assert_eq!(used, None, "{} uses {name}", path.display());
        }
    }
}

#[test]
fn only_apply_writes() {
    let writes = [
        ".replace(&",
        ".replace_status(",
        ".patch(&",
        ".patch_status(",
        ".create(&",
        ".delete(",
        ".publish(",
    ];
    let allowed = ["controller/apply", "lease_client.rs", "lease-elector/src/events.rs"];
    let is_reader = |path: &Path| !allowed.iter().any(|writer| path.to_string_lossy().contains(writer));
    for (_, path, text) in all_sources().into_iter().filter(|(_, path, _)| is_reader(path)) {
        for write in writes {
            let used = code_lines(&text).find(|line| line.contains(write));
            assert_eq!(used, None, "{} writes", path.display());
        }
    }
}

/// These panic when nobody reads, and wait when whoever should read does not.
#[test]
fn nothing_prints_but_lines() {
    for (_, path, text) in all_sources() {
        for macro_name in ["print!(", "println!(", "eprint!(", "eprintln!(", "dbg!("] {
            let used = code_lines(&text).find(|line| line.contains(macro_name));
            assert_eq!(used, None, "{} prints by itself", path.display());
        }
    }
}

/// The planner needs nothing, and the elector chooses neither a TLS provider nor a version of the
/// Kubernetes API for the program that uses it.
#[test]
fn the_crates_depend_on_no_more_than_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dependencies = |name: &str| {
        let manifest = fs::read_to_string(root.join("crates").join(name).join("Cargo.toml")).unwrap();
        let rest = manifest.split_once("[dependencies]\n").unwrap().1.to_owned();
        rest.split("[dev-dependencies]").next().unwrap().to_owned()
    };
    assert_eq!(dependencies("planner").trim(), "");
    let elector = dependencies("lease-elector");
    for name in
        ["axum", "clap", "k8s-openapi", "schemars", "serde-saphyr", "ring", "rustls", "openssl", "path ="]
    {
        assert!(!elector.contains(name), "the elector depends on {name}");
    }
}

#[test]
fn only_watches_and_live_reads_read() {
    let reads = ["watcher(", ".list(&", ".get_metadata(", ".watch(&", "request_events"];
    let readers = [
        "controller/watches.rs",
        "controller/live_reads.rs",
        "commands/watch.rs",
        "commands/follow/lease_feed.rs",
        "lease-elector/src/lease_client.rs",
        "lease-elector/src/watch.rs",
    ];
    for (_, path, text) in
        all_sources().into_iter().filter(|(_, path, _)| !readers.iter().any(|r| path.ends_with(r)))
    {
        for read in reads {
            let used = code_lines(&text).find(|line| line.contains(read));
            assert_eq!(used, None, "{} reads", path.display());
        }
    }
}

/// The most lines of a file of judgement, and of any other.
const MOST_LINES: [usize; 2] = [250, 400];

#[test]
fn files_have_the_size_of_a_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "crates", "tests", "benches", "examples"];
    let mut longer: Vec<String> = Vec::new();
    for path in folders.iter().flat_map(|folder| files(&root.join(folder))) {
        let [judgement, other] = MOST_LINES;
        let most = if is_judgement(&path) { judgement } else { other };
        if fs::read_to_string(&path).unwrap().lines().count() > most {
            longer.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
    longer.sort();
    assert_eq!(longer, [""; 0], "at most {MOST_LINES:?} lines: of judgement, of others");
}

/// The name of the type that a line declares.
fn declared(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub").map_or(line, |rest| match rest.strip_prefix('(') {
        Some(scope) => scope.split_once(") ").map_or(scope, |(_, rest)| rest),
        None => rest.trim_start(),
    });
    let rest = ["struct ", "enum ", "trait ", "type "].iter().find_map(|word| line.strip_prefix(word))?;
    rest.split(|c: char| !c.is_alphanumeric()).next()
}

#[test]
fn a_type_name_has_one_meaning() {
    let mut seen = BTreeMap::new();
    for (_, path, text) in all_sources().into_iter().filter(|(_, path, _)| !path.ends_with("tests.rs")) {
        for name in text.lines().filter_map(declared) {
            let before = seen.insert(name.to_owned(), path.clone());
            assert_eq!(before, None, "{name} is also in {}", path.display());
        }
    }
    assert!(seen.len() > 200, "{} types were found", seen.len());
}

fn first_word(path: &str) -> String {
    path.trim().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The modules of its own crate that a file names. `super` is the crate in files of the top.
fn named_modules(path: &Path, text: &str) -> Vec<String> {
    let is_top = path.ends_with("mod.rs") || path.parent().is_some_and(|folder| folder.ends_with("src"));
    let code = code_lines(text).collect::<Vec<_>>().join(" ");
    let roots: &[&str] = if is_top { &["crate::", "super::"] } else { &["crate::"] };
    let mut named = Vec::new();
    for path in roots.iter().flat_map(|root| code.split(root).skip(1)) {
        let list = path.strip_prefix('{').map_or("", |list| list.split(';').next().unwrap());
        named.extend(list.split([',', '{']).chain([path]).map(first_word));
    }
    named
}

#[test]
fn modules_of_a_library_name_each_other_in_no_circle() {
    for folder in ["crates/planner/src", "crates/lease-elector/src"] {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, path, text) in sources_of(folder) {
            arrows.entry(module).or_default().extend(named_modules(&path, &text));
        }
        let mut left: BTreeSet<String> = arrows.keys().cloned().collect();
        let names_another = |module: &String, left: &BTreeSet<String>| {
            arrows[module].iter().any(|other| other != module && left.contains(other))
        };
        while let Some(lowest) = left.iter().find(|module| !names_another(module, &left)).cloned() {
            left.remove(&lowest);
        }
        assert!(left.is_empty(), "a circle in {folder}, among {left:?}");
    }
}
