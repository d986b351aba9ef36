//! Every example a reader can paste is taken by the API server, with no field that it does not know.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::json::{At, merged};
use testkit::kind::Kind;

use crate::harness::World;
use crate::pages::blocks;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with this ending.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join(folder)).unwrap().map(|file| file.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == ending)).collect()
}

/// The objects that one document of an example is about: an object, rules of a role, or a part of a group's spec.
fn object(document: Value) -> Value {
    match document {
        Value::Array(rules) => json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "rules" }, "rules": rules,
        }),
        object if object.at("/kind").is_null() => group("part", &object),
        object => object,
    }
}

fn group(name: &str, spec: &Value) -> Value {
    let types = json!({ "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup" });
    merged(World::group_body(name, spec), &types)
}

/// All objects of pages and example files, each with where it is from.
fn objects() -> Vec<(String, Value)> {
    let pages = files("docs", "md").into_iter().chain([root().join("README.md")]);
    let pages = pages.flat_map(|page| {
        let blocks = blocks(&read(&page)).into_iter().filter(|block| block.language == "yaml");
        blocks.map(move |block| (page.clone(), block.text))
    });
    let examples = files("examples", "yaml").into_iter().map(|file| (file.clone(), read(&file)));
    let texts = pages.chain(examples);
    let objects = texts.flat_map(|(file, text)| {
        let place = file.strip_prefix(root()).unwrap().display().to_string();
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{place}: {error}\n{text}"));
        documents.into_iter().map(move |document| (place.clone(), object(document)))
    });
    objects.collect()
}

/// The fields of the reference's spec: path and example.
fn fields() -> Vec<(String, Value)> {
    let reference = read(&root().join("docs/reference.md"));
    let spec = reference.split("\n## ").find(|section| section.starts_with("spec\n")).unwrap();
    let rows = spec.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let fields = rows.filter_map(|(path, row)| {
        let example = row.split_once("For example `")?.1.split_once('`')?.0;
        let example = serde_saphyr::from_str(example).unwrap_or_else(|error| panic!("{path}: {error}"));
        Some((path.to_owned(), example))
    });
    fields.collect()
}

/// A group with the example of one field. That of a field of a list's entry is put into the first entry of the list's
/// own example.
fn example_of(path: &str, example: &Value, fields: &[(String, Value)]) -> Value {
    // This field is for Observed mode alone, as its description says.
    if path == "lease.namespace" {
        return group("field", &merged(example.clone(), &json!({ "mode": "Observed" })));
    }
    let Some((list, field)) = path.split_once("[].") else {
        return group("field", example);
    };
    let (_, whole) = fields.iter().find(|(path, _)| path == list).expect("a list has an example");
    let mut whole = whole.clone();
    let pointer = format!("/{}/0", list.replace('.', "/"));
    whole.pointer_mut(&pointer).expect("an example of a list has an entry")[field] = example.clone();
    group("field", &whole)
}

/// Else its pods are never created.
#[test]
fn a_workload_of_an_example_comes_with_its_account_and_the_rights_of_that() {
    let objects = objects();
    let mut accounts = 0;
    for (place, workload) in &objects {
        let account = workload.text("/spec/template/spec/serviceAccountName");
        if account.is_empty() {
            continue;
        }
        accounts += 1;
        let here = |kind| {
            let objects =
                objects.iter().filter(move |(from, object)| from == place && object.text("/kind") == kind);
            objects.map(|(_, object)| object)
        };
        let is_it = |object: &Value| object.text("/metadata/name") == account;
        assert!(here("ServiceAccount").any(is_it), "{place} has no ServiceAccount {account}");
        let bound: Vec<_> =
            here("RoleBinding").filter(|binding| binding.text("/subjects/0/name") == account).collect();
        assert_eq!(bound.len(), 1, "{place} gives {account} no rights");
        let role = bound[0].text("/roleRef/name");
        assert!(
            here("Role").any(|object| object.text("/metadata/name") == role),
            "{place} has no Role {role}"
        );
    }
    assert!(accounts > 1);
}

/// The API server then answers with a warning to a workload whose pods it would refuse.
async fn warn_of_pods_that_are_not_restricted(world: &World) {
    let label = "pod-security.kubernetes.io/warn=restricted";
    world.kubectl(&["label", "namespace", &world.namespace, label]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn every_example_is_taken_by_the_api_server() {
    let world = World::new("examples").await;
    warn_of_pods_that_are_not_restricted(&world).await;
    let fields = fields();
    let of_fields = fields.iter().map(|(path, example)| (path.clone(), example_of(path, example, &fields)));
    let objects: Vec<_> = objects().into_iter().chain(of_fields).collect();
    let groups = |place: &str| {
        let there =
            objects.iter().filter(|(from, object)| from == place && object.text("/kind") == "ElectionGroup");
        there.count()
    };
    for place in [
        "README.md",
        "docs/how-to.md",
        "docs/observed.md",
        "docs/cut-over.md",
        "docs/reference.md",
        "examples/full.yaml",
    ] {
        assert!(groups(place) > 0, "{place} has no example of a group");
    }
    assert!(fields.len() > 20, "{fields:?}");
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.json", world.namespace));
    let here = json!({ "metadata": { "namespace": world.namespace } });
    for (place, object) in &objects {
        std::fs::write(&path, merged(object.clone(), &here).to_string()).unwrap();
        let file = path.display().to_string();
        println!("{place}: {object}");
        let apply = ["apply", "--dry-run=server", "--validate=strict", "-f", &file];
        // Users run the files of examples/ as they are, also where only `restricted` pods may.
        let strict = place.starts_with("examples/").then_some("--warnings-as-errors");
        world.kubectl(&apply.into_iter().chain(strict).collect::<Vec<_>>()).await;
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(world.list(Kind::Group).await, Vec::<Value>::new());
    world.finish().await;
}
