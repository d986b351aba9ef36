//! A client of the Service, in a pod: 200 new connections a second to its cluster address, and what became of each.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{LogParams, PostParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::world::{World, eventually};

/// Requests a second.
const RATE: u64 = 200;
const SECOND: u64 = 1_000_000;

/// Microseconds since 1970: what the client's lines count in.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    u64::try_from(since.as_micros()).expect("it is before the year 500,000")
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
    answers: Arc<Mutex<Vec<Answer>>>,
    reading: JoinHandle<()>,
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

impl Traffic {
    /// Starts the client on a node. It asks for ten minutes at most.
    pub(crate) async fn start(world: &World, service: &str, node: &str) -> Self {
        let url = format!("http://{}/hostname", world.cluster_ip(service).await);
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "client" },
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "client",
                    "image": "election-operator.io/client:test",
                    "imagePullPolicy": "IfNotPresent",
                    "args": ["client", url, RATE.to_string(), "600"],
                }],
            },
        }))
        .expect("a pod");
        let pods = world.pods();
        pods.create(&PostParams::default(), &pod).await.expect("the client can be made");
        eventually("the client runs", async || {
            let client = pods.get("client").await.expect("the client can be read");
            (client.status?.phase? == "Running").then_some(())
        })
        .await;

        let answers = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&answers);
        let reading = tokio::spawn(async move {
            let follow = LogParams { follow: true, ..LogParams::default() };
            let lines = pods.log_stream("client", &follow).await.expect("the client's log can be read");
            let read = lines.lines().try_for_each(|line| {
                seen.lock().unwrap().extend(Answer::parse(&line));
                std::future::ready(Ok(()))
            });
            read.await.expect("the client's log can be followed");
        });
        Self { answers, reading }
    }

    fn all(&self) -> Vec<Answer> {
        self.answers.lock().unwrap().clone()
    }

    /// Waits until only this pod has answered everything for a second.
    pub(crate) async fn until_only(&self, pod: &str) {
        eventually(&format!("{pod} alone answers"), async || {
            let all = self.all();
            let last = all.last()?.ended;
            let mut recent = all.iter().filter(|answer| answer.ended + SECOND > last).peekable();
            let long = all.first()?.ended + SECOND < last;
            (long && recent.peek().is_some() && recent.all(|answer| answer.who == pod)).then_some(())
        })
        .await;
    }

    /// Follows a change of the leader to its end: until all requests of the four seconds after the new leader's first
    /// answer are decided. Gives back what the client saw.
    ///
    /// # Panics
    /// If in the end the Service reaches anybody else than the new leader, or nobody.
    pub(crate) async fn judge(&self, change: Change) -> Figures {
        let first = eventually(&format!("{} answers", change.new), async || {
            let all = self.all();
            all.into_iter().find(|answer| answer.began >= change.cause && answer.who == change.new)
        })
        .await;
        let settled = first.ended + SECOND;
        eventually("the client has asked for long enough", async || {
            self.all().last().is_some_and(|last| last.began > settled + 4 * SECOND).then_some(())
        })
        .await;

        let all = self.all();
        let since: Vec<&Answer> = all.iter().filter(|answer| answer.ended >= change.cause).collect();
        let late: Vec<&&Answer> = since
            .iter()
            .filter(|answer| answer.began > settled + SECOND && answer.who != change.new)
            .collect();
        assert!(late.is_empty(), "the Service reaches not only {}: {late:#?}", change.new);
        let answered = all.iter().filter(|answer| !answer.who.is_empty());
        let mut ends: Vec<u64> = answered.map(|answer| answer.ended).collect();
        ends.sort_unstable();
        let gaps = ends.windows(2).filter(|pair| pair[1] >= change.cause).map(|pair| pair[1] - pair[0]);
        let stale = since.iter().filter(|answer| answer.who == change.old && answer.began > change.labelled);
        Figures {
            label: change.labelled.saturating_sub(change.cause),
            answer: first.ended - change.cause,
            failed: since.iter().filter(|answer| answer.who.is_empty()).count(),
            requests: since.len(),
            gap: gaps.max().unwrap_or_default(),
            stale: stale.count(),
        }
    }
}

/// A change of the leader: what was done when, and from whom to whom.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) cause: u64,
    pub(crate) labelled: u64,
    pub(crate) old: String,
    pub(crate) new: String,
}

/// What the client saw of it. Times in microseconds.
#[derive(Debug)]
pub(crate) struct Figures {
    label: u64,
    answer: u64,
    failed: usize,
    requests: usize,
    gap: u64,
    stale: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, answer, failed, requests, gap, stale } = self;
        write!(
            f,
            "cause → label seen {} ms, cause → first answer of the new leader {} ms, longest gap {} ms, \
             {failed} of {requests} requests failed, {stale} asked after the label answered by the old leader",
            label / 1000,
            answer / 1000,
            gap / 1000,
        )
    }
}
