//! Live reads: what a plan confirms at the API server before it writes.

use super::*;

fn live_reader(
    answer: impl Fn(&http::Uri) -> Value + Clone + Send + Sync + 'static,
) -> (Arc<Cache>, LiveReader) {
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let answer = status(200, &answer(request.uri()));
        async move { Ok::<_, std::io::Error>(answer) }
    });
    let clock = Clock::start();
    let (wake, _called) = wakes();
    let cache = Arc::new(Cache::new(clock, wake));
    let health = Arc::new(Health::new(clock));
    let requests = Requests::new(Client::new(service, "default"), WritePermit::always(), health);
    (cache.clone(), LiveReader::new(requests, cache))
}

#[tokio::test]
async fn the_field_manager_of_a_label_is_read_whenever_it_wrote() {
    let (_, reader) = live_reader(|_| {
        let mut pod = odd("p", "shop");
        let fields = &mut pod["metadata"]["managedFields"][0];
        fields["manager"] = json!("election-operator");
        fields["fieldsV1"] = json!({ "f:metadata": { "f:labels": { "f:role": {} } } });
        pod
    });
    let labels = reader.labels_written_on("shop", &Identity::new("p", "p-uid")).await.unwrap();
    assert_eq!(labels, ["role"]);
}

#[tokio::test]
async fn a_live_read_finds_a_group_whoever_wrote_its_fields_and_when() {
    let (_, reader) =
        live_reader(|_| group(odd("g", "shop"), &json!({ "selector": { "matchLabels": { "app": "x" } } })));
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    reader.confirm_group_exists(&id).await.unwrap();
}

#[tokio::test]
async fn an_unreadable_group_is_not_taken_for_deleted() {
    let (cache, reader) = live_reader(|_| group(plain("g", "shop"), &json!({ "selector": 7 })));
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    let error = reader.confirm_group_gone(&id).await.unwrap_err();
    assert_eq!(error.to_string(), "electiongroup shop/g is still there");
    assert!(matches!(cache.view(&id), GroupView::Unreadable), "known by now, and not asked for again");
    reader.confirm_group_exists(&id).await.unwrap();
    let error = reader.confirm_record(&id, None, Term::new(1).unwrap()).await.unwrap_err();
    assert!(error.to_string().starts_with("electiongroup shop/g cannot be read: invalid type"), "{error}");
    let earlier = GroupRef { id: Identity::new("g", "earlier"), ..id };
    reader.confirm_group_gone(&earlier).await.unwrap();
}

/// Another pod has the name by now. Whether that pod can be read does not matter.
#[tokio::test]
async fn a_pod_is_gone_also_if_the_present_pod_of_its_name_is_unreadable() {
    let (_, reader) = live_reader(|_| {
        let mut pod = plain("p", "shop");
        pod["metadata"]["labels"] = json!({ "more": "x".repeat(70_000) });
        pod
    });
    let earlier = Identity::new("p", "earlier");
    reader.confirm_pod_gone("shop", &earlier).await.unwrap();
    reader.confirm_pod_unchanged("shop", &earlier, Version(3)).await.unwrap();
    let present = Identity::new("p", "p-uid");
    for error in [
        reader.confirm_pod_gone("shop", &present).await.unwrap_err(),
        reader.confirm_pod_unchanged("shop", &present, Version(6)).await.unwrap_err(),
    ] {
        assert!(!error.is_stale(), "asked for without a pause: {error}");
        assert!(error.to_string().starts_with("pod shop/p cannot be read: it is too large"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_read_older_than_the_copy_tells_that_versions_went_backwards() {
    let (cache, reader) = live_reader(|_| plain("p", "shop"));
    let mut known = plain("p", "shop");
    known["metadata"]["resourceVersion"] = json!("7");
    cache.upsert_pod(serde_json::from_value(known).unwrap());
    reader.read_pod("shop", &Identity::new("p", "p-uid")).await.unwrap();
    let found = tokio::time::timeout(Duration::from_secs(1), cache.until_backwards()).await.unwrap();
    assert_eq!((found.object.as_str(), found.known, found.answered), ("pod shop/p", 7, 6));
}

/// A URL of more than 64 KiB cannot be sent, and proxies accept even less.
#[tokio::test]
async fn pods_of_a_group_with_a_long_selector_are_listed_without_it() {
    let uris = Arc::new(Mutex::new(Vec::new()));
    let log = uris.clone();
    let (cache, reader) = live_reader(move |uri| {
        log.lock().unwrap().push(uri.to_string());
        let mut pod = plain("p", "shop");
        pod["metadata"]["labels"] = json!({ "app": "v7" });
        let mut list = list(uri.path());
        list["items"] = json!([pod, plain("other", "shop")]);
        list
    });
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    for (many, selects) in [(10, true), (9000, false)] {
        let values: Vec<_> = (0..many).map(|number| format!("v{number}")).collect();
        let expression = json!({ "key": "app", "operator": "In", "values": values });
        let mut object =
            group(plain("g", "shop"), &json!({ "selector": { "matchExpressions": [expression] } }));
        object["metadata"]["resourceVersion"] = json!((10 + many).to_string());
        cache.upsert_group(serde_json::from_value(object).unwrap());
        reader.list_pods(&id, Version(1)).await.unwrap();
        let uri = uris.lock().unwrap().pop().unwrap();
        assert_eq!(uri.contains("labelSelector"), selects, "{uri}");
        let GroupView::Present(seen) = cache.view(&id) else { panic!("it is there") };
        let pods: Vec<_> = seen.pods.iter().map(|pod| pod.id.name.as_str()).collect();
        assert_eq!((pods, seen.listed_for), (vec!["p"], Some(Version(1))));
    }
}

/// The unreadable pod may carry the leader label.
#[tokio::test]
async fn a_list_with_an_unreadable_pod_proves_nothing() {
    let (cache, reader) = live_reader(|uri| {
        let mut pod = plain("p", "shop");
        pod["metadata"]["labels"] = json!({ "app": "x", "more": "x".repeat(70_000) });
        let mut list = list(uri.path());
        list["items"] = json!([pod]);
        list
    });
    let id = GroupRef { namespace: "shop".to_owned(), id: Identity::new("g", "g-uid") };
    let object = group(plain("g", "shop"), &json!({ "selector": { "matchLabels": { "app": "x" } } }));
    cache.upsert_group(serde_json::from_value(object).unwrap());
    let error = reader.list_pods(&id, Version(1)).await.unwrap_err();
    assert!(error.to_string().starts_with("pod shop/p cannot be read: it is too large"), "{error}");
}

#[tokio::test]
async fn a_lease_in_another_namespace_is_read_there() {
    let (_, reader) = live_reader(|uri| {
        let namespace = uri.path().split('/').nth(5).unwrap();
        let metadata =
            json!({ "name": "a", "namespace": namespace, "uid": namespace, "resourceVersion": "7" });
        json!({ "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata })
    });
    for (name, namespace) in [("a", "shop"), ("system/a", "system")] {
        let seen = Some((namespace.to_owned(), Version(7)));
        reader.confirm("shop", &Fact::Lease { name: name.to_owned(), seen }).await.unwrap();
    }
}
