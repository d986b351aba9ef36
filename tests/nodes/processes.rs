//! Mode Nominated on real nodes: work that must not run twice, and everything that may happen to its
//! processes, its pods and its nodes.
//!
//! The kernel judges. All nodes are namespaces of one machine: the work of each pod asks for the lock on
//! one file, which is free only when the last process that had it has ended. It also writes its start and
//! its end, by the clock that counts suspend. Times are printed and never judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use crate::cluster::{Cluster, OPERATOR, binary, load_image, run, say, variable};
use crate::world::{World, eventually, name, node};

/// `lease.durationSeconds` of the group: `ELECTION_OPERATOR_NODES_LEASE_SECONDS`, or 3.
fn lease_seconds() -> u64 {
    variable("LEASE_SECONDS")
        .map_or(3, |seconds| seconds.parse().expect("ELECTION_OPERATOR_NODES_LEASE_SECONDS is a number"))
}

/// The program and the work, as a user copies the one beside the other.
pub(crate) const IMAGE: &str = "election-operator.io/worker:test";

/// The processes of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Companion,
    Guard,
    Work,
    Follow,
}

/// One line of the work: when, what, and in which term.
#[derive(Clone, Debug)]
struct Line {
    micros: u64,
    what: String,
    pod: String,
    term: u64,
}

/// Three pods, one of which works.
struct Workers {
    world: World,
    folder: PathBuf,
}

/// Makes [`IMAGE`] and gives it to the nodes.
pub(crate) fn load_workers_image() {
    let kit = variable("KIT").expect("the nodes have it");
    load_image(&binary(), IMAGE, &[kit]);
}

fn boot_micros() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let micros =
        Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    u64::try_from(micros.as_micros()).expect("it is not up for that long")
}

impl Workers {
    async fn start(test: &str) -> Option<Self> {
        let world = World::new(test).await?;
        if variable("ENTER").is_none() {
            say(&format!("skipped {test}: it needs the nodes of this machine: see docs/nodes.md"));
            world.finish().await;
            return None;
        }
        load_workers_image();
        let folder = std::env::temp_dir().join(&world.namespace);
        fs::create_dir_all(&folder).expect("a folder can be made");
        world.apply(&objects(&folder.to_string_lossy()));
        let workers = Self { world, folder };
        workers.next_start(0).await;
        Some(workers)
    }

    /// What the work has written so far.
    ///
    /// # Panics
    /// If it ran twice at once, or two of its starts have one term.
    fn lines(&self) -> Vec<Line> {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        assert!(!log.contains(" overlap "), "the work runs twice:\n{log}");
        let read = |line: &str| {
            let words: Vec<_> = line.split(' ').collect();
            let [micros, what, identity, term] = words[..] else { panic!("a broken line: {line}") };
            let pod = identity.split('_').next().unwrap_or_default().to_owned();
            let (micros, term) = (micros.parse().expect("a time"), term.parse().expect("a term"));
            Line { micros, what: what.to_owned(), pod, term }
        };
        let lines: Vec<_> = log.lines().map(read).collect();
        let mut starts = BTreeMap::new();
        for line in lines.iter().filter(|line| line.what == "start") {
            let other = starts.insert(line.term, line.pod.clone());
            assert_eq!(other, None, "two starts in term {}:\n{log}", line.term);
        }
        lines
    }

    /// The first start after `micros`.
    async fn next_start(&self, micros: u64) -> Line {
        let is_next = |line: &Line| line.what == "start" && line.micros > micros;
        eventually("the work starts", async || self.lines().into_iter().find(is_next)).await
    }

    /// The pod whose work runs, once its group says that it leads.
    async fn leader(&self) -> Pod {
        let newest = self.lines().into_iter().rfind(|line| line.what == "start").expect("it has started");
        let labelled = "app=worker,role=leader";
        eventually(&format!("{} leads", newest.pod), async || {
            let pods = self.world.pods_with(labelled).await;
            pods.into_iter().find(|pod| name(pod) == newest.pod)
        })
        .await
    }

    /// What a strike costs: prints the time until the work runs again.
    async fn after(&self, what: &str, cause: u64) -> Line {
        let next = self.next_start(cause).await;
        let ended = self.lines().into_iter().rfind(|line| line.what == "end" && line.micros < next.micros);
        let gap = ended.filter(|end| end.micros > cause).map(|end| next.micros - end.micros);
        let gap = gap.map_or("killed".to_owned(), |gap| format!("ended {} ms before", gap / 1000));
        say(&format!("{what}: work again after {} ms, {gap}", (next.micros - cause) / 1000));
        next
    }

