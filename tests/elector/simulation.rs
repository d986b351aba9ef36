//! Three electors, one Lease, faults from a seed: lost, late and refused requests, dropped and silent watches, stopped
//! processes, clocks of different rates, other people's edits.
//!
//! `ELECTOR_SEEDS=N` runs N seeds, `ELECTOR_SEED=N` runs one and prints what happened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use election_operator::clock::Time;
use election_operator::elector::{ActiveTerm, ElectorConfig, LeaderElector, LeaderView, Notice};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock::TestClock;
use crate::server::{Fault, LEASE, NAMESPACE, Reply, Server};
use crate::support::{after, brief, millis, seconds};
use testkit::random::Random;

const ELECTORS: usize = 3;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn never_two_works_whatever_happens_to_three_electors() {
    if let Some(seed) = env("ELECTOR_SEED") {
        let (result, log) = simulate(seed);
        println!("{}", log.join("\n"));
        result.unwrap();
        return;
    }
    let (seeds, next) = (env("ELECTOR_SEEDS").unwrap_or(2000), AtomicU64::new(0));
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            if let (Err(failure), log) = simulate(seed) {
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

fn simulate(seed: u64) -> (Result<(), String>, Vec<String>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(seed);
        let result = world.run().await;
        (result, world.book.with(|book| std::mem::take(&mut book.log)))
    })
}

/// What has happened, and what must not have.
#[derive(Default)]
struct Book {
    log: Vec<String>,
    violations: Vec<String>,
    /// The newest work: its number and when it started.
    newest: Option<(u64, Instant)>,
    works: u64,
    term: Option<(String, i32)>,
    version: u64,
    /// Somebody else has written the Lease: two may lead up to then.
    excused_until: Option<Instant>,
    states: BTreeMap<usize, (String, watch::Receiver<LeaderView>, f64)>,
    start: Option<Instant>,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Book>>);

impl Shared {
    fn with<T>(&self, f: impl FnOnce(&mut Book) -> T) -> T {
        f(&mut self.0.lock().unwrap())
    }
}

impl Book {
    fn say(&mut self, text: &str) {
        let at = self.start.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        self.log.push(format!("{at:8.3} {text}"));
    }

    fn violate(&mut self, text: &str) {
        self.say(&format!("VIOLATION {text}"));
        self.violations.push(text.to_owned());
    }

    fn excused(&self) -> bool {
        self.excused_until.is_some_and(|until| Instant::now() < until)
    }

    fn started(&mut self, who: &str, guard: &ActiveTerm) -> u64 {
        self.works += 1;
        let term = guard.term();
        self.say(&format!("{who} works, term {term:?}"));
        let version = term.acquired_version.parse().unwrap();
        if version <= self.version {
            // Only after a meddler: the answer to its acquisition came when another led already.
            if !self.excused() {
                self.violate("a version that does not grow");
            }
            return self.works;
        }
        self.newest = Some((self.works, Instant::now()));
        self.version = version;
        let before = self.term.replace((term.uid.clone(), term.transitions));
        if before.is_some_and(|(uid, transitions)| uid == term.uid && transitions >= term.transitions) {
            self.violate("a term that does not grow");
        }
        self.works
    }

    /// Work number `work` does something.
    fn ticked(&mut self, who: &str, work: u64, last_commit: Option<Instant>, limit: Duration) {
        let now = Instant::now();
        if self.newest.is_some_and(|(newest, _)| newest != work) && !self.excused() {
            self.violate(&format!("{who} works beside another"));
        }
        if last_commit.is_none_or(|commit| now > commit + limit + millis(2)) && !self.excused() {
            self.violate(&format!("{who} works after its time"));
        }
    }

    /// Whatever is asked at this moment, at most one says that it leads.
    fn check_claims(&mut self, commits: &BTreeMap<String, Instant>, deadline: Duration) {
        let claim = |(who, state, rate): &(String, watch::Receiver<LeaderView>, f64)| {
            state.borrow().is_leader().then(|| (who.clone(), *rate))
        };
        let leaders: Vec<_> = self.states.values().filter_map(claim).collect();
        if leaders.len() > 1 && !self.excused() {
            self.violate(&format!("{leaders:?} lead"));
        }
        for (who, rate) in leaders {
            let limit = deadline.div_f64(rate) + millis(2);
            if commits.get(&who).is_none_or(|commit| Instant::now() > *commit + limit) {
                self.violate(&format!("{who} claims to lead after its deadline"));
            }
        }
    }
}

