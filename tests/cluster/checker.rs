//! The checker itself: it must see what it is there to see.

use serde_json::json;

use crate::harness::World;
use crate::harness::recorder::What;
use crate::harness::world::Kind;

fn role(role: &str) -> serde_json::Value {
    json!({ "metadata": { "labels": { "role": role } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn two_leader_labels_at_one_revision_are_a_violation() {
    let world = World::new("checker-two").await;
    world.pods(&["a", "b"]).await;
    world.patch(Kind::Pod, "a", role("leader")).await;
    world.patch(Kind::Pod, "b", role("leader")).await;
    world.patch(Kind::Pod, "a", role("follower")).await;
    world.recorder.catch_up().await;
    let journal = world.recorder.journal();
    let two: Vec<String> = journal.violations().into_iter().filter(|text| text.starts_with("S1")).collect();
    assert_eq!(two.len(), 1, "{two:?}\n{journal}");
    assert!(two[0].contains(r#"["a", "b"]"#), "{two:?}");
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn demotion_before_promotion_is_no_second_leader() {
    let world = World::new("checker-order").await;
    world.pods(&["a", "b"]).await;
    world.patch(Kind::Pod, "a", role("leader")).await;
    world.patch(Kind::Pod, "a", role("follower")).await;
    world.patch(Kind::Pod, "b", role("leader")).await;
    world.delete(Kind::Pod, "b").await;
    world.until(Kind::Pod, "b", "gone", serde_json::Value::is_null).await;
    world.recorder.catch_up().await;
    let journal = world.recorder.journal();
    assert!(!journal.violations().iter().any(|text| text.starts_with("S1")), "{journal}");
    let steps: Vec<_> = journal.steps().into_iter().map(|step| (step.pod, step.what)).collect();
    let expected = [("a", What::Gained), ("a", What::Lost), ("b", What::Gained), ("b", What::Vanished)];
    assert_eq!(steps, expected.map(|(pod, what)| (pod.to_owned(), what)));
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_promotion_without_a_record_is_a_violation() {
    let world = World::new("checker-record").await;
    world.pod("a").await;
    world.patch(Kind::Pod, "a", role("leader")).await;
    world.recorder.catch_up().await;
    let found = world.recorder.journal().violations();
    assert!(found.len() == 1 && found[0].starts_with("S3: a promoted"), "{found:?}");
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_label_copied_by_the_test_itself_is_forgiven() {
    let world = World::new("checker-forgiven").await;
    world.pods(&["a", "b"]).await;
    for name in ["a", "b"] {
        let pod = world.patch(Kind::Pod, name, role("leader")).await;
        world.recorder.forgive(pod["metadata"]["resourceVersion"].as_str());
    }
    world.finish().await;
}