    /// Whether the active operator runs on the node of that pod: then another one takes over first.
    fn with_operator(&self, pod: &Pod) -> &'static str {
        let lease = ["get", "lease", OPERATOR, "--output", "jsonpath={.spec.holderIdentity}"];
        let kubectl = |arguments: &[&str]| {
            self.world.cluster.kubectl(&[&["--namespace", OPERATOR], arguments].concat())
        };
        let holder = kubectl(&lease);
        let holder = holder.split('_').next().unwrap_or_default();
        let place = kubectl(&["get", "pod", holder, "--output", "jsonpath={.spec.nodeName}"]);
        if place == node(pod) { " with the active operator" } else { "" }
    }

    async fn end(self) {
        let folder = self.folder.clone();
        self.lines();
        self.world.finish().await;
        let _ = fs::remove_dir_all(folder);
    }
}

/// The processes of that part in a pod, as this machine sees them.
fn processes(pod: &Pod, part: Part) -> Vec<Pid> {
    let uid = format!("POD_UID={}", pod.metadata.uid.as_deref().expect("a pod has a UID"));
    let entries = fs::read_dir("/proc").expect("/proc can be read").filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_part = |number: &i32| {
        let read = |file: &str| fs::read(format!("/proc/{number}/{file}")).unwrap_or_default();
        let (environment, line) = (read("environ"), read("cmdline"));
        let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
        let found = match words.get(1).map(|word| &**word) {
            Some("elect") => Part::Companion,
            Some("guard") => Part::Guard,
            Some("exclusive") => Part::Work,
            Some("follow") => Part::Follow,
            _ => return false,
        };
        found == part && environment.split(|byte| *byte == 0).any(|variable| variable == uid.as_bytes())
    };
    numbers.filter(is_part).filter_map(Pid::from_raw).collect()
}

/// # Panics
/// If there is no such process.
pub(crate) fn signal(pod: &Pod, part: Part, signal: Signal) {
    let found = processes(pod, part);
    assert!(!found.is_empty(), "{} has no {part:?}", name(pod));
    for process in found {
        kill_process(process, signal).expect("a process can be signalled");
    }
}

