//! Services and disruption budgets that concern a group.

use super::*;

fn service(selector: serde_json::Value, version: u64) -> Service {
    let metadata =
        json!({ "name": "web", "namespace": "shop", "uid": "s", "resourceVersion": version.to_string() });
    serde_json::from_value(json!({ "metadata": metadata, "spec": { "selector": selector } })).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_service_concerns_the_group_whose_role_label_and_pods_it_selects() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 3, None));
    names(&mut woken);
    let values = || {
        let seen = snapshot(&cache, &reference("a", "a-uid")).services.into_iter();
        seen.map(|service| service.value).collect::<Vec<_>>()
    };
    cache.upsert_service(service(json!({ "app": "orders" }), 4));
    cache.upsert_service(service(json!({ "app": "other", "role": "leader" }), 5));
    assert!(values().is_empty());
    assert!(names(&mut woken).is_empty(), "a Service of another application");
    cache.upsert_service(service(json!({ "app": "orders", "role": "primary" }), 6));
    assert_eq!((names(&mut woken), values()), (vec!["a/a-uid".to_owned()], vec!["primary".to_owned()]));
    let warning = Warning { object: Identity::new("web", "s"), problem: SelectionProblem::NeverMatches };
    cache.note_warned(&reference("a", "a-uid"), warning.clone());
    cache.upsert_service(service(json!({ "app": "orders", "role": "primary" }), 7));
    assert!(names(&mut woken).is_empty(), "nothing that matters has changed");
    assert!(snapshot(&cache, &reference("a", "a-uid")).warned.contains(&warning));
    cache.upsert_service(service(json!({ "app": "orders", "role": "main" }), 8));
    assert!(snapshot(&cache, &reference("a", "a-uid")).warned.is_empty(), "said of what it was before");
    cache.remove_service("shop", &Identity::new("web", "s"));
    assert!(values().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_service_of_nothing_but_the_role_reaches_the_other_group_that_has_pods() {
    let (cache, _woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 3, None));
    let other = || {
        let seen = snapshot(&cache, &reference("a", "a-uid"));
        seen.services.into_iter().map(|service| service.other_group).collect::<Vec<_>>()
    };
    cache.upsert_service(service(json!({ "role": "leader" }), 4));
    assert_eq!(other(), [None]);
    let mut second = group("b", "b-uid", 5);
    second.spec.selector.match_labels = Some([("app".to_owned(), "stock".to_owned())].into());
    cache.upsert_group(second);
    assert_eq!(other(), [None], "it has no pods");
    let mut stock = pod("q", 6, None);
    stock.metadata.labels = Some([("app".to_owned(), "stock".to_owned())].into());
    cache.upsert_pod(stock);
    assert_eq!(other(), [Some("b".to_owned())]);
    cache.upsert_service(service(json!({ "role": "leader", "app": "orders" }), 7));
    assert_eq!(other(), [None]);
}

#[tokio::test(start_paused = true)]
async fn a_budget_concerns_the_group_whose_leader_alone_it_guards() {
    let (cache, mut woken) = new_cache();
    cache.upsert_group(group("a", "a-uid", 1));
    cache.upsert_pod(pod("p", 3, None));
    names(&mut woken);
    let budget = |selector: serde_json::Value| -> Budget {
        let metadata = json!({ "name": "db", "namespace": "shop", "uid": "b" });
        let spec = json!({ "selector": selector, "minAvailable": 1 });
        serde_json::from_value(json!({ "metadata": metadata, "spec": spec })).unwrap()
    };
    let guarded = || !snapshot(&cache, &reference("a", "a-uid")).budgets.is_empty();
    let role = |operator: &str, values: &[&str]| {
        let expression = json!({ "key": "role", "operator": operator, "values": values });
        json!({ "matchExpressions": [expression] })
    };
    for (selector, expected) in [
        (json!({ "matchLabels": { "app": "orders" } }), false),
        (json!({ "matchLabels": { "app": "orders", "role": "leader" } }), true),
        (json!({ "matchLabels": { "app": "other", "role": "leader" } }), false),
        (json!({ "matchLabels": { "app": "orders", "role": "follower" } }), false),
        (role("In", &["leader", "follower"]), false),
        (role("NotIn", &["follower"]), true),
        (json!({ "matchLabels": { "role": "leader" } }), true),
    ] {
        cache.upsert_budget(budget(selector.clone()));
        assert_eq!(guarded(), expected, "{selector}");
    }
    assert_eq!(names(&mut woken).last().map(String::as_str), Some("a/a-uid"));
    cache.remove_budget("shop", &Identity::new("db", "b"));
    assert!(!guarded());
}
