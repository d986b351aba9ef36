//! From an applied `ElectionGroup` to a Service that reaches one pod.

use serde_json::json;
use testkit::feed::{GROUP, Journal, TERM};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::{Operator, World, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn one_pod_is_elected_and_everything_says_so() {
    let world = World::new("first").await;
    world.service().await;
    world.stateful_set(3, json!({})).await;
    let _operator = Operator::start(&world).await;
    let created = world.group("orders", json!({})).await;
    world.kubectl(&["wait", "--for=condition=Ready", "eg/orders", "--timeout=60s"]).await;

    let group = world.get(Kind::Group, "orders").await.unwrap();
    let leader = group.text("/status/leader/name").to_owned();
    let pods = world.list(Kind::Pod).await;
    let pod = pods.iter().find(|pod| pod.text("/metadata/name") == leader).unwrap();
    let mark = format!("orders/{}", created.text("/metadata/uid"));
    world.recorder.catch_up().await;
    assert_eq!(world.recorder.journal().leaders(), std::slice::from_ref(&leader));

    // The record names the pod, by its identity.
    let status = group.at("/status");
    for (field, of_pod) in
        [("uid", "/metadata/uid"), ("nodeName", "/spec/nodeName"), ("podIP", "/status/podIP")]
    {
        assert_eq!(status.text(&format!("/leader/{field}")), pod.text(of_pod), "{field}");
    }
    assert!(status.text("/leader/since").parse::<jiff::Timestamp>().is_ok(), "{status:#}");
    assert_eq!((status.number("/term"), status.number("/candidates"), status.number("/eligible")), (1, 3, 3));
    assert_eq!((status.text("/lease"), status.list("/unfenced").len()), ("orders", 0));
    for kind in ["Accepted", "CandidatesAvailable", "LeaderElected", "Ready"] {
        assert!(group.has(kind, "True"), "{kind}: {status:#}");
        assert_eq!(group.condition(kind).number("/observedGeneration"), 1);
    }
    let entry = status.at("/history/0");
    assert_eq!((entry.text("/reason"), entry.text("/leader")), ("FirstElection", &*leader));

    // The marks on the pods: one leader, the others followers, all with group and term.
    for pod in &pods {
        let role = if pod.text("/metadata/name") == leader { "leader" } else { "follower" };
        let name = pod.text("/metadata/name").to_owned();
        let pod = world.until_role(&name, role).await;
        assert_eq!(pod.at("/metadata/annotations")[GROUP], mark.as_str(), "{name}");
        assert_eq!(pod.at("/metadata/annotations")[TERM], "1", "{name}");
    }
    world.until_endpoint(&leader).await;

    let event = world.until_event("orders", "FirstElection").await;
    assert_eq!(event.text("/regarding/uid"), created.text("/metadata/uid"));
    assert_eq!(event.text("/type"), "Normal");

    world.kubectl(&["wait", &format!("--for=jsonpath={{.status.leader.name}}={leader}"), "eg/orders"]).await;
    let selected =
        world.kubectl(&["get", "eg", "--field-selector", &format!("status.leader.name={leader}")]).await;
    assert!(selected.contains("orders"), "{selected}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_lease_is_written_as_client_go_writes_it() {
    let world = World::new("first-lease").await;
    let operator =
        world.elected(&["a", "b"], json!({ "lease": { "durationSeconds": 9, "renewSeconds": 1 } })).await;
    let group = world.get(Kind::Group, "orders").await.unwrap();
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    let spec = lease.at("/spec");
    assert_eq!((spec.text("/holderIdentity"), spec.number("/leaseDurationSeconds")), ("a", 9));
    assert_eq!(spec.number("/leaseTransitions"), 0);
    for time in ["/acquireTime", "/renewTime"] {
        let (_, fraction) = spec.text(time).split_once('.').unwrap();
        assert_eq!(fraction.len(), "123456Z".len(), "{time}: {spec}");
    }
    let owner = lease.at("/metadata/ownerReferences/0");
    assert_eq!(owner.text("/uid"), group.text("/metadata/uid"));
    assert_eq!(
        (owner.text("/kind"), owner.text("/apiVersion")),
        ("ElectionGroup", "election-operator.io/v1alpha1")
    );
    assert_eq!(lease.at("/metadata/annotations")[TERM], "1");

    // Renewed: the same term of office, a newer time.
    let renewed = world
        .until(Kind::Lease, "orders", "renewed", |now| now.text("/spec/renewTime") > spec.text("/renewTime"));
    let renewed = renewed.await;
    assert_eq!(renewed.text("/spec/acquireTime"), spec.text("/acquireTime"));
    assert_eq!((renewed.text("/spec/holderIdentity"), renewed.number("/spec/leaseTransitions")), ("a", 0));

    // The next leader: one more transition, a new time of acquisition.
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    let next = world.get(Kind::Lease, "orders").await.unwrap();
    assert_eq!((next.text("/spec/holderIdentity"), next.number("/spec/leaseTransitions")), ("b", 1));
    let uid = world.get(Kind::Pod, "b").await.unwrap().text("/metadata/uid").to_owned();
    assert_eq!(next.at("/metadata/annotations")["election-operator.io/holder-uid"], uid.as_str());
    assert!(next.text("/spec/acquireTime") > spec.text("/acquireTime"), "{next:#}");
    assert_eq!(next.at("/metadata/annotations")[TERM], "2");
    drop(operator);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn kubectl_get_shows_the_leader() {
    let world = World::new("first-columns").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    let rows = |text: String| -> Vec<Vec<String>> {
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let narrow = rows(world.kubectl(&["get", "eg"]).await);
    assert_eq!(narrow[0], ["NAME", "LEADER", "READY", "REASON", "ELIGIBLE", "AGE"]);
    assert_eq!(narrow[1][..5], ["orders", "a", "True", "LeaderReady", "2"]);
    let wide = rows(world.kubectl(&["get", "electiongroups", "-o", "wide"]).await);
    assert_eq!(wide[0][6..], ["TERM", "MODE"]);
    assert_eq!(wide[1][6..], ["1", "Managed"]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_group_that_comes_before_its_pods_elects_the_first_that_is_ready() {
    let world = World::new("first-empty").await;
    let _operator = Operator::start(&world).await;
    world.group("orders", json!({})).await;
    let group = world.until(Kind::Group, "orders", "reported on", |group| group.has("Ready", "False")).await;
    assert!(group.has("Accepted", "True") && group.has("CandidatesAvailable", "False"), "{group:#}");
    assert!(group.at("/status/leader").is_null(), "{group:#}");
    world.pod("a").await;
    world.until_led_by("orders", "a").await;
    world.pod("b").await;
    world.until_role("b", "follower").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn label_lease_and_values_are_those_of_the_spec() {
    let journal = Journal::of_label("acme.example/role", "primary");
    let world = World::with("first-names", journal).await;
    world.pods(&["a", "b"]).await;
    let _operator = Operator::start(&world).await;
    let role = json!({ "key": "acme.example/role", "leader": "primary", "follower": "" });
    world.group("orders", json!({ "roleLabel": role, "lease": { "name": "orders-lock" } })).await;
    let group = world.until_led_by("orders", "a").await;
    assert_eq!(group.text("/status/lease"), "orders-lock");
    let lease = world.get(Kind::Lease, "orders-lock").await.unwrap();
    assert_eq!(lease.text("/spec/holderIdentity"), "a");
    let pod = world.get(Kind::Pod, "a").await.unwrap();
    assert_eq!(pod.at("/metadata/labels"), &json!({ "app": "orders", "acme.example/role": "primary" }));
    // A follower carries no label, but the marks that fence it.
    let pod = world
        .until(Kind::Pod, "b", "marked as fenced", |pod| !pod.at("/metadata/annotations")[TERM].is_null())
        .await;
    assert_eq!(pod.at("/metadata/labels"), &json!({ "app": "orders" }));
    world.delete(Kind::Pod, "a").await;
    world.until_led_by("orders", "b").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn groups_of_one_namespace_are_served_side_by_side() {
    let world = World::new("first-several").await;
    let _operator = Operator::start(&world).await;
    let names = ["one", "two", "three"];
    for app in names {
        for number in 0..2 {
            let labels = json!({ "metadata": { "labels": { "app": app } } });
            world.pod_with(&format!("{app}-{number}"), labels).await;
        }
        world.group(app, json!({ "selector": { "matchLabels": { "app": app } } })).await;
    }
    for app in names {
        world.until_led_by(app, &format!("{app}-0")).await;
    }
    world.delete(Kind::Pod, "two-0").await;
    world.until_led_by("two", "two-1").await;
    for app in ["one", "three"] {
        let group = world.get(Kind::Group, app).await.unwrap();
        assert_eq!(
            (group.text("/status/leader/name"), group.number("/status/term")),
            (&*format!("{app}-0"), 1)
        );
    }
    eventually("an Event for each", async || {
        let mut found = 0;
        for app in names {
            found += world.events(app, "FirstElection").await.len();
        }
        (found == 3).then_some(())
    })
    .await;
    world.finish().await;
}
