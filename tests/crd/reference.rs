//! The generator of `docs/reference.md`, which renders the schema that the API server gets.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::*;

const HEAD: &str = "\
# Reference: ElectionGroup

<!-- Generated from src/api by `make generate`. Do not edit. -->

`apiVersion: election-operator.io/v1alpha1`, `kind: ElectionGroup`, namespaced, short name `eg`.

The API server fills in the defaults and enforces the rules: what breaks one is refused with a message that
names the field. What only the operator can see (an overlap with another group, a Lease of somebody else) is
told by the condition `Accepted`, and nothing is written.

`kubectl explain eg.spec --recursive` shows the same.

The example of a field can be pasted below `spec:`; for a field within a list's entry it is the value alone.
[examples/full.yaml](../examples/full.yaml) has all of them at once.
";

/// How an example begins in the description of a field: a value in flow style.
const EXAMPLE: &str = "For example `";

const TAIL: &str = include_str!("reference.md");

/// All fields of `spec` and `status`, the conditions and their reasons, and the annotations, as
/// Markdown.
pub(crate) fn markdown() -> String {
    let crd = api::crd();
    let root = crd.spec.versions.into_iter().find_map(|version| version.schema?.open_api_v3_schema);
    let mut fields = root.and_then(|root| root.properties).unwrap_or_default();
    let mut table = |name: &str| Table::of(&fields.remove(name).unwrap_or_default()).render();
    let (spec, status) = (table("spec"), table("status"));
    format!("{HEAD}\n## spec\n\n{spec}\n## status\n\nWritten by the operator.\n\n{status}\n{TAIL}")
}

/// The fields below one schema, in the order of their paths.
#[derive(Default)]
struct Table {
    rows: Vec<Row>,
    rules: BTreeMap<String, Vec<String>>,
}

struct Row {
    path: String,
    kind: String,
    default: String,
    description: String,
}

impl Table {
    fn of(schema: &JSONSchemaProps) -> Self {
        let mut table = Self::default();
        table.read("", schema);
        table
    }

    /// Adds the fields and the rules of `schema`, which is found at `path`.
    fn read(&mut self, path: &str, schema: &JSONSchemaProps) {
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            let below = rule.field_path.as_deref().unwrap_or_default();
            let target = join(path, below.trim_start_matches('.'));
            self.rules.entry(target).or_default().extend(rule.message.clone());
        }
        for (name, field) in schema.properties.iter().flatten() {
            let required = schema.required.iter().flatten().any(|required| required == name);
            self.read_field(&join(path, name), field, required);
        }
    }

    fn read_field(&mut self, path: &str, field: &JSONSchemaProps, required: bool) {
        self.rules.entry(path.to_owned()).or_default().extend(bounds(field));
        self.rows.push(Row {
            path: path.to_owned(),
            kind: kind(field),
            default: default(field, required),
            description: pasteable(path, field.description.as_deref().unwrap_or_default()),
        });
        if is_known(path, field) {
            return;
        }
        match items(field) {
            Some(item) => self.read(&format!("{path}[]"), item),
            None => self.read(path, field),
        }
    }

    fn render(&self) -> String {
        let rows: String = self.rows.iter().map(|row| self.render_row(row)).collect();
        format!("| field | type | default | meaning | rules |\n|---|---|---|---|---|\n{rows}")
    }

    fn render_row(&self, row: &Row) -> String {
        let rules = self.rules.get(&row.path).map(|rules| rules.join("; ")).unwrap_or_default();
        let Row { path, kind, default, description } = row;
        let cells =
            [&format!("`{path}`"), kind, default, description, &rules].map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    }
}

/// The description, with the path of the field around its example: users can paste it as it is.
fn pasteable(path: &str, description: &str) -> String {
    let Some((before, example)) = description.split_once(EXAMPLE).filter(|_| !path.contains("[]")) else {
        return description.to_owned();
    };
    let (value, after) = example.split_once('`').unwrap_or((example, ""));
    let mut names = path.rsplit('.');
    let field = format!("{}: {value}", names.next().unwrap_or_default());
    let nested = names.fold(field, |field, name| format!("{name}: {{{field}}}"));
    format!("{before}{EXAMPLE}{nested}`{after}")
}

