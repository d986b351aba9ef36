//! `CLOCK_BOOTTIME`, and a thread that waits on it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use super::{Alarm, Ring};
use crate::decisions::time::Nanos;

/// The clock that counts suspend.
pub(super) fn boot() -> Nanos {
    read(ClockId::Boottime)
}

/// The clock that does not.
pub(super) fn monotonic() -> Nanos {
    read(ClockId::Monotonic)
}

pub(super) fn alarm(ring: Ring) -> io::Result<Box<dyn Alarm>> {
    let timer = Arc::new(TimerFd {
        fd: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC)?,
        ended: AtomicBool::new(false),
    });
    let waiting = timer.clone();
    thread::Builder::new().name("leader-deadline".to_owned()).spawn(move || waiting.wait(&ring))?;
    Ok(Box::new(AlarmThread(timer)))
}

fn read(clock: ClockId) -> Nanos {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Nanos::from_seconds(seconds) + Nanos(u64::try_from(time.tv_nsec).unwrap_or_default())
}

#[derive(Debug)]
struct TimerFd {
    fd: OwnedFd,
    ended: AtomicBool,
}

impl TimerFd {
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
struct AlarmThread(Arc<TimerFd>);

impl Alarm for AlarmThread {
    fn set(&self, moment: Nanos) {
        self.0.set(moment);
    }
}

impl Drop for AlarmThread {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
        self.0.set(Nanos(1));
    }
}
