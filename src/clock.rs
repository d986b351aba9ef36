//! The operator's clock. Everywhere else in the operator time is an argument.

use std::time::Duration;

use crate::planner::{Micros, Millis};

/// The age of a [`Clock`] at its start.
const DAY: Millis = Millis::from_seconds(24 * 60 * 60);

/// The clocks of this process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now() }
    }

    /// Milliseconds of the monotonic clock. It is a day old at its start, so that zero is long ago
    /// for every rule.
    #[must_use]
    pub fn now(&self) -> Millis {
        DAY + Millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The wall clock, for times that people read.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> Micros {
        Micros(jiff::Timestamp::now().as_microsecond())
    }

    /// Sleeps until `moment`. Returns at once if it has passed.
    pub async fn sleep_until(&self, moment: Millis) {
        tokio::time::sleep_until(self.start + Duration::from_millis(moment.since(DAY).0)).await;
    }
}
