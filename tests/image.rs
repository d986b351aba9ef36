//! The Dockerfiles and the chart agree with the files that they depend on. No image is built here.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::Path;

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
    line.trim_matches([' ', '"'])
}

/// Each Dockerfile, and what it leaves out of the build.
const DOCKERFILES: [(&str, &str); 2] = [
    ("Dockerfile", ".dockerignore"),
    ("examples/elect.Dockerfile", "examples/elect.Dockerfile.dockerignore"),
];

#[test]
fn the_images_are_built_with_the_compiler_of_the_tests() {
    let toolchain = read("rust-toolchain.toml");
    let version = value(&toolchain, "channel =");
    for (dockerfile, _) in DOCKERFILES {
        let text = read(dockerfile);
        let image = value(&text, "ARG BUILD_IMAGE=");
        assert!(
            image.contains(&format!("/rust:{version}-")),
            "{dockerfile}: {image} is not of Rust {version}"
        );
    }
}

#[test]
fn the_image_runs_as_the_user_of_the_chart() {
    let (dockerfile, values) = (read("Dockerfile"), read("charts/election-operator/values.yaml"));
    let user = format!("{}:{}", value(&values, "runAsUser:"), value(&values, "runAsGroup:"));
    assert_eq!(value(&dockerfile, "USER "), user);
}

#[test]
fn what_an_image_is_built_from_is_there_and_is_sent_to_the_builder() {
    for (dockerfile, ignored) in DOCKERFILES {
        let (text, ignored) = (read(dockerfile), read(ignored));
        let copies = text.lines().filter_map(|line| line.strip_prefix("COPY "));
        let copies = copies.filter(|line| !line.contains("--from"));
        let mut needed: Vec<_> =
            copies.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ')).collect();
        let mut sent: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
        needed.sort_unstable();
        sent.sort_unstable();
        assert_eq!(needed, sent, "{dockerfile}");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        assert!(needed.iter().all(|path| root.join(path).exists()), "{needed:?}");
    }
}

#[test]
fn the_image_of_the_example_runs_the_example_as_the_user_of_its_deployment() {
    let (dockerfile, deployment) = (read("examples/elect.Dockerfile"), read("examples/elect.yaml"));
    assert!(dockerfile.contains("--example elect ") && read("examples/elect.rs").contains("fn main()"));
    let user = format!("{}:{}", value(&deployment, "runAsUser:"), value(&deployment, "runAsGroup:"));
    assert_eq!(value(&dockerfile, "USER "), user);
    let image = value(&deployment, "image:");
    assert!(dockerfile.contains(&format!("--tag {image} ")), "{image} is what the Dockerfile says to make");
}

#[test]
fn the_chart_tells_the_operator_the_name_of_its_pod_and_a_users_own_environment_counts_more() {
    let deployment = read("charts/election-operator/templates/deployment.yaml");
    let (_, environment) = deployment.split_once("          env:\n").unwrap();
    let name = "- name: POD_NAME\n              valueFrom: { fieldRef: { fieldPath: metadata.name } }\n";
    let at = environment.find(name).unwrap();
    assert!(at < environment.find(".Values.extraEnv").unwrap());
    assert!(read("src/commands/run.rs").contains("\"POD_NAME\""));
}

/// A pod may have only an IPv6 address. Then a probe cannot reach 0.0.0.0.
#[test]
fn the_chart_lets_the_operator_listen_on_addresses_of_both_kinds() {
    let values = read("charts/election-operator/values.yaml");
    let deployment = read("charts/election-operator/templates/deployment.yaml");
    assert_eq!(value(&values, "host:"), "");
    assert!(deployment.contains("--http-addr=%s:%d"), "an empty host is left empty");
}
