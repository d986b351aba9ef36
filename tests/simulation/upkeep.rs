//! What one operator, undisturbed, does beside electing: it takes away what it wrote, and it
//! counts.

use std::sync::Arc;
use std::time::Duration;

use election_operator::api::GROUP_ANNOTATION;
use election_operator::clock::Clock;
use election_operator::controller::permit::WritePermit;
use election_operator::controller::{self, OperatorOptions, checks::Health};
use election_operator::metrics::Metrics;
use election_operator::planner::plan;
use serde_json::{Value, json};
use testkit::kind::Kind;
use testkit::random::Random;
use tokio::sync::watch;

use super::api_server::{NAMESPACE, Server};
use super::book::{delete_group, restore};
use super::{Operator, PODS, group, pod};

/// A group without faults, and its pods.
fn server() -> Server {
    let server = Server::new(Random::new(0));
    server.with(|state| {
        state.test.calm = true;
        state.create(Kind::Group, group(&json!({ "selector": { "matchLabels": { "app": "db" } } })));
        for name in PODS {
            state.create(Kind::Pod, pod(name));
        }
    });
    server
}

async fn start(server: &Server, active: WritePermit) -> (Operator, Arc<Metrics>) {
    let (stop, stopped) = watch::channel(false);
    let metrics = Arc::new(Metrics::default());
    let options = OperatorOptions {
        planner: plan,
        watching: server.client(0),
        writing: server.client(0),
        namespaces: vec![NAMESPACE.to_owned()],
        permit: active,
        instance: None,
        metrics: metrics.clone(),
        health: Arc::new(Health::new(Clock::start())),
    };
    let operator = Operator { task: tokio::spawn(controller::run(options, stopped)), _stop: stop };
    tokio::time::sleep(Duration::from_secs(10)).await;
    (operator, metrics)
}

fn roles(server: &Server) -> Vec<Value> {
    server.with(|state| {
        PODS.map(|name| state.object(Kind::Pod, name).unwrap()["metadata"]["labels"]["role"].clone()).into()
    })
}

#[tokio::test(start_paused = true)]
async fn a_label_written_under_an_earlier_value_goes_with_the_rest_and_a_users_own_stays() {
    let server = server();
    let (operator, _) = start(&server, WritePermit::always()).await;
    assert_eq!(roles(&server), ["leader", "follower", "follower"]);
    drop(operator);
    server.with(|state| {
        state.edit(Kind::Group, "db", |group| {
            group["metadata"]["generation"] = json!(2);
            group["spec"]["selector"] = json!({ "matchLabels": { "app": "other" } });
            group["spec"]["roleLabel"] = json!({ "leader": "primary", "follower": "standby" });
        });
        state.edit(Kind::Pod, PODS[2], |pod| {
            pod["metadata"]["labels"]["role"] = json!("mine");
            pod["metadata"]["managedFields"] = json!([]);
        });
    });
    let _operator = start(&server, WritePermit::always()).await;
    assert_eq!(roles(&server), [Value::Null, Value::Null, json!("mine")]);
    let pods = server.with(|state| state.all(Kind::Pod));
    assert!(pods.iter().all(|pod| pod["metadata"]["annotations"][GROUP_ANNOTATION].is_null()), "{pods:#?}");
}

#[tokio::test(start_paused = true)]
async fn all_pods_of_a_vanished_group_are_cleaned_however_many_they_are() {
    let server = server();
    server.with(|state| {
        for number in 0..400 {
            state.create(Kind::Pod, pod(&format!("n{number}")));
        }
    });
    let (_operator, _) = start(&server, WritePermit::always()).await;
    let marked = || {
        let of_a_group = |pod: &Value| !pod["metadata"]["annotations"][GROUP_ANNOTATION].is_null();
        server.with(|state| state.all(Kind::Pod)).into_iter().filter(of_a_group).count()
    };
    assert_eq!(marked(), 403);
    server.with(delete_group);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(marked(), 0);
}

