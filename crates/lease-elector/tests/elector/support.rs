//! One elector under test, and its decisions step by step.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lease_elector::clock::Time;
use lease_elector::decisions::record::ObservedRecord;
use lease_elector::decisions::rules::ElectorRules;
use lease_elector::decisions::{Elector, ElectorEvent, Now};
use lease_elector::lease_client::LeaseClient;
use lease_elector::{
    ActiveTerm, ElectorConfig, ElectorMetrics, Ended, HealthCheck, LeaderElector, LeaderView, Nanos, Notice,
    RunError, SameIdentity,
};
use prometheus_client::registry::Registry;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock::TestClock;
use crate::server::{LEASE, NAMESPACE, Server};

pub const ME: &str = "baz";

pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub async fn after(span: Duration) {
    tokio::time::sleep(span).await;
}

/// The default timings (15, 10 and 2 seconds), without a watch.
pub fn config() -> ElectorConfig {
    ElectorConfig { watch: false, ..ElectorConfig::new(NAMESPACE, LEASE, ME) }
}

/// The timings of client-go's tests: 15, 2 and 1 seconds.
pub fn short_config() -> ElectorConfig {
    ElectorConfig { renew_deadline: seconds(2), retry_period: seconds(1), ..config() }
}

/// Notes of the work and of the elector, in order.
#[derive(Clone, Debug, Default)]
pub struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub fn note(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Notes in the diary that work was dropped.
pub struct Dropped(pub Diary);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note("work dropped");
    }
}

/// A running elector.
pub struct Run {
    pub clock: TestClock,
    pub diary: Diary,
    pub state: watch::Receiver<LeaderView>,
    pub health: HealthCheck,
    pub metrics: ElectorMetrics,
    pub active: watch::Receiver<Option<ActiveTerm>>,
    pub task: JoinHandle<Result<Ended<&'static str>, RunError>>,
    stop: Option<oneshot::Sender<()>>,
}

/// The behaviour of work.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Ends this long after the loss.
    Drains(Duration),
    /// Never ends by itself.
    Ignores,
    /// Ends by itself after this time.
    Ends(Duration),
}

pub fn start(server: &Server, config: ElectorConfig) -> Run {
    start_with(server, config, TestClock::new(), Work::Drains(Duration::ZERO))
}

pub fn start_with(server: &Server, config: ElectorConfig, clock: TestClock, how: Work) -> Run {
    let client = server.client(0, &clock);
    start_on(client, config, clock, how)
}

pub fn start_on(client: kube::Client, config: ElectorConfig, clock: TestClock, how: Work) -> Run {
    let diary = Diary::default();
    let (notes, current) = (diary.clone(), watch::Sender::new(None));
    let active = current.subscribe();
    let elector = LeaderElector::with_clients(client.clone(), client, config)
        .unwrap()
        .with_clock(Arc::new(clock.clone()))
        .on_notice(move |notice| {
            if *notice != Notice::SlowPath {
                notes.note(brief(notice));
            }
        });
    let (state, health, metrics) = (elector.view(), elector.health(), elector.metrics());
    let (stop, stopped) = oneshot::channel::<()>();
    let (notes, time) = (diary.clone(), clock.clone());
    let work = move |active: ActiveTerm| {
        current.send_replace(Some(active.clone()));
        let (notes, time) = (notes.clone(), time.clone());
        async move {
            notes.note("work starts");
            let dropped = Dropped(notes.clone());
            let pause = |span: Duration| time.sleep_until(time.boot() + span.into());
            match how {
                Work::Drains(span) => {
                    active.lost().await;
                    pause(span).await;
                }
                Work::Ignores => std::future::pending().await,
                Work::Ends(span) => pause(span).await,
            }
            std::mem::forget(dropped);
            "done"
        }
    };
    let task = tokio::spawn(async move {
        let stop = async {
            if stopped.await.is_err() {
                std::future::pending().await
            }
        };
        elector.run(stop, work).await
    });
    Run { clock, diary, state, health, metrics, active, task, stop: Some(stop) }
}

