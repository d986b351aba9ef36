//! The only caller of any `now()`: everywhere else time is an argument.

use std::time::Duration;

use crate::election::{Micros, Millis};

/// This process's clocks.
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

    /// Milliseconds since the start, on the monotonic clock. Never zero: zero is before everything.
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// The wall clock, for the times that people read.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> Micros {
        Micros(jiff::Timestamp::now().as_microsecond())
    }

    /// Sleeps until `moment`; not at all if it has passed.
    pub async fn sleep_until(&self, moment: Millis) {
        tokio::time::sleep_until(self.start + Duration::from_millis(moment.0.saturating_sub(1))).await;
    }
}
