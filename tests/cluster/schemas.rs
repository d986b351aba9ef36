//! Kubernetes' own schemas of one version, from its Go module, and what in an object they do not
//! know.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::json::At;

/// The definitions of an `OpenAPI` document.
pub(crate) struct Schemas(Value);

impl Schemas {
    /// Those of a version. The Go module has them, which Go fetches once.
    pub(crate) fn of(version: &str) -> Self {
        let module = format!("k8s.io/kubernetes@{version}");
        let output = Command::new("go").args(["mod", "download", "-json", &module]).current_dir("/").output();
        let output = output.expect("Go 1.26 or newer is needed");
        assert!(output.status.success(), "{module}: {}", String::from_utf8_lossy(&output.stdout));
        let told: Value = serde_json::from_slice(&output.stdout).expect("go prints JSON");
        let file = Path::new(told.text("/Dir")).join("api/openapi-spec/swagger.json");
        let document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        Self(document["definitions"].clone())
    }

    /// What is wrong with an object: a kind, a field or a type that this version does not have.
    pub(crate) fn problems(&self, object: &Value) -> Vec<String> {
        let (version, kind) = (object.text("/apiVersion"), object.text("/kind"));
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let is_it =
            |of: &Value| (of.text("/group"), of.text("/version"), of.text("/kind")) == (group, version, kind);
        let mut schemas = self.0.as_object().unwrap().values();
        let found = schemas.find(|schema| {
            let kinds = schema["x-kubernetes-group-version-kind"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(is_it))
        });
        let mut problems = Vec::new();
        match found {
            Some(schema) => self.compare(schema, object, kind, &mut problems),
            None => problems.push(format!("{group}/{version} has no {kind}")),
        }
        problems
    }

    fn compare(&self, schema: &Value, value: &Value, place: &str, problems: &mut Vec<String>) {
        let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/definitions/"));
        if let Some(name) = name {
            return self.compare(&self.0[name], value, place, problems);
        }
        let is_right = match (schema["type"].as_str(), schema["format"].as_str()) {
            (_, Some("int-or-string")) => value.is_string() || value.is_i64(),
            (Some("string"), _) => value.is_string(),
            (Some("integer"), _) => value.is_i64(),
            (Some("number"), _) => value.is_number(),
            (Some("boolean"), _) => value.is_boolean(),
            (Some("array"), _) => value.is_array(),
            (Some("object"), _) => value.is_object(),
            _ => true,
        };
        // An absent value, for the API server.
        if !is_right && !value.is_null() {
            problems.push(format!("{place} is no {}: {value}", schema["type"]));
        }
        for (at, item) in value.as_array().into_iter().flatten().enumerate() {
            self.compare(&schema["items"], item, &format!("{place}[{at}]"), problems);
        }
        self.compare_fields(schema, value, place, problems);
    }

    fn compare_fields(&self, schema: &Value, value: &Value, place: &str, problems: &mut Vec<String>) {
        let (known, others) = (&schema["properties"], &schema["additionalProperties"]);
        for required in schema["required"].as_array().into_iter().flatten() {
            if value.is_object() && value[required.as_str().unwrap()].is_null() {
                problems.push(format!("{place} lacks {required}"));
            }
        }
        for (field, inner) in value.as_object().into_iter().flatten() {
            let place = format!("{place}.{field}");
            match known.get(field) {
                Some(schema) => self.compare(schema, inner, &place, problems),
                None if others.is_object() => self.compare(others, inner, &place, problems),
                None if known.is_object() => problems.push(format!("{place} is no field")),
                None => {}
            }
        }
    }
}
