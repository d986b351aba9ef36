//! What a nomination sends: its own fields, and nothing of the holder but its end.

use election_operator::planner::plan::{NewNomination, NominationAction, NominationWrite};

use super::*;

fn nomination_write(base: Option<u64>, action: NominationAction) -> Intent {
    let base = base.map(|version| ("l".to_owned(), Version(version)));
    Intent::WriteNomination(NominationWrite { name: "orders".to_owned(), base, action })
}

fn nomination() -> NewNomination {
    NewNomination { nominee: Identity::new("b", "b-uid"), term: Term::new(2).unwrap(), duration_seconds: 30 }
}

#[tokio::test(start_paused = true)]
async fn a_nomination_sends_itself_and_a_clearing_sends_the_end_of_the_holder() {
    let nominated = json!({
        "election-operator.io/nominee": "b/b-uid", "election-operator.io/duration": "30",
        "election-operator.io/term": "2",
    });
    let cleared = json!({ "holderIdentity": "" });
    for (action, annotations, spec) in [
        (NominationAction::Nominate(nomination()), nominated.clone(), json!({})),
        (NominationAction::ClearAndNominate(nomination()), nominated, cleared.clone()),
        (NominationAction::Clear, json!({}), cleared),
    ] {
        let setup = Setup::before(accepting);
        setup.cache.upsert_lease(serde_json::from_value::<Lease>(lease(7)).unwrap().into(), false);
        setup.carry_out(nomination_write(Some(7), action)).await.unwrap();
        let sent = setup.sent();
        let [(what, body)] = &sent[..] else { panic!("{sent:#?}") };
        assert_eq!(what, "PATCH /apis/coordination.k8s.io/v1/namespaces/shop/leases/orders");
        let metadata = json!({ "uid": "l", "resourceVersion": "7", "annotations": annotations });
        assert_eq!(*body, json!({ "metadata": metadata, "spec": spec }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_created_lease_has_neither_holder_nor_nominee_nor_term() {
    let setup = Setup::before(|_| (201, lease(8)));
    setup.carry_out(nomination_write(None, NominationAction::Create)).await.unwrap();
    let sent = setup.sent();
    let [(what, body)] = &sent[..] else { panic!("{sent:#?}") };
    assert_eq!(what, "POST /apis/coordination.k8s.io/v1/namespaces/shop/leases");
    assert_eq!(body["metadata"]["annotations"], json!({ "election-operator.io/nominee": "" }));
    assert_eq!(body["metadata"]["ownerReferences"][0]["uid"], json!("orders-uid"));
    assert_eq!(body["spec"], json!({}));
}

/// The applier reads its own answer: a nominee that the cache does not keep would be nominated anew.
#[tokio::test(start_paused = true)]
async fn the_cache_has_the_nomination_that_was_answered() {
    let setup = Setup::before(|_| {
        let mut answer = lease(8);
        answer["metadata"]["annotations"] = json!({
            "election-operator.io/nominee": "b/b-uid", "election-operator.io/duration": "30",
            "election-operator.io/term": "2",
        });
        (200, answer)
    });
    setup.cache.upsert_lease(serde_json::from_value::<Lease>(lease(7)).unwrap().into(), false);
    setup.carry_out(nomination_write(Some(7), NominationAction::Nominate(nomination()))).await.unwrap();
    let seen = setup.snapshot().lease.unwrap().content;
    assert_eq!((seen.nominee, seen.nominated_seconds), (Some(Identity::new("b", "b-uid")), Some(30)));
    assert_eq!(seen.term, Term::new(2));
}