impl Run {
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn ended(&mut self) -> Ended<&'static str> {
        let ended = tokio::time::timeout(seconds(3600), &mut self.task).await;
        ended.expect("it does not end").unwrap().unwrap()
    }

    pub fn leads(&self) -> bool {
        self.state.borrow().is_leader()
    }

    /// Waits until the elector leads, or does not lead any more.
    pub async fn until(&mut self, leads: bool) {
        let awaited = self.state.wait_for(|state| state.is_leader() == leads);
        let awaited = tokio::time::timeout(seconds(3600), awaited).await;
        awaited.expect("it does not come to that").unwrap();
    }

    pub fn lines(&self) -> Vec<String> {
        self.diary.lines()
    }

    /// The value of a metric, with its labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let mut registry = Registry::default();
        self.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn brief(notice: &Notice) -> String {
    match notice {
        Notice::NewHolder(holder) => format!("new {holder}"),
        Notice::Started(term) => format!("started {}", term.transitions),
        Notice::Lost(reason) => format!("lost {}", reason.as_str()),
        Notice::WorkEnded => "work ended".to_owned(),
        Notice::Released => "released".to_owned(),
        Notice::Stopped => "stopped".to_owned(),
        Notice::SlowPath => "slow path".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The pure decisions with their requests, one try at a time, like client-go's `tryAcquireOrRenew`.
pub struct Single {
    pub core: Elector,
    pub lease: LeaseClient,
    pub now: Nanos,
    pub wall: i64,
    pub notes: Vec<String>,
}

/// The rules of client-go's tests: not validated, renewing every retry period, re-taking the own
/// name.
pub fn rules() -> ElectorRules {
    let config = ElectorConfig {
        lease_duration: seconds(10),
        renew_deadline: seconds(5),
        retry_period: seconds(1),
        renew_period: Some(seconds(1)),
        request_timeout: Some(seconds(1)),
        same_identity: SameIdentity::Reclaim,
        ..config()
    };
    config.rules()
}

pub const THOUSAND_HOURS: Nanos = Nanos::from_seconds(3_600_000);

impl Single {
    pub fn new(server: &Server, observed: ObservedRecord) -> Self {
        Self::with_rules(server, rules(), observed)
    }

    pub fn with_rules(server: &Server, rules: ElectorRules, observed: ObservedRecord) -> Self {
        let clock = TestClock::new();
        Self {
            core: Elector::with_observed(rules, observed),
            lease: LeaseClient::new(
                server.client(0, &clock),
                NAMESPACE,
                LEASE,
                std::collections::BTreeMap::new(),
            ),
            now: THOUSAND_HOURS + Nanos::from_seconds(1),
            wall: 1_767_225_600_000_000,
            notes: Vec::new(),
        }
    }

    fn moment(&mut self) -> Now {
        self.wall += 1;
        Now { boot: self.now, wall: lease_elector::decisions::time::WallMicros(self.wall), jitter: 0.0 }
    }

    /// Handles the event and all requests that follow from it.
    pub async fn step(&mut self, event: ElectorEvent) {
        let now = self.moment();
        let mut step = self.core.handle(event, now);
        loop {
            self.notes.extend(step.notices.iter().map(brief));
            let Some((request, _)) = step.send.take() else { return };
            let reply = self.lease.send(&request).await;
            let (answer, _) = self.lease.take(&request, reply);
            let now = self.moment();
            step = self.core.handle(ElectorEvent::Answered(answer), now);
        }
    }

    /// Tries once, and returns whether the elector leads.
    pub async fn attempt(&mut self) -> bool {
        self.step(ElectorEvent::Wake).await;
        self.core.deadlines().is_some_and(|deadlines| deadlines.claim_until.is_some())
    }

    pub fn holders(&self) -> Vec<&str> {
        self.notes.iter().filter_map(|note| note.strip_prefix("new ")).collect()
    }
}
