//! The elector's clocks. Everywhere else in the elector time is an argument.

mod boot;
#[cfg(test)]
mod manual;

pub use boot::BootTime;
#[cfg(test)]
pub(crate) use manual::ManualClock;

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::decisions::time::{Nanos, WallMicros};

/// The clocks a leader elector judges by. Tests bring their own.
pub trait Time: Debug + Send + Sync {
    /// The clock that counts suspend: all that an elector decides is decided by it.
    fn boot(&self) -> Nanos;

    /// A clock that does not count suspend: what the other has more was suspend.
    fn monotonic(&self) -> Nanos;

    /// The wall clock, for what is written and never compared.
    fn wall(&self) -> WallMicros;

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
