//! Two clocks and one Lease. A holder counts its deadline from the moment at which it sent its last
//! renewal. An observer counts from the moment at which it saw that renewal. The holder must have
//! stopped when the observer takes the Lease away.
//!
//! The holder is the elector's own judgement, and the observer's expiry is the planner's. Between
//! them are requests and answers of any delay, lost ones, late watch events, and two clocks that run
//! too fast or too slow. The next holder starts in the instant in which the Lease is free.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]
#![allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "spans are short")]
#![allow(clippy::cast_sign_loss, reason = "time begins with the test")]

use std::time::Duration;

use lease_elector::ElectorConfig;
use lease_elector::Nanos;
use lease_elector::decisions::record::{ElectionRecord, RecordWrite};
use lease_elector::decisions::time::WallMicros;
use lease_elector::decisions::{Answer, Elector, ElectorEvent, LeaseRequest, Now, Reaction};
use planner::seen::{LeaseContent, SeenLease};
use planner::{Millis, Version};
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

/// Lease duration, renew deadline and retry period, in milliseconds.
const TIMINGS: [(u64, u64, u64); 3] = [(3_000, 2_000, 500), (15_000, 10_000, 2_000), (60_000, 40_000, 8_000)];

/// The default of [`ElectorConfig::clock_skew`].
const TOLERANCE: f64 = 0.02;

/// A clock that runs at another rate than real time. Real time is in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Clock {
    rate: f64,
    start: u64,
}

impl Clock {
    fn own(self, real: u64) -> u64 {
        self.start + (real as f64 * self.rate) as u64
    }

    fn real(self, own: u64) -> u64 {
        (own.saturating_sub(self.start) as f64 / self.rate).ceil() as u64
    }
}

/// What becomes of one request of the holder, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Trip {
    there: u64,
    /// None: the answer is lost.
    back: Option<u64>,
    /// How long after its commit the observer sees the write.
    watch: u64,
}

#[derive(Clone, Debug)]
struct Case {
    timing: (u64, u64, u64),
    holder: Clock,
    observer: Clock,
    /// The requests that arrive. All later ones are lost.
    trips: Vec<Trip>,
    /// How long the write that takes the Lease away is under way.
    clear: u64,
}

/// A request or an event that arrives at a moment of real time.
#[derive(Clone, Debug)]
enum Arrival {
    Request(LeaseRequest, Trip, usize),
    Answer(Answer, usize),
    Watch(ElectionRecord),
    Clear(String),
}

struct World {
    case: Case,
    elector: Elector,
    now: u64,
    queue: Vec<(u64, Arrival)>,
    lease: ElectionRecord,
    seen: Option<SeenLease>,
    sent: usize,
    /// The request that the holder waits for, and until when on its clock.
    waits: Option<(usize, Nanos)>,
    wake_at: Nanos,
    /// Until when in real time the holder's work may run.
    runs_until: u64,
}

impl World {
    fn new(case: Case, tolerance: f64) -> Self {
        let (lease, deadline, retry) = case.timing;
        let config = ElectorConfig {
            lease_duration: Duration::from_millis(lease),
            renew_deadline: Duration::from_millis(deadline),
            retry_period: Duration::from_millis(retry),
            drain_timeout: Duration::from_millis(lease),
            clock_skew: tolerance,
            ..ElectorConfig::new("default", "orders", "holder")
        };
        config.validate().unwrap();
        Self {
            elector: Elector::new(config.rules()),
            now: 0,
            queue: Vec::new(),
            lease: ElectionRecord { uid: "lease".into(), version: "0".into(), ..ElectionRecord::default() },
            seen: None,
            sent: 0,
            waits: None,
            wake_at: Nanos(0),
            runs_until: 0,
            case,
        }
    }

