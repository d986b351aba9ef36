//! `election-operator elect` and client-go's own elector in one election, on the real API server.
//!
//! Each tells by itself when it starts and stops to lead. The two clocks are one: that of this machine.

mod candidate;

use std::path::PathBuf;

use kube::config::{AuthInfo, Kubeconfig};
use serde_json::{Value, json};
use testkit::json::At;
use testkit::kind::Kind;

use crate::harness::cluster::Cluster;
use crate::harness::{World, eventually};
use Make::{ClientGo, Ours};
use candidate::{Candidate, Make, Reign, Told};

/// As short as client-go takes them.
const LEASE: [&str; 6] = ["--lease-duration", "3s", "--renew-deadline", "2s", "--retry-period", "400ms"];

/// Nobody starts before the one before has stopped.
fn assert_no_overlap(mut reigns: Vec<Reign>) {
    reigns.sort_by_key(|reign| reign.from);
    for pair in reigns.windows(2) {
        assert!(pair[1].from >= pair[0].to, "{} leads beside {}: {reigns:#?}", pair[1].id, pair[0].id);
    }
}

/// The spec of a Lease without what differs from one election to the next.
async fn shape(world: &World, lease: &str) -> Value {
    let mut lease = world.get(Kind::Lease, lease).await.unwrap();
    let six_digits = |time: &str| time.len() == "2026-11-21T01:02:03.456789Z".len() && time.ends_with('Z');
    for time in ["acquireTime", "renewTime"] {
        assert!(six_digits(lease.text(&format!("/spec/{time}"))), "{lease:#}");
        lease["spec"][time] = json!("a time");
    }
    let metadata = ["labels", "annotations", "ownerReferences", "finalizers"];
    let extra: Vec<&str> = metadata.into_iter().filter(|key| !lease["metadata"][*key].is_null()).collect();
    assert!(extra.is_empty(), "{lease:#}");
    lease["spec"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn both_write_the_same_leases() {
    let world = World::new("interop-fields").await;
    let mut shapes = Vec::new();
    for (lease, make) in [("ours", Ours), ("theirs", ClientGo)] {
        let mut of_this = Vec::new();
        let mut first = Candidate::start(&world, make, lease, "first");
        first.until(&Told::Started).await;
        of_this.push(shape(&world, lease).await);
        // client-go's first renewal follows at once; one that is cut off by the end makes its release fail.
        let renewed = |lease: &Value| lease.text("/spec/renewTime") > lease.text("/spec/acquireTime");
        world.until(Kind::Lease, lease, "renewed", renewed).await;
        first.resign().await;
        of_this.push(shape(&world, lease).await);
        let mut second = Candidate::start(&world, make, lease, "second");
        second.until(&Told::Started).await;
        of_this.push(shape(&world, lease).await);
        second.crash().await;
        let mut third = Candidate::start(&world, make, lease, "third");
        third.until(&Told::Started).await;
        of_this.push(shape(&world, lease).await);
        third.resign().await;
        shapes.push(of_this);
    }
    assert_eq!(shapes[0], shapes[1], "created, released, taken when free, taken when expired");
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_hundred_hand_overs_without_overlap() {
    let world = World::new("interop-hand-overs").await;
    let mut reigns = Vec::new();
    let mut leader = Candidate::start(&world, Ours, "orders", "ours-0");
    leader.until(&Told::Started).await;
    let mut make = Ours;
    for round in 1..=100 {
        // Mostly from one make to the other; now and then within one.
        make = if round % 10 == 3 { make } else { make.other() };
        let id = format!("{}-{round}", if make == Ours { "ours" } else { "theirs" });
        let mut next = Candidate::start(&world, make, "orders", &id);
        next.until_led_by(&leader.id).await;
        reigns.extend(if round % 10 < 2 { leader.crash().await } else { leader.resign().await });
        next.until(&Told::Started).await;
        leader = next;
    }
    reigns.extend(leader.resign().await);
    let lease = world.get(Kind::Lease, "orders").await.unwrap();
    let transitions = lease.number("/spec/leaseTransitions");
    assert!(transitions >= 100, "{lease:#}");
    assert_eq!(reigns.len(), usize::try_from(transitions).unwrap() + 1, "{reigns:#?}");
    assert_no_overlap(reigns);
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn of_many_that_start_at_once_one_leads() {
    let world = World::new("interop-conflict").await;
    for round in 0..5 {
        let lease = format!("lease-{round}");
        let makes = [Ours, ClientGo, Ours, ClientGo];
        let mut candidates: Vec<Candidate> = makes
            .iter()
            .enumerate()
            .map(|(number, make)| Candidate::start(&world, *make, &lease, &format!("{make:?}-{number}")))
            .collect();
        let named =
            world.until(Kind::Lease, &lease, "held", |lease| !lease.text("/spec/holderIdentity").is_empty());
        let leader = named.await.text("/spec/holderIdentity").to_owned();
        for candidate in &mut candidates {
            candidate.until_led_by(&leader).await;
        }
        let mut reigns = Vec::new();
        // One after the other: each of them leads in the end, or has given up before.
        for candidate in candidates {
            reigns.extend(candidate.resign().await);
        }
        assert_eq!(reigns[..].iter().filter(|reign| reign.id == leader).count(), 1, "{reigns:#?}");
        assert_no_overlap(reigns);
    }
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn a_client_go_leader_that_slept_past_its_lease_does_not_disturb_ours() {
    let world = World::new("interop-thaw-theirs").await;
    // With it client-go frees the Lease of its successor, if it wakes up after its renew deadline: B1 in docs/elector.md.
    let more = ["--release-on-cancel=false"];
    let mut theirs = Candidate::with(&world, ClientGo, "orders", "theirs", &more);
    theirs.until(&Told::Started).await;
    let mut ours = Candidate::start(&world, Ours, "orders", "ours");
    ours.until_led_by("theirs").await;
    theirs.signal("STOP");
    ours.until(&Told::Started).await;
    let before = shape(&world, "orders").await;
    theirs.signal("CONT");
    // It thinks that it leads until its renew deadline: client-go does not give up on sight.
    theirs.until(&Told::Stopped).await;
    theirs.gone().await;
    assert_eq!(shape(&world, "orders").await, before);
    assert!(!ours.told(&Told::Stopped));
    assert_eq!(ours.resign().await.len(), 1, "one term, undisturbed");
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn our_leader_that_slept_past_its_lease_does_not_disturb_client_go_and_its_command_is_dead_by_then() {
    let world = World::new("interop-thaw-ours").await;
    let mark = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.pid", world.namespace));
    // Its own event lines go to standard error: the command tells, in their words.
    let script = format!(
        "echo $$ >{}; echo '{{\"event\":\"started\",\"at\":1}}'; while :; do sleep 0.05; done",
        mark.display()
    );
    let mut ours = Candidate::with(&world, Ours, "orders", "ours", &["--", "sh", "-c", &script]);
    ours.until(&Told::Started).await;
    let pid = std::fs::read_to_string(&mark).unwrap();
    let command = PathBuf::from(format!("/proc/{}", pid.trim()));
    assert!(command.exists());
    let mut theirs = Candidate::start(&world, ClientGo, "orders", "theirs");
    theirs.until_led_by("ours").await;
    ours.signal("STOP");
    theirs.until(&Told::Started).await;
    assert!(!command.exists(), "the command runs beside the new leader");
    let before = shape(&world, "orders").await;
    ours.signal("CONT");
    // It is awake when it answers; what it saw of the Lease it has seen by then.
    ours.signal("TERM");
    ours.gone().await;
    assert_eq!(shape(&world, "orders").await, before);
    assert!(!theirs.told(&Told::Stopped));
    assert_eq!(theirs.resign().await.len(), 1);
    let _ = std::fs::remove_file(mark);
    world.finish_without_verdict();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a control plane: make cluster"]
async fn the_rights_of_the_sidecar_example_are_enough() {
    let world = World::new("interop-rights").await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sidecar.yaml");
    world.kubectl(&["apply", "-f", example]).await;
    let token = world.kubectl(&["create", "token", "worker"]).await;
    let mut kubeconfig = Kubeconfig::read_from(&Cluster::find().admin).unwrap();
    for user in &mut kubeconfig.auth_infos {
        user.auth_info =
            Some(AuthInfo { token: Some(token.trim().to_owned().into()), ..AuthInfo::default() });
    }
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.kubeconfig", world.namespace));
    std::fs::write(&file, serde_json::to_string(&kubeconfig).unwrap()).unwrap();
    let mut worker = Candidate::as_user(&world, Ours, "worker", "worker-0", &file, &[]);
    worker.until(&Told::Started).await;
    // It sees what happens to its Lease.
    world.delete(Kind::Lease, "worker").await;
    worker.until(&Told::Stopped).await;
    let events = async || {
        let events = world.list(Kind::Event).await;
        events.iter().any(|event| event.text("/note") == "worker-0 became leader").then_some(())
    };
    eventually("the Event of the new leader", events).await;
    let reigns = worker.resign().await;
    assert!(!reigns.is_empty());
    let _ = std::fs::remove_file(file);
    world.finish_without_verdict();
}
