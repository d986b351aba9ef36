//! What a release holds, and that the same commit gives the same bytes. `registry` needs the
//! release itself: it pushes what is in `dist/` to a registry on this machine and reads it back.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test: what cannot be is a failure"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

mod elf;
mod files;
mod image;
mod oci;
mod registry;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Debian's and Go's names of the platforms, with the machine of their programs (ELF).
const PLATFORMS: [(&str, u16); 2] = [("amd64", 62), ("arm64", 183)];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An empty folder for one test.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("release").join(name);
    _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Runs a command and gives back what it printed.
fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, errors) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {}\n{out}{errors}", done.status);
    out.into_owned()
}

/// A program of `release/`. What the caller's environment says of a release does not reach it.
fn script(name: &str) -> Command {
    let mut command = Command::new(root().join("release").join(name));
    for variable in ["REGISTRY", "TAG", "IMAGE", "SOURCE_URL", "RELEASE_BINARIES", "RELEASE_PLATFORMS"] {
        command.env_remove(variable);
    }
    command
}

/// Every file of a folder with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
}

fn json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap()
}

fn yaml(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}
