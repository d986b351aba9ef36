//! The pages of this repository: links lead somewhere, commands are run or say why not, and what
//! the code has is in the page that a reader looks into.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use pages::blocks;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "md")
}

/// All pages below a folder, by their path from the root.
fn pages_below(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // In `tests` is the text of the reference, whose links are those of docs/.
        if path.is_dir() && !name.starts_with('.') && !["target", "tests"].contains(&name) {
            pages_below(&path, found);
        } else if is_page(&path) {
            let from_root = path.strip_prefix(root()).unwrap().to_owned();
            found.insert(from_root, fs::read_to_string(&path).unwrap());
        }
    }
}

fn pages() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    pages_below(root(), &mut found);
    found
}

/// The page without its blocks of code.
fn prose(page: &str) -> String {
    let mut in_block = false;
    let lines = page.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    });
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// The prose without code in the midst of it.
fn without_code(prose: &str) -> String {
    prose.split('`').step_by(2).collect()
}

/// The targets of all links and pictures.
fn links(page: &str) -> Vec<String> {
    let text = without_code(&prose(page));
    let until = |start: &str, end: char| -> Vec<String> {
        let after = text.split(start).skip(1);
        after.filter_map(|rest| Some(rest.split_once(end)?.0.to_owned())).collect()
    };
    [until("](", ')'), until("src=\"", '"')].concat()
}