/// `kubectl replace --force`, or a change of a field that cannot be changed.
#[tokio::test(start_paused = true)]
async fn a_group_that_is_created_again_finds_its_labels_and_its_leader() {
    let server = server();
    server.with(|state| {
        state.edit(Kind::Pod, PODS[1], |pod| pod["metadata"]["labels"]["role"] = json!("leader"));
    });
    let (_operator, _) = start(&server, WritePermit::always()).await;
    let led = ["follower", "leader", "follower"];
    assert_eq!(roles(&server), led);
    server.with(|state| state.delete(Kind::Group, "db"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(roles(&server), led, "it may come back");
    let spec = json!({ "selector": { "matchLabels": { "app": "db" } } });
    server.with(|state| state.create(Kind::Group, group(&spec)));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(roles(&server), led);
    let group = server.with(|state| state.object(Kind::Group, "db").unwrap());
    assert_eq!(group["status"]["leader"]["name"], PODS[1]);
    server.with(|state| state.delete(Kind::Group, "db"));
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(roles(&server), [const { Value::Null }; 3], "it did not");
}

/// Nothing that it knows could be told from what is newer: before, it asked again and again and
/// believed no answer.
#[tokio::test(start_paused = true)]
async fn an_operator_ends_when_the_api_server_comes_back_with_an_older_state() {
    let server = server();
    let (mut operator, _) = start(&server, WritePermit::always()).await;
    assert!(!operator.task.is_finished());
    server.with(restore);
    let ended = tokio::time::timeout(Duration::from_secs(30), &mut operator.task).await.unwrap().unwrap();
    let error = ended.unwrap_err().to_string();
    assert!(error.starts_with("lease sim/db is at version"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_standby_counts_what_there_is_also_when_nothing_is_left() {
    let server = server();
    let (begin, part) = watch::channel(false);
    let (_operator, metrics) = start(&server, WritePermit::when(part, || true)).await;
    let counted = || {
        let told = metrics.encode().unwrap();
        let gauges = told.lines().filter_map(|line| line.strip_prefix("election_operator_")?.split_once(' '));
        let gauges = gauges.filter(|(name, _)| ["groups", "candidates"].contains(name));
        gauges.map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>()
    };
    assert_eq!(counted(), ["groups 1", "candidates 3"]);
    server.with(delete_group);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counted(), ["groups 0", "candidates 0"]);
    drop(begin);
}

#[tokio::test(start_paused = true)]
async fn a_label_that_the_group_of_this_name_wrote_under_another_key_before_it_was_recreated_goes() {
    let server = server();
    let (operator, _) = start(&server, WritePermit::always()).await;
    assert_eq!(roles(&server), ["leader", "follower", "follower"]);
    drop(operator);
    server.with(|state| {
        delete_group(state);
        let spec = json!({
            "selector": { "matchLabels": { "app": "db" } },
            "roleLabel": { "key": "rank" },
        });
        state.create(Kind::Group, group(&spec));
        state.edit(Kind::Pod, PODS[2], |pod| {
            pod["metadata"]["labels"]["role"] = json!("mine");
            pod["metadata"]["managedFields"] = json!([]);
        });
    });
    let _operator = start(&server, WritePermit::always()).await;
    assert_eq!(roles(&server), [Value::Null, Value::Null, json!("mine")]);
    let ranks = PODS.map(|name| {
        server.with(|state| state.object(Kind::Pod, name).unwrap()["metadata"]["labels"]["rank"].clone())
    });
    assert_eq!(ranks, ["leader", "follower", "follower"]);
}

#[tokio::test(start_paused = true)]
async fn a_follower_that_cannot_be_labelled_does_not_keep_an_expired_holder_labelled() {
    let server = server();
    let lease = json!({
        "metadata": { "name": "db" },
        "spec": { "holderIdentity": "db-0", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z" },
    });
    server.with(|state| {
        state.test.pods_hold_the_lease = true;
        state.create(Kind::Lease, lease);
        state.edit(Kind::Group, "db", |group| group["spec"]["mode"] = json!("Observed"));
    });
    let (_operator, _) = start(&server, WritePermit::always()).await;
    assert_eq!(roles(&server), ["leader", "follower", "follower"]);
    let renew = |second: u32| {
        let time = format!("2026-01-01T00:00:{second}.000000Z");
        server.with(|state| state.edit(Kind::Lease, "db", |lease| lease["spec"]["renewTime"] = json!(time)));
    };
    server.with(|state| {
        state.test.untouchable = Some(PODS[2]);
        state.edit(Kind::Pod, PODS[2], |pod| {
            pod["metadata"]["labels"].as_object_mut().unwrap().remove("role");
        });
    });
    for second in [10, 20, 30] {
        renew(second);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(roles(&server), [json!("leader"), json!("follower"), Value::Null]);
    tokio::time::sleep(Duration::from_millis(5_200)).await;
    assert_eq!(roles(&server)[0], "follower", "a fifth of a second after the Lease ran out");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_must_not_be_written_and_keeps_a_leader_from_its_label_is_named_in_one_event() {
    let server = server();
    server.with(|state| state.test.untouchable = Some(PODS[2]));
    let (_operator, _) = start(&server, WritePermit::always()).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(roles(&server)[0], Value::Null, "a pod that might still get the label is not fenced");
    let refused = |server: &Server| {
        let events = server.with(|state| state.test.events.clone());
        let refused = events.into_iter().filter(|event| event["reason"] == "WriteRefused");
        refused.map(|event| event["note"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let told = refused(&server);
    assert!(told[0].contains("pod sim/db-2") && told[0].contains("admission webhook denied"), "{told:?}");
    assert_eq!(told.len(), 1, "{told:?}");
    server.with(|state| state.test.untouchable = None);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(roles(&server), ["leader", "follower", "follower"]);
    assert_eq!(refused(&server).len(), 1);
}

/// Whom to fence in a first election is every pod of the group.
#[tokio::test(start_paused = true)]
async fn a_first_election_among_a_thousand_does_not_keep_the_failover_of_another_group_waiting() {
    const MANY: usize = 1000;
    let server = server();
    server.with(|state| {
        for number in 0..MANY {
            let mut pod = pod(&format!("n{number}"));
            pod["metadata"]["labels"]["app"] = json!("big");
            state.create(Kind::Pod, pod);
        }
    });
    let (_operator, _) = start(&server, WritePermit::always()).await;
    assert_eq!(roles(&server), ["leader", "follower", "follower"]);
    let marked_in_big = || {
        let pods = server.with(|state| state.all(Kind::Pod)).into_iter();
        let big = pods.filter(|pod| pod["metadata"]["labels"]["app"] == "big");
        big.filter(|pod| !pod["metadata"]["annotations"][GROUP_ANNOTATION].is_null()).count()
    };
    server.with(|state| {
        let mut big = group(&json!({ "selector": { "matchLabels": { "app": "big" } } }));
        big["metadata"]["name"] = json!("big");
        state.create(Kind::Group, big);
    });
    while marked_in_big() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.with(|state| state.edit(Kind::Pod, PODS[0], |pod| pod["status"]["conditions"] = json!([])));
    while roles(&server)[0] == "leader" || !roles(&server).contains(&json!("leader")) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(marked_in_big() < MANY / 2, "{} were fenced before", marked_in_big());
}

/// What a `ReplicaSet` of three does whose selector has `role: <role>`: it lets a pod go that has
/// another value, and makes a new one in its place. For ten seconds; returns how many pods there
/// are then.
async fn replicate(server: &Server, role: &str) -> usize {
    let owners = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "db", "uid": "r", "controller": true }]);
    let mut made = 0;
    for _ in 0..500 {
        server.with(|state| {
            let (mut own, mut lost) = (0, Vec::new());
            for pod in state.all(Kind::Pod) {
                let matches = pod["metadata"]["labels"]["role"] == role;
                let owned = pod["metadata"]["ownerReferences"].is_array();
                if owned && !matches {
                    lost.push(pod["metadata"]["name"].as_str().unwrap().to_owned());
                }
                own += usize::from(owned && matches);
            }
            for name in lost {
                state.edit(Kind::Pod, &name, |pod| {
                    pod["metadata"].as_object_mut().unwrap().remove("ownerReferences");
                });
            }
            for _ in own..3 {
                made += 1;
                let mut next = pod(&format!("db-r{made}"));
                next["metadata"]["labels"]["role"] = json!(role);
                next["metadata"]["ownerReferences"] = owners.clone();
                state.create(Kind::Pod, next);
            }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.with(|state| state.all(Kind::Pod).len())
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_selects_by_the_role_label_does_not_make_pods_without_end() {
    // The value that the pods have, how many may be lost, and how many still carry a label of the
    // group's in the end.
    for (role, lost) in [("worker", 0), ("follower", 1), ("leader", 2)] {
        let server = Server::new(Random::new(0));
        server.with(|state| {
            state.test.calm = true;
            state.create(Kind::Group, group(&json!({ "selector": { "matchLabels": { "app": "db" } } })));
        });
        let operator = start(&server, WritePermit::always()).await;
        let pods = replicate(&server, role).await;
        assert_eq!(pods, 3 + lost, "role={role}");
        let status = server.with(|state| state.object(Kind::Group, "db").unwrap()["status"].clone());
        let accepted =
            status["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Accepted").unwrap();
        assert_eq!(accepted["reason"], "RoleLabelInUse", "{status:#}");
        drop(operator);
        // A restart tries no other pod.
        let _operator = start(&server, WritePermit::always()).await;
        assert_eq!(replicate(&server, role).await, pods, "role={role}, after a restart");
    }
}
