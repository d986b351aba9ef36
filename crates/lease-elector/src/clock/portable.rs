//! The system's monotonic clock, and a thread that waits on it: for systems without a clock that counts suspend.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use super::{Alarm, Ring, Time};
use crate::decisions::time::{Nanos, WallMicros};

/// The system's clocks. On this system none of them counts suspend: a leader whose machine slept believes for the whole
/// renew deadline after it that it still leads.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootTime;

impl Time for BootTime {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn boot(&self) -> Nanos {
        static START: OnceLock<Instant> = OnceLock::new();
        // Zero is "never" in places.
        Nanos::from_seconds(1) + START.get_or_init(Instant::now).elapsed().into()
    }

    fn monotonic(&self) -> Nanos {
        self.boot()
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
                tokio::time::sleep(moment.since(clock.boot()).into()).await;
            }
        })
    }

    fn alarm(&self, ring: Ring) -> io::Result<Box<dyn Alarm>> {
        let timer = Arc::new(Timer::default());
        let (waiting, clock) = (timer.clone(), *self);
        thread::Builder::new()
            .name("leader-deadline".to_owned())
            .spawn(move || waiting.wait(clock, &ring))?;
        Ok(Box::new(Thread(timer)))
    }
}

#[derive(Debug, Default)]
struct Timer {
    setting: Mutex<Setting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Setting {
    /// None: the alarm has rung, or was never set.
    moment: Option<Nanos>,
    ended: bool,
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, Setting> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, clock: BootTime, ring: &Ring) {
        let mut setting = self.lock();
        while !setting.ended {
            let now = clock.boot();
            setting = match setting.moment {
                Some(moment) if moment <= now => {
                    setting.moment = None;
                    drop(setting);
                    ring();
                    self.lock()
                }
                Some(moment) => {
                    let waited = self.changed.wait_timeout(setting, moment.since(now).into());
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(setting).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn change(&self, change: impl FnOnce(&mut Setting)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }
}

/// The thread that waits, as long as this is there.
#[derive(Debug)]
struct Thread(Arc<Timer>);

impl Alarm for Thread {
    fn set(&self, moment: Nanos) {
        self.0.change(|setting| setting.moment = Some(moment));
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.change(|setting| setting.ended = true);
    }
}
