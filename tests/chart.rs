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

/// Values whose defaults the README tells in other words.
const IN_PROSE: [&str; 3] = ["resources", "podSecurityContext", "securityContext"];

/// The rows of the README's table: the values that the first column names (`a.b`, and `.c` for
/// `a.c` beside it), and what the second says of their defaults.
fn rows() -> Vec<(Vec<String>, String)> {
    let readme = read("README.md");
    let lines = readme.lines().skip_while(|line| *line != "## Values");
    let rows = lines.filter(|line| line.starts_with("| `")).map(|row| {
        let mut columns = row.trim_start_matches("| ").split(" | ");
        let mut names: Vec<String> = Vec::new();
        for name in columns.next().unwrap().split(", ").map(|name| name.trim_matches('`')) {
            let parent = names.last().and_then(|before| before.rsplit_once('.')).map(|(parent, _)| parent);
            let path = match (name.strip_prefix('.'), parent) {
                (Some(last), Some(parent)) => format!("{parent}.{last}"),
                _ => name.to_owned(),
            };
            names.push(path);
        }
        (names, columns.next().unwrap().to_owned())
    });
    rows.collect()
}

#[test]
fn the_readme_of_the_chart_tells_every_value_and_no_other() {
    let values: BTreeSet<_> = paths(&yaml("values.yaml"), "").into_iter().collect();
    let told: Vec<_> = rows().into_iter().flat_map(|(names, _)| names).collect();
    assert_eq!(told.len(), values.len(), "a value is told twice, or not: {told:?}");
    assert_eq!(BTreeSet::from_iter(told), values);
}

/// In each row stand as many defaults as names, or one that they share.
#[test]
fn the_readme_of_the_chart_tells_the_defaults() {
    let values = yaml("values.yaml");
    let rows = rows().into_iter().filter(|(names, _)| !IN_PROSE.contains(&names[0].as_str()));
    for (names, told) in rows {
        let told: Vec<&str> = told.split('`').skip(1).step_by(2).collect();
        assert!(told.len() == 1 || told.len() == names.len(), "{names:?}: {told:?}");
        for (name, told) in names.iter().zip(told.iter().cycle()) {
            let default = values.pointer(&format!("/{}", name.replace('.', "/"))).unwrap();
            let told: Value = serde_saphyr::from_str(told).unwrap();
            assert_eq!(told, *default, "{name}");
        }
    }
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

/// The value of a key where it is first told.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
    line.trim_matches([' ', '"'])
}

#[test]
fn the_chart_has_the_version_of_the_program_that_it_installs() {
    let chart = read("Chart.yaml");
    for key in ["version:", "appVersion:"] {
        assert_eq!(value(&chart, key), env!("CARGO_PKG_VERSION"), "{key}");
    }
}

/// What a catalogue of charts shows.
#[test]
fn the_chart_names_the_crd_and_an_example_of_it() {
    let (chart, crd) = (yaml("Chart.yaml"), yaml("files/electiongroups.yaml"));
    let told = |key: &str| -> Value {
        let text = chart["annotations"][key].as_str().unwrap();
        serde_saphyr::from_str::<Value>(text).unwrap()[0].clone()
    };
    let (row, example) = (told("artifacthub.io/crds"), told("artifacthub.io/crdsExamples"));
    let version = &crd["spec"]["versions"][0]["name"];
    let kind = &crd["spec"]["names"]["kind"];
    assert_eq!([&row["name"], &row["kind"], &row["version"]], [&crd["metadata"]["name"], kind, version]);
    assert_eq!(&example["kind"], kind);
    let of = format!("{}/{}", crd["spec"]["group"].as_str().unwrap(), version.as_str().unwrap());
    assert_eq!(example["apiVersion"], of);
}

#[test]
fn the_image_runs_as_the_user_of_the_chart() {
    let (script, values) = (read("../../release/dist.sh"), read("values.yaml"));
    let user = format!("{}:{}", value(&values, "runAsUser:"), value(&values, "runAsGroup:"));
    assert!(script.contains(&format!("--user {user} ")), "{user}");
}

#[test]
fn the_chart_tells_the_operator_the_name_of_its_pod_and_a_users_own_environment_counts_more() {
    let deployment = read("templates/deployment.yaml");
    let (_, environment) = deployment.split_once("          env:\n").unwrap();
    let name = "- name: POD_NAME\n              valueFrom: { fieldRef: { fieldPath: metadata.name } }\n";
    let at = environment.find(name).unwrap();
    assert!(at < environment.find(".Values.extraEnv").unwrap());
    assert!(read("../../src/commands/run.rs").contains("\"POD_NAME\""));
}

/// A pod may have only an IPv6 address. Then a probe cannot reach 0.0.0.0.
#[test]
fn the_chart_lets_the_operator_listen_on_addresses_of_both_kinds() {
    let (values, deployment) = (read("values.yaml"), read("templates/deployment.yaml"));
    assert_eq!(value(&values, "host:"), "");
    assert!(deployment.contains("--http-addr=%s:%d"), "an empty host is left empty");
}
