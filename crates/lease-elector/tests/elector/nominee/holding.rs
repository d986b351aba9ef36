//! `mode: Nominated`, the pure decisions of a holder.

use std::time::Duration;

use lease_elector::Nanos;
use lease_elector::decisions::record::{ElectionRecord, Nomination, ObservedRecord};
use lease_elector::decisions::time::WallMicros;
use lease_elector::decisions::{Answer, Elector, ElectorEvent, LeaseRequest, Now};

use super::{ME, OTHER, OWN, nominated};
use crate::support::{THOUSAND_HOURS, seconds};

/// A holder of the Lease at version 5.
struct Holding {
    elector: Elector,
    now: Nanos,
}

fn record(version: &str, renew_time: i64) -> ElectionRecord {
    ElectionRecord {
        uid: "lease".to_owned(),
        version: version.to_owned(),
        holder: ME.to_owned(),
        duration: Nanos::from_seconds(15),
        acquire_time: Some(WallMicros(1)),
        renew_time: Some(WallMicros(renew_time)),
        transitions: 1,
        content: renew_time.to_string(),
        nomination: Some(Nomination { nominee: String::new(), seconds: 15, term: 7 }),
    }
}

impl Holding {
    fn new() -> Self {
        let free = ElectionRecord {
            holder: String::new(),
            transitions: 0,
            nomination: Some(Nomination { nominee: OWN.to_owned(), seconds: 15, term: 7 }),
            ..record("4", 0)
        };
        let elector = Elector::with_observed(nominated().rules(), ObservedRecord::default());
        let mut holding = Self { elector, now: THOUSAND_HOURS };
        assert_eq!(holding.handle(ElectorEvent::Wake), Some(LeaseRequest::Get));
        let take = holding.handle(ElectorEvent::Answered(Answer::Found(free)));
        assert!(matches!(take, Some(LeaseRequest::Take { on, .. }) if on == "4"));
        holding.handle(ElectorEvent::Answered(Answer::Written(record("5", 1))));
        holding
    }

    fn handle(&mut self, event: ElectorEvent) -> Option<LeaseRequest> {
        let now = Now { boot: self.now, wall: WallMicros(1), jitter: 0.0 };
        self.elector.handle(event, now).send.map(|(request, _)| request)
    }

    fn renewal(&mut self) -> (String, WallMicros) {
        self.now = self.now + Nanos::from_seconds(5);
        let request = self.handle(ElectorEvent::Wake);
        let Some(LeaseRequest::Update { on, write }) = request else { panic!("{request:?} is no renewal") };
        (on, write.renew_time)
    }

    fn counts_since(&self) -> Duration {
        self.elector.deadlines().unwrap().since.since(THOUSAND_HOURS).into()
    }
}

#[test]
fn a_renewal_counts_from_its_sending_though_the_wall_clock_stands_still() {
    let mut holding = Holding::new();
    assert_eq!(holding.renewal(), ("5".to_owned(), WallMicros(2)));
    holding.handle(ElectorEvent::Answered(Answer::Written(record("6", 2))));
    assert_eq!(holding.counts_since(), seconds(5));
}

#[test]
fn a_renewal_that_left_the_version_as_it_was_does_not_count() {
    let mut holding = Holding::new();
    holding.renewal();
    holding.handle(ElectorEvent::Answered(Answer::Written(record("5", 1))));
    assert_eq!(holding.counts_since(), Duration::ZERO);
    assert_eq!(holding.renewal().0, "5", "and is tried again");
}

#[test]
fn an_event_of_a_nomination_ends_the_term_before_any_read_is_answered() {
    let mut holding = Holding::new();
    let mut asked = record("6", 1);
    asked.nomination.as_mut().unwrap().nominee = OTHER.to_owned();
    let read = holding.handle(ElectorEvent::Watched { record: asked, deleted: false });
    assert_eq!(read, Some(LeaseRequest::Get));
    assert_eq!(holding.elector.deadlines().unwrap().claim_until, None);
}

#[test]
fn a_nomination_that_only_a_refused_renewal_shows_ends_the_term_and_renewing_goes_on() {
    let mut holding = Holding::new();
    holding.renewal();
    assert_eq!(holding.handle(ElectorEvent::Answered(Answer::Conflict)), Some(LeaseRequest::Get));
    let mut asked = record("6", 1);
    asked.nomination.as_mut().unwrap().nominee = OWN.to_owned();
    let again = holding.handle(ElectorEvent::Answered(Answer::Found(asked)));
    assert!(matches!(again, Some(LeaseRequest::Update { on, .. }) if on == "6"));
    assert_eq!(holding.elector.deadlines().unwrap().claim_until, None);
}
