//! The monotonic clock, and a thread that waits on it: for systems without a clock that counts
//! suspend.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use super::{Alarm, Ring};
use crate::decisions::time::Nanos;

/// The monotonic clock. It may not count suspend: a leader whose machine slept then believes for the
/// whole renew deadline after it that it still leads.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(super) fn boot() -> Nanos {
    static START: OnceLock<Instant> = OnceLock::new();
    // Zero is "never" in places.
    Nanos::from_seconds(1) + START.get_or_init(Instant::now).elapsed().into()
}

/// The same clock: what suspend took is not known here.
pub(super) fn monotonic() -> Nanos {
    boot()
}

pub(super) fn alarm(ring: Ring) -> io::Result<Box<dyn Alarm>> {
    let countdown = Arc::new(Countdown::default());
    let waiting = countdown.clone();
    thread::Builder::new().name("leader-deadline".to_owned()).spawn(move || waiting.wait(&ring))?;
    Ok(Box::new(CountdownThread(countdown)))
}

#[derive(Debug, Default)]
struct Countdown {
    setting: Mutex<Setting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Setting {
    /// None: the alarm has rung, or was never set.
    moment: Option<Nanos>,
    ended: bool,
}

impl Countdown {
    fn lock(&self) -> MutexGuard<'_, Setting> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, ring: &Ring) {
        let mut setting = self.lock();
        while !setting.ended {
            let now = boot();
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
struct CountdownThread(Arc<Countdown>);

impl Alarm for CountdownThread {
    fn set(&self, moment: Nanos) {
        self.0.change(|setting| setting.moment = Some(moment));
    }
}

impl Drop for CountdownThread {
    fn drop(&mut self) {
        self.0.change(|setting| setting.ended = true);
    }
}
