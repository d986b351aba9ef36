//! The elector's clocks. Everywhere else in the elector time is an argument.

#[cfg(target_os = "linux")]
mod boot;
#[cfg(test)]
mod manual;
#[cfg(not(target_os = "linux"))]
mod portable;

#[cfg(target_os = "linux")]
use boot as system;
#[cfg(test)]
pub(crate) use manual::ManualClock;
#[cfg(not(target_os = "linux"))]
use portable as system;

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

/// The clocks of the operating system. Linux has one that counts suspend.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootTime;

impl Time for BootTime {
    fn boot(&self) -> Nanos {
        system::boot()
    }

    fn monotonic(&self) -> Nanos {
        system::monotonic()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> WallMicros {
        WallMicros(jiff::Timestamp::now().as_microsecond())
    }

    fn sleep_until(&self, moment: Nanos) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = *self;
        Box::pin(async move {
            if moment == Nanos::MAX {
                return std::future::pending().await;
            }
            while clock.boot() < moment {
                tokio::time::sleep(nap(moment.since(clock.boot()).into())).await;
            }
        })
    }

    fn alarm(&self, ring: Ring) -> io::Result<Box<dyn Alarm>> {
        system::alarm(ring)
    }
}

/// How long to sleep at once with `left` to go.
///
/// The runtime's timer does not count suspend. After a suspend, one long sleep would end late by
/// its whole length. A renewal that is due meanwhile would miss its deadline.
fn nap(left: Duration) -> Duration {
    left.min((left / 4).max(Duration::from_secs(1)))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How late a sleep of `span` ends, and how often it wakes. The machine is suspended for
    /// `suspended` after it was awake for `slept`.
    fn slept(span: Duration, slept: Duration, suspended: Duration) -> (Duration, u32) {
        let (mut now, mut awake, mut naps) = (Duration::ZERO, Duration::ZERO, 0);
        while now < span {
            let nap = nap(span.saturating_sub(now));
            let sleeps_through = (awake..awake.saturating_add(nap)).contains(&slept);
            awake = awake.saturating_add(nap);
            now = now.saturating_add(nap).saturating_add(if sleeps_through {
                suspended
            } else {
                Duration::ZERO
            });
            naps += 1;
        }
        (now.saturating_sub(span), naps)
    }

    #[test]
    fn a_suspend_makes_a_renewal_late_by_little_more_than_a_second() {
        let seconds = Duration::from_secs;
        for suspended in 0..10 {
            for at in 0..5 {
                // The renewal is due during the suspend, or after it.
                let (late, _) = slept(seconds(5), seconds(at), seconds(suspended));
                let due_in_suspend = seconds((at + suspended).saturating_sub(5));
                assert!(late <= due_in_suspend + Duration::from_millis(1250), "{at} {suspended}: {late:?}");
            }
        }
    }

    #[test]
    fn long_sleeps_are_not_woken_often() {
        let (late, naps) = slept(Duration::from_secs(300), Duration::MAX, Duration::ZERO);
        assert_eq!((late, naps < 25), (Duration::ZERO, true), "{naps}");
    }
}
