//! The elector's clocks on tokio's paused time. They can be suspended, frozen, run at another rate,
//! and their wall clock can jump.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use lease_elector::Nanos;
use lease_elector::clock::{Alarm, Ring, Time};
use lease_elector::decisions::time::WallMicros;
use tokio::sync::{Notify, watch};

/// A clock for tests. Clones share their state.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    start: tokio::time::Instant,
    rate: f64,
    suspended: AtomicU64,
    wall: AtomicI64,
    jumped: Notify,
    frozen: watch::Sender<bool>,
}

/// The boot time at the start: long after boot, so that "an hour ago" exists.
const BOOT: Nanos = Nanos::from_seconds(3600 * 2000);
/// The wall-clock time at the start: 2026-01-01, in microseconds.
const WALL: i64 = 1_767_225_600_000_000;

impl TestClock {
    pub fn new() -> Self {
        Self::with_rate(1.0)
    }

    /// A clock whose second lasts `1 / rate` seconds.
    pub fn with_rate(rate: f64) -> Self {
        Self(Arc::new(Inner {
            start: tokio::time::Instant::now(),
            rate,
            suspended: AtomicU64::new(0),
            wall: AtomicI64::new(WALL),
            jumped: Notify::new(),
            frozen: watch::Sender::new(false),
        }))
    }

    /// The machine sleeps for `span`. Only the clock that includes suspended time moves.
    pub fn suspend(&self, span: Duration) {
        self.0.suspended.fetch_add(u64::try_from(span.as_nanos()).unwrap(), Ordering::SeqCst);
        self.0.jumped.notify_waiters();
    }

    pub fn jump_wall(&self, seconds: i64) {
        self.0.wall.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// The process is stopped (SIGSTOP), while its clocks go on.
    pub fn freeze(&self, frozen: bool) {
        self.0.frozen.send_replace(frozen);
    }

    pub async fn thawed(&self) {
        let mut frozen = self.0.frozen.subscribe();
        frozen.wait_for(|frozen| !frozen).await.unwrap();
    }

    async fn wait(&self, moment: Nanos) {
        while self.boot() < moment {
            let left = Duration::from(moment.since(self.boot())).div_f64(self.0.rate);
            tokio::time::sleep(left.max(Duration::from_millis(1))).await;
        }
        self.thawed().await;
    }
}

impl Time for TestClock {
    fn boot(&self) -> Nanos {
        BOOT + self.monotonic() + Nanos(self.0.suspended.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Nanos {
        Nanos::from(self.0.start.elapsed().mul_f64(self.0.rate))
    }

    fn wall(&self) -> WallMicros {
        let elapsed = i64::try_from(self.0.start.elapsed().as_micros()).unwrap();
        WallMicros(self.0.wall.load(Ordering::SeqCst) + elapsed)
    }

    fn sleep_until(&self, moment: Nanos) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        Box::pin(async move {
            if moment == Nanos::MAX {
                return std::future::pending().await;
            }
            clock.wait(moment).await;
        })
    }

    fn alarm(&self, ring: Ring) -> io::Result<Box<dyn Alarm>> {
        let (set, mut moments) = watch::channel(Nanos::MAX);
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                let moment = *moments.borrow_and_update();
                let Some(clock) = inner.upgrade().map(TestClock) else { return };
                let jumped = clock.0.jumped.notified();
                tokio::select! {
                    changed = moments.changed() => if changed.is_err() { return },
                    () = clock.sleep_until(moment) => {
                        // It rings once, like a timer.
                        if *moments.borrow() == moment {
                            ring();
                            if *moments.borrow() == moment && moments.changed().await.is_err() {
                                return;
                            }
                        }
                    }
                    () = jumped => {}
                }
            }
        });
        Ok(Box::new(TestAlarm(set)))
    }
}

#[derive(Debug)]
struct TestAlarm(watch::Sender<Nanos>);

impl Alarm for TestAlarm {
    fn set(&self, moment: Nanos) {
        self.0.send_replace(moment);
    }
}
