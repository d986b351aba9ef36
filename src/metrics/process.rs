//! The metrics of this process, under the names that all Prometheus clients use.

use std::fmt;

use procfs::process::{LimitValue, Process, Stat};
use procfs::{ProcError, WithCurrentSystemInfo};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Adds `process_*` to the registry: memory, CPU, file descriptors, start time.
pub fn register(registry: &mut Registry) {
    registry.sub_registry_with_prefix("process").register_collector(Box::new(ProcessMetrics));
}

#[derive(Debug)]
struct ProcessMetrics;

/// What `/proc` tells of this process at one moment.
struct Figures {
    stat: Stat,
    open_fds: usize,
    max_fds: LimitValue,
    boot_seconds: u64,
}

impl Figures {
    fn read() -> Result<Self, ProcError> {
        let process = Process::myself()?;
        Ok(Self {
            stat: process.stat()?,
            open_fds: process.fd_count()?,
            max_fds: process.limits()?.max_open_files.soft_limit,
            boot_seconds: procfs::boot_time_secs()?,
        })
    }
}

impl Collector for ProcessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // A sandbox may hide `/proc`. All other metrics are still worth a scrape.
        let Ok(Figures { stat, open_fds, max_fds, boot_seconds }) = Figures::read() else { return Ok(()) };
        let mut write = |name: &str, help: &str, value: &dyn EncodeMetric| {
            let encoder = encoder.encode_descriptor(name, help, None, value.metric_type())?;
            value.encode(encoder)
        };
        let cpu_seconds = ConstCounter::new(seconds(stat.utime + stat.stime));
        write("cpu_seconds", "User and system CPU time used", &cpu_seconds)?;
        write("open_fds", "Open file descriptors", &gauge(open_fds as u64))?;
        if let LimitValue::Value(max_fds) = max_fds {
            write("max_fds", "How many file descriptors may be open", &gauge(max_fds))?;
        }
        write("resident_memory_bytes", "Resident memory", &gauge(stat.rss_bytes().get()))?;
        write("virtual_memory_bytes", "Virtual memory", &gauge(stat.vsize))?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let started = ConstGauge::new(boot_seconds as f64 + seconds(stat.starttime));
        write("start_time_seconds", "When the process started, since the Unix epoch", &started)
    }
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

/// Clock ticks as seconds.
#[expect(clippy::cast_precision_loss, reason = "hundredths of a second")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}
