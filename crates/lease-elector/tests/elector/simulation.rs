//! Three electors, one Lease, and faults drawn from a seed. Requests are lost, late or refused;
//! watches break or fall silent; processes stop; clocks run at different rates; other people edit
//! the Lease.
//!
//! `ELECTOR_SEEDS=N` runs N seeds (`make sim`: 2,000). `ELECTOR_SEED=N` runs one and prints what happened.

mod book;
mod faults;
mod operator;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lease_elector::clock::Time;
use lease_elector::{ActiveTerm, ElectorConfig, LeaderElector, Notice, Picked};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::TestClock;
use crate::server::{LEASE, NAMESPACE, Server};
use crate::support::{after, brief, millis, seconds};
use testkit::random::Random;

use book::{Shared, orderly};
use faults::{fault, latency, pick};
use operator::{Operator, pod};

const ELECTORS: usize = 3;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn work_never_runs_twice_at_once_whatever_happens_to_three_electors() {
    explore(false, 200);
}

/// X1 and X9 of `mode: Nominated`, with one operator that is always right.
#[test]
fn work_never_runs_twice_at_once_and_each_has_a_term_of_its_own_where_an_operator_nominates() {
    explore(true, 100);
}

fn explore(nominated: bool, usual: u64) {
    if let Some(seed) = env("ELECTOR_SEED") {
        let (result, log) = simulate(seed, nominated);
        println!("{}", log.join("\n"));
        result.unwrap();
        return;
    }
    let (seeds, next) = (env("ELECTOR_SEEDS").unwrap_or(usual), AtomicU64::new(0));
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            if let (Err(failure), log) = simulate(seed, nominated) {
                next.store(seeds, Ordering::Relaxed);
                panic!("{}\n{failure}; try it again with ELECTOR_SEED={seed}", log.join("\n"));
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    println!("{seeds} seeds");
}

fn simulate(seed: u64, nominated: bool) -> (Result<(), String>, Vec<String>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed, nominated);
        let result = world.run().await;
        (result, world.book.with(|book| std::mem::take(&mut book.log)))
    })
}

struct World {
    book: Shared,
    server: Server,
    random: Random,
    config: ElectorConfig,
    operator: Option<Operator>,
    electors: [Option<Candidate>; ELECTORS],
    incarnations: usize,
    calm: Arc<Mutex<bool>>,
    commits: Arc<Mutex<BTreeMap<String, Instant>>>,
}

struct Candidate {
    clock: TestClock,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    notes: Arc<Mutex<Vec<String>>>,
}

