//! The companion of one pod: the elector of the library as `elect --nominated` runs it, with a guard
//! and a command that are made up. The guard is a process of its own: it goes on while the companion
//! is stopped, and kills the command when the companion dies.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lease_elector::clock::Time;
use lease_elector::{ActiveTerm, ElectorConfig, FencingToken, LeaderElector, Nanos, Picked};
use testkit::random::Random;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::api_server::{NAMESPACE, Server};
use super::clock::TestClock;

/// How long before its last moment the guard kills the command, so that it is gone by then.
const KILL_MARGIN: Duration = Duration::from_millis(50);
/// The longest time that a killed command takes to be gone, in milliseconds.
const KILL_MILLIS: u64 = 40;

/// A command that ends by itself does so in this time.
pub const SHORT_LIFE: Duration = Duration::from_secs(20);
const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// How a companion behaves: right, or wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    Right,
    /// It releases the Lease while its command still drains.
    ReleasesEarly,
    /// It takes its restart for proof that the command before has ended.
    StartsBeside,
    /// It allows for no difference between two clocks, and its own is slow.
    TrustsClocks,
    /// No guard kills its command while it is stopped.
    WithoutGuard,
    /// It takes what is free, missing or expired, like any candidate.
    Stands,
}

/// What a companion is made of. Clones are the same one.
#[derive(Clone)]
pub struct Companion {
    /// Name and UID of its pod.
    name: String,
    uid: String,
    /// How the API server knows it.
    number: usize,
    server: Server,
    clock: TestClock,
    rate: f64,
    habit: Habit,
    seed: u64,
    /// One process of the pod runs for the Lease at a time, its command included.
    alone: Arc<Semaphore>,
    /// One command of this process runs at a time.
    one_command: Arc<Semaphore>,
}

/// What the guard is told.
#[derive(Clone, Copy)]
struct Order {
    /// The command may run until this moment of the pod's clock.
    until: Nanos,
    /// The command is asked to end.
    drains: bool,
}

impl Companion {
    pub fn new(server: Server, (name, uid): (&str, &str), number: usize, habit: Habit, seed: u64) -> Self {
        // Clocks differ from real time by less than 1 %.
        let rates = if habit == Habit::TrustsClocks { [0.99; 3] } else { [0.991, 1.0, 1.009] };
        let rate = rates[usize::try_from(seed % 3).unwrap()];
        let processes = if habit == Habit::StartsBeside { 1000 } else { 1 };
        Self {
            name: name.to_owned(),
            uid: uid.to_owned(),
            number,
            server,
            clock: TestClock::with_rate(rate),
            rate,
            habit,
            seed,
            alone: Arc::new(Semaphore::new(processes)),
            one_command: Arc::new(Semaphore::new(1)),
        }
    }

    /// SIGSTOP or SIGCONT. The guard and the command go on.
    pub fn freeze(&self, frozen: bool) {
        self.server.stall(self.number, frozen);
        self.clock.freeze(frozen);
    }

    /// It does not reach the API server, or does again.
    pub fn cut_off(&self, cut_off: bool) {
        self.server.stall(self.number, cut_off);
    }

    pub fn jump_wall(&self, seconds: i64) {
        self.clock.jump_wall(seconds);
    }

    fn elector(&self) -> LeaderElector {
        let nominated = ElectorConfig::nominated(NAMESPACE, "db", &self.name, &self.uid);
        let stands = self.habit == Habit::Stands;
        let config = ElectorConfig {
            drain_timeout: Duration::MAX,
            clock_skew: if self.habit == Habit::TrustsClocks { 0.0 } else { nominated.clock_skew },
            picked: if stands { Picked::ByCandidates } else { nominated.picked.clone() },
            ..nominated
        };
        let client = self.server.client(self.number);
        let elector = LeaderElector::with_clients(client.clone(), client, config).unwrap();
        let (server, uid) = (self.server.clone(), self.uid.clone());
        elector.with_clock(Arc::new(self.clock.clone())).on_notice(move |notice| {
            server.with(|state| state.test.note(&format!("companion of {uid}: {notice:?}")));
        })
    }

