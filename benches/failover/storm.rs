//! Many leaders lost at once: until every Service reaches its new leader, by the label and by routing.

use std::time::Duration;

use futures::{StreamExt, stream};

use crate::cluster::Cluster;
use crate::operator::{self, Operator};
use crate::recorder::{Journal, Moment, PodState, Recorder, Sight};
use crate::report::{Series, round};
use crate::scenario::{new_leader, settle};
use crate::world::{Route, World};

/// How long the last Service may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at all groups: a look at each event would slow down what is measured.
const PAUSE: Duration = Duration::from_millis(200);
/// Deletions under way.
const AT_ONCE: usize = 50;

/// What became of one group, counted from the deletion of its leader.
struct Loss {
    deleted: Moment,
    label: Moment,
    endpoint: Moment,
}

impl Loss {
    fn of(journal: &Journal, start: usize, old: &PodState) -> Option<Self> {
        let gone = |sight: &Sight| matches!(sight, Sight::Pod { pod, deleted: true } if pod.uid == old.uid);
        let new = journal.sights[start..].iter().find_map(|(_, sight)| new_leader(old, sight))?;
        let only: Vec<String> = new.ip.iter().cloned().collect();
        let reached = |sight: &Sight| matches!(sight, Sight::Endpoints { service, ready } if *service == old.group && *ready == only);
        Some(Self {
            deleted: journal.first(start, gone)?,
            label: journal.first(start, |sight| new_leader(old, sight).is_some())?,
            endpoint: journal.first(start, reached)?,
        })
    }
}

/// Loses the leaders of that many groups, and gives back a line of the report.
pub(crate) async fn run(cluster: &Cluster, groups: usize, route: Route) -> String {
    let world = World::new(cluster, &format!("storm-{route:?}").to_lowercase()).await;
    let recorder = Recorder::start(&cluster.admin_client().await, &world.namespace);
    let _operator = Operator::start(cluster, &world.namespace);
    let names: Vec<_> = (0..groups).map(|number| format!("g{number:03}")).collect();
    world.populate_by(&names, "Managed", route).await;
    let mut leaders = Vec::new();
    for name in &names {
        leaders.push(settle(&recorder, name).await);
    }
    let start = recorder.read(|journal| journal.sights.len());
    let load = operator::load();
    stream::iter(&leaders).for_each_concurrent(AT_ONCE, |leader| world.delete(&leader.name)).await;
    let losses = all(&recorder, start, &leaders).await;
    line(route, &losses, &load)
}

async fn all(recorder: &Recorder, start: usize, leaders: &[PodState]) -> Vec<Loss> {
    let wait = async {
        loop {
            let losses: Option<Vec<Loss>> = recorder
                .read(|journal| leaders.iter().map(|leader| Loss::of(journal, start, leader)).collect());
            match losses {
                Some(losses) => return losses,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("every Service reaches a new leader")
}

fn spread(durations: impl Iterator<Item = Duration>) -> String {
    let times = Series::new(durations);
    let [middle, high] = [50, 99].map(|percent| round(times.percentile(percent)));
    format!("{middle} / {high} / {} ms", round(times.max()))
}

fn line(route: Route, losses: &[Loss], load: &str) -> String {
    let since = |of: fn(&Loss) -> Moment| losses.iter().map(move |loss| of(loss).at - loss.deleted.at);
    let first = losses.iter().map(|loss| loss.deleted.at).min().expect("there are groups");
    let until = |of: fn(&Loss) -> Moment| {
        let last = losses.iter().map(|loss| of(loss).at).max().expect("there are groups");
        (last - first).as_millis()
    };
    let service = match route {
        Route::Label => "selects by the label",
        Route::Slice => "routed",
    };
    format!(
        "| {service} | {} | {} ms | {} | {} | {} ms | {load} |",
        losses.len(),
        until(|loss| loss.deleted),
        spread(since(|loss| loss.label)),
        spread(since(|loss| loss.endpoint)),
        until(|loss| loss.endpoint),
    )
}

/// The heads of the columns of [`run`]'s lines.
pub(crate) const HEADER: &str = "\
| Service | groups | all leaders deleted after | deletion to label p50 / p99 / max | deletion to endpoint p50 / p99 / max \
| all endpoints after | load |
|---|---|---|---|---|---|---|";
