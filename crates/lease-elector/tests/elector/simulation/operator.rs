//! The operator of a simulated world in `mode: Nominated`: it creates, nominates and clears, and
//! writes by one clock of its own.

use lease_elector::Nanos;
use lease_elector::clock::Time;
use serde_json::{Value, json};
use testkit::json::At;
use testkit::random::Random;

use super::ELECTORS;
use super::faults::pick;
use crate::clock::TestClock;
use crate::server::Server;

/// The identity of a pod, and its name as a nominee.
pub(super) fn pod(index: usize) -> (String, String) {
    (format!("elector-{index}_u"), format!("elector-{index}/u"))
}

pub(super) struct Operator {
    clock: TestClock,
    duration: Nanos,
    term: u64,
    /// The UID of the Lease, and when it was first seen.
    lease: (String, Nanos),
    /// The holder's record or the free Lease, and when it was first seen so.
    record: (Value, Nanos),
}

impl Operator {
    pub(super) fn new(clock: TestClock, duration: Nanos) -> Self {
        Self { clock, duration, term: 0, lease: Default::default(), record: Default::default() }
    }

    /// One look at the Lease, and one write at most.
    pub(super) fn act(&mut self, server: &Server, random: &mut Random) {
        let (now, lease) = (self.clock.boot(), server.lease());
        if lease.is_null() {
            server.put(json!({}));
            return self.write(server, "", false);
        }
        self.see(&lease, now);
        // A holder of a deleted Lease may run for its whole duration.
        if now < self.lease.1 + self.duration {
            return;
        }
        let held = !lease.text("/spec/holderIdentity").is_empty();
        let named = !lease.text("/metadata/annotations/election-operator.io~1nominee").is_empty();
        let since = now.since(self.record.1);
        let moves = match (held, named) {
            (false, false) => true,
            (false, true) => since > Nanos(self.duration.0 / 3),
            (true, _) => since >= self.duration || random.below(60) == 0,
        };
        if moves {
            self.term += 1;
            let (_, nominee) = pod(pick(random, ELECTORS));
            self.write(server, &nominee, held && since >= self.duration);
        }
    }

    fn see(&mut self, lease: &Value, now: Nanos) {
        let uid = lease.text("/metadata/uid");
        if self.lease.0 != uid {
            self.lease = (uid.to_owned(), now);
        }
        let spec = &lease["spec"];
        let keys = ["holderIdentity", "acquireTime", "renewTime", "leaseTransitions"];
        let record: Value = keys.iter().map(|key| spec[*key].clone()).chain([json!(uid)]).collect();
        if self.record.0 != record {
            self.record = (record, now);
        }
    }

    fn write(&self, server: &Server, nominee: &str, clears: bool) {
        let seconds = std::time::Duration::from(self.duration).as_secs().to_string();
        server.edit(|lease| {
            lease["metadata"]["annotations"] = json!({
                "election-operator.io/nominee": nominee,
                "election-operator.io/duration": seconds,
                "election-operator.io/term": self.term.to_string(),
            });
            if clears {
                lease["spec"]["holderIdentity"] = json!("");
            }
        });
    }
}
