//! The whole operator, two of it at once, on an API server in the process with a paused clock and
//! faults from a seed.
//!
//! Every commit is judged against S1–S5, R1–R5 and L2; in the end, when the faults have stopped, a leader
//! must be labelled (L1), and then nothing but renewals is written (S4). `SIMULATION_SEEDS=N` runs
//! N seeds, and half as many in Observed mode (`make sim`: 2,000). `SIMULATION_SEED=N` runs one and
//! prints its history: the same one each time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "a test: what cannot be is a failure, and time is virtual"
)]

mod api_server;
mod book;
mod observed;
mod queues;
mod routing;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api_server::{Server, State};
use election_operator::clock::Clock;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::{self, OperatorOptions, checks::Health};
use election_operator::metrics::Metrics;
use election_operator::planner::plan;
use election_operator::planner::plan::{Fact, Intent, Plan, PodWrite, Step};
use election_operator::planner::seen::{GroupView, Role};
use routing::Routing;
use serde_json::{Value, json};
use testkit::kind::Kind;
use testkit::random::Random;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PODS: [&str; 3] = ["db-0", "db-1", "db-2"];
/// Decides what to do.
type Planner = fn(&GroupView) -> Plan;

/// Kinds of faults that the API server knows; a run of many seeds meets all of them.
const FAULTS: usize = 14;

fn env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// How many seeds run in Managed mode. Without the variable: enough to meet every kind of fault.
fn seeds() -> u64 {
    env("SIMULATION_SEEDS").unwrap_or(100)
}

#[test]
fn two_operators_keep_the_invariants_whatever_happens_to_them() {
    keep_the_invariants(Mode::Managed, seeds());
}

#[test]
fn two_operators_follow_the_lease_of_the_pods_whatever_happens_to_them() {
    keep_the_invariants(Mode::Observed, seeds() / 2);
}

/// Who elects.
#[derive(Clone, Copy)]
enum Mode {
    Managed,
    Observed,
}

fn keep_the_invariants(mode: Mode, seeds: u64) {
    if let Some(seed) = env("SIMULATION_SEED") {
        election_operator::telemetry::start(election_operator::telemetry::LogFormat::Text);
        let run = simulate(mode, seed, plan);
        println!("{}", run.log.join("\n"));
        run.result.unwrap();
        return;
    }
    let next = AtomicU64::new(0);
    let met: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let (promotions, routes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return;
            }
            let run = simulate(mode, seed, plan);
            if let Err(failure) = run.result {
                next.store(seeds, Ordering::Relaxed);
                panic!("{failure}; see it with SIMULATION_SEED={seed}");
            }
            promotions.fetch_add(run.promotions, Ordering::Relaxed);
            routes.fetch_add(run.routes, Ordering::Relaxed);
            for (fault, times) in run.met {
                *met.lock().unwrap().entry(fault).or_default() += times;
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(run);
        }
    });
    let met = met.into_inner().unwrap();
    let (promotions, routes) = (promotions.into_inner(), routes.into_inner());
    println!("{seeds} seeds, {promotions} promotions, {routes} routes; faults met: {met:#?}");
    assert!(seeds < 100 || met.len() == FAULTS, "not every kind of fault was met");
    assert!(seeds < 100 || (promotions > 0 && routes > 0), "too little was judged");
}

#[test]
fn a_seed_gives_the_same_history_again() {
    let of = |seed| simulate(Mode::Managed, seed, plan).log;
    for seed in 0..20 {
        let (first, second) = (of(seed), of(seed));
        let same = first.iter().zip(&second).position(|(first, second)| first != second);
        let at = same.unwrap_or(first.len().min(second.len()));
        let (one, other) = (first.get(at), second.get(at));
        assert_eq!(one, other, "seed {seed}, line {at}, after {:#?}", &first[at.saturating_sub(5)..at]);
    }
}

