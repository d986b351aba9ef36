//! Chart, manifests, SBOM and changelog: what is in a release beside programs and image.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::{VERSION, json, root, run, scratch, script, yaml};

const REGISTRY: &str = "registry.example.com/team";

fn files(name: &str) -> PathBuf {
    let out = scratch(name);
    run(script("dist.sh").arg("files").arg(&out).env("REGISTRY", REGISTRY));
    out
}

fn objects(out: &std::path::Path, file: &str) -> Vec<Value> {
    yaml(&fs::read_to_string(out.join(file)).unwrap())
}

fn find<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("there is no {kind}"))
}

#[test]
#[ignore = "needs Python and Go: make release-test"]
fn install_yaml_is_the_chart_in_a_namespace_of_its_own() {
    let out = files("install");
    let objects = objects(&out, "install.yaml");
    let namespace = &objects[0];
    assert_eq!(
        (&namespace["kind"], &namespace["metadata"]["name"]),
        (&"Namespace".into(), &"election-operator".into())
    );
    for object in &objects {
        assert!(object["apiVersion"].is_string() && object["kind"].is_string(), "{object}");
        assert!(
            object["metadata"]["annotations"].get("helm.sh/hook").is_none(),
            "kubectl knows no hooks: {object}"
        );
        let within = &object["metadata"]["namespace"];
        assert!(within.is_null() || within == "election-operator", "{object}");
    }
    let deployment = find(&objects, "Deployment");
    let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, &format!("{REGISTRY}/election-operator:{VERSION}"));
    for kind in ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Service", "PodDisruptionBudget"] {
        find(&objects, kind);
    }
}

#[test]
#[ignore = "needs Python and Go: make release-test"]
fn crds_yaml_is_the_crd_that_install_yaml_has() {
    let out = files("crds");
    let (crds, installed) = (objects(&out, "crds.yaml"), objects(&out, "install.yaml"));
    assert_eq!(crds.len(), 1);
    assert_eq!(crds[0]["spec"], find(&installed, "CustomResourceDefinition")["spec"]);
    assert_eq!(crds[0]["metadata"]["name"], "electiongroups.election-operator.io");
}

/// `cargo tree` is the judge: the script reads `cargo metadata`, which knows no edge of this kind.
#[test]
#[ignore = "needs Python and Go: make release-test"]
fn the_sbom_has_the_crates_that_are_linked_on_either_platform_and_no_other() {
    let bom = json(&files("sbom-tree").join("sbom.cdx.json"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let name = |component: &Value| format!("{} {}", text(&component["name"]), text(&component["version"]));
    let mut told: BTreeSet<_> = bom["components"].as_array().unwrap().iter().map(name).collect();
    told.insert(name(&bom["metadata"]["component"]));
    let mut linked = BTreeSet::new();
    for target in ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"] {
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--locked", "--package", "election-operator", "--target", target]);
        tree.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]);
        for line in run(tree.current_dir(root())).lines().filter(|line| !line.is_empty()) {
            let (name, rest) = line.split_once(" v").unwrap();
            linked.insert(format!("{name} {}", rest.split(' ').next().unwrap()));
        }
    }
    assert_eq!(told, linked);
}

#[test]
#[ignore = "needs Python and Go: make release-test"]
fn the_sbom_has_licences_and_the_checksums_of_the_lock_file() {
    let bom = json(&files("sbom").join("sbom.cdx.json"));
    assert_eq!(
        (&bom["bomFormat"], &bom["metadata"]["component"]["version"]),
        (&"CycloneDX".into(), &VERSION.into())
    );
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let components = bom["components"].as_array().unwrap();
    for component in components {
        let (name, version) = (component["name"].as_str().unwrap(), component["version"].as_str().unwrap());
        let head = format!("name = \"{name}\"\nversion = \"{version}\"\n");
        let (_, entry) = lock.split_once(&head).unwrap_or_else(|| panic!("{name} {version} is not locked"));
        let entry = entry.split("[[package]]").next().unwrap();
        match component["hashes"][0]["content"].as_str() {
            Some(checksum) => assert!(entry.contains(checksum), "{name}: {checksum}"),
            None => assert!(["planner", "lease-elector"].contains(&name), "{name} has no checksum"),
        }
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
    let references: BTreeSet<_> =
        components.iter().map(|component| &component["bom-ref"]).map(Value::to_string).collect();
    assert_eq!(references.len(), components.len(), "each has a reference of its own");
    for needs in bom["dependencies"].as_array().unwrap() {
        for need in needs["dependsOn"].as_array().unwrap() {
            assert!(references.contains(&need.to_string()), "{need} is no component");
        }
    }
}

/// The SBOM says what is linked. A text stands under a line with its crates, between two rules.
#[test]
#[ignore = "needs Python and Go: make release-test"]
fn the_notices_have_the_licence_of_all_that_is_linked() {
    let out = files("notices");
    let notices = fs::read_to_string(out.join("THIRD-PARTY-NOTICES.txt")).unwrap();
    let rule = "=".repeat(80);
    let parts: Vec<_> = notices.split(&format!("{rule}\n")).skip(1).collect();
    let mut told = BTreeSet::new();
    for part in parts.chunks(2) {
        assert!(part[1].trim().len() > 100, "{} has no licence", part[0]);
        told.extend(part[0].trim().split(", ").map(str::to_owned));
    }
    let bom = json(&out.join("sbom.cdx.json"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let foreign = bom["components"].as_array().unwrap().iter().filter(|one| one["hashes"].is_array());
    let mut linked: BTreeSet<_> =
        foreign.map(|one| format!("{} {}", text(&one["name"]), text(&one["version"]))).collect();
    linked.extend(["the Rust standard library".to_owned(), "musl".to_owned()]);
    assert_eq!(told, linked);
}

#[test]
#[ignore = "needs Python and Go: make release-test"]
fn the_changes_are_those_of_one_version() {
    let changes = fs::read_to_string(files("changes").join("CHANGES.md")).unwrap();
    let entries = changes.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!((entries, changes.starts_with("## ")), (1, true), "{changes}");
    assert!(changes.lines().count() > 1, "{changes}");
}

#[test]
#[ignore = "needs Python: make release-test"]
fn a_tag_of_another_version_is_refused() {
    let out = scratch("tag");
    let refused = script("dist.sh").arg("files").arg(&out).env("TAG", "v99.0.0").output().unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("v99.0.0") && said.contains(VERSION), "{said}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0, "nothing is made");
}
