//! The operator as a process, and what the kernel knows of it.

use std::path::Path;

use testkit::process::{Process, operator};

use crate::cluster::Cluster;

/// A running operator that looks after one namespace. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Operator(Process);

impl Operator {
    /// Starts it under the chart's `ServiceAccount`. What it warns of is shown.
    pub(crate) fn start(cluster: &Cluster, namespace: &str) -> Self {
        let mut command = operator(Path::new(env!("CARGO_BIN_EXE_election-operator")), &cluster.operator);
        command.args(["--namespace", namespace, "--leader-elect=false"]).env("RUST_LOG", "warn");
        Self(Process::start(&mut command))
    }

    /// Resident memory, in bytes; none where the system does not tell.
    pub(crate) fn memory(&self) -> Option<u64> {
        self.0.memory("VmRSS")
    }

    /// Seconds of processor time so far. The kernel counts in hundredths.
    pub(crate) fn processor_seconds(&self) -> Option<f64> {
        let stat = self.0.kernel_says("stat")?;
        // The second field, the name, may contain blanks; the 14th and 15th are the times in user
        // and kernel mode.
        let mut after_name = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || after_name.next()?.parse::<f64>().ok();
        Some((ticks()? + ticks()?) / 100.0)
    }
}

/// How busy the machine is: runnable processes, averaged over the last minute.
pub(crate) fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}