/// Operators that are wrong on purpose do not get through.
#[test]
fn a_broken_operator_is_found_out() {
    let promotes_first: Planner = |view| {
        let mut steps = plan(view).into_steps();
        let promotes = |step: &Step| step.intents.iter().any(|intent| matches!(intent, Intent::Promote(_)));
        steps.sort_by_key(|step| !promotes(step));
        Plan::Write(steps)
    };
    let never_fences: Planner = |view| {
        let mut steps = plan(view).into_steps();
        for step in &mut steps {
            step.intents.retain(|intent| !matches!(intent, Intent::Fence(_)));
        }
        Plan::Write(steps)
    };
    let writes_again: Planner = |view| {
        let mut steps = plan(view).into_steps();
        let Some(snapshot) = view.present() else { return Plan::of(steps) };
        let term = snapshot.record().map(|record| record.term);
        let kept = snapshot.pods.iter().filter(|pod| pod.role == Role::Follower && pod.term == term);
        let again = kept.zip(term).map(|(pod, term)| {
            Intent::LabelFollower(PodWrite { pod: pod.id.clone(), version: pod.version, term })
        });
        steps.extend(again.map(|intent| Step { intents: vec![intent], ..Step::default() }));
        Plan::Write(steps)
    };
    let never_asks: Planner = |view| {
        let mut steps = plan(view).into_steps();
        for step in &mut steps {
            step.intents.retain(|intent| {
                !matches!(
                    intent,
                    Intent::Confirm(Fact::PodGone(_) | Fact::Record { .. } | Fact::GroupGone(_))
                )
            });
        }
        Plan::Write(steps)
    };
    let broken = [(promotes_first, "S3"), (never_fences, "S1"), (writes_again, "S4"), (never_asks, "S1")];
    for (planner, promise) in broken {
        let mut failures = (0..2000).filter_map(|seed| simulate(Mode::Managed, seed, planner).result.err());
        let found = failures.find(|failure| failure.starts_with(promise));
        assert!(found.is_some(), "nobody noticed that {promise} does not hold");
    }
}

/// One run, from its seed to its end.
struct Run {
    result: Result<(), String>,
    log: Vec<String>,
    /// How often each kind of fault happened.
    met: BTreeMap<&'static str, u64>,
    promotions: usize,
    /// How often a slice came to route to another pod.
    routes: usize,
}

fn simulate(mode: Mode, seed: u64, planner: Planner) -> Run {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let server = Server::new(Random::new(seed));
        let world = World::new(server.clone(), seed, planner);
        let result = match mode {
            Mode::Managed => world.run().await,
            Mode::Observed => world.run_observed().await,
        };
        server.with(|state| Run {
            result,
            log: state.test.log.iter().map(|line| without_times(line)).collect(),
            met: std::mem::take(&mut state.test.met),
            promotions: state.test.judge.promotions(),
            routes: state.test.judge.routes(),
        })
    })
}

/// The wall clock is the only thing that is not simulated.
fn without_times(line: &str) -> String {
    let is_time = |word: &str| word.parse::<jiff::Timestamp>().is_ok();
    let words = line.split('"').map(|word| if is_time(word) { "now" } else { word });
    words.collect::<Vec<_>>().join("\"")
}

struct World {
    server: Server,
    random: Random,
    planner: Planner,
    operators: [Option<Operator>; 2],
    /// The group routes a Service.
    routing: Option<Routing>,
}

struct Operator {
    task: JoinHandle<Result<(), controller::CannotGoOn>>,
    _stop: watch::Sender<bool>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    fn new(server: Server, seed: u64, planner: Planner) -> Self {
        let (random, routing) = (Random::new(!seed), Routing::of(seed));
        Self { server, random, planner, operators: [None, None], routing }
    }

    fn start(&mut self, instance: usize) {
        self.edit(|state| state.test.forget_told(instance));
        let (stop, stopped) = watch::channel(false);
        let options = OperatorOptions {
            planner: self.planner,
            watching: self.server.client(instance),
            writing: self.server.client(instance),
            namespaces: vec![api_server::NAMESPACE.to_owned()],
            permit: WritePermit::always(),
            instance: None,
            metrics: Arc::new(Metrics::default()),
            health: Arc::new(Health::new(Clock::start())),
        };
        let task = tokio::spawn(controller::run(options, stopped));
        self.operators[instance] = Some(Operator { task, _stop: stop });
    }

    /// A group, its pods, and two operators.
    fn begin(&mut self, spec: &Value) {
        self.begin_rival();
        self.server.with(|state| {
            state.create(Kind::Group, group(spec));
            for name in PODS {
                state.create(Kind::Pod, pod(name));
            }
        });
        self.begin_routing();
        self.start(0);
        self.start(1);
    }

    async fn run(mut self) -> Result<(), String> {
        let spec = self.spec();
        self.begin(&spec);
        for _ in 0..40 {
            let pause = self.random.below(2500);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.happen(&spec);
            self.happen_to_routing();
            self.check()?;
        }
        self.calm_down();
        self.settle().await?;
        self.stay_still().await
    }

