//! What `GitOps` tools make of a group, by their own libraries: kstatus, Argo CD's Lua, Flux' CEL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test: what cannot be is a failure"
)]

#[path = "../../crates/planner/tests/support/mod.rs"]
mod support;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use election_operator::api::{ElectionGroupStatus, unserved_status};
use election_operator::convert::api_status;
use planner::plan::Intent;
use planner::plan_group;
use planner::seen::{Refusal, Snapshot};
use serde_json::{Value, json};
use support::{delete, fresh, pod, policy_mut, settled, steady};

/// A group as the API server has it.
fn object(generation: i64, status: &ElectionGroupStatus) -> Value {
    json!({
        "apiVersion": "election-operator.io/v1alpha1",
        "kind": "ElectionGroup",
        "metadata": { "name": "orders", "namespace": "shop", "generation": generation },
        "spec": { "selector": { "matchLabels": { "app": "orders" } } },
        "status": status,
    })
}

fn reported(view: &Snapshot) -> Value {
    object(view.group.generation, &api_status(&view.group.status, view.wall))
}

/// After the first write of the status of a switch.
fn switching() -> Snapshot {
    let mut view = steady();
    delete(&mut view, "a");
    let intents =
        plan_group(&view).into_steps().into_iter().flat_map(|step| step.intents).collect::<Vec<_>>();
    let record = intents.iter().find(|intent| matches!(intent, Intent::WriteStatus(_))).unwrap();
    view.project(record);
    view
}

fn refused() -> Snapshot {
    let mut view = steady();
    view.group.policy = Err(Refusal { reason: "InvalidSelector", message: "bad".to_owned() });
    settled(view)
}

fn paused() -> Snapshot {
    let mut view = steady();
    policy_mut(&mut view).paused = true;
    settled(view)
}

fn without_candidate() -> Snapshot {
    let mut view = steady();
    for name in ["a", "b", "c"] {
        delete(&mut view, name);
    }
    settled(view)
}

/// Each state with what kstatus, Argo CD and Flux must say of it.
fn cases() -> Vec<(&'static str, Value, [&'static str; 3])> {
    let edited = object(2, &api_status(&steady().group.status, steady().wall));
    let starting = support::with(pod("a"), |pod| pod.ready = false);
    vec![
        ("not served yet", object(1, &unserved_status()), ["InProgress", "Progressing", "InProgress"]),
        ("in peace", reported(&steady()), ["Current", "Healthy", "Current"]),
        ("edited", edited, ["InProgress", "Progressing", "InProgress"]),
        ("pods start", reported(&settled(fresh([starting]))), ["InProgress", "Progressing", "InProgress"]),
        ("in a switch", reported(&switching()), ["InProgress", "Progressing", "InProgress"]),
        ("refused", reported(&refused()), ["Failed", "Degraded", "Failed"]),
        ("paused", reported(&paused()), ["Current", "Suspended", "Current"]),
        ("leader lost", reported(&without_candidate()), ["InProgress", "Degraded", "InProgress"]),
    ]
}

/// What each tool says of these objects.
fn verdicts(objects: &[&Value]) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(root.join("tests/go-program.sh"))
        .arg("gitops")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(built.status.success(), "the program was not built");
    let program = String::from_utf8(built.stdout).unwrap();
    let mut child = Command::new(program.trim())
        .args(["argocd/health.lua", "argocd/actions.yaml", "flux/kustomization.yaml"])
        .current_dir(root.join("contrib"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json!(objects).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the program failed");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
#[ignore = "needs Go: make gitops"]
fn kstatus_argo_and_flux_see_a_group_as_it_is() {
    let cases = cases();
    let objects: Vec<_> = cases.iter().map(|(_, object, _)| object).collect();
    let verdicts = verdicts(&objects);
    let told = verdicts
        .iter()
        .map(|verdict| ["kstatus", "argo", "flux"].map(|tool| verdict[tool].as_str().unwrap()));
    let told: Vec<_> = cases.iter().zip(told).map(|((state, ..), told)| (*state, told)).collect();
    let expected: Vec<_> = cases.iter().map(|(state, _, expected)| (*state, *expected)).collect();
    assert_eq!(told, expected);
}

/// An action that is not named is not offered.
#[test]
#[ignore = "needs Go: make gitops"]
fn argo_pauses_and_resumes_a_group_and_moves_its_leader_to_the_best_other_pod() {
    let steady = reported(&settled(steady()));
    let leader = &steady["status"]["leader"]["name"];
    let others = steady["status"]["pods"].as_array().unwrap().iter().filter(|pod| pod["name"] != *leader);
    let best = others.min_by_key(|pod| pod["rank"].as_i64().unwrap_or(i64::MAX)).unwrap()["name"].clone();
    let mut paused = reported(&paused());
    paused["metadata"]["annotations"] =
        json!({ "election-operator.io/paused": "true", "example.com/note": "kept" });
    let unserved = object(1, &unserved_status());
    let told: Vec<_> =
        verdicts(&[&steady, &paused, &unserved]).iter().map(|verdict| verdict["actions"].clone()).collect();
    let pause = json!({ "election-operator.io/paused": "true" });
    let expected = [
        json!({ "pause": pause, "switchover": { "election-operator.io/switchover": best } }),
        json!({ "resume": { "example.com/note": "kept" } }),
        json!({ "pause": pause }),
    ];
    assert_eq!(told, expected);
}