    /// Runs until it is asked to stop. When its command has ended by itself, it is started again.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let alone = Arc::new(self.alone.clone().acquire_owned().await.unwrap());
        let mut random = Random::new(self.seed);
        loop {
            let mut stops = stop.clone();
            let asked = async {
                let _ = stops.wait_for(|stop| *stop).await;
                self.clock.thawed().await;
            };
            let work = |term| self.lead(term, alone.clone(), Nature::of(&mut random));
            self.elector().run(asked, work).await.unwrap();
            if *stop.borrow() {
                return;
            }
            self.clock.sleep_until(self.clock.boot() + Nanos::from_seconds(1)).await;
        }
    }

    /// The work of a term: what `elect` does about its guard.
    async fn lead(&self, term: ActiveTerm, alone: Arc<OwnedSemaphorePermit>, nature: Nature) {
        let only = self.one_command.clone().acquire_owned().await.unwrap();
        if !term.is_leader() {
            return;
        }
        let (orders, received) = watch::channel(Order { until: self.last_moment(&term), drains: false });
        let command = Guarded { companion: self.clone(), token: term.token().clone(), nature };
        let mut ended = pin!(self.learns_of_the_end(tokio::spawn(command.run(received, (alone, only)))));
        let mut drains = false;
        loop {
            let update = self.clock.boot() + Nanos::from(term.abort_in() / 20).max(Nanos(50_000_000));
            tokio::select! {
                biased;
                () = &mut ended => return,
                () = term.lost(), if !drains => drains = true,
                () = self.clock.sleep_until(update) => {}
            }
            orders.send_replace(Order { until: self.last_moment(&term), drains });
            if drains && self.habit == Habit::ReleasesEarly {
                tokio::spawn(async move { orders.closed().await });
                return;
            }
        }
    }

    async fn learns_of_the_end(&self, command: JoinHandle<()>) {
        command.await.unwrap();
        self.clock.thawed().await;
    }

    fn last_moment(&self, term: &ActiveTerm) -> Nanos {
        if self.habit == Habit::WithoutGuard {
            return Nanos::MAX;
        }
        let margin = if self.habit == Habit::TrustsClocks { Duration::ZERO } else { KILL_MARGIN };
        self.clock.boot() + term.abort_in().saturating_sub(margin).into()
    }

    /// Ends at a moment of the pod's clock, whether or not its companion is stopped.
    async fn reaches(&self, moment: Nanos) {
        if moment == Nanos::MAX {
            std::future::pending::<()>().await;
        }
        while self.clock.boot() < moment {
            let left = Duration::from(moment.since(self.clock.boot())).div_f64(self.rate);
            sleep(left.max(Duration::from_millis(1))).await;
        }
    }
}

/// How a command behaves.
struct Nature {
    /// When it ends by itself.
    life: Duration,
    /// How long it takes to end when it is asked to.
    drain: Duration,
    /// How long it takes to be gone when it is killed before its last moment: it waits for a disk.
    linger: Duration,
    /// How long it takes to be gone when it is killed at its last moment.
    dying: Duration,
}

impl Nature {
    fn of(random: &mut Random) -> Self {
        let mut millis = |bound| Duration::from_millis(random.below(bound));
        let life = millis(120_000);
        let life = if life < SHORT_LIFE { life } else { FOR_EVER };
        Self { life, drain: millis(5000), linger: millis(4000), dying: millis(KILL_MILLIS) }
    }
}

/// A command and its guard.
struct Guarded {
    companion: Companion,
    token: FencingToken,
    nature: Nature,
}

impl Guarded {
    /// `kept` is free again when the last process has ended.
    async fn run(
        self,
        orders: watch::Receiver<Order>,
        kept: (Arc<OwnedSemaphorePermit>, OwnedSemaphorePermit),
    ) {
        let Companion { server, uid, .. } = &self.companion;
        // None that starts after the faults ends by itself.
        let is_calm = server.with(|state| state.test.calm);
        let life = if is_calm { FOR_EVER } else { self.nature.life };
        let number = server.with(|state| state.test.command_starts(uid, &self.token));
        self.until_all_is_gone(orders, life).await;
        server.with(|state| state.test.command_ends(uid, number));
        drop(kept);
    }

    async fn until_all_is_gone(&self, mut orders: watch::Receiver<Order>, life: Duration) {
        let Nature { drain, linger, dying, .. } = self.nature;
        let mut ends_at = Instant::now() + life;
        let mut asked = false;
        loop {
            let order = *orders.borrow_and_update();
            if order.drains && !asked {
                asked = true;
                ends_at = ends_at.min(Instant::now() + drain);
            }
            tokio::select! {
                biased;
                () = self.companion.reaches(order.until) => return sleep(dying).await,
                () = sleep_until(ends_at) => return,
                changed = orders.changed() => if changed.is_err() { break },
            }
        }
        let until = orders.borrow().until;
        tokio::select! {
            () = self.companion.reaches(until) => sleep(dying).await,
            () = sleep(linger) => {}
        }
    }
}
