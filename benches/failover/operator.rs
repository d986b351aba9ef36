//! The operator as a process, and what the kernel knows of it.

use std::process::{Child, Command, Stdio};

use crate::cluster::Cluster;

/// A running operator that looks after one namespace. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Operator(Child);

impl Operator {
    /// Starts it under the chart's `ServiceAccount`. What it warns of is shown.
    pub(crate) fn start(cluster: &Cluster, namespace: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_election-operator"))
            .arg("run")
            .arg("--kubeconfig")
            .arg(&cluster.operator)
            .args(["--namespace", namespace, "--http-addr", "127.0.0.1:0", "--leader-elect=false"])
            .env_remove("KUBECONFIG")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the operator can be started");
        Self(child)
    }

    /// Resident memory, in bytes; none where the system does not tell.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    /// Seconds of processor time so far. The kernel counts in hundredths.
    pub(crate) fn processor_seconds(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        // The second field, the name, may contain blanks; the 14th and 15th are the times in user and kernel mode.
        let mut after_name = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || after_name.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / 100.0)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How busy the machine is: runnable processes, averaged over the last minute.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}
