//! The only caller of any `now()`: everywhere else time is an argument.

mod boot;

pub use boot::BootTime;

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::elector::decisions::record::Nanos;
use crate::planner::{Micros, Millis};

/// The clocks a leader elector judges by. Tests bring their own.
pub trait Time: Debug + Send + Sync {
    /// The clock that counts suspend: all that an elector decides is decided by it.
    fn boot(&self) -> Nanos;

    /// A clock that does not count suspend: what the other has more was suspend.
    fn monotonic(&self) -> Nanos;

    /// The wall clock, for what is written and never compared.
    fn wall(&self) -> Micros;

    /// Ends when [`Self::boot`] reaches `moment`, or somewhat later.
    fn sleep_until(&self, moment: Nanos) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// An alarm that calls `ring` at the moment it is set to, also while the async runtime is busy.
    ///
    /// # Errors
    /// If the system refuses.
    fn alarm(&self, ring: Ring) -> io::Result<Box<dyn Alarm>>;
}

/// What an alarm calls.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// Rings once at the moment it is set to. Dropped, it rings no more.
pub trait Alarm: Debug + Send + Sync {
    /// Rings at `moment` instead of the moment set before; at once, if that has passed.
    fn set(&self, moment: Nanos);
}

impl From<Duration> for Nanos {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl From<Nanos> for Duration {
    fn from(span: Nanos) -> Self {
        Self::from_nanos(span.0)
    }
}

/// How old a [`Clock`] is when it starts.
const DAY: Millis = Millis::from_seconds(24 * 60 * 60);

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

    /// Milliseconds on the monotonic clock, which is a day old at the start: zero is long ago for every rule.
    #[must_use]
    pub fn now(&self) -> Millis {
        DAY + Millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// The wall clock, for the times that people read.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> Micros {
        Micros(jiff::Timestamp::now().as_microsecond())
    }

    /// Sleeps until `moment`; not at all if it has passed.
    pub async fn sleep_until(&self, moment: Millis) {
        tokio::time::sleep_until(self.start + Duration::from_millis(moment.since(DAY).0)).await;
    }
}