    /// Lets the Lease be held, renewed and lost. How long the holder's work ran on after the Lease
    /// was taken away, in nanoseconds; none if it never was.
    fn overlap(mut self) -> Option<u64> {
        self.handle(ElectorEvent::Wake);
        let mut cleared_at = None;
        for _ in 0..10_000 {
            let Some((at, arrival)) = self.next(cleared_at.is_some()) else { break };
            self.now = at;
            match arrival {
                None => self.timer(),
                Some(Arrival::Request(request, trip, number)) => self.commit(&request, trip, number),
                Some(Arrival::Answer(answer, number)) => {
                    if self.waits.is_some_and(|(waited, _)| waited == number) {
                        self.waits = None;
                        self.handle(ElectorEvent::Answered(answer));
                    }
                }
                Some(Arrival::Watch(record)) => self.watch(&record),
                Some(Arrival::Clear(version)) if version == self.lease.version => {
                    self.lease.version.push('c');
                    cleared_at = Some(at);
                }
                Some(Arrival::Clear(_)) => {}
            }
        }
        cleared_at.map(|cleared_at| self.runs_until.saturating_sub(cleared_at))
    }

    /// What comes next: an arrival, or a timer of the holder. The holder's end ends it all.
    fn next(&mut self, cleared: bool) -> Option<(u64, Option<Arrival>)> {
        let timer =
            self.case.holder.real(self.waits.map_or(self.wake_at, |(_, until)| until).0).max(self.now);
        let started = self.runs_until > 0;
        let timer = if started && timer >= self.runs_until { u64::MAX } else { timer };
        let first =
            self.queue.iter().enumerate().min_by_key(|(_, (at, _))| *at).map(|(index, (at, _))| (index, *at));
        match first {
            Some((index, at)) if at <= timer => {
                let (at, arrival) = self.queue.swap_remove(index);
                Some((at, Some(arrival)))
            }
            _ if timer == u64::MAX || cleared && timer >= self.runs_until => None,
            _ => Some((timer, None)),
        }
    }

    fn timer(&mut self) {
        if self.waits.take().is_some() {
            self.handle(ElectorEvent::Answered(Answer::TimedOut));
        } else {
            self.handle(ElectorEvent::Wake);
        }
    }

    /// The holder decides, and its request departs.
    fn handle(&mut self, event: ElectorEvent) {
        let own = self.case.holder.own(self.now);
        let wall = WallMicros(i64::try_from(own / 1000).unwrap());
        let Reaction { send, wake_at, .. } =
            self.elector.handle(event, Now { boot: Nanos(own), wall, jitter: 0.5 });
        self.wake_at = wake_at;
        if let Some((request, until)) = send {
            self.waits = Some((self.sent, until));
            if let Some(trip) = self.case.trips.get(self.sent).copied() {
                self.queue.push((self.now + trip.there, Arrival::Request(request, trip, self.sent)));
            }
            self.sent += 1;
        }
        if let Some(deadlines) = self.elector.deadlines() {
            self.runs_until = self.case.holder.real(deadlines.work_until.0);
        }
    }

    /// A request arrives at the API server, also after the holder gave it up.
    fn commit(&mut self, request: &LeaseRequest, trip: Trip, number: usize) {
        let answer = match request {
            LeaseRequest::Get => Answer::Found(self.lease.clone()),
            LeaseRequest::Update { on, write } if *on == self.lease.version => {
                self.lease = written(write, &self.lease, number);
                self.queue.push((self.now + trip.watch, Arrival::Watch(self.lease.clone())));
                Answer::Written(self.lease.clone())
            }
            _ => Answer::Conflict,
        };
        if let Some(back) = trip.back {
            self.queue.push((self.now + back, Arrival::Answer(answer, number)));
        }
    }