/// Runs a command in the namespaces of a node, or of the control plane.
fn enter(node: &str, line: &str) {
    let enter = variable("ENTER").expect("the nodes are of this machine");
    run(Command::new("sh").args(["-c", &format!("{enter} {node} {line}")]));
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn work_moves_at_a_switchover_and_a_deletion() {
    let Some(workers) = Workers::start("work_moves").await else { return };
    for _ in 0..3 {
        let leader = workers.leader().await;
        let others = workers.world.until_ready("app=worker,role!=leader", 2).await;
        let cause = boot_micros();
        workers.world.switch_to("worker", &name(&others[0])).await;
        let next = workers.after("switchover", cause).await;
        assert_eq!(next.pod, name(&others[0]), "from {}", name(&leader));
    }
    let leader = workers.leader().await;
    let cause = boot_micros();
    let deleted = workers.world.pods().delete(&name(&leader), &DeleteParams::default()).await;
    deleted.expect("it can be deleted");
    workers.after("deleted", cause).await;
    workers.end().await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn work_never_runs_twice_whatever_happens_to_its_processes() {
    let Some(workers) = Workers::start("work_of_struck_processes").await else { return };
    for (what, part, strike) in [
        ("companion killed", Part::Companion, Signal::KILL),
        ("guard killed", Part::Guard, Signal::KILL),
        ("work killed", Part::Work, Signal::KILL),
        ("companion stopped", Part::Companion, Signal::STOP),
        ("guard stopped, then switchover", Part::Guard, Signal::STOP),
        ("work stopped, then switchover", Part::Work, Signal::STOP),
    ] {
        let leader = workers.leader().await;
        let others = workers.world.until_ready("app=worker,role!=leader", 2).await;
        let cause = boot_micros();
        signal(&leader, part, strike);
        if what.ends_with("switchover") {
            workers.world.switch_to("worker", &name(&others[0])).await;
        }
        workers.after(what, cause).await;
        for part in [Part::Companion, Part::Guard, Part::Work] {
            for process in processes(&leader, part) {
                let _ = kill_process(process, Signal::CONT);
            }
        }
        workers.world.until_ready("app=worker", 3).await;
    }
    workers.end().await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn work_never_runs_twice_whatever_happens_to_its_node() {
    let Some(workers) = Workers::start("work_on_struck_nodes").await else { return };
    let leader = workers.leader().await;
    let place = node(&leader);
    enter(&place, "pkill -KILL -x containerd");
    let others = workers.world.pods_with("app=worker,role!=leader").await;
    let cause = boot_micros();
    workers.world.switch_to("worker", &name(&others[0])).await;
    workers.after("containerd killed, then switchover", cause).await;
    workers.world.until_ready("app=worker", 3).await;

    let leader = workers.leader().await;
    let with_operator = workers.with_operator(&leader);
    let cut = Cluster::cut(&node(&leader)).expect("the nodes are of this machine");
    let cause = boot_micros();
    let next = workers.after(&format!("node cut off{with_operator}"), cause).await;
    assert_ne!(next.pod, name(&leader));
    let forced = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
    let deleted = workers.world.pods().delete(&name(&leader), &forced).await;
    deleted.expect("it can be deleted by force while its node is cut off");
    drop(cut);
    workers.world.until_ready("app=worker", 3).await;

    let leader = workers.leader().await;
    let with_operator = workers.with_operator(&leader);
    let cut = Cluster::cut(&node(&leader)).expect("the nodes are of this machine");
    let cause = boot_micros();
    let deleted = workers.world.pods().delete(&name(&leader), &forced).await;
    deleted.expect("it can be deleted by force at once");
    workers.after(&format!("node cut off{with_operator}, pod deleted by force at once"), cause).await;
    drop(cut);
    workers.world.until_ready("app=worker", 3).await;
    workers.end().await;
}

#[tokio::test]
#[ignore = "needs real nodes: make nodes"]
async fn work_outlives_a_short_outage_of_the_control_plane_and_ends_in_a_long_one() {
    let Some(workers) = Workers::start("work_without_a_control_plane").await else { return };
    for program in ["kube-apiserver", "etcd"] {
        let leader = workers.leader().await;
        let started = workers.lines().len();
        enter("control", &format!("pkill -STOP -x {program}"));
        // A longer one may end the term, if it begins when the next renewal is due.
        tokio::time::sleep(Duration::from_millis(lease_seconds() * 1000 / 5)).await;
        enter("control", &format!("pkill -CONT -x {program}"));
        // The Lease is renewed once more, and thus the outage is over for the companion.
        let renewed =
            async || workers.world.kubectl(&["get", "lease", "worker", "-o", "jsonpath={.spec.renewTime}"]);
        let before = renewed().await;
        eventually("a renewal", async || (renewed().await != before).then_some(())).await;
        assert_eq!(workers.lines().len(), started, "a short outage of {program} moves nothing");
        assert_eq!(name(&workers.leader().await), name(&leader));

        let cause = boot_micros();
        enter("control", &format!("pkill -STOP -x {program}"));
        // The work ends by itself: nothing can tell it.
        let gone = || processes(&leader, Part::Work).is_empty();
        eventually("the work ends without a control plane", async || gone().then_some(())).await;
        let ended = boot_micros();
        enter("control", &format!("pkill -CONT -x {program}"));
        say(&format!("{program} stopped: the work ended after {} ms", (ended - cause) / 1000));
        workers.after(&format!("{program} stopped until the work ended"), cause).await;
    }
    workers.end().await;
}

/// Privileged in one thing: the folder of the machine, which holds the lock.
fn objects(folder: &str) -> String {
    let lease_seconds = lease_seconds();
    format!(
        r#"
apiVersion: election-operator.io/v1alpha1
kind: ElectionGroup
metadata: {{ name: worker }}
spec:
  mode: Nominated
  selector: {{ matchLabels: {{ app: worker }} }}
  lease: {{ durationSeconds: {lease_seconds} }}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{ name: worker }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{ name: worker-companion }}
rules:
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [worker]
    verbs: [get, list, watch, update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{ name: worker-companion }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: worker-companion }}
subjects: [{{ kind: ServiceAccount, name: worker }}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: worker }}
spec:
  serviceName: worker
  replicas: 3
  podManagementPolicy: Parallel
  selector: {{ matchLabels: {{ app: worker }} }}
  template:
    metadata: {{ labels: {{ app: worker }} }}
    spec:
      serviceAccountName: worker
      terminationGracePeriodSeconds: 5
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector: {{ matchLabels: {{ app: worker }} }}
      containers:
        - name: worker
          image: {IMAGE}
          command: [/election-operator, elect, --nominated, --lease-lock-name=worker, "--http-addr=:4040", --,
            /kit, exclusive, --drain, 50ms, /work]
          securityContext: {{ runAsUser: 0 }}
          env:
            - {{ name: POD_NAME, valueFrom: {{ fieldRef: {{ fieldPath: metadata.name }} }} }}
            - {{ name: POD_UID, valueFrom: {{ fieldRef: {{ fieldPath: metadata.uid }} }} }}
            - {{ name: POD_NAMESPACE, valueFrom: {{ fieldRef: {{ fieldPath: metadata.namespace }} }} }}
          readinessProbe: {{ httpGet: {{ path: /healthz, port: 4040 }}, periodSeconds: 1 }}
          volumeMounts: [{{ name: work, mountPath: /work }}]
      volumes: [{{ name: work, hostPath: {{ path: {folder}, type: Directory }} }}]
"#
    )
}
