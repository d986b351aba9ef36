//! Pauses between tries that double up to a limit.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// More doublings than any limit allows.
const MAX_DOUBLINGS: u32 = 10;

/// Doubling pauses between tries. Each pause is shortened by up to a half.
///
/// The fraction depends on the owner of the back-off, and on the number of the try. Owners that
/// fail together therefore do not come back together, and a simulated run can be repeated.
#[derive(Debug)]
pub(super) struct Backoff {
    salt: DefaultHasher,
    first: Duration,
    tries: u32,
}

impl Backoff {
    /// A back-off of `owner` that starts with the pause `first`.
    #[must_use]
    pub(super) fn new(owner: &impl Hash, first: Duration) -> Self {
        let mut salt = DefaultHasher::new();
        owner.hash(&mut salt);
        Self { salt, first, tries: 0 }
    }

    /// The pause before the next try, at most `longest`.
    #[must_use]
    pub(super) fn pause(&mut self, longest: Duration) -> Duration {
        let full = self.first.saturating_mul(1 << self.tries.min(MAX_DOUBLINGS)).min(longest);
        self.tries = self.tries.saturating_add(1);
        self.salt.write_u32(self.tries);
        let fraction = u32::try_from(self.salt.finish() % 512).unwrap_or_default();
        full.mul_f64(1.0 - f64::from(fraction) / 1024.0)
    }

    /// How many tries have failed in a row.
    #[must_use]
    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }

    /// A try succeeded: the next pause is the first one again.
    pub(super) const fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_lose_at_most_a_half() {
        let mut backoff = Backoff::new(&"owner", Duration::from_millis(200));
        for full in [200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let pause = backoff.pause(Duration::from_secs(5));
            let full = Duration::from_millis(full);
            assert!(full / 2 < pause && pause <= full, "{pause:?} of {full:?}");
        }
        assert!(backoff.pause(Duration::from_secs(1)) <= Duration::from_secs(1), "the limit may change");
        backoff.reset();
        assert!(backoff.pause(Duration::from_secs(5)) <= Duration::from_millis(200));
    }

    #[test]
    fn one_owner_has_the_same_pauses_each_time_and_another_owner_has_others() {
        let pauses = |owner: &str| {
            let mut backoff = Backoff::new(&owner, Duration::from_millis(50));
            (0..8).map(|_| backoff.pause(Duration::from_secs(10))).collect::<Vec<_>>()
        };
        assert_eq!(pauses("a"), pauses("a"));
        assert_ne!(pauses("a"), pauses("b"));
    }
}