struct World {
    book: Shared,
    server: Server,
    random: Random,
    config: ElectorConfig,
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
    fn new(seed: u64) -> Self {
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
        Self { book, server, random, config, electors, incarnations: 0, calm, commits }
    }

    fn launch(&mut self, index: usize) {
        self.incarnations += 1;
        let who = format!("elector-{index}-{}", self.incarnations);
        // Two clocks differ by no more than the tolerated 2 %.
        let rate = [0.991, 1.0, 1.009][pick(&mut self.random, 3)];
        let clock = TestClock::with_rate(rate);
        let config = ElectorConfig { identity: who.clone(), ..self.config.clone() };
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
        let state = elector.state();
        self.book.with(|book| book.states.insert(index, (who.clone(), state, rate)));
        let drain = millis(self.random.below(20_000));
        let life = (self.random.below(4) == 0).then(|| millis(self.random.below(60_000)));
        let obeys = self.random.below(3) != 0;
        let limit = self.config.lease_duration.mul_f64(1.0 - self.config.clock_skew).div_f64(rate);
        let tick = self.config.lease_duration / 40;
        let (book, time, commits) = (self.book.clone(), clock.clone(), self.commits.clone());
        let work = move |guard: ActiveTerm| {
            let number = book.with(|book| book.started(&who, &guard));
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
                        guard.lost().await;
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

    /// Time passes, claims are compared.
    async fn pass(&mut self, span: Duration) -> Result<(), String> {
        let end = Instant::now() + span;
        while Instant::now() < end {
            after((self.config.lease_duration / 20).min(end - Instant::now())).await;
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

    /// Somebody else deletes the Lease or writes it: then two may lead until the first has seen that.
    fn meddle(&mut self) {
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

    /// Who has ended is started again, after a look at its diary.
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

    /// Once faults have ended there is a leader in bounded time.
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

/// started, lost, work ended, perhaps released, stopped: one after the other.
fn orderly(notes: &[String]) -> Result<(), String> {
    let mut expected: &[&str] = &["started"];
    for note in notes.iter().filter(|note| !note.starts_with("new")) {
        let kind = if note.starts_with("started") || note.starts_with("lost") {
            note.split(' ').next().unwrap()
        } else {
            note
        };
        // A Lease acquired by a write that a stop overtook is given back without a term.
        let alone = kind == "released" && expected == ["started"];
        if !alone && !expected.contains(&kind) {
            return Err(format!("{note} instead of {expected:?} in {notes:?}"));
        }
        expected = match kind {
            "started" => &["lost"],
            "lost" => &["work ended"],
            "work ended" => &["released", "stopped"],
            "released" if !alone => &["stopped"],
            _ => &["started"],
        };
    }
    if expected == ["started"] { Ok(()) } else { Err(format!("ended before {expected:?}: {notes:?}")) }
}

fn pick(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(u64::try_from(bound).unwrap())).unwrap()
}

fn latency(random: &mut Random) -> Fault {
    Fault { before: millis(random.below(20)), after: millis(random.below(20)), ..Fault::default() }
}

fn fault(random: &mut Random) -> Fault {
    let late = millis(random.below(9000));
    let with = |fault: Fault, random: &mut Random| Fault { before: latency(random).before, ..fault };
    match random.below(40) {
        0 => with(Fault::refuse(409), random),
        1 => with(Fault::commit_then(409), random),
        2 => with(Fault::commit_then(504), random),
        3 => with(Fault::refuse(500), random),
        4 => with(Fault::lost_answer(), random),
        5 => with(Fault::swallowed(), random),
        6 => with(Fault::reset(), random),
        7 => with(Fault { reply: Reply::Reset, ..Fault::default() }, random),
        8 => with(Fault::busy(429, random.below(8)), random),
        9 => with(Fault::busy(503, random.below(3)), random),
        10 => with(Fault::refuse(429), random),
        11 => with(Fault::refuse(403), random),
        12 => with(Fault::slow_reply(late), random),
        13 => with(Fault::slow_reply(late / 5), random),
        14..16 => Fault::slow_request(late),
        16 => with(Fault { reply: Reply::NoBody, ..Fault::default() }, random),
        _ => latency(random),
    }
}
