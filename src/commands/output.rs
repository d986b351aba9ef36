//! What a command prints: one line for each event, for people or for programs.

use std::io::Write;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::planner::Micros;
use crate::telemetry::LogFormat;

/// The format of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One readable line for each event.
    #[default]
    Text,
    /// One JSON object on each line.
    Json,
}

impl Output {
    /// The same format, for log lines.
    #[must_use]
    pub const fn log_format(self) -> LogFormat {
        match self {
            Self::Text => LogFormat::Text,
            Self::Json => LogFormat::Json,
        }
    }
}

/// An event that can be printed in both formats.
pub trait Line {
    /// The text for people, without the time.
    fn text(&self) -> String;

    /// The fields for programs, without the time.
    fn json(&self) -> Map<String, Value>;
}

impl Output {
    /// One line, without its line break.
    #[must_use]
    pub fn line(self, at: Micros, event: &impl Line) -> String {
        let at = Timestamp::from_microsecond(at.0)
            .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
        match self {
            Self::Text => format!("{at} {}", event.text()),
            Self::Json => {
                let mut fields = Map::from_iter([("time".to_owned(), Value::String(at))]);
                fields.extend(event.json());
                Value::Object(fields).to_string()
            }
        }
    }
}

/// Writes a whole line at once.
///
/// # Errors
/// If the reader is gone.
pub fn print(target: &mut impl Write, line: &str) -> std::io::Result<()> {
    writeln!(target, "{line}")?;
    target.flush()
}

/// The fields of an event that serializes as an object.
#[must_use]
pub fn fields(event: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(event) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}
