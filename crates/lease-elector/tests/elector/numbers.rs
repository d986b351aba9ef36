//! A counter outside of the Lease gives the terms their numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lease_elector::{Ending, FencingToken, LeaderElector, Number, TermSource};

use crate::clock::TestClock;
use crate::server::Server;
use crate::support::*;

/// A counter that fails at first.
#[derive(Debug, Default)]
struct Failing(AtomicU64);

impl TermSource for Failing {
    fn next(&self, _: &FencingToken) -> Number {
        let count = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { if count == 0 { Err("not now".to_owned()) } else { Ok(40 + count) } })
    }
}

#[derive(Debug)]
struct Silent;

impl TermSource for Silent {
    fn next(&self, _: &FencingToken) -> Number {
        Box::pin(std::future::pending())
    }
}

fn elector(server: &Server, source: Arc<dyn TermSource>) -> LeaderElector {
    let clock = TestClock::new();
    let client = server.client(0, &clock);
    let elector = LeaderElector::with_clients(client.clone(), client, config()).unwrap();
    elector.with_clock(Arc::new(clock)).with_term_source(source)
}

#[tokio::test(start_paused = true)]
async fn work_starts_when_its_term_has_a_number() {
    let server = Server::new();
    let start = tokio::time::Instant::now();
    let ended = elector(&server, Arc::new(Failing::default()))
        .run(std::future::pending(), async |active| (active.number(), start.elapsed()))
        .await
        .unwrap();
    let (number, waited) = ended.output.unwrap();
    assert_eq!(number, Some(41));
    assert!(waited >= seconds(2) && waited < seconds(3), "one retry period: {waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_term_that_gets_no_number_is_held_and_given_back_without_work() {
    let server = Server::new();
    let worked = Mutex::new(false);
    let run =
        elector(&server, Arc::new(Silent)).run(after(seconds(60)), async |_| *worked.lock().unwrap() = true);
    let holder = async {
        after(seconds(59)).await;
        server.holder()
    };
    let (ended, holder) = tokio::join!(run, holder);
    assert_eq!((ended.unwrap().ending, holder.as_str()), (Ending::Stopped, ME));
    assert_eq!(server.holder(), "");
    assert!(!*worked.lock().unwrap());
}
