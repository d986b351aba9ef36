//! A clock that stands still until a test sets it.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Alarm, Ring, Time};
use crate::decisions::time::{Nanos, WallMicros};

/// Both monotonic clocks show the moment set last. Sleeps never end, and there are no alarms.
#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn set(&self, moment: Nanos) {
        self.0.store(moment.0, Ordering::SeqCst);
    }
}

impl Time for ManualClock {
    fn boot(&self) -> Nanos {
        Nanos(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Nanos {
        self.boot()
    }

    fn wall(&self) -> WallMicros {
        WallMicros(0)
    }

    fn sleep_until(&self, _: Nanos) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::pending())
    }

    fn alarm(&self, _: Ring) -> io::Result<Box<dyn Alarm>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