fn join(path: &str, name: &str) -> String {
    match (path, name) {
        (path, "") => path.to_owned(),
        ("", name) => name.to_owned(),
        (path, name) => format!("{path}.{name}"),
    }
}

/// Whether the fields of this type are explained elsewhere: a condition by Kubernetes, a selector
/// where it first occurs.
fn is_known(path: &str, field: &JSONSchemaProps) -> bool {
    is_condition(field) || (is_selector(field) && path != "selector")
}

fn is_condition(field: &JSONSchemaProps) -> bool {
    field.x_kubernetes_list_type.as_deref() == Some("map")
}

fn is_selector(field: &JSONSchemaProps) -> bool {
    field.properties.as_ref().is_some_and(|fields| fields.contains_key("matchLabels"))
}

fn items(field: &JSONSchemaProps) -> Option<&JSONSchemaProps> {
    match field.items.as_ref()? {
        JSONSchemaPropsOrArray::Schema(item) => Some(item),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}

fn kind(field: &JSONSchemaProps) -> String {
    if is_condition(field) {
        return "list of [Condition](https://pkg.go.dev/k8s.io/apimachinery/pkg/apis/meta/v1#Condition)"
            .to_owned();
    }
    if is_selector(field) {
        return "label selector".to_owned();
    }
    if let Some(values) = &field.enum_ {
        let values: Vec<_> = values.iter().map(|value| code(&value.0)).collect();
        return values.join(" or ");
    }
    if field.format.as_deref() == Some("date-time") {
        return "time".to_owned();
    }
    match (field.type_.as_deref().unwrap_or_default(), items(field), &field.additional_properties) {
        (_, Some(item), _) => format!("list of {}s", kind(item)),
        (_, _, Some(JSONSchemaPropsOrBool::Schema(value))) => format!("map of {}s", kind(value)),
        (name, ..) => name.to_owned(),
    }
}

fn default(field: &JSONSchemaProps, required: bool) -> String {
    match &field.default {
        Some(value) if field.properties.is_none() => code(&value.0),
        _ if required => "required".to_owned(),
        _ => String::new(),
    }
}

fn code(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) if !text.is_empty() => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

/// The bounds of a value, in words, apart from its type.
fn bounds(field: &JSONSchemaProps) -> Vec<String> {
    let length = |at_least: Option<i64>, at_most: Option<i64>, what: &str| {
        let at_least = at_least.filter(|least| *least > 1).map(|least| format!("at least {least} {what}"));
        at_least.into_iter().chain(at_most.map(|most| format!("at most {most} {what}")))
    };
    let range = field.minimum.zip(field.maximum).map(|(least, most)| format!("{least} … {most}"));
    let pattern = field.pattern.as_deref().map(pattern_in_words);
    let mut bounds: Vec<String> = range.into_iter().chain(pattern).collect();
    bounds.extend(length(field.min_length, field.max_length, "characters"));
    bounds.extend(length(field.min_items, field.max_items, "entries"));
    bounds.extend(length(field.min_properties, field.max_properties, "entries"));
    bounds
}

/// A pattern in words. The fields of `known` have one pattern each.
fn pattern_in_words(pattern: &str) -> String {
    let known = [
        ("spec.roleLabel.key", "a label key"),
        ("spec.roleLabel.follower", "a label value"),
        ("spec.roleLabel.leader", "a label value, not empty"),
        ("spec.lease.name", "an object name (DNS subdomain)"),
        ("spec.lease.namespace", "the name of a namespace"),
    ];
    let words = known.into_iter().find(|(path, _)| field(path)["pattern"] == pattern);
    words.map_or_else(|| format!("`{pattern}`"), |(_, words)| words.to_owned())
}

#[test]
fn the_reference_explains_every_reason_of_a_change() {
    let reference = markdown();
    let missing = Reason::ALL
        .map(Reason::as_str)
        .into_iter()
        .filter(|reason| !reference.contains(&format!("\n| `{reason}` | ")));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
}

/// The cluster tests show that the API server accepts the examples.
#[test]
fn every_field_of_the_spec_has_an_example() {
    let reference = markdown();
    let spec = reference.split("\n## ").find(|section| section.starts_with("spec\n")).unwrap();
    let fields = spec.lines().filter(|line| line.starts_with("| `"));
    let missing = fields.filter(|line| !line.contains("For example `"));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
}
