//! The examples parse, name existing fields only, and show all of them.

use super::*;

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn examples() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("examples")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

/// The `ElectionGroup`s of all examples, as written and as read.
fn example_groups() -> Vec<(Value, ElectionGroup)> {
    let documents = examples().into_iter().flat_map(|file| documents(&file));
    let groups = documents.filter(|document| document["kind"] == "ElectionGroup");
    groups.map(|group| (group.clone(), serde_json::from_value(group).unwrap())).collect()
}

#[test]
fn the_examples_parse_and_select_by_the_default_label() {
    let names: Vec<_> = example_groups().into_iter().map(|(_, group)| group.metadata.name.unwrap()).collect();
    let expected = [
        "payments",
        "ledger",
        "scheduler",
        "orders",
        "postgres",
        "reports-go",
        "reports-python",
        "billing",
        "worker",
    ];
    assert_eq!(names, expected);
    for file in examples() {
        for service in documents(&file).iter().filter(|document| document["kind"] == "Service") {
            let name = service["metadata"]["name"].as_str().unwrap();
            let role = service["spec"]["selector"]["role"].as_str();
            assert_eq!(role, name.ends_with("-leader").then_some("leader"), "{name} in {}", file.display());
        }
    }
}

#[test]
fn the_examples_name_no_field_that_does_not_exist() {
    fn assert_known(path: &str, written: &Value, read: &Value) {
        match (written, read) {
            (Value::Object(written), Value::Object(read)) => {
                for (name, value) in written {
                    assert_known(&format!("{path}.{name}"), value, read.get(name).unwrap_or(&Value::Null));
                }
            }
            (Value::Array(written), Value::Array(read)) => {
                written.iter().zip(read).for_each(|(written, read)| assert_known(path, written, read));
            }
            _ => assert_eq!(written, read, "{path}"),
        }
    }
    for (written, group) in example_groups() {
        assert_known("", &written, &serde_json::to_value(group).unwrap());
    }
}

#[test]
fn the_full_example_shows_every_field() {
    fn assert_shown(path: &str, schema: &Value, shown: &Value) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // The second is for the mode that this example does not have.
            let is_left_out =
                [("spec.preference[].selector", "matchExpressions"), ("spec.lease", "namespace")];
            if is_left_out.contains(&(path, name.as_str())) {
                continue;
            }
            let (path, shown) = (format!("{path}.{name}"), &shown[name]);
            assert!(!shown.is_null(), "{path} is missing");
            assert_shown(&path, property, shown);
            assert_shown(&format!("{path}[]"), &property["items"], &shown[0]);
        }
    }
    let groups = documents(&root().join("examples/full.yaml"));
    assert_shown("spec", &field("spec"), &groups[0]["spec"]);
}