    /// The observer sees the Lease. A watch keeps the order of versions. Once nothing new has come
    /// for the Lease's duration, the observer takes it away, if it still is as it was seen.
    fn watch(&mut self, record: &ElectionRecord) {
        let version = record.version.parse().unwrap();
        if self.seen.as_ref().is_some_and(|seen| seen.content.version > Version(version)) {
            return;
        }
        let content = LeaseContent {
            version: Version(version),
            holder: Some(record.holder.clone()),
            duration_seconds: i32::try_from(record.duration.0 / 1_000_000_000).ok(),
            times: (None, record.renew_time.map(|time| time.0)),
            transitions: record.transitions,
            ..LeaseContent::default()
        };
        let now = Millis(self.case.observer.own(self.now) / 1_000_000);
        let seen = match self.seen.take() {
            None => SeenLease::first_seen(content, now),
            Some(mut seen) => {
                seen.note(content, now);
                seen
            }
        };
        let expired = self.case.observer.real(seen.valid_until(Millis(0)).0 * 1_000_000);
        self.seen = Some(seen);
        self.queue.push((expired + self.case.clear, Arrival::Clear(record.version.clone())));
    }
}

fn written(write: &RecordWrite, before: &ElectionRecord, number: usize) -> ElectionRecord {
    ElectionRecord {
        uid: before.uid.clone(),
        version: (number + 1).to_string(),
        holder: write.holder.clone(),
        duration: Nanos::from_seconds(u64::try_from(write.seconds).unwrap()),
        acquire_time: Some(write.acquire_time),
        renew_time: Some(write.renew_time),
        transitions: write.transitions,
        content: number.to_string(),
        nomination: before.nomination.clone(),
    }
}

/// Short, as on a good day, or up to five seconds.
fn delay() -> impl Strategy<Value = u64> {
    prop_oneof![3 => 0..2_000_000_u64, 1 => 0..5_000_000_000_u64]
}

fn trips() -> impl Strategy<Value = Vec<Trip>> {
    let back = proptest::option::weighted(0.8, delay());
    let trip = (delay(), back, delay()).prop_map(|(there, back, watch)| Trip { there, back, watch });
    proptest::collection::vec(trip, 2..12)
}

/// Rates within `1 ± rho`, the worst ones often.
fn clock(rho: f64) -> impl Strategy<Value = Clock> {
    let rate = prop_oneof![Just(1.0 - rho), Just(1.0 + rho), (1.0 - rho)..=(1.0 + rho)];
    (rate, 0..100_000_000_000_u64).prop_map(|(rate, start)| Clock { rate, start })
}

/// The write that takes the Lease away takes a millisecond at least: the planner counts those.
fn cases(rho: f64) -> impl Strategy<Value = Case> {
    let clear = delay().prop_map(|span| span + 1_000_000);
    let timing = proptest::sample::select(TIMINGS.to_vec());
    let all = (timing, clock(rho), clock(rho), trips(), clear);
    all.prop_map(|(timing, holder, observer, trips, clear)| Case { timing, holder, observer, trips, clear })
}

/// How many cases are tried, and in how many of them the Lease was taken away; or a case in which
/// two would have worked.
fn explore(rho: f64, tolerance: f64) -> Result<(), TestError<Case>> {
    let cases_tried = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig {
        cases: cases_tried.unwrap_or(2_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let taken = std::cell::Cell::new(0_u32);
    let result = TestRunner::new(config).run(&cases(rho), |case| {
        let overlap = World::new(case, tolerance).overlap();
        taken.set(taken.get() + u32::from(overlap.is_some()));
        prop_assert!(overlap.unwrap_or_default() == 0, "two worked for {overlap:?} ns");
        Ok(())
    });
    println!("rates within {rho}, tolerance {tolerance}: taken away {} times", taken.get());
    assert!(result.is_err() || taken.get() > 100, "the Lease was hardly ever taken away");
    result
}

#[test]
fn the_holder_has_stopped_before_an_observer_takes_the_lease_away() {
    for rho in [0.0, 0.000_5, 0.005, 0.01] {
        explore(rho, TOLERANCE).unwrap();
    }
}

#[test]
fn clocks_that_differ_by_more_than_the_tolerance_let_two_holders_work() {
    explore(0.015, TOLERANCE).unwrap_err();
}

#[test]
fn without_a_tolerance_clocks_that_differ_let_two_holders_work() {
    explore(0.005, 0.0).unwrap_err();
    explore(0.0, 0.0).unwrap();
}