    fn spec(&mut self) -> Value {
        let follower = if self.random.below(4) == 0 { "" } else { "follower" };
        let clear = if self.random.below(3) == 0 { "Clear" } else { "Keep" };
        let not_ready = self.random.below(3);
        // Every other group has a Lease that slow replies and stalls outlive.
        let lease = if self.random.below(2) == 0 {
            json!({ "durationSeconds": 3, "renewSeconds": 1 })
        } else {
            json!({ "durationSeconds": 15, "renewSeconds": 5 })
        };
        let services = self.routing.iter().map(|_| routing::SERVICE);
        json!({
            "routing": { "services": services.collect::<Vec<_>>() },
            "lease": lease,
            "selector": selector(),
            "roleLabel": { "follower": follower },
            "failover": { "whenNoCandidate": clear, "notReadySeconds": not_ready },
            "historyLimit": self.random.below(4),
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.operators.iter().flatten().any(|operator| operator.task.is_finished()) {
            return Err("an operator has ended by itself".to_owned());
        }
        self.server.with(|state| state.test.violations.first().cloned()).map_or(Ok(()), Err)
    }

    /// One thing that happens in a cluster.
    fn happen(&mut self, spec: &Value) {
        let name = PODS[usize::try_from(self.random.below(3)).unwrap()];
        let instance = usize::try_from(self.random.below(2)).unwrap();
        match self.random.below(25) {
            0..4 => self.edit(|state| state.edit(Kind::Pod, name, |pod| set_ready(pod, false))),
            4..8 => self.edit(|state| state.edit(Kind::Pod, name, |pod| set_ready(pod, true))),
            8..10 => self.edit(|state| state.delete(Kind::Pod, name)),
            10..13 => self.edit(|state| state.create(Kind::Pod, pod(name))),
            13 => self.edit(|state| {
                state.edit(Kind::Pod, name, |pod| {
                    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                });
            }),
            14 => self.edit(|state| {
                state.edit(Kind::Pod, name, |pod| pod["status"]["phase"] = json!("Failed"));
            }),
            15 => self.edit(|state| state.delete(Kind::Lease, "db")),
            16 => self.edit_lease(),
            17 => self.server.stall(instance, true),
            18 => {
                self.server.stall(0, false);
                self.server.stall(1, false);
            }
            19 => {
                self.operators[instance] = None;
                self.start(instance);
            }
            20 => self.edit(|state| {
                state.edit(Kind::Group, "db", |group| {
                    group["metadata"]["annotations"] = json!({ "election-operator.io/switchover": name });
                });
            }),
            21 => self.tamper(name),
            22 => self.edit(|state| {
                state.edit(Kind::Pod, name, |pod| {
                    let app = if pod["metadata"]["labels"]["app"] == "db" { "other" } else { "db" };
                    pod["metadata"]["labels"]["app"] = json!(app);
                });
            }),
            23 => self.edit_selector(name),
            _ => self.replace_group(spec),
        }
    }

    fn edit(&self, change: impl FnOnce(&mut State)) {
        self.server.with(change);
    }

    /// A user writes something into the Lease that the operator would not.
    fn edit_lease(&mut self) {
        let (field, value) = match self.random.below(7) {
            0..3 => ("holderIdentity", json!("somebody")),
            3 => ("holderIdentity", Value::Null),
            4 => ("renewTime", json!("9999-12-31T23:59:59.999999Z")),
            5 => ("leaseTransitions", json!(i32::MAX)),
            _ => ("leaseDurationSeconds", json!(i32::MAX)),
        };
        self.edit(|state| state.edit(Kind::Lease, "db", |lease| lease["spec"][field] = value));
    }

    /// A user puts the leader label on a pod, or takes it away, or writes over the other marks.
    fn tamper(&mut self, name: &str) {
        let how = self.random.below(7);
        self.edit(|state| {
            state.edit(Kind::Pod, name, |pod| match how {
                0..2 => pod["metadata"]["labels"]["role"] = json!("leader"),
                2..4 => {
                    pod["metadata"]["labels"].as_object_mut().unwrap().remove("role");
                }
                4 => pod["metadata"]["annotations"] = json!({}),
                5 => pod["metadata"]["annotations"]["election-operator.io/term"] = json!("seven"),
                _ => pod["metadata"]["annotations"]["election-operator.io/group"] = json!("../../nobody/x"),
            });
        });
    }

    /// A user edits the selector, which lets a pod go, or takes it back: the pod does not change.
    fn edit_selector(&self, name: &str) {
        self.edit(|state| {
            state.edit(Kind::Group, "db", |group| {
                let lets_go = group["spec"]["selector"].get("matchExpressions").is_none();
                let without = json!([{ "key": "name", "operator": "NotIn", "values": [name] }]);
                select_all(group);
                if lets_go {
                    group["spec"]["selector"]["matchExpressions"] = without;
                }
            });
        });
    }

    /// A user empties the status, or deletes the group and creates it again.
    fn replace_group(&mut self, spec: &Value) {
        let recreate = self.random.below(2) == 0;
        self.edit(|state| {
            if recreate {
                book::delete_group(state);
                state.create(Kind::Group, group(spec));
            } else {
                state.edit(Kind::Group, "db", |group| group["status"] = json!({}));
            }
        });
    }

    /// Faults stop, and the pods come to rest: all there, all Ready.
    fn calm_down(&mut self) {
        for instance in 0..2 {
            self.server.stall(instance, false);
        }
        self.edit(|state| {
            state.test.calm = true;
            state.test.writes.clear();
            book::collect_garbage(state);
            state.edit(Kind::Group, "db", select_all);
            for name in PODS {
                let usable = state.object(Kind::Pod, name).is_some_and(|pod| {
                    pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running"
                });
                if !usable {
                    state.delete(Kind::Pod, name);
                    state.create(Kind::Pod, pod(name));
                }
                state.edit(Kind::Pod, name, |pod| {
                    set_ready(pod, true);
                    pod["metadata"]["labels"]["app"] = json!("db");
                });
            }
        });
        self.calm_routing();
    }

    /// L1: a leader is labelled in bounded time.
    async fn settle(&self) -> Result<(), String> {
        for _ in 0..400 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // A request that was under way may have made a slice for a group that is gone.
            self.server.with(book::collect_garbage);
            self.check()?;
            if self.server.with(|state| unsettled(state)).is_none() {
                return Ok(());
            }
        }
        Err(format!("L1: {}", self.server.with(|state| unsettled(state)).unwrap_or_default()))
    }

    /// S4: then only renewals are written.
    async fn stay_still(&self) -> Result<(), String> {
        tokio::time::sleep(Duration::from_secs(30)).await;
        self.server.with(|state| state.test.writes.clear());
        tokio::time::sleep(Duration::from_secs(60)).await;
        self.check()?;
        let writes = self.server.with(|state| state.test.writes.clone());
        let others: Vec<_> = writes.iter().filter(|write| *write != "patch leases").collect();
        if !others.is_empty() {
            return Err(format!("S4: at rest {others:?} were sent"));
        }
        // Two operators, each at most once an interval.
        let interval = self.server.with(|state| state.object(Kind::Group, "db"));
        let interval =
            interval.and_then(|group| group["spec"]["lease"]["renewSeconds"].as_u64()).unwrap_or(20);
        let renewals = u64::try_from(writes.len()).unwrap_or(u64::MAX) * interval;
        if (55..=130).contains(&renewals) {
            Ok(())
        } else {
            Err(format!("{} renewals in 60 s, every {interval} s", writes.len()))
        }
    }
}

/// What is not yet as it should be.
fn unsettled(state: &State) -> Option<String> {
    state.test.judge.present().is_settled("db").err().or_else(|| routing::unsettled(state))
}

fn group(spec: &Value) -> Value {
    json!({
        "apiVersion": "election-operator.io/v1alpha1",
        "kind": "ElectionGroup",
        "metadata": { "name": "db", "generation": 1 },
        "spec": spec,
    })
}

fn selector() -> Value {
    json!({ "matchLabels": { "app": "db" } })
}

fn select_all(group: &mut Value) {
    group["spec"]["selector"] = selector();
    group["metadata"]["generation"] = json!(group["metadata"]["generation"].as_i64().unwrap_or(0) + 1);
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "db", "name": name } },
        "spec": {
            "nodeName": "node",
            "containers": [{ "name": "db", "ports": [{ "name": "sql", "containerPort": routing::port(name) }] }],
        },
        "status": {
            "phase": "Running",
            "podIP": routing::address(name),
            "podIPs": [{ "ip": routing::address(name) }],
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
        },
    })
}

fn set_ready(pod: &mut Value, ready: bool) {
    pod["status"]["conditions"][0]["status"] = json!(if ready { "True" } else { "False" });
}
