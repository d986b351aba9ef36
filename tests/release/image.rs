//! The image, out of stand-ins for the programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::{PLATFORMS, VERSION, contents, oci, root, run, scratch, script, yaml};

/// A file with a mode and an age that must not matter.
fn put(path: &Path, content: &str, mode: u32, age: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

fn stand_ins(folder: &Path, mode: u32, age: u64) -> PathBuf {
    for (platform, _) in PLATFORMS {
        let path = folder.join(format!("linux-{platform}/election-operator"));
        put(&path, &format!("the program for {platform}"), mode, age);
    }
    folder.to_owned()
}

#[test]
#[ignore = "needs Python: make release-test"]
fn the_same_content_gives_the_same_image() {
    let folder = scratch("same-content");
    let pack = |name: &str, mode: u32, age: u64, files: [&str; 3]| {
        let rooted = folder.join(name);
        for file in files {
            put(&rooted.join(file), file, mode, age);
        }
        let out = folder.join(format!("{name}.tar"));
        let mut command = script("image.py");
        command.arg(&out).arg("example.com/a:1").arg(format!("linux/amd64={}", rooted.display()));
        let printed = run(command.env("SOURCE_DATE_EPOCH", "1700000000").current_dir(&folder));
        (printed, fs::read(out).unwrap())
    };
    let one = pack("one", 0o755, 1_000_000_000, ["b/d", "a", "b/c"]);
    assert_eq!(one, pack("two", 0o700, 1_600_000_000, ["a", "b/c", "b/d"]));
    assert_ne!(one, pack("three", 0o644, 1_000_000_000, ["a", "b/c", "b/d"]), "a program stays one");
}

#[test]
#[ignore = "needs Python: make release-test"]
fn the_image_has_both_platforms_and_fits_the_chart() {
    let folder = scratch("both-platforms");
    let out = folder.join("out");
    let programs = stand_ins(&folder.join("programs"), 0o600, 0);
    let mut command = script("dist.sh");
    command.args(["image".as_ref(), out.as_os_str()]).env("RELEASE_BINARIES", programs);
    run(command.env("SOURCE_DATE_EPOCH", "1700000000").env("SOURCE_URL", "https://example.com/source"));

    let layout = folder.join("layout");
    let (outer, index) = oci::unpack(&out.join("election-operator-image.tar"), &layout);
    let name = format!("docker.io/library/election-operator:{VERSION}");
    assert_eq!(outer["manifests"][0]["annotations"]["io.containerd.image.name"], name);
    let images = oci::images(&layout, &index);
    let architectures: Vec<_> = images.iter().map(|image| image.architecture.as_str()).collect();
    assert_eq!(architectures, PLATFORMS.map(|(platform, _)| platform));

    let values = fs::read_to_string(root().join("charts/election-operator/values.yaml")).unwrap();
    let context = yaml(&values)[0]["podSecurityContext"].clone();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for image in images {
        let config = &image.config["config"];
        assert_eq!(image.config["architecture"], image.architecture);
        assert_eq!(config["User"], format!("{}:{}", context["runAsUser"], context["runAsGroup"]));
        assert_eq!(
            (&config["Entrypoint"], &config["Cmd"]),
            (&json!(["/election-operator"]), &json!(["run"]))
        );
        let label =
            |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].as_str().unwrap();
        assert_eq!((label("version"), label("licenses")), (VERSION, "Apache-2.0"));
        assert_eq!(
            (label("source"), label("created")),
            ("https://example.com/source", "2023-11-14T22:13:20Z")
        );
        assert_eq!(image.config["created"], label("created"));
        assert!(manifest.contains(&format!("description = \"{}\"", label("description"))));
        let file = |mode: &str, name: &str| (mode.to_owned(), "0/0".to_owned(), name.to_owned());
        let notices = file("-rw-r--r--", "THIRD-PARTY-NOTICES.txt");
        let program = file("-rwxr-xr-x", "election-operator");
        assert_eq!(image.files(), [file("-rw-r--r--", "LICENSE"), notices, program]);
        let program = fs::read_to_string(image.program(&folder.join(&image.architecture))).unwrap();
        assert_eq!(program, format!("the program for {}", image.architecture));
    }
}

#[test]
#[ignore = "needs Python and Go: make release-test"]
fn the_same_programs_give_the_same_release() {
    let folder = scratch("same-release");
    let release = |name: &str, mode: u32, age: u64| {
        let programs = stand_ins(&folder.join(name).join("programs"), mode, age);
        let out = folder.join(name).join("out");
        // Neither a stranger's umask nor the time zone and the language may show.
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("umask {}; exec \"$@\"", if mode == 0o700 { "077" } else { "002" }),
            "sh",
        ]);
        command.arg(root().join("release/dist.sh")).arg("all").arg(&out).current_dir(&folder);
        command.env("RELEASE_BINARIES", programs).env("TZ", if mode == 0o700 { "Asia/Tokyo" } else { "UTC" });
        command
            .env("REGISTRY", "registry.example.com/team")
            .env_remove("TAG")
            .env_remove("RELEASE_PLATFORMS");
        run(&mut command);
        out
    };
    let (one, two) = (release("one", 0o755, 1_000_000_000), release("two", 0o700, 1_600_000_000));
    let files = contents(&one);
    for (name, content) in contents(&two) {
        assert!(files[&name] == content, "{name} differs: {} and {}", one.display(), two.display());
    }
    let chart = format!("election-operator-{VERSION}.tgz");
    let mut wanted = vec![
        "CHANGES.md",
        "SHA256SUMS",
        "THIRD-PARTY-NOTICES.txt",
        "crds.yaml",
        &chart,
        "election-operator-image.tar",
        "election-operator-linux-amd64.tar.gz",
        "election-operator-linux-arm64.tar.gz",
        "install.yaml",
        "sbom.cdx.json",
    ];
    wanted.sort_unstable();
    assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), wanted);
    run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&one));
    let sums = String::from_utf8(files["SHA256SUMS"].clone()).unwrap();
    assert_eq!(sums.lines().count(), wanted.len() - 1, "each file but SHA256SUMS: {sums}");
}
