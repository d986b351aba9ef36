//! Flags as Go programs take them: durations, bools, and one dash.

use std::ffi::OsString;
use std::time::Duration;

use jiff::SignedDuration;

/// Rewrites `-name` to `--name`, which Go programs and their users treat alike. It stops at `--`,
/// and rewrites only flags that `command` has.
#[must_use]
pub fn with_two_dashes(args: impl IntoIterator<Item = OsString>, command: &clap::Command) -> Vec<OsString> {
    let mut args = args.into_iter();
    let mut rewritten: Vec<OsString> = args.by_ref().take(2).collect();
    let subcommand = rewritten.get(1).and_then(|name| command.find_subcommand(name));
    let flags = subcommand.into_iter().flat_map(clap::Command::get_arguments);
    let names: Vec<&str> = flags.filter_map(clap::Arg::get_long_and_visible_aliases).flatten().collect();
    let mut is_ours = true;
    rewritten.extend(args.map(|arg| {
        is_ours &= arg != "--";
        let flag = arg.to_str().filter(|_| is_ours).and_then(|arg| arg.strip_prefix('-'));
        let name = flag.map(|flag| flag.split_once('=').map_or(flag, |(name, _)| name));
        match (flag, name) {
            (Some(flag), Some(name)) if names.contains(&name) => format!("--{flag}").into(),
            _ => arg,
        }
    }));
    rewritten
}

/// A flag that is a bool: `--flag`, `--flag=true` or `--flag=false`.
pub(super) trait BoolFlag {
    /// Makes it one, with this default.
    fn bool_flag(self, default: bool) -> Self;
}

impl BoolFlag for clap::Arg {
    fn bool_flag(self, default: bool) -> Self {
        self.value_name("BOOL")
            .default_value(if default { "true" } else { "false" })
            .default_missing_value("true")
            .num_args(0..=1)
            .require_equals(true)
            .action(clap::ArgAction::Set)
    }
}

/// A duration in Go's syntax: `15s`, `1m30s`, `1.5s`, `400ms`.
///
/// # Errors
/// If `text` is no duration, or a negative one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let starts_like_one = text.starts_with(|first: char| first.is_ascii_digit());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<SignedDuration>().ok().filter(|_| starts_like_one && !text.contains(' '));
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "a duration looks like 15s, 1m30s or 400ms".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        let cases = [
            ("15s", 15_000),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("400ms", 400),
            ("1h", 3_600_000),
            ("2h45m", 9_900_000),
            ("0", 0),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(duration("250µs"), Ok(Duration::from_micros(250)));
    }

    #[test]
    fn one_dash_is_enough_for_a_flag_that_exists_and_only_before_the_command() {
        let written = "elector elect -id=1 -lease-lock-name x -o json --id -2 -nothing -- worker -id 3";
        let command = <crate::commands::Cli as clap::CommandFactory>::command();
        let args = with_two_dashes(written.split(' ').map(OsString::from), &command);
        let args: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(
            args.join(" "),
            "elector elect --id=1 --lease-lock-name x -o json --id -2 -nothing -- worker -id 3"
        );
    }

    #[test]
    fn what_go_refuses_is_no_duration() {
        for text in ["", "15", "s", "-1s", "1s ago", "1 s", "PT15S", "15 seconds", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
