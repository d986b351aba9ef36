//! The server keeps the conditions that the real one keeps.

use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::core::{DynamicObject, WatchEvent};
use serde_json::{Value, json};

use futures::TryStreamExt;

use super::*;
use crate::kind::Kind;

fn server() -> ApiServer<()> {
    ApiServer::new(Store::new("shop", ()))
}

fn api(kind: Kind, client: &Client) -> Api<DynamicObject> {
    kind.api(client, "shop")
}

fn named(kind: Kind, name: &str) -> DynamicObject {
    kind.object(json!({ "metadata": { "name": name, "labels": { "app": name } } }))
}

/// Code and reason of a refusal.
fn refused<T: std::fmt::Debug>(answer: Result<T, kube::Error>) -> (u16, String) {
    match answer {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("not refused: {other:?}"),
    }
}

fn is(code: u16, reason: &str) -> (u16, String) {
    (code, reason.to_owned())
}

async fn patch(api: &Api<DynamicObject>, name: &str, patch: Value) -> Result<DynamicObject, kube::Error> {
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
}

#[tokio::test]
async fn a_second_object_of_a_name_is_refused() {
    let pods = api(Kind::Pod, &server().client());
    let made = pods.create(&PostParams::default(), &named(Kind::Pod, "a")).await.unwrap();
    assert_eq!(made.metadata.uid.as_deref(), Some("a-1"));
    let again = pods.create(&PostParams::default(), &named(Kind::Pod, "a")).await;
    assert_eq!(refused(again), is(409, "AlreadyExists"));
    assert_eq!(refused(pods.get("b").await), is(404, "NotFound"));
}

#[tokio::test]
async fn a_put_of_an_earlier_version_or_of_an_earlier_object_of_the_name_is_refused() {
    let server = server();
    let slices = api(Kind::EndpointSlice, &server.client());
    let params = PostParams::default();
    let first = slices.create(&params, &named(Kind::EndpointSlice, "a")).await.unwrap();
    let mut next = first.clone();
    next.data = json!({ "endpoints": [] });
    slices.replace("a", &params, &next).await.unwrap();
    assert_eq!(refused(slices.replace("a", &params, &next).await), is(409, "Conflict"));
    // Without a version it replaces whatever is there; not so a Lease.
    next.metadata.resource_version = None;
    slices.replace("a", &params, &next).await.unwrap();
    server.with(|store| {
        store.delete(Kind::EndpointSlice, "a");
        store.create(Kind::EndpointSlice, json!({ "metadata": { "name": "a" } }));
    });
    assert_eq!(refused(slices.replace("a", &params, &next).await), is(409, "Conflict"));
    let leases = api(Kind::Lease, &server.client());
    leases.create(&params, &named(Kind::Lease, "a")).await.unwrap();
    assert_eq!(refused(leases.replace("a", &params, &named(Kind::Lease, "a")).await), is(422, "Invalid"));
}

#[tokio::test]
async fn a_put_of_an_object_that_is_not_there_creates_a_lease_and_no_pod() {
    let client = server().client();
    let params = PostParams::default();
    api(Kind::Lease, &client).replace("a", &params, &named(Kind::Lease, "a")).await.unwrap();
    let pods = api(Kind::Pod, &client);
    assert_eq!(refused(pods.replace("a", &params, &named(Kind::Pod, "a")).await), is(404, "NotFound"));
    let mut known = named(Kind::Pod, "a");
    known.metadata.uid = Some("a-1".to_owned());
    assert_eq!(refused(pods.replace("a", &params, &known).await), is(409, "Conflict"));
}

#[tokio::test]
async fn a_patch_is_refused_by_version_with_409_and_by_uid_with_422() {
    let pods = api(Kind::Pod, &server().client());
    let made = pods.create(&PostParams::default(), &named(Kind::Pod, "a")).await.unwrap();
    let version = made.metadata.resource_version.unwrap();
    let condition = |version: &str, uid: &str| json!({ "metadata": { "resourceVersion": version, "uid": uid, "labels": { "role": "leader" } } });
    let other = patch(&pods, "a", condition(&version, "other")).await;
    let Err(kube::Error::Api(status)) = other else { panic!("it is not that object") };
    assert_eq!((status.code, status.details.unwrap().causes[0].field.as_str()), (422, "metadata.uid"));
    let done = patch(&pods, "a", condition(&version, "a-1")).await.unwrap();
    assert_eq!(done.metadata.labels.unwrap().len(), 2);
    assert_eq!(refused(patch(&pods, "a", condition(&version, "a-1")).await), is(409, "Conflict"));
    assert_eq!(refused(patch(&pods, "b", json!({})).await), is(404, "NotFound"));
}

#[tokio::test]
async fn the_status_is_written_by_its_subresource_alone() {
    let groups = api(Kind::Group, &server().client());
    let params = PostParams::default();
    let mut group = named(Kind::Group, "a");
    group.data = json!({ "spec": { "paused": true }, "status": { "term": 1 } });
    let made = groups.create(&params, &group).await.unwrap();
    assert_eq!(made.data["status"], Value::Null);
    let mut next = made.clone();
    next.data = json!({ "spec": {}, "status": { "term": 2 } });
    let told = groups.replace_status("a", &params, &next).await.unwrap();
    assert_eq!(told.data, json!({ "spec": { "paused": true }, "status": { "term": 2 } }));
    next.metadata = told.metadata.clone();
    next.data["status"] = json!({ "term": 3 });
    let done = groups.replace("a", &params, &next).await.unwrap();
    assert_eq!(done.data, json!({ "spec": {}, "status": { "term": 2 } }));
    // A write that changes nothing makes no version.
    let same = groups.replace("a", &params, &done).await.unwrap();
    assert_eq!(same.metadata.resource_version, done.metadata.resource_version);
}

