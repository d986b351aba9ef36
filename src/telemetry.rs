//! Logging: text for people by default, JSON by flag.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::lines;

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line for each event.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

/// Starts logging to standard error. `RUST_LOG` sets what is logged.
pub fn start(format: LogFormat) {
    // The operator reports failed watches and requests itself, better and only once.
    start_with(format, "info,kube_runtime=error,kube_client=off");
}

/// Starts logging with another default filter.
pub fn start_with(format: LogFormat, default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Stderr);
    // If standard error cannot be written, an error about that cannot be written either.
    let builder = builder.log_internal_errors(false);
    match format {
        // On a terminal the subscriber colours, unless NO_COLOR is set.
        LogFormat::Text if io::stderr().is_terminal() => builder.with_target(false).init(),
        LogFormat::Text => builder.with_target(false).with_ansi(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}

/// Takes each line whole, and never waits for its reader.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        lines::stderr().tell(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
