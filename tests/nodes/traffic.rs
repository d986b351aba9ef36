//! A client of the Service, in a pod: 200 requests a second to its cluster address, and their answers.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, LogParams, PostParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{World, eventually};

/// Requests a second.
const RATE: u64 = 200;
const SECOND: u64 = 1_000_000;

/// Microseconds since 1970, as in the client's lines.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_micros()).expect("it is before the year 500,000")
}

/// Which connections the client asks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// A new one for each request.
    New,
    /// A few that are kept as long as they live.
    Kept,
}

impl Connections {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Kept => "kept",
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
struct Answer {
    began: u64,
    ended: u64,
    /// The pod that answered; "" if the request failed.
    who: String,
}

impl Answer {
    /// One line of the client.
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (began, ended) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let who = words.next().filter(|who| !who.starts_with('-')).unwrap_or_default().to_owned();
        Some(Self { began, ended, who })
    }
}

/// The running client.
pub(crate) struct Traffic {
    pods: Api<Pod>,
    pod: String,
    answers: Arc<Mutex<Vec<Answer>>>,
    reading: JoinHandle<()>,
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Traffic {
    /// Starts the client on a node. It asks for an hour at most.
    pub(crate) async fn start(world: &World, service: &str, node: &str, connections: Connections) -> Self {
        let name = format!("client-{}", connections.name());
        let url = format!("http://{}/hostname", world.cluster_ip(service).await);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "client",
                    "image": "election-operator.io/client:test",
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["client", url, RATE.to_string(), "3600", connections.name()],
                }],
            },
        }))
        .expect("a pod");
        let pods = world.pods();
        pods.create(&PostParams::default(), &pod).await.expect("the client can be made");
        eventually("the client runs", async || {
            let client = pods.get(&name).await.expect("the client can be read");
            (client.status?.phase? == "Running").then_some(())
        })
        .await;

        let answers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&answers);
        let (from, client) = (pods.clone(), name.clone());
        let reading = tokio::spawn(async move {
            let follow = LogParams { follow: true, ..LogParams::default() };
            let lines = from.log_stream(&client, &follow).await.expect("the client's log can be read");
            let read = lines.lines().try_for_each(|line| {
                seen.lock().unwrap().extend(Answer::parse(&line));
                std::future::ready(Ok(()))
            });
            read.await.expect("the client's log can be followed");
        });
        Self { pods, pod: name, answers, reading }
    }

    /// Ends the client, and waits until its pod is gone.
    pub(crate) async fn end(self) {
        self.reading.abort();
        self.pods.delete(&self.pod, &DeleteParams::default()).await.expect("the client can be deleted");
        eventually("the client is gone", async || {
            let client = self.pods.get_opt(&self.pod).await.expect("the client can be read");
            client.is_none().then_some(())
        })
        .await;
    }

    /// The requests that ended since then, in the order in which the client printed them.
    fn since(&self, time: u64) -> Vec<Answer> {
        let answers = self.answers.lock().unwrap();
        // The client prints requests that end at the same time in any order.
        let mut recent: Vec<Answer> =
            answers.iter().rev().take_while(|answer| answer.ended + SECOND > time).cloned().collect();
        recent.reverse();
        recent.retain(|answer| answer.ended >= time);
        recent
    }

    fn last(&self) -> Option<Answer> {
        self.answers.lock().unwrap().last().cloned()
    }

    /// Waits until only this pod has answered everything for a second.
    pub(crate) async fn until_only(&self, pod: &str) {
        let start = self.last().map_or(0, |last| last.began);
        eventually(&format!("{pod} alone answers"), async || {
            let last = self.last()?.ended;
            let recent = self.since(last.saturating_sub(SECOND).max(start));
            let long = recent.first()?.ended + SECOND * 9 / 10 < last;
            (long && recent.iter().all(|answer| answer.who == pod)).then_some(())
        })
        .await;
    }

    /// Waits until every request that began before now is decided.
    pub(crate) async fn catch_up(&self) {
        let asked = now() + 4 * SECOND;
        eventually("the client has asked for long enough", async || {
            self.last().is_some_and(|last| last.began > asked).then_some(())
        })
        .await;
    }

    /// How many requests ended since then, how many of them failed, and the longest time without an answer
    /// (microseconds).
    pub(crate) fn losses(&self, time: u64) -> (usize, usize, u64) {
        let since = self.since(time);
        let mut ends: Vec<u64> = self
            .since(time.saturating_sub(SECOND))
            .iter()
            .filter(|answer| !answer.who.is_empty())
            .map(|answer| answer.ended)
            .collect();
        ends.sort_unstable();
        let gaps = ends.windows(2).filter(|pair| pair[1] >= time).map(|pair| pair[1] - pair[0]);
        let failed = since.iter().filter(|answer| answer.who.is_empty()).count();
        (since.len(), failed, gaps.max().unwrap_or_default())
    }

    /// What the client has lost since then, without a change of the leader in view.
    pub(crate) fn losses_alone(&self, time: u64) -> Figures {
        let (requests, failed, gap) = self.losses(time);
        Figures { label: 0, answer: 0, gap, failed, requests, old_after_label: 0, old_after_new: 0 }
    }

    /// Waits until the new leader alone answers, and all earlier requests are decided.
    ///
    /// # Panics
    /// If a later request fails, or another pod answers it.
    pub(crate) async fn judge(&self, change: &Change) -> Figures {
        self.until_only(&change.new).await;
        let settled = now();
        self.catch_up().await;

        let since = self.since(change.cause);
        let late: Vec<&Answer> =
            since.iter().filter(|answer| answer.began > settled && answer.who != change.new).collect();
        assert!(late.is_empty(), "the Service reaches not only {}: {late:#?}", change.new);
        self.figures(change)
    }

    /// What the client has seen of a change until now.
    pub(crate) fn figures(&self, change: &Change) -> Figures {
        let since = self.since(change.cause);
        let by_new = |answer: &&Answer| answer.began >= change.cause && answer.who == change.new;
        let first = since.iter().find(by_new).map_or(now(), |answer| answer.ended);
        let detected = change.detected;
        let by_old = |after: u64| since.iter().filter(|a| a.who == change.old && a.began > after).count();
        let (requests, failed, gap) = self.losses(change.cause);
        Figures {
            label: change.labelled.saturating_sub(detected),
            answer: first.saturating_sub(detected),
            gap,
            failed,
            requests,
            old_after_label: by_old(change.labelled),
            old_after_new: by_old(first),
        }
    }
}

/// A change of the leader.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// From here on requests are counted.
    pub(crate) cause: u64,
    /// From here on time is taken: when the operator could know of the cause.
    pub(crate) detected: u64,
    pub(crate) labelled: u64,
    pub(crate) old: String,
    pub(crate) new: String,
}

/// What the client saw of it. Times in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// From the detection until the label was seen on the new leader.
    pub(crate) label: u64,
    /// From the detection until the new leader's first answer had come.
    pub(crate) answer: u64,
    /// The longest time without any answer.
    pub(crate) gap: u64,
    pub(crate) failed: usize,
    pub(crate) requests: usize,
    /// Requests that began after the new label and were answered by the old leader.
    pub(crate) old_after_label: usize,
    /// Requests that began after the new leader's first answer and were answered by the old leader.
    pub(crate) old_after_new: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, answer, gap, failed, requests, old_after_label, old_after_new } = self;
        write!(
            f,
            "cause → label seen {} ms, cause → first answer of the new leader {} ms, longest gap {} ms, \
             {failed} of {requests} requests failed; the old leader answered {old_after_label} begun after the label, \
             {old_after_new} begun after the new one's first answer",
            label / 1000,
            answer / 1000,
            gap / 1000,
        )
    }
}
