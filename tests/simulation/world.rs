//! One group with its pods and two operators, and what happens to them.

use std::sync::Arc;
use std::time::Duration;

use election_operator::clock::Clock;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::{self, OperatorOptions, checks::Health};
use election_operator::metrics::Metrics;
use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::random::Random;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::api_server::{self, Server, State};
use super::routing::Routing;
use super::{Cast, PODS, book, routing};

/// How many things can happen. The last one loses the record of the group.
pub(super) const ALL: u64 = 25;

pub(super) struct World {
    pub(super) server: Server,
    pub(super) random: Random,
    pub(super) cast: Cast,
    pub(super) operators: [Option<Operator>; 2],
    /// The group routes a Service.
    pub(super) routing: Option<Routing>,
}

pub(super) struct Operator {
    pub(super) task: JoinHandle<Result<(), controller::CannotGoOn>>,
    pub(super) _stop: watch::Sender<bool>,
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub(super) fn new(server: Server, seed: u64, cast: Cast) -> Self {
        let (random, routing) = (Random::new(!seed), Routing::of(seed));
        Self { server, random, cast, operators: [None, None], routing }
    }

    pub(super) fn start(&mut self, instance: usize) {
        self.edit(|state| state.test.forget_told(instance));
        let (stop, stopped) = watch::channel(false);
        let options = OperatorOptions {
            planner: self.cast.planner,
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
    pub(super) fn begin(&mut self, spec: &Value) {
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

    pub(super) async fn run(mut self) -> Result<(), String> {
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

    pub(super) fn spec(&mut self) -> Value {
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

    pub(super) fn check(&self) -> Result<(), String> {
        if self.operators.iter().flatten().any(|operator| operator.task.is_finished()) {
            return Err("an operator has ended by itself".to_owned());
        }
        self.server.with(|state| state.test.violations.first().cloned()).map_or(Ok(()), Err)
    }

    /// One thing that happens in a cluster.
    pub(super) fn happen(&mut self, spec: &Value) {
        self.happen_of(ALL, spec);
    }

    /// One of the first so many things.
    pub(super) fn happen_of(&mut self, things: u64, spec: &Value) {
        let name = PODS[usize::try_from(self.random.below(3)).unwrap()];
        let instance = usize::try_from(self.random.below(2)).unwrap();
        match self.random.below(things) {
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

    pub(super) fn edit(&self, change: impl FnOnce(&mut State)) {
        self.server.with(change);
    }

    /// A user writes something into the Lease that the operator would not. The admission policy
    /// keeps users from the Lease of a Nominated group.
    fn edit_lease(&mut self) {
        let (field, value) = match self.random.below(7) {
            0..3 => ("holderIdentity", json!("somebody")),
            3 => ("holderIdentity", Value::Null),
            4 => ("renewTime", json!("9999-12-31T23:59:59.999999Z")),
            5 => ("leaseTransitions", json!(i32::MAX)),
            _ => ("leaseDurationSeconds", json!(i32::MAX)),
        };
        self.edit(|state| {
            let nominee = "/metadata/annotations/election-operator.io~1nominee";
            if state.object(Kind::Lease, "db").is_some_and(|lease| lease.at(nominee).is_null()) {
                state.edit(Kind::Lease, "db", |lease| lease["spec"][field] = value);
            }
        });
    }

    /// A user puts the leader label on a pod, or takes it away, or writes over the other marks.
    pub(super) fn tamper(&mut self, name: &str) {
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
    pub(super) fn calm_down(&mut self) {
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
    pub(super) async fn settle(&self) -> Result<(), String> {
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
    pub(super) async fn stay_still(&self) -> Result<(), String> {
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
pub(super) fn unsettled(state: &State) -> Option<String> {
    state.test.judge.present().is_settled("db").err().or_else(|| routing::unsettled(state))
}

pub(super) fn group(spec: &Value) -> Value {
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

pub(super) fn pod(name: &str) -> Value {
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
