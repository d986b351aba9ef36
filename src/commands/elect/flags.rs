//! What the flags of `elect` mean: durations as Go writes them, and an identity for those that give none.

use std::time::Duration;

use jiff::SignedDuration;

/// A duration in Go's syntax: `15s`, `1m30s`, `1.5s`, `400ms`.
///
/// # Errors
/// If it is none, or a negative one.
pub fn duration(text: &str) -> Result<Duration, String> {
    let starts_like_one =
        text.starts_with(|first: char| first.is_ascii_digit());
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<SignedDuration>().ok().filter(|_| starts_like_one && !text.contains(' '));
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "a duration looks like 15s, 1m30s or 400ms".to_owned())
}

/// The identity of a process that was given none: its pod's name, else the host's and a random part.
///
/// # Errors
/// If the system has no random numbers.
pub fn default_identity(pod: Option<String>) -> std::io::Result<String> {
    if let Some(pod) = pod.filter(|pod| !pod.is_empty()) {
        return Ok(pod);
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    Ok(format!("{}_{}", host.trim(), random.trim()))
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

    #[test]
    fn the_pod_is_the_identity_and_without_one_no_two_processes_share_theirs() {
        assert_eq!(default_identity(Some("orders-0".to_owned())).unwrap(), "orders-0");
        let [one, other] = [default_identity(None).unwrap(), default_identity(Some(String::new())).unwrap()];
        assert_ne!(one, other);
        assert!(one.contains('_') && !one.contains(char::is_whitespace), "{one}");
    }
}
