//! What flags mean: durations, as Go writes them.

use std::time::Duration;

use jiff::SignedDuration;

/// A duration in Go's syntax: `15s`, `1m30s`, `1.5s`, `400ms`.
///
/// # Errors
/// If it is none, or a negative one.
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
    fn what_go_refuses_is_no_duration() {
        for text in ["", "15", "s", "-1s", "1s ago", "1 s", "PT15S", "15 seconds", "soon"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
