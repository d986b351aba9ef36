//! The release in `dist/`, pushed to a registry on this machine and read back from it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{PLATFORMS, VERSION, elf, json, oci, root, run, scratch, script};

/// What a node may have to pull at most.
const MOST_BYTES: u64 = 15_000_000;

/// A registry that ends with the test.
struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    fn start(tools: &Path) -> Self {
        let mut command = Command::new(tools.join("crane"));
        command.args(["registry", "serve", "--address", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("serving on port") {
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "the registry has ended");
        }
        let port = line.trim().rsplit(' ').next().unwrap();
        let host = format!("127.0.0.1:{port}");
        // What it logs must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { process, host }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn dist(file: &str) -> PathBuf {
    let path = root().join("dist").join(file);
    assert!(path.exists(), "there is no {}: make release", path.display());
    path
}

fn tools() -> PathBuf {
    run(script("tools.sh").args(["helm", "crane"])).trim_end().into()
}

/// The image in `dist/`, by platform.
fn images(folder: &Path) -> Vec<oci::Image> {
    let layout = folder.join("layout");
    let (_, index) = oci::unpack(&dist("election-operator-image.tar"), &layout);
    oci::images(&layout, &index)
}

#[test]
#[ignore = "needs a release in dist/: make release release-test"]
fn each_image_is_small_and_has_one_static_program_that_runs() {
    let folder = scratch("program");
    let images = images(&folder);
    let architectures: Vec<_> = images.iter().map(|image| image.architecture.as_str()).collect();
    assert_eq!(architectures, PLATFORMS.map(|(platform, _)| platform));
    for (image, (platform, machine)) in images.iter().zip(PLATFORMS) {
        assert!(image.bytes < MOST_BYTES, "{platform}: {} bytes", image.bytes);
        let path = image.program(&folder.join(platform));
        let program = fs::read(&path).unwrap();
        assert_eq!(elf::machine(&program), machine, "{platform}");
        assert!(elf::is_static(&program), "{platform}");
        if runs_here(platform) {
            let says = |argument: &str| run(Command::new(&path).arg(argument).env_clear());
            assert_eq!(says("--version").trim_end(), format!("election-operator {VERSION}"));
            assert_eq!(says("crd"), fs::read_to_string(dist("crds.yaml")).unwrap());
        }
    }
    assert!(PLATFORMS.iter().any(|(platform, _)| runs_here(platform)), "nothing of this release runs here");
}

fn runs_here(platform: &str) -> bool {
    cfg!(target_arch = "x86_64") && platform == "amd64"
        || cfg!(target_arch = "aarch64") && platform == "arm64"
}

/// `cargo auditable` writes into each program what it is made of, some macros included.
#[test]
#[ignore = "needs a release in dist/: make release release-test"]
fn the_programs_name_every_crate_of_the_sbom() {
    let folder = scratch("sbom-of-programs");
    let bom = json(&dist("sbom.cdx.json"));
    let crates = |list: &Value| -> BTreeSet<String> {
        list.as_array().unwrap().iter().map(|one| format!("{} {}", one["name"], one["version"])).collect()
    };
    let mut told = crates(&bom["components"]);
    told.insert(format!("\"election-operator\" \"{VERSION}\""));
    let mut named = BTreeSet::new();
    for image in images(&folder) {
        let program = fs::read(image.program(&folder.join(&image.architecture))).unwrap();
        let list: Value = serde_json::from_slice(&inflated(elf::section(&program, ".dep-v0"))).unwrap();
        named.extend(crates(&list["packages"]));
    }
    assert_eq!(told.difference(&named).collect::<Vec<_>>(), Vec::<&String>::new());
}

fn inflated(content: &[u8]) -> Vec<u8> {
    let program = "import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))";
    let mut command = Command::new("python3");
    let mut process =
        command.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(content).unwrap();
    process.wait_with_output().unwrap().stdout
}

#[test]
#[ignore = "needs a release in dist/: make release release-test"]
fn what_is_published_is_what_a_cluster_pulls() {
    let folder = scratch("published");
    let tools = tools();
    let registry = Registry::start(&tools);
    let host = &registry.host;
    let crane = |arguments: &[&str]| run(Command::new(tools.join("crane")).args(arguments));
    let helm =
        |arguments: &[&str]| run(Command::new(tools.join("helm")).args(arguments).current_dir(&folder));

    // The chart names the registry: it is packed for this one. The image does not.
    fs::copy(dist("election-operator-image.tar"), folder.join("election-operator-image.tar")).unwrap();
    run(script("dist.sh").arg("files").arg(&folder).env("REGISTRY", host));
    let published = run(script("publish.sh").arg(host).arg(&folder));
    let [image, chart] = ["image=", "chart="].map(|kind| {
        let line = published.lines().find_map(|line| line.strip_prefix(kind));
        line.unwrap_or_else(|| panic!("no {kind} in {published}"))
    });

    let name = format!("{host}/election-operator:{VERSION}");
    assert_eq!(crane(&["digest", &name]).trim_end(), image.rsplit('@').next().unwrap());
    crane(&["validate", "--remote", image]);
    let index: Value = serde_json::from_str(&crane(&["manifest", image])).unwrap();
    let platforms = index["manifests"].as_array().unwrap().iter().map(|manifest| &manifest["platform"]);
    let platforms: Vec<_> = platforms.map(|one| format!("{}/{}", one["os"], one["architecture"])).collect();
    assert_eq!(platforms, ["\"linux\"/\"amd64\"", "\"linux\"/\"arm64\""]);

    let source = format!("oci://{host}/charts/election-operator");
    let rendered = helm(&["template", "test", &source, "--version", VERSION, "--plain-http"]);
    assert!(rendered.contains(&format!("image: \"{name}\"")), "the chart names the image that is there");
    fs::create_dir(folder.join("pulled")).unwrap();
    helm(&["pull", &source, "--version", VERSION, "--plain-http", "--destination", "pulled"]);
    let packed = format!("election-operator-{VERSION}.tgz");
    assert_eq!(
        fs::read(folder.join("pulled").join(&packed)).unwrap(),
        fs::read(folder.join(&packed)).unwrap()
    );
    let chart_name = format!("{host}/charts/election-operator:{VERSION}");
    assert_eq!(crane(&["digest", &chart_name]).trim_end(), chart.rsplit('@').next().unwrap());

    // The same release may be published again, another one under its name may not.
    assert_eq!(run(script("publish.sh").arg(host).arg(&folder)), published);
    crane(&["mutate", &name, "--label", "other=1", "--platform", "linux/amd64", "--tag", &name]);
    let refused = script("publish.sh").arg(host).arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("raise the version"), "{said}");
}

