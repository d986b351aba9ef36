//! Where the time of a switch went.

use std::time::{Duration, SystemTime};

use crate::audit::{Request, since};
use crate::recorder::Moment;
use crate::switch::Switch;

/// The stretches of one switch, in their order; together they are its time to the label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anatomy(pub(crate) [Duration; 7]);

/// What the stretches are. Gaps are the operator's own time and the way between it and the API
/// server.
pub(crate) const STRETCHES: [&str; 7] = [
    "event → record arrives",
    "record",
    "→ fence ∥ Lease arrive",
    "fence ∥ Lease",
    "→ promotion arrives",
    "promotion",
    "→ event of the label",
];

impl Anatomy {
    /// Finds the requests of one switch among all.
    pub(crate) fn of(switch: &Switch, requests: &[Request]) -> Option<Self> {
        let label: Moment = switch.label?;
        let first = |what: &str, name: &str, after: SystemTime| {
            let fits = |request: &&Request| {
                request.what == what && request.name == name && request.received >= after
            };
            requests.iter().filter(fits).min_by_key(|request| request.received)
        };
        let record = first("update electiongroups/status", &switch.group, switch.began())?;
        let lease = first("patch leases", &switch.group, record.answered)?;
        let promotion = first("patch pods", &switch.new, record.answered)?;
        let fence = first("patch pods", &switch.old, record.answered)
            .filter(|fence| fence.received < promotion.received);
        let second = || [Some(lease), fence].into_iter().flatten();
        let sent = second().map(|request| request.received).min()?;
        let done = second().map(|request| request.answered).max()?;
        let borders = [
            switch.cause.wall,
            record.received,
            record.answered,
            sent,
            done,
            promotion.received,
            promotion.answered,
            label.wall,
        ];
        Some(Self(std::array::from_fn(|index| since(borders[index + 1], borders[index]))))
    }
}
