//! A client-go elector as a process: what runs in the pods of an Observed group, which here are
//! only simulated.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use testkit::process::Process;

use super::cluster::Cluster;
use super::world::World;

/// One process that competes for the Lease `orders` under the identity it was given. Dropping it
/// kills it.
#[derive(Debug)]
pub(crate) struct Holder(Process);

impl Holder {
    /// Starts one that holds the Lease for so many seconds after each renewal, and releases it on
    /// SIGTERM.
    pub(crate) fn start(world: &World, identity: &str, seconds: u32) -> Self {
        let duration = |millis: u32| format!("{millis}ms");
        let mut command = Command::new(client_go());
        command
            .args(["--lease-name", "orders", "--lease-namespace", &world.namespace, "--id", identity])
            .args(["--lease-duration", &duration(seconds * 1000)])
            .args(["--renew-deadline", &duration(seconds * 750)])
            .args(["--retry-period", &duration(seconds * 100), "--release-on-cancel"])
            .arg("--kubeconfig")
            .arg(&Cluster::find().admin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(Process::start(&mut command))
    }

    /// Sends it a signal: `TERM` (it releases the Lease), `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        self.0.signal(name);
    }
}

/// The program of the client-go elector. The first test that needs it builds it, once for each
/// version of its source.
pub(crate) fn client_go() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/go-program.sh");
        let output = Command::new(script)
            .arg("interop")
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("bash runs");
        assert!(output.status.success(), "the client-go elector cannot be built");
        String::from_utf8(output.stdout).expect("a path is text").trim().to_owned()
    })
}
