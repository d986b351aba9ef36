//! A switch that a user asks for.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::world::unique;
use crate::harness::{World, eventually};

async fn ask(world: &World, pod: &str) {
    let request = json!({ "metadata": { "annotations": { "election-operator.io/switchover": pod } } });
    world.patch(Kind::Group, "orders", request).await;
}

async fn until_removed(world: &World) {
    let request = "/metadata/annotations/election-operator.io~1switchover";
    world.until(Kind::Group, "orders", "without the request", |group| group.at(request).is_null()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_request_moves_the_leader_once_and_is_removed() {
    let world = World::new("switchover").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    ask(&world, "c").await;
    world.until_led_by("orders", "c").await;
    world.until_event("orders", "Switchover").await;
    until_removed(&world).await;
    world.until_role("a", "follower").await;
    world.until_endpoint("c").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn each_change_is_an_event_of_its_own_also_if_it_was_the_same_change_before() {
    let world = World::new("switchover-events").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    for target in ["b", "a", "b"] {
        ask(&world, target).await;
        world.until_led_by("orders", target).await;
        until_removed(&world).await;
    }
    let mut events = eventually("three Events", async || {
        let events = world.events("orders", "Switchover").await;
        (events.len() == 3).then_some(events)
    })
    .await;
    assert!(events.iter().all(|event| event.at("/series").is_null()), "{events:#?}");
    events.sort_by_key(|event| event.text("/eventTime").to_owned());
    let notes: Vec<_> = events.iter().map(|event| event.text("/note")).collect();
    let expected = [
        "pod b leads in term 2, after a",
        "pod a leads in term 3, after b",
        "pod b leads in term 4, after a",
    ];
    assert_eq!(notes, expected);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn an_impossible_request_is_refused_and_removed() {
    let world = World::new("switchover-refused").await;
    let _operator = world.elected(&["a", "b"], json!({})).await;
    ask(&world, "nobody").await;
    world.until_event("orders", "SwitchoverRefused").await;
    until_removed(&world).await;
    world.until_led_by("orders", "a").await;
    world.finish().await;
}

/// The note of the Event that refuses a request.
async fn refusal(world: &World, pod: &str, what: &str) {
    ask(world, pod).await;
    until_removed(world).await;
    eventually(&format!("a refusal that says {what:?}"), async || {
        let events = world.events("orders", "SwitchoverRefused").await;
        events.iter().any(|event| event.text("/note").contains(what)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn each_impossible_request_is_refused_with_its_own_reason() {
    let world = World::new("switchover-reasons").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    world.set_ready("b", false).await;
    let one_less = |group: &Value| group.number("/status/eligible") == 2;
    world.until(Kind::Group, "orders", "with two eligible", one_less).await;
    refusal(&world, "d", "the group has no pod d").await;
    refusal(&world, "b", "pod b is not eligible: it is not Ready").await;
    refusal(&world, "a", "pod a already is the leader").await;
    world.patch(Kind::Group, "orders", json!({ "spec": { "paused": true } })).await;
    world.until_condition("orders", "Ready", "True", "Paused").await;
    refusal(&world, "c", "the group is paused").await;
    assert_eq!(world.finish().await.leaders(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_two_requests_at_once_the_later_one_counts_in_the_end() {
    let world = World::new("switchover-two").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    ask(&world, "b").await;
    ask(&world, "c").await;
    until_removed(&world).await;
    world.until_led_by("orders", "c").await;
    world.until_endpoint("c").await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_target_that_is_lost_on_the_way_leaves_a_group_with_a_leader() {
    let world = World::new("switchover-lost").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    ask(&world, "c").await;
    world.delete(Kind::Pod, "c").await;
    until_removed(&world).await;
    let led = |group: &Value| {
        group.has("Ready", "True")
            && group.number("/status/candidates") == 2
            && ["a", "b"].contains(&group.text("/status/leader/name"))
    };
    let group = world.until(Kind::Group, "orders", "led by a pod that is there", led).await;
    world.until_endpoint(group.text("/status/leader/name")).await;
    world.finish().await;
}

/// Makes the API server refuse the leader label to the pod `c`, until [`Refusal::lift`].
struct Refusal {
    name: String,
    policies: Api<ValidatingAdmissionPolicy>,
    bindings: Api<ValidatingAdmissionPolicyBinding>,
}

impl Refusal {
    async fn of_c(world: &World) -> Self {
        let name = unique("switchover-refusal");
        let (policies, bindings) = (Api::all(world.client.clone()), Api::all(world.client.clone()));
        let pods = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pods"] });
        let leads = "object.metadata.name == 'c' && object.metadata.?labels[?'role'].orValue('') == 'leader'";
        let policy = json!({ "metadata": { "name": name }, "spec": {
            "matchConstraints": { "resourceRules": [pods] },
            "validations": [{ "expression": format!("!({leads})") }],
        }});
        let here = json!({ "matchLabels": { "kubernetes.io/metadata.name": world.namespace } });
        let binding = json!({ "metadata": { "name": name }, "spec": {
            "policyName": name, "validationActions": ["Deny"], "matchResources": { "namespaceSelector": here },
        }});
        let (policy, binding) =
            (serde_json::from_value(policy).unwrap(), serde_json::from_value(binding).unwrap());
        policies.create(&PostParams::default(), &policy).await.unwrap();
        bindings.create(&PostParams::default(), &binding).await.unwrap();
        let refusal = Self { name, policies, bindings };
        refusal.until_effective(world).await;
        refusal
    }

    async fn until_effective(&self, world: &World) {
        let label = json!({ "metadata": { "labels": { "role": "leader" } } });
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        eventually("a refusal of the leader label", async || {
            world.api(Kind::Pod).patch("c", &dry, &Patch::Merge(&label)).await.is_err().then_some(())
        })
        .await;
    }

    async fn lift(self) {
        self.bindings.delete(&self.name, &DeleteParams::default()).await.unwrap();
        self.policies.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_target_that_is_lost_between_record_and_label_makes_way_for_another() {
    let world = World::new("switchover-half-way").await;
    let _operator = world.elected(&["a", "b", "c"], json!({})).await;
    let refusal = Refusal::of_c(&world).await;
    ask(&world, "c").await;
    // Recorded, and the old leader fenced: from here on only the label is missing.
    world.until_role("a", "follower").await;
    world.until_condition("orders", "LeaderElected", "False", "Switching").await;
    world.delete(Kind::Pod, "c").await;
    until_removed(&world).await;
    world.until_led_by("orders", "a").await;
    let refused = world.until_event("orders", "SwitchoverRefused").await;
    // The operator may have seen it terminating before it was gone.
    let why = ["the group has no pod c", "its pod was lost on the way: LeaderTerminating"];
    assert!(why.iter().any(|why| refused.text("/note").ends_with(why)), "{refused:#}");
    refusal.lift().await;
    world.until_endpoint("a").await;
    assert_eq!(world.finish().await.leaders(), ["a", "a"]);
}