/// With a key: the identity of a workflow is not to be had here.
#[test]
#[ignore = "needs a release in dist/: make release release-test"]
fn what_is_published_is_signed_and_nothing_else_is() {
    let folder = scratch("signed");
    let tools = run(script("tools.sh").args(["helm", "crane", "cosign"]));
    let registry = Registry::start(Path::new(tools.trim_end()));
    let host = &registry.host;
    let cosign = |arguments: &[&str]| {
        let mut command = Command::new(Path::new(tools.trim_end()).join("cosign"));
        command.args(arguments).current_dir(&folder).env("COSIGN_PASSWORD", "secret").output().unwrap()
    };
    let holds = |arguments: &[&str]| {
        let offline = ["--key", "cosign.pub", "--insecure-ignore-tlog"];
        cosign(&[arguments, &offline[..]].concat()).status.success()
    };
    assert!(cosign(&["generate-key-pair"]).status.success());
    fs::copy(dist("election-operator-image.tar"), folder.join("election-operator-image.tar")).unwrap();
    run(script("dist.sh").arg("files").arg(&folder).env("REGISTRY", host));
    let sums = folder.join("SHA256SUMS");
    fs::write(&sums, run(Command::new("sha256sum").arg("install.yaml").current_dir(&folder))).unwrap();

    let (image, chart) = (format!("{host}/election-operator"), format!("{host}/charts/election-operator"));
    let verify = |name: &str| holds(&["verify", "--allow-http-registry", &format!("{name}:{VERSION}")]);
    run(script("publish.sh").arg(host).arg(&folder));
    assert_eq!([verify(&image), verify(&chart)], [false, false], "nothing is signed yet");
    let mut sign = script("sign.sh");
    sign.arg(host).arg(&folder).env("COSIGN_KEY", folder.join("cosign.key")).env("COSIGN_PASSWORD", "secret");
    run(&mut sign);
    assert_eq!([verify(&image), verify(&chart)], [true, true]);

    let blob = ["verify-blob", "--bundle", "SHA256SUMS.sigstore.json", "SHA256SUMS"];
    assert!(holds(&blob));
    fs::write(&sums, "other").unwrap();
    assert!(!holds(&blob), "other bytes are not signed");
    let crane = Path::new(tools.trim_end()).join("crane");
    let name = format!("{image}:{VERSION}");
    run(Command::new(crane).args([
        "mutate",
        &name,
        "--label",
        "other=1",
        "--platform",
        "linux/amd64",
        "--tag",
        &name,
    ]));
    assert!(!verify(&image), "another image is not signed");
}
