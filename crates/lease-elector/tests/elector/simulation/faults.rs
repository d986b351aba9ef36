//! Faults of the API server, drawn from a seed.

use crate::server::{Fault, Reply};
use crate::support::millis;
use testkit::random::Random;

pub(super) fn pick(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.below(u64::try_from(bound).unwrap())).unwrap()
}

pub(super) fn latency(random: &mut Random) -> Fault {
    Fault { before: millis(random.below(20)), after: millis(random.below(20)), ..Fault::default() }
}

pub(super) fn fault(random: &mut Random) -> Fault {
    let late = millis(random.below(9000));
    let with = |fault: Fault, random: &mut Random| Fault { before: latency(random).before, ..fault };
    match random.below(40) {
        0 => with(Fault::refuse(409), random),
        1 => with(Fault::commit_then(409), random),
        2 => with(Fault::commit_then(504), random),
        3 => with(Fault::refuse(500), random),
        4 => with(Fault::lost_answer(), random),
        5 => with(Fault::swallowed(), random),
        6 => with(Fault::reset(), random),
        7 => with(Fault { reply: Reply::Reset, ..Fault::default() }, random),
        8 => with(Fault::busy(429, random.below(8)), random),
        9 => with(Fault::busy(503, random.below(3)), random),
        10 => with(Fault::refuse(429), random),
        11 => with(Fault::refuse(403), random),
        12 => with(Fault::slow_reply(late), random),
        13 => with(Fault::slow_reply(late / 5), random),
        14..16 => Fault::slow_request(late),
        16 => with(Fault { reply: Reply::NoBody, ..Fault::default() }, random),
        _ => latency(random),
    }
}
