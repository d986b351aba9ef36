//! Electors that hand a Lease on, one to the next, by themselves or with an operator whose label
//! follows it.
//!
//! Two processes at a time: one holds the Lease, the other waits for it. The loser ends; the next
//! one waits.

pub(crate) mod elector;
pub(crate) mod report;

use std::fmt;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::cluster::Cluster;
use crate::operator::{self, Operator};
use crate::recorder::{Journal, Moment, PodState, Recorder, Sight};
use crate::world::{PODS, World};
use elector::{Elector, Make, Timing};

/// The Lease, and the group that follows it.
const NAME: &str = "orders";
/// Enough for every Lease to run out.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rest between a PATCH and the change after it.
const REST: Duration = Duration::from_millis(50);

/// How the holder ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGTERM: it gives the Lease back.
    Released,
    /// SIGKILL: the Lease runs out.
    Killed,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Released => "released",
            Self::Killed => "killed",
        })
    }
}

/// Changes of one Lease's holder, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relay {
    pub(crate) make: Make,
    pub(crate) end: End,
    /// Whether an operator labels the holder's pod.
    pub(crate) observed: bool,
    pub(crate) changes: usize,
}

/// One change of holder, as the bench's watches showed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    signalled: Instant,
    /// The last write of the old holder that kept the Lease.
    renewed: Moment,
    released: Option<Moment>,
    taken: Moment,
    /// The old holder's pod is no leader any more.
    unlabelled: Option<Moment>,
    /// The new holder's pod is the leader.
    labelled: Option<Moment>,
}

/// What a relay brought.
#[derive(Debug)]
pub(crate) struct Outcome {
    relay: Relay,
    changes: Vec<Change>,
    /// How long each label PATCH took, for its client.
    patches: Vec<Duration>,
    /// Revisions with two leader labels.
    doubles: usize,
    load: String,
}

/// All relays, for so many clean hand-overs between two of ours; the slower ones have fewer.
pub(crate) fn relays(changes: usize) -> Vec<Relay> {
    let relay = |make, end, observed, changes| Relay { make, end, observed, changes };
    let few = changes.div_ceil(4);
    vec![
        relay(Make::Ours, End::Released, false, changes),
        relay(Make::ClientGo, End::Released, false, few),
        relay(Make::Ours, End::Killed, false, few),
        relay(Make::ClientGo, End::Killed, false, few),
        relay(Make::Ours, End::Released, true, changes),
        relay(Make::ClientGo, End::Released, true, few),
        relay(Make::ClientGo, End::Killed, true, few),
    ]
}

impl Relay {
    /// The customary timing; a short one where a Lease has to run out.
    pub(crate) fn timing(self) -> Timing {
        match self.end {
            End::Released => Timing::CUSTOMARY,
            End::Killed => Timing::SHORT,
        }
    }

    pub(crate) async fn run(self, cluster: &Cluster) -> Outcome {
        let kind = if self.observed { "observed" } else { "elect" };
        let mut world = World::new(cluster, &format!("{kind}-{}-{}", self.make, self.end)).await;
        let client = cluster.admin_client().await;
        let recorder = Recorder::start(&client, &world.namespace).with_leases(&client, &world.namespace);
        let _operator = self.observed.then(|| Operator::start(cluster, &world.namespace));
        if self.observed {
            world.populate(&[NAME.to_owned()], "Observed").await;
        }
        let namespace = world.namespace.clone();
        let candidate = |number: usize| {
            let id = format!("{NAME}-{}", number % PODS);
            Elector::start(cluster, self.make, self.timing(), &namespace, NAME, id)
        };
        let mut leader = candidate(0);
        let holds_first =
            recorder.until(PATIENCE, |journal| journal.first(0, |sight| holds(sight, &leader.id)));
        holds_first.await.expect("the first candidate takes the Lease");
        let (mut changes, mut patches) = (Vec::new(), Vec::new());
        for number in 0..self.changes {
            let mut next = candidate(number + 1);
            next.told_a_leader().await;
            if self.observed {
                self.settled(&recorder, &leader.id).await;
            }
            tokio::time::sleep(self.rest(number)).await;
            patches.push(world.time_patch(number).await);
            tokio::time::sleep(REST).await;
            changes.push(self.change(&recorder, leader, &next).await);
            leader = next;
        }
        let doubles = recorder.read(|journal| journal.doubles);
        Outcome { relay: self, changes, patches, doubles, load: operator::load() }
    }

    /// Until the label says what the Lease says.
    async fn settled(self, recorder: &Recorder, holder: &str) {
        let leads = |journal: &Journal| journal.settled_leader(NAME).is_some_and(|pod| pod.name == holder);
        let settled = recorder.until(PATIENCE, |journal| leads(journal).then_some(())).await;
        settled.expect("the label follows the Lease");
    }

    /// How long to leave the two alone: until the waiting one is at rest, and then a part of what
    /// it or the holder does from time to time, a poll of client-go's or a renewal of ours, so that
    /// the changes fall everywhere in between.
    fn rest(self, number: usize) -> Duration {
        let retry = self.timing().retry_period;
        let (settled, period) = match self.make {
            Make::Ours => (Duration::from_millis(500), Duration::from_secs(1)),
            Make::ClientGo => (retry.mul_f64(2.2), retry.mul_f64(1.6)),
        };
        settled + period.mul_f64(number as f64 / self.changes as f64)
    }

    /// Ends the holder and sees the change through.
    async fn change(self, recorder: &Recorder, old: Elector, next: &Elector) -> Change {
        let start = recorder.read(|journal| journal.sights.len());
        let signalled = Instant::now();
        old.signal(if self.end == End::Released { Signal::TERM } else { Signal::KILL });
        let taken =
            recorder.until(PATIENCE, |journal| journal.first(start, |sight| holds(sight, &next.id))).await;
        let taken = taken.expect("the next candidate takes the Lease");
        let leads = |pod: &PodState, name: &str| pod.name == name && pod.role.as_deref() == Some("leader");
        let seen = async |what: &dyn Fn(&PodState) -> bool| {
            let shows = |sight: &Sight| matches!(sight, Sight::Pod { pod, deleted: false } if what(pod));
            recorder.until(PATIENCE, |journal| journal.first(start, shows)).await
        };
        let (labelled, unlabelled) = if self.observed {
            let unlabelled = |pod: &PodState| pod.name == old.id && !leads(pod, &old.id);
            (seen(&|pod| leads(pod, &next.id)).await, seen(&unlabelled).await)
        } else {
            (None, None)
        };
        let id = old.id.clone();
        old.gone().await;
        recorder.read(|journal| Change {
            signalled,
            renewed: journal.last(|sight| holds(sight, &id)).expect("the old holder was seen"),
            released: journal.first(start, |sight| holds(sight, "")),
            taken,
            unlabelled,
            labelled,
        })
    }
}

/// Whether a sight shows this one as the holder of the Lease; the empty name: no elector holds it.
fn holds(sight: &Sight, id: &str) -> bool {
    matches!(sight, Sight::Lease { name, holder } if name == NAME && holder == id)
}
