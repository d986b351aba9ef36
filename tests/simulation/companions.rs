//! The companions of all pods, by UID: who starts them, what strikes them, and what their kubelet
//! says of the pod when they have ended.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::random::Random;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::PODS;
use super::api_server::Server;
use super::book::OPERATORS;
use super::companion::{Companion, Habit};

pub struct Companions {
    server: Server,
    random: Random,
    habit: Habit,
    /// By UID of the pod. None: the pod has no companion.
    of_pods: BTreeMap<String, Option<Running>>,
    /// How many there ever were.
    count: usize,
}

/// A companion and its process.
struct Running {
    companion: Companion,
    pod: String,
    /// None: it was killed.
    process: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    /// It is not started again: its pod ends.
    ends: bool,
    struck: Option<Strike>,
}

/// What strikes a companion, until it is undone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strike {
    Stopped,
    CutOff,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    fn start(&mut self) {
        let process = self.companion.clone().run(self.stop.subscribe());
        self.process = Some(tokio::spawn(process));
    }

    fn kill(&mut self) {
        self.go_on();
        if let Some(process) = self.process.take() {
            process.abort();
        }
    }

    fn go_on(&mut self) {
        match self.struck.take() {
            Some(Strike::Stopped) => self.companion.freeze(false),
            Some(Strike::CutOff) => self.companion.cut_off(false),
            None => {}
        }
    }

    fn strike(&mut self, strike: Strike) {
        self.go_on();
        self.struck = Some(strike);
        match strike {
            Strike::Stopped => self.companion.freeze(true),
            Strike::CutOff => self.companion.cut_off(true),
        }
    }

    /// SIGTERM, and no restart.
    fn ask_to_end(&mut self) {
        self.ends = true;
        self.stop.send_replace(true);
    }

    /// Its pod does not end after all.
    fn stay(&mut self) {
        self.ends = false;
        self.stop.send_replace(false);
    }

    fn has_ended(&self) -> bool {
        self.process.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Companions {
    pub fn new(server: Server, random: Random, habit: Habit) -> Self {
        Self { server, random, habit, of_pods: BTreeMap::new(), count: 0 }
    }

    /// What kubelets do at one moment: they start the companions of new pods, and those that were
    /// killed; they end those of pods that go, and say so.
    pub fn attend(&mut self) {
        let pods = self.server.with(|state| state.all(Kind::Pod));
        let uid = |pod: &Value| pod.text("/metadata/uid").to_owned();
        for pod in pods.iter().filter(|pod| PODS.contains(&pod.text("/metadata/name"))) {
            if !self.of_pods.contains_key(&uid(pod)) {
                let has_one = self.random.below(6) > 0;
                self.adopt(pod, has_one);
            }
            self.look_after(pod);
        }
        // A pod that was deleted by force lives on for a while.
        let random = &mut self.random;
        self.of_pods.retain(|of, _| pods.iter().any(|pod| uid(pod) == *of) || random.below(4) > 0);
    }

    fn adopt(&mut self, pod: &Value, has_one: bool) {
        let (name, uid) = (pod.text("/metadata/name"), pod.text("/metadata/uid"));
        if !has_one {
            self.server.with(|state| state.test.meet("a pod without companion"));
        }
        self.count += 1;
        let (number, seed) = (OPERATORS + self.count, self.random.next());
        let running = has_one.then(|| {
            let companion = Companion::new(self.server.clone(), (name, uid), number, self.habit, seed);
            let (stop, pod) = (watch::Sender::new(false), name.to_owned());
            let mut running = Running { companion, pod, process: None, stop, ends: false, struck: None };
            running.start();
            running
        });
        self.of_pods.insert(uid.to_owned(), running);
    }

    fn look_after(&mut self, pod: &Value) {
        let uid = pod.text("/metadata/uid");
        let Some(running) = self.of_pods.get_mut(uid).and_then(Option::as_mut) else { return };
        let terminates = !pod.at("/metadata/deletionTimestamp").is_null();
        if running.ends && running.has_ended() {
            self.server.with(|state| {
                if pod.text("/status/phase") == "Running" && !state.test.commands.runs(uid) {
                    state.test.meet("a pod that ends");
                    state.edit(Kind::Pod, &running.pod, report_end);
                }
            });
        } else if terminates && !running.ends && self.random.below(2) == 0 {
            running.ask_to_end();
        } else if !running.ends && running.has_ended() && self.random.below(2) == 0 {
            running.start();
        }
    }

    /// One that may be struck, that of the pod whose command runs every other time.
    fn choose(&mut self) -> Option<&mut Running> {
        let working = self.server.with(|state| state.test.commands.only().map(|(_, only)| only.pod.clone()));
        let other = self.random.next();
        let working =
            working.filter(|uid| other.is_multiple_of(2) && matches!(self.of_pods.get(uid), Some(Some(_))));
        if let Some(uid) = working {
            return self.of_pods.get_mut(&uid)?.as_mut();
        }
        let all: Vec<_> = self.of_pods.values_mut().flatten().collect();
        let count = u64::try_from(all.len().max(1)).unwrap();
        all.into_iter().nth(usize::try_from((other >> 8) % count).unwrap())
    }

    fn strike(&mut self, what: &'static str, strike: impl FnOnce(&mut Running)) {
        let server = self.server.clone();
        if let Some(running) = self.choose() {
            strike(running);
            server.with(|state| state.test.meet(what));
        }
    }

    /// The process is killed, and started again later.
    pub fn kill_one(&mut self) {
        self.strike("a companion that is killed", Running::kill);
    }

    /// The process is stopped, until it goes on.
    pub fn stop_one(&mut self) {
        self.strike("a companion that is stopped", |running| running.strike(Strike::Stopped));
    }

    /// The pod loses its network, until it is back.
    pub fn cut_one_off(&mut self) {
        self.strike("a companion that is cut off", |running| running.strike(Strike::CutOff));
    }

    /// The pod ends, in order or not.
    pub fn end_one(&mut self) {
        let in_order = self.random.below(2) == 0;
        if let Some(running) = self.choose() {
            running.go_on();
            running.ask_to_end();
            if !in_order {
                running.kill();
            }
        }
    }

    /// A user sets a wall clock.
    pub fn set_a_clock(&mut self) {
        let seconds = i64::try_from(self.random.below(7200)).unwrap() - 3600;
        if let Some(running) = self.choose() {
            running.companion.jump_wall(seconds);
        }
    }

    /// All that are stopped or cut off go on.
    pub fn go_on(&mut self) {
        self.of_pods.values_mut().flatten().for_each(Running::go_on);
    }

    /// Nothing strikes them any more. Each pod but one at most has a companion.
    pub fn heal(&mut self) {
        self.go_on();
        let pods = self.server.with(|state| state.all(Kind::Pod));
        let lacking = PODS.get(usize::try_from(self.random.below(6)).unwrap());
        for pod in pods.iter().filter(|pod| PODS.contains(&pod.text("/metadata/name"))) {
            let lacks = lacking.is_some_and(|lacking| pod.text("/metadata/name") == *lacking);
            match self.of_pods.get_mut(pod.text("/metadata/uid")) {
                Some(Some(running)) if !lacks => running.stay(),
                _ => self.adopt(pod, !lacks),
            }
        }
    }
}

/// The kubelet has seen the last container end.
fn report_end(pod: &mut Value) {
    pod["status"]["phase"] = json!("Failed");
    let terminated = json!({ "exitCode": 137, "reason": "Error" });
    pod["status"]["containerStatuses"] = json!([{ "name": "db", "state": { "terminated": terminated } }]);
}