/// The name that a heading has in links, as hosts of repositories make it.
fn anchor(heading: &str) -> String {
    let text: String = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn headings(page: &str) -> Vec<String> {
    prose(page).lines().filter(|line| line.starts_with('#')).map(str::to_owned).collect()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => assert!(plain.pop(), "{} leaves the repository", path.display()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// What is wrong with a link of a page, if anything is.
fn fault(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { plain(&page.with_file_name(file)) };
    if !root().join(&target).exists() {
        return Some(format!("{}: {link} leads to no file", page.display()));
    }
    let there = pages.get(&target).map(|page| headings(page)).unwrap_or_default();
    let found = heading.is_empty() || there.iter().any(|there| anchor(there) == heading);
    (!found).then(|| format!("{}: {link} leads to no heading", page.display()))
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_are_there() {
    let pages = pages();
    let links = pages.iter().flat_map(|(page, text)| links(text).into_iter().map(move |link| (page, link)));
    let here: Vec<_> = links.filter(|(_, link)| !link.contains("://")).collect();
    assert!(here.len() > 100, "{here:?}");
    let faults: Vec<_> = here.iter().filter_map(|(page, link)| fault(page, link, &pages)).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn no_page_has_two_headings_of_one_name() {
    for (page, text) in pages().iter().filter(|(page, _)| page.starts_with("docs")) {
        let all: Vec<_> = headings(text).iter().map(|heading| anchor(heading)).collect();
        let different: BTreeSet<_> = all.iter().collect();
        assert_eq!(all.len(), different.len(), "{}: {all:?}", page.display());
    }
}

#[test]
fn the_index_names_every_page_of_docs() {
    let index: BTreeSet<_> = links(&read("docs/README.md")).into_iter().collect();
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages = pages.map(|name| name.into_string().unwrap());
    let missing: Vec<_> = pages
        .filter(|name| is_page(Path::new(name)) && name != "README.md" && !index.contains(name.as_str()))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

/// `tests/cluster/readme.rs` runs those with the note `run`, `tests/cluster/examples.rs` applies the
/// YAML.
#[test]
fn every_command_of_readme_is_run_by_a_test_or_says_why_not() {
    let blocks = blocks(&read("README.md"));
    let mut run = 0;
    for block in &blocks {
        match (block.language.as_str(), block.note.as_str()) {
            ("sh" | "console", "run") => run += 1,
            ("sh" | "console", note) => {
                let reason = note.strip_prefix("not run: ").unwrap_or_default();
                assert!(
                    !reason.is_empty(),
                    "`<!-- run -->` or `<!-- not run: … -->` is missing:\n{block:#?}"
                );
            }
            (language, _) => assert_eq!(language, "yaml", "no test reads this block:\n{block:#?}"),
        }
    }
    assert!(run >= 3, "{blocks:#?}");
}

#[test]
fn commands_of_pages_are_shell() {
    for (page, text) in pages() {
        for block in blocks(&text).iter().filter(|block| block.language == "sh") {
            let mut bash = Command::new("bash")
                .arg("-n")
                .stdin(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("bash can be run");
            bash.stdin.take().unwrap().write_all(block.text.as_bytes()).unwrap();
            let done = bash.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success() && error.is_empty(), "{}: {error}\n{block:#?}", page.display());
        }
    }
}

#[test]
fn every_make_target_that_a_page_names_exists() {
    let makefile = read("Makefile");
    let mut named = 0;
    for (page, text) in pages() {
        let code = text.split('`').filter_map(|code| code.strip_prefix("make "));
        let blocks = blocks(&text);
        let lines = blocks.iter().flat_map(|block| block.text.lines());
        for command in code.chain(lines.filter_map(|line| line.strip_prefix("make "))) {
            let target = command.split([' ', '\n']).next().unwrap();
            named += 1;
            let there = makefile.contains(&format!("\n{target}: "));
            assert!(there, "{}: there is no `make {target}`", page.display());
        }
    }
    assert!(named > 20, "{named}");
}

/// A row of the reference with a reason: `| type or nothing | False | `Reason` | …`.
fn reasons_of_trouble() -> Vec<String> {
    let reference = read("docs/reference.md");
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| ")?.split_once("| "));
    let rows = rows.filter_map(|(_, row)| {
        let (status, rest) = row.split_once(" | `")?;
        let (reason, _) = rest.split_once('`')?;
        ["False", "either"].contains(&status).then(|| reason.to_owned())
    });
    rows.collect()
}

#[test]
fn troubleshooting_has_every_reason_of_a_condition() {
    let reasons = reasons_of_trouble();
    assert!(reasons.len() > 15, "{reasons:?}");
    let headings: BTreeSet<_> = headings(&read("docs/troubleshooting.md")).into_iter().collect();
    let missing: Vec<_> =
        reasons.iter().filter(|reason| !headings.contains(&format!("### {reason}"))).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

/// The reasons of Events that tell of no change of leader are constants of the planner and of the
/// applier.
#[test]
fn troubleshooting_has_every_event_of_trouble() {
    let names = read("crates/planner/src/names.rs");
    let events = names.split_once("pub mod event_reason {").unwrap().1.split_once("\n}").unwrap().0;
    let of_planner = events.split('"').skip(1).step_by(2);
    let applier = read("src/controller/apply/announce.rs");
    let of_applier = applier.split("reason: \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let events: Vec<_> = of_planner.chain(of_applier).collect();
    assert!(events.len() > 8, "{events:?}");
    let headings: BTreeSet<_> = headings(&read("docs/troubleshooting.md")).into_iter().collect();
    let missing: Vec<_> = events.iter().filter(|event| !headings.contains(&format!("### {event}"))).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

/// What follows `start` in a file, up to the end of the digits and dots.
fn number_after(file: &str, start: &str) -> String {
    let text = read(file);
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{file} has no {start}"));
    rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

/// The first two numbers of a version.
fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

#[test]
fn versions_are_those_that_are_built_and_tested() {
    let page = read("docs/versions.md");
    let chart = number_after("charts/election-operator/Chart.yaml", "kubeVersion: \">=");
    let lowest = minor(&chart);
    let tested = minor(&number_after("tests/cluster/go.mod", "k8s.io/kubernetes v"));
    let helm = minor(&number_after("tests/cluster/tools.sh", "helm=v"));
    let rust = number_after("Cargo.toml", "rust-version = \"");
    for told in [
        format!("| Kubernetes | {lowest} and newer | {tested}: "),
        format!("`--force-conflicts` needs 4 | {helm} |"),
        format!("| Rust {rust} and newer;"),
    ] {
        assert!(page.contains(&told), "docs/versions.md does not say: {told}");
    }
    assert!(read("README.md").contains(&format!("Kubernetes {lowest} or newer")));
}

/// The lowest comes first, and the newest last.
#[test]
fn the_suite_runs_on_the_versions_of_kubernetes_that_the_page_names() {
    let (page, workflow) = (read("docs/versions.md"), read(".github/workflows/versions.yml"));
    let versions = workflow.split_once("kubernetes: [").unwrap().1.split_once(']').unwrap().0;
    let versions: Vec<_> = versions.split(", ").collect();
    for version in &versions {
        assert!(page.contains(&format!("`ELECTION_OPERATOR_KUBERNETES={version}`")), "{version}");
    }
    let lowest =
        format!("v{}", minor(&number_after("charts/election-operator/Chart.yaml", "kubeVersion: \">=")));
    assert!(versions[0].starts_with(&lowest), "{lowest} is the lowest that the chart takes");
    let schemas = format!("[\"{}\", \"{}\"]", versions[0], versions[versions.len() - 1]);
    assert!(read("tests/cluster/chart.rs").contains(&schemas), "the chart is checked against {schemas}");
}