#[tokio::test]
async fn a_list_selects_and_its_pages_are_of_one_moment() {
    let server = server();
    let pods = api(Kind::Pod, &server.client());
    server.with(|store| {
        for name in ["a", "b", "c"] {
            store.create(Kind::Pod, json!({ "metadata": { "name": name, "labels": { "app": name } } }));
        }
    });
    let names = |list: &kube::core::ObjectList<DynamicObject>| {
        list.items.iter().map(|pod| pod.metadata.name.clone().unwrap()).collect::<Vec<_>>()
    };
    let by_label = pods.list(&ListParams::default().labels("app in (a,c),app!=c")).await.unwrap();
    assert_eq!(names(&by_label), ["a"]);
    let by_name = pods.list(&ListParams::default().fields("metadata.name=b")).await.unwrap();
    assert_eq!(names(&by_name), ["b"]);
    let first = pods.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    // Another list meanwhile is another one.
    pods.list(&ListParams::default().limit(1)).await.unwrap();
    server.with(|store| store.delete(Kind::Pod, "c"));
    let token = first.metadata.continue_.clone().unwrap();
    let rest = ListParams::default().limit(2).continue_token(&token);
    let second = pods.list(&rest).await.unwrap();
    assert_eq!((names(&second), second.metadata.continue_), (vec!["c".to_owned()], None));
    assert_eq!(refused(pods.list(&rest).await), is(410, "Expired"));
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
}

#[tokio::test]
async fn a_watch_goes_on_where_it_ended_unless_the_server_has_forgotten() {
    let server = ApiServer::new(Store::new("shop", ()).remembering(2));
    let pods = api(Kind::Pod, &server.client());
    let create = |name: &str| {
        server.with(|store| store.create(Kind::Pod, json!({ "metadata": { "name": name } })));
    };
    create("a");
    let version = server.with(|store| store.version());
    create("b");
    let told = pods.watch(&WatchParams::default(), &version.to_string()).await.unwrap();
    server.with(|store| store.delete(Kind::Pod, "a"));
    server.with(Store::end_watches);
    let told: Vec<_> = told.try_collect().await.unwrap();
    let [WatchEvent::Added(b), WatchEvent::Deleted(a)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((b.metadata.name.as_deref(), a.metadata.name.as_deref()), (Some("b"), Some("a")));
    create("c");
    let told = pods.watch(&WatchParams::default(), &version.to_string()).await.unwrap();
    let told: Vec<_> = told.try_collect().await.unwrap();
    let [WatchEvent::Error(status)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(status.code, 410);
}

#[tokio::test]
async fn a_watch_by_labels_tells_when_an_object_begins_and_ceases_to_match() {
    let server = server();
    let label = |value: &str| json!({ "metadata": { "name": "a", "labels": { "by": value } } });
    let set = |value: &str| {
        server.with(|store| {
            store.edit(Kind::EndpointSlice, "a", |slice| slice["metadata"]["labels"]["by"] = json!(value));
        });
    };
    server.with(|store| store.create(Kind::EndpointSlice, label("other")));
    let start = server.with(|store| store.version());
    let slices = api(Kind::EndpointSlice, &server.client());
    let of_mine = WatchParams::default().labels("by in (me,myself)");
    let live = slices.watch(&of_mine, &start.to_string()).await.unwrap();
    for value in ["me", "myself", "other", "another", "me"] {
        set(value);
    }
    server.with(|store| store.delete(Kind::EndpointSlice, "a"));
    // The history tells the same.
    let late = slices.watch(&of_mine, &start.to_string()).await.unwrap();
    server.with(Store::end_watches);
    let told = |event: WatchEvent<DynamicObject>| {
        let (what, object) = match event {
            WatchEvent::Added(object) => ("added", object),
            WatchEvent::Modified(object) => ("modified", object),
            WatchEvent::Deleted(object) => ("deleted", object),
            other => panic!("{other:?}"),
        };
        let version: u64 = object.metadata.resource_version.unwrap().parse().unwrap();
        (what, object.metadata.labels.unwrap()["by"].clone(), version - start)
    };
    let expected = [
        ("added", "me".to_owned(), 1),
        ("modified", "myself".to_owned(), 2),
        ("deleted", "myself".to_owned(), 3),
        ("added", "me".to_owned(), 5),
        ("deleted", "me".to_owned(), 6),
    ];
    let live: Vec<_> = live.map_ok(told).try_collect().await.unwrap();
    assert_eq!(live, expected);
    let late: Vec<_> = late.map_ok(told).try_collect().await.unwrap();
    assert_eq!(late, expected);
}

#[tokio::test]
async fn a_lost_answer_is_of_a_call_that_was_carried_out_and_a_reset_of_one_that_was_not() {
    let server = server();
    let through = |fault: Fault| {
        let server = server.clone();
        server.clone().client_through(move |call| {
            let (server, fault) = (server.clone(), fault.clone());
            async move {
                let answer = fault.reach(|| server.answer(&call)).await;
                fault.reply(answer).await
            }
        })
    };
    let create = async |fault: Fault, name: &str| {
        let pods = api(Kind::Pod, &through(fault));
        pods.create(&PostParams::default(), &named(Kind::Pod, name)).await
    };
    assert_eq!(refused(create(Fault::commit_then(504), "a").await), is(504, "Timeout"));
    assert_eq!(refused(create(Fault::refuse(503), "b").await), is(503, "ServiceUnavailable"));
    assert!(matches!(create(Fault::reset(), "c").await, Err(kube::Error::Service(_))));
    let there = |name: &str| server.with(|store| store.object(Kind::Pod, name).is_some());
    assert_eq!(["a", "b", "c"].map(there), [true, false, false]);
}
