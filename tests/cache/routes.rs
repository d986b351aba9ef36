//! Groups that name one Service, and their slices: who sees whose, and whom a change wakes.

use election_operator::planner::seen::RouteProblem;

use super::*;

const SERVICE: &str = "web";

fn routing(name: &str, created: &str, version: u64) -> ElectionGroup {
    let mut group = group(name, &format!("{name}-uid"), version);
    let routing = json!({ "services": [SERVICE] });
    group.spec.routing = serde_json::from_value(routing).unwrap();
    group.metadata.creation_timestamp = serde_json::from_value(json!(created)).unwrap();
    group
}

fn older(version: u64) -> ElectionGroup {
    routing("older", "2026-01-01T00:00:00Z", version)
}

fn younger(version: u64) -> ElectionGroup {
    routing("younger", "2026-02-01T00:00:00Z", version)
}

fn slice_of(group: &str, version: u64) -> EndpointSlice {
    let owner = json!({
        "apiVersion": "election-operator.io/v1alpha1", "kind": "ElectionGroup", "controller": true,
        "name": group, "uid": format!("{group}-uid"),
    });
    let labels = json!({
        "kubernetes.io/service-name": SERVICE,
        "endpointslice.kubernetes.io/managed-by": "election-operator.io",
    });
    serde_json::from_value(json!({
        "addressType": "IPv4",
        "metadata": {
            "name": format!("web-{group}"), "namespace": "shop", "uid": format!("web-{group}-uid"),
            "resourceVersion": version.to_string(), "labels": labels, "ownerReferences": [owner],
        },
    }))
    .unwrap()
}

fn cache_of_both() -> (Cache, WakeReceiver) {
    let (cache, mut woken) = new_cache();
    for kind in [Kind::Service, Kind::Slice] {
        cache.mark_listed(kind, &Scope::Cluster);
    }
    let metadata = json!({ "name": SERVICE, "namespace": "shop", "uid": "s", "resourceVersion": "1" });
    let service = json!({ "metadata": metadata, "spec": { "clusterIP": "10.96.0.1" } });
    cache.upsert_service(serde_json::from_value(service).unwrap());
    cache.upsert_group(older(2));
    cache.upsert_group(younger(3));
    names(&mut woken);
    (cache, woken)
}

/// The problem of a group's route, and the owners of other groups' slices that it sees.
fn seen(cache: &Cache, group: &str) -> (Option<RouteProblem>, Vec<Owner>) {
    let route = snapshot(cache, &reference(group, &format!("{group}-uid"))).routes.remove(0);
    (route.problem, route.others.into_iter().map(|other| other.owner).collect())
}

fn owned_by(group: &str) -> Owner {
    Owner::Other(Identity::new(group, format!("{group}-uid")))
}

#[tokio::test(start_paused = true)]
async fn a_slice_of_another_group_is_seen_until_its_deletion_which_wakes_who_waits() {
    let (cache, mut woken) = cache_of_both();
    cache.upsert_slice(slice_of("younger", 4));
    cache.upsert_slice(slice_of("older", 5));
    names(&mut woken);
    assert_eq!(seen(&cache, "older"), (None, vec![owned_by("younger")]));
    cache.remove_slice("shop", &Identity::new("web-younger", "web-younger-uid"), true);
    assert!(names(&mut woken).contains(&"older/older-uid".to_owned()));
    assert_eq!(seen(&cache, "older"), (None, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn what_a_deleted_group_left_has_a_vanished_owner_and_wakes_the_group_that_it_keeps_waiting() {
    let (cache, mut woken) = cache_of_both();
    cache.upsert_slice(slice_of("older", 4));
    names(&mut woken);
    let claimed = RouteProblem::ClaimedBy("older".to_owned());
    assert_eq!(seen(&cache, "younger"), (Some(claimed), vec![owned_by("older")]));
    cache.remove_group("shop", &Identity::new("older", "older-uid"), true);
    assert!(names(&mut woken).contains(&"younger/younger-uid".to_owned()), "nothing else would wake it");
    let left = Owner::Vanished(Identity::new("older", "older-uid"));
    assert_eq!(seen(&cache, "younger"), (None, vec![left]));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_begins_or_ceases_to_name_a_service_wakes_the_others_that_name_it() {
    let (cache, mut woken) = cache_of_both();
    let mut edited = older(6);
    edited.spec.routing.services.clear();
    cache.upsert_group(edited);
    assert!(names(&mut woken).contains(&"younger/younger-uid".to_owned()), "it may route now");
    cache.upsert_group(older(7));
    assert!(names(&mut woken).contains(&"younger/younger-uid".to_owned()), "its slice must go");
}
