//! Mistakes of other electors: each test would fail for one of them.

use lease_elector::ElectorConfig;
use serde_json::json;
use tokio::time::Instant;

use crate::server::{Fault, Server};
use crate::support::*;

#[tokio::test(start_paused = true)]
async fn renew_time_is_never_compared_with_a_clock() {
    for year in ["1970", "2999"] {
        let server = Server::new();
        let time = format!("{year}-01-01T00:00:00.000000Z");
        server.put(json!({ "holderIdentity": "bing", "leaseDurationSeconds": 15, "renewTime": time }));
        let mut run = start(&server, ElectorConfig { watch: true, ..config() });
        let began = Instant::now();
        run.until(true).await;
        assert!((seconds(15)..millis(15_010)).contains(&began.elapsed()), "{year}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn an_elector_outlives_any_number_of_failures() {
    for fault in
        [Fault::refuse(500), Fault::reset(), Fault::swallowed(), Fault::refuse(403), Fault::refuse(404)]
    {
        let server = Server::new();
        for verb in ["get", "create", "update"] {
            server.always(verb, Some(fault.clone()));
        }
        let mut run = start(&server, config());
        after(seconds(24 * 3600)).await;
        assert!(!run.task.is_finished(), "{fault:?}");
        for verb in ["get", "create", "update"] {
            server.always(verb, None);
        }
        run.until(true).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_waited_for_beyond_the_deadline() {
    let server = Server::new();
    let config = ElectorConfig {
        renew_deadline: seconds(10),
        renew_period: Some(seconds(1)),
        request_timeout: Some(millis(4500)),
        ..config()
    };
    let mut run = start(&server, config);
    run.until(true).await;
    let acquired = Instant::now();
    server.outage(true);
    run.until(false).await;
    assert_eq!(acquired.elapsed(), seconds(10));
    // The last request of the term was abandoned with the term.
    after(millis(1)).await;
    let timeouts = run.metric("leader_election_errors_total{name=\"bar\",class=\"timeout\"}");
    let (calls, times) = server.with(|state| (state.calls.clone(), state.times.clone()));
    let of_the_term = |(verb, at): &(&str, std::time::Duration)| *verb == "update" && *at < seconds(10);
    assert_eq!((calls.into_iter().zip(times).filter(of_the_term).count(), timeouts), (2, Some(2.0)));
}
