//! The elector's clocks. Everywhere else in the elector time is an argument.

#[cfg(target_os = "linux")]
mod boot;
#[cfg(test)]
mod manual;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
pub use boot::BootTime;
#[cfg(test)]
pub(crate) use manual::ManualClock;
#[cfg(not(target_os = "linux"))]
pub use portable::BootTime;

use std::fmt::Debug;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::decisions::time::{Nanos, WallMicros};

/// The clocks that a leader elector judges by. Tests bring their own.
pub trait Time: Debug + Send + Sync {
    /// The clock that counts suspend. The elector decides everything by it.
    fn boot(&self) -> Nanos;

    /// A clock that does not count suspend. The difference to [`Self::boot`] is the time spent in
    /// suspend.
    fn monotonic(&self) -> Nanos;

    /// The wall clock: written into the Lease, never compared with a clock.
    fn wall(&self) -> WallMicros;

    /// Ends when [`Self::boot`] reaches `moment`, or shortly after.
    fn sleep_until(&self, moment: Nanos) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// An alarm that calls `ring` at the moment it is set to, also while the async runtime is busy.
    ///
    /// # Errors
    /// If the operating system refuses.
    fn alarm(&self, ring: Ring) -> io::Result<Box<dyn Alarm>>;
}

/// The function that an alarm calls.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// Rings once at the moment it is set to. A dropped alarm rings no more.
pub trait Alarm: Debug + Send + Sync {
    /// Rings at `moment` instead of the moment set before. If `moment` has passed, it rings at
    /// once.
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
