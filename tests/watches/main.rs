//! The watches, against an API server that falls silent or refuses. The clock is virtual.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::large_futures,
    reason = "a test: what cannot be is a failure"
)]

mod live_reads;
mod nodes;
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use election_operator::cache::wakes::wakes;
use election_operator::cache::{Cache, GroupRef, Kind, Scope};
use election_operator::clock::Clock;
use election_operator::controller::checks::Health;
use election_operator::controller::live_reads::LiveReader;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::requests::Requests;
use election_operator::controller::watches;
use election_operator::metrics::Metrics;
use election_operator::planner::plan::Fact;
use election_operator::planner::seen::GroupView;
use election_operator::planner::{Identity, Millis, Term, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use server::{Answer, Server, group, list, odd, plain, status};

fn names(cache: &Cache, kind: Kind) -> Vec<String> {
    cache.known(kind, None).into_iter().map(|(_, id)| id.name).collect()
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_object_hides_no_other_of_its_kind() {
    let client = Server::Odd.client(|_| ());
    let clock = Clock::start();
    let (wake, _woken) = wakes();
    let (cache, health) = (Arc::new(Cache::new(clock, wake)), Arc::new(Health::new(clock)));
    let watches = watches::watch(client.clone(), Scope::Cluster, cache.clone(), health.clone());
    let nodes = watches::watch_nodes(client, cache.clone(), health.clone());
    let both = async { futures::join!(watches, nodes) };
    assert!(tokio::time::timeout(Duration::from_secs(5), Box::pin(both)).await.is_err());
    for kind in [Kind::Pod, Kind::Lease, Kind::Service] {
        assert_eq!(names(&cache, kind), ["odd", "plain"], "{kind:?}");
    }
    assert_eq!(names(&cache, Kind::Group), ["odd", "plain", "unreadable"]);
    let unreadable =
        GroupRef { namespace: "shop".to_owned(), id: Identity::new("unreadable", "unreadable-uid") };
    assert!(matches!(cache.view(&unreadable), GroupView::Unreadable), "it is there, and is not served");
    for name in ["odd", "plain"] {
        let group = GroupRef { namespace: "shop".to_owned(), id: Identity::new(name, format!("{name}-uid")) };
        assert!(matches!(cache.view(&group), GroupView::Present(_)), "{name}");
        assert!(!cache.hear_node(name, Version(6), Millis::from_seconds(10)), "the node {name} was heard");
    }
    let told = health.readiness().unwrap();
    let line = "watch electiongroups.election-operator.io: shop/unreadable cannot be read: \
                invalid type: integer `7`";
    assert!(told.lines().any(|told| told.starts_with(line)), "{told}");
    let metrics = Metrics::default();
    metrics.watch_figures_from(move || health.watches());
    let told = metrics.encode().unwrap();
    for line in [
        "election_operator_unreadable_objects{kind=\"electiongroups\"} 1",
        "election_operator_unreadable_objects{kind=\"pods\"} 0",
        "election_operator_watch_silent_seconds{kind=\"nodeleases\"} 5.0",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
}

/// Every failover waits for the watches.
#[tokio::test(start_paused = true)]
async fn watches_are_back_within_a_second_after_the_api_server_however_long_it_was_away() {
    let clock = Clock::start();
    let begun = clock.now();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let server = Server::Restarting(clock, begun);
    let client = server.client(move |uri| log.lock().unwrap().push((clock.now().since(begun), uri)));
    let (wake, _called) = wakes();
    let (cache, health) = (Cache::new(clock, wake), Health::new(clock));
    let watches = watches::watch(client, Scope::Cluster, Arc::new(cache), Arc::new(health));
    assert!(tokio::time::timeout(Duration::from_secs(75), watches).await.is_err());
    for kind in ["pods", "leases", "electiongroups", "services"] {
        let asked = asked.lock().unwrap();
        let of_kind = || asked.iter().filter(|(_, uri)| uri.split('?').next().unwrap().ends_with(kind));
        let tries = of_kind().filter(|(at, _)| (10_000..70_000).contains(&at.0)).count();
        assert!((50..150).contains(&tries), "{kind}: {tries} tries in a minute");
        let back = of_kind().map(|(at, _)| at.0).find(|at| *at >= 70_000).unwrap();
        assert!(back <= 71_000, "{kind}: {back}");
    }
}

/// Each object may be as large as the API server accepts.
#[tokio::test(start_paused = true)]
async fn no_list_asks_for_more_than_a_hundred_objects_at_once() {
    for list in Server::Silent.requests_in_a_minute().await.iter().filter(|uri| !uri.contains("watch=true")) {
        assert!(list.contains("limit=100"), "{list}");
    }
}

fn count(asked: &[String], kind: &str, watch: bool) -> usize {
    let path = |uri: &&String| uri.split('?').next().unwrap().ends_with(kind);
    asked.iter().filter(path).filter(|uri| uri.contains("watch=true") == watch).count()
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_server_fell_silent_is_opened_again_within_the_minute() {
    let asked = Server::Silent.requests_in_a_minute().await;
    for kind in ["pods", "leases", "electiongroups", "services", "poddisruptionbudgets"] {
        assert_eq!((count(&asked, kind, false), count(&asked, kind, true)), (1, 2), "{kind}: {asked:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_list_is_tried_ever_more_rarely() {
    let asked = Server::Refusing.requests_in_a_minute().await;
    let tries = count(&asked, "services", false);
    assert!((5..=20).contains(&tries), "{tries}");
    assert_eq!(count(&asked, "pods", false), 1);
}
