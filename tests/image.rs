//! The Dockerfile of the example agrees with the files that it depends on. No image is built here.

// A failed expectation is a failed test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

const DOCKERFILE: &str = "examples/elect.Dockerfile";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value of a key where it is first told.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
    line.trim_matches([' ', '"'])
}

#[test]
fn the_image_of_the_example_is_built_with_the_compiler_of_the_tests() {
    let (text, toolchain) = (read(DOCKERFILE), read("rust-toolchain.toml"));
    let (version, image) = (value(&toolchain, "channel ="), value(&text, "ARG BUILD_IMAGE="));
    assert!(image.contains(&format!("/rust:{version}-")), "{image} is not of Rust {version}");
}

#[test]
fn what_the_image_of_the_example_is_built_from_is_there_and_is_sent_to_the_builder() {
    let (text, ignored) = (read(DOCKERFILE), read(&format!("{DOCKERFILE}.dockerignore")));
    let copies = text.lines().filter_map(|line| line.strip_prefix("COPY "));
    let copies = copies.filter(|line| !line.contains("--from"));
    let mut needed: Vec<_> = copies.flat_map(|line| line.rsplit_once(' ').unwrap().0.split(' ')).collect();
    let mut sent: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    needed.sort_unstable();
    sent.sort_unstable();
    assert_eq!(needed, sent);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(needed.iter().all(|path| root.join(path).exists()), "{needed:?}");
}

#[test]
fn the_image_of_the_example_runs_the_example_as_the_user_of_its_deployment() {
    let (dockerfile, deployment) = (read(DOCKERFILE), read("examples/elect.yaml"));
    assert!(dockerfile.contains("--example elect ") && read("examples/elect.rs").contains("fn main()"));
    let user = format!("{}:{}", value(&deployment, "runAsUser:"), value(&deployment, "runAsGroup:"));
    assert_eq!(value(&dockerfile, "USER "), user);
    let image = value(&deployment, "image:");
    assert!(dockerfile.contains(&format!("--tag {image} ")), "{image} is what the Dockerfile says to make");
}
