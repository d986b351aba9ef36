//! `CLOCK_BOOTTIME`, and a thread that waits on it.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use super::{Alarm, Ring, Time};
use crate::decisions::time::{Nanos, WallMicros};

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootTime;

impl Time for BootTime {
    fn boot(&self) -> Nanos {
        read(ClockId::Boottime)
    }

    fn monotonic(&self) -> Nanos {
        read(ClockId::Monotonic)
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
        let timer = Arc::new(Timer {
            fd: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?,
            ended: AtomicBool::new(false),
        });
        let waiting = timer.clone();
        thread::Builder::new().name("leader-deadline".to_owned()).spawn(move || waiting.wait(&ring))?;
        Ok(Box::new(Thread(timer)))
    }
}

/// How long to sleep at once with `left` to go.
///
/// The runtime's timer does not count suspend. After a suspend, one long sleep would end late by
/// its whole length. A renewal that is due meanwhile would miss its deadline.
fn nap(left: Duration) -> Duration {
    left.min((left / 4).max(Duration::from_secs(1)))
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Nanos::from_seconds(seconds) + Nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[derive(Debug)]
struct Timer {
    fd: OwnedFd,
    ended: AtomicBool,
}

impl Timer {
    fn wait(&self, ring: &Ring) {
        let mut expirations = [0; 8];
        while rustix::io::retry_on_intr(|| rustix::io::read(&self.fd, &mut expirations)).is_ok() {
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            ring();
        }
    }

    fn set(&self, moment: Nanos) {
        // Zero would disarm the timer.
        let moment = moment.max(Nanos(1));
        let part = |nanos: u64| i64::try_from(nanos).unwrap_or(i64::MAX);
        let at = Timespec { tv_sec: part(moment.0 / 1_000_000_000), tv_nsec: part(moment.0 % 1_000_000_000) };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: at };
        if let Err(error) = timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &once) {
            tracing::error!(%error, "cannot set the timer of the leader's deadline");
        }
    }
}

/// Keeps the waiting thread alive until it is dropped.
#[derive(Debug)]
struct Thread(Arc<Timer>);

impl Alarm for Thread {
    fn set(&self, moment: Nanos) {
        self.0.set(moment);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.set(Nanos(1));
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