impl Drop for Candidate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    fn new(seed: u64, nominated: bool) -> Self {
        let mut random = Random::new(seed);
        let timings = [
            (15, 10, 2),
            (10, 6, 2),
            (30, 20, 5),
            (137, 107, 26),
            (6, 4, 2),
            (15, 10, 5),
            (15, 13, 2),
            (4, 2, 1),
        ];
        let (lease, deadline, retry) = timings[pick(&mut random, timings.len())];
        let config = ElectorConfig {
            lease_duration: seconds(lease),
            renew_deadline: seconds(deadline),
            retry_period: seconds(retry),
            drain_timeout: seconds(random.below(40)),
            clock_skew: 0.02,
            watch: random.below(4) != 0,
            release_on_stop: random.below(4) != 0,
            ..ElectorConfig::new(NAMESPACE, LEASE, "")
        };
        let clock = TestClock::with_rate([0.991, 1.0, 1.009][pick(&mut random, 3)]);
        let operator = nominated.then(|| Operator::new(clock, config.lease_duration.into()));
        // The timings that follow from the duration which the Lease brings.
        let config = if nominated {
            let renew_deadline = config.lease_duration.mul_f64(0.63);
            ElectorConfig { renew_deadline, release_on_stop: true, ..config }
        } else {
            config
        };
        let server = Server::new();
        let (calm, commits) = (Arc::new(Mutex::new(false)), Arc::new(Mutex::new(BTreeMap::new())));
        let mut faults = Random::new(!seed);
        let quiet = calm.clone();
        server.with(|state| {
            state.judge = Some(Box::new(move |_, _| {
                if *quiet.lock().unwrap() { latency(&mut faults) } else { fault(&mut faults) }
            }));
            let commits = commits.clone();
            state.on_commit = Some(Box::new(move |lease| {
                let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
                commits.lock().unwrap().insert(holder, Instant::now());
            }));
        });
        let book = Shared::default();
        book.with(|book| book.say(&format!("{config:?}")));
        let electors = [None, None, None];
        Self { book, server, random, config, operator, electors, incarnations: 0, calm, commits }
    }

    fn launch(&mut self, index: usize) {
        self.incarnations += 1;
        let incarnation = format!("elector-{index}-{}", self.incarnations);
        let (identity, nominee) = pod(index);
        // A pod keeps its name when its process is started again.
        let (who, picked) = match self.operator {
            Some(_) => (identity, Picked::ByNominee { nominee }),
            None => (incarnation, Picked::ByCandidates),
        };
        // Two clocks differ by at most the tolerated 2 %.
        let rate = [0.991, 1.0, 1.009][pick(&mut self.random, 3)];
        let clock = TestClock::with_rate(rate);
        let config = ElectorConfig { identity: who.clone(), picked, ..self.config.clone() };
        let client = self.server.client(index, &clock);
        let notes = Arc::new(Mutex::new(Vec::new()));
        let (said, book, name) = (notes.clone(), self.book.clone(), who.clone());
        let elector = LeaderElector::with_clients(client.clone(), client, config)
            .unwrap()
            .with_clock(Arc::new(clock.clone()))
            .on_notice(move |notice| {
                book.with(|book| book.say(&format!("{name}: {}", brief(notice))));
                if *notice != Notice::SlowPath {
                    said.lock().unwrap().push(brief(notice));
                }
            });
        let state = elector.view();
        self.book.with(|book| book.states.insert(index, (who.clone(), state, rate)));
        let drain = millis(self.random.below(20_000));
        let life = (self.random.below(4) == 0).then(|| millis(self.random.below(60_000)));
        let obeys = self.random.below(3) != 0;
        let limit = self.config.lease_duration.mul_f64(1.0 - self.config.clock_skew).div_f64(rate);
        let tick = self.config.lease_duration / 40;
        let (book, time, commits) = (self.book.clone(), clock.clone(), self.commits.clone());
        let work = move |active: ActiveTerm| {
            let number = book.with(|book| book.started(&who, &active));
            let (book, time, commits, who) = (book.clone(), time.clone(), commits.clone(), who.clone());
            let act = async move {
                loop {
                    time.sleep_until(time.boot() + tick.into()).await;
                    let commit = commits.lock().unwrap().get(&who).copied();
                    book.with(|book| book.ticked(&who, number, commit, limit));
                }
            };
            async move {
                tokio::select! {
                    () = act => {}
                    () = async {
                        active.lost().await;
                        if obeys { after(drain).await } else { std::future::pending().await }
                    } => {}
                    () = async {
                        match life {
                            Some(life) => after(life).await,
                            None => std::future::pending().await,
                        }
                    } => {}
                }
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            let stop = async {
                if stopped.await.is_err() {
                    std::future::pending().await
                }
            };
            elector.run(stop, work).await.unwrap();
        });
        self.electors[index] = Some(Candidate { clock, stop: Some(stop), task, notes });
    }

    async fn run(&mut self) -> Result<(), String> {
        for index in 0..ELECTORS {
            self.launch(index);
        }
        let unit = u64::try_from(self.config.lease_duration.as_millis()).unwrap() / 4;
        for _ in 0..25 {
            let span = millis(self.random.below(2 * unit));
            self.pass(span).await?;
            self.happen();
            self.revive()?;
        }
        self.calm_down();
        self.settle().await
    }

    /// Lets time pass and compares the claims to lead.
    async fn pass(&mut self, span: Duration) -> Result<(), String> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            after((self.config.lease_duration / 20).min(end - Instant::now())).await;
            if let Some(operator) = &mut self.operator {
                operator.act(&self.server, &mut self.random);
            }
            let commits = self.commits.lock().unwrap().clone();
            let deadline = self.config.renew_deadline;
            self.book.with(|book| book.check_claims(&commits, deadline));
        }
        self.book.with(|book| book.violations.first().cloned()).map_or(Ok(()), Err)
    }

    fn happen(&mut self) {
        let index = pick(&mut self.random, ELECTORS);
        let what = self.random.below(20);
        self.book.with(|book| book.say(&format!("happens: {what} to {index}")));
        match what {
            0..4 => self.with_clock(index, |clock| clock.freeze(true)),
            4..8 => (0..ELECTORS).for_each(|index| self.with_clock(index, |clock| clock.freeze(false))),
            8..10 => self.electors[index] = None,
            10..12 => self.stop(index),
            12 => self.server.drop_watches(),
            13 => self.server.with(|state| state.watch_stalled = !state.watch_stalled),
            14 => self.server.publish("ERROR", &json!({ "kind": "Status", "code": 410, "message": "gone" })),
            15 => {
                let old = self.server.with(|state| state.history.first().cloned()).unwrap_or_default();
                if old.is_object() {
                    self.server.publish("MODIFIED", &old);
                }
            }
            16 => self.server.edit(|lease| {
                lease["metadata"]["labels"] = json!({ "seen": "by somebody" });
            }),
            17 => {
                let seconds = i64::try_from(self.random.below(7200)).unwrap() - 3600;
                self.with_clock(index, |clock| clock.jump_wall(seconds));
            }
            18 if self.random.below(3) == 0 => self.meddle(),
            _ => {}
        }
    }

    /// A user deletes or writes the Lease. Two electors may lead until the first one has seen that.
    fn meddle(&mut self) {
        if self.operator.is_some() {
            // The policy of the cluster keeps users from all else.
            return self.server.delete();
        }
        let span = (self.config.lease_duration + seconds(1)).mul_f64(1.02);
        self.book.with(|book| book.excused_until = Some(Instant::now() + span));
        match self.random.below(3) {
            0 => self.server.delete(),
            1 => self.server.edit(|lease| lease["spec"]["holderIdentity"] = json!("")),
            _ => self.server.edit(|lease| lease["spec"]["holderIdentity"] = json!("somebody")),
        }
    }

    fn with_clock(&self, index: usize, change: impl FnOnce(&TestClock)) {
        if let Some(elector) = &self.electors[index] {
            change(&elector.clock);
        }
    }

    fn stop(&mut self, index: usize) {
        if let Some(stop) = self.electors[index].as_mut().and_then(|elector| elector.stop.take()) {
            let _ = stop.send(());
        }
    }

    /// Starts every ended elector again, after a check of its notes.
    fn revive(&mut self) -> Result<(), String> {
        for index in 0..ELECTORS {
            let ended = self.electors[index].as_ref().is_none_or(|elector| elector.task.is_finished());
            if ended {
                if let Some(elector) = &self.electors[index] {
                    orderly(&elector.notes.lock().unwrap())?;
                }
                self.launch(index);
            }
        }
        Ok(())
    }

    fn calm_down(&mut self) {
        self.book.with(|book| book.say("calm"));
        *self.calm.lock().unwrap() = true;
        self.server.with(|state| state.watch_stalled = false);
        (0..ELECTORS).for_each(|index| self.with_clock(index, |clock| clock.freeze(false)));
    }

    /// Once the faults have ended, an elector leads within a bounded time.
    async fn settle(&mut self) -> Result<(), String> {
        let config = &self.config;
        let bound = config.lease_duration * 2 + config.retry_period * 3 + config.request_timeout() * 2;
        let end = Instant::now() + bound + seconds(60);
        loop {
            self.pass(millis(500)).await?;
            self.revive()?;
            if self.book.with(|book| book.states.values().any(|(_, state, _)| state.borrow().is_leader())) {
                return Ok(());
            }
            if Instant::now() > end {
                return Err("no leader though nothing is wrong".to_owned());
            }
        }
    }
}
