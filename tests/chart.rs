//! The chart's values are told once each in `values.yaml`, its schema and its README, and `ci/` tries all of them.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/election-operator").join(file))
        .unwrap()
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(file)).unwrap()
}

/// Objects whose content is the user's or Kubernetes': their fields are no values of this chart.
const OPAQUE: [&str; 6] = [
    "resources",
    "podSecurityContext",
    "securityContext",
    "nodeSelector",
    "metrics.dashboard.labels",
    "affinity",
];

/// The path of every value: `image.tag`, say.
fn paths(values: &Value, prefix: &str) -> Vec<String> {
    let fields = values.as_object().unwrap();
    let nested = fields.iter().flat_map(|(key, value)| {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        let is_group = value.as_object().is_some_and(|fields| !fields.is_empty());
        if is_group && !OPAQUE.contains(&path.as_str()) { paths(value, &path) } else { vec![path] }
    });
    nested.collect()
}

/// What the first column of the README's table names: `a.b`, and `.c` for `a.c` beside it.
fn told() -> BTreeSet<String> {
    let readme = read("README.md");
    let rows = readme.lines().skip_while(|line| *line != "## Values").filter(|line| line.starts_with("| `"));
    let mut told = BTreeSet::new();
    for row in rows {
        let mut before = String::new();
        for name in row.split(" | ").next().unwrap().trim_start_matches("| ").split(", ") {
            let name = name.trim_matches('`');
            let path = match (name.strip_prefix('.'), before.rsplit_once('.')) {
                (Some(last), Some((parent, _))) => format!("{parent}.{last}"),
                _ => name.to_owned(),
            };
            before.clone_from(&path);
            assert!(told.insert(path), "{name} is told twice");
        }
    }
    told
}

#[test]
fn the_readme_of_the_chart_tells_every_value_and_no_other() {
    let values: BTreeSet<_> = paths(&yaml("values.yaml"), "").into_iter().collect();
    assert_eq!(told(), values);
}

#[test]
fn the_schema_of_the_chart_knows_every_value_and_describes_it() {
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let mut unknown = Vec::new();
    for path in paths(&yaml("values.yaml"), "") {
        let pointer =
            path.split('.').fold(String::new(), |pointer, key| format!("{pointer}/properties/{key}"));
        if schema.pointer(&pointer).is_none() {
            unknown.push(path);
        }
    }
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn every_value_of_the_chart_is_tried_with_another_value_than_its_default() {
    let defaults = yaml("values.yaml");
    let tried = ["ci/all-values.yaml", "ci/namespaced-values.yaml", "ci/off-values.yaml"].map(yaml);
    let at = |values: &Value, path: &str| {
        values.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or(Value::Null)
    };
    let untried: Vec<_> = paths(&defaults, "")
        .into_iter()
        .filter(|path| {
            let default = at(&defaults, path);
            !tried.iter().any(|values| !at(values, path).is_null() && at(values, path) != default)
        })
        .collect();
    assert_eq!(untried, Vec::<String>::new());
}

/// A request of 10m gives the smallest share that there is.
#[test]
fn the_operator_has_more_than_the_smallest_share_of_a_busy_node() {
    let values = yaml("values.yaml");
    let request = values["resources"]["requests"]["cpu"].as_str().unwrap();
    assert!(request.strip_suffix('m').unwrap().parse::<u32>().unwrap() >= 100, "{request}");
}
