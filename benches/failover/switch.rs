//! One change of leader, as the bench saw it.

use std::time::{Duration, SystemTime};

use crate::audit::Request;
use crate::recorder::Moment;

/// One change of leader.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    pub(crate) group: String,
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) cause: Moment,
    pub(crate) label: Option<Moment>,
    pub(crate) endpoint: Option<Moment>,
    /// When status and Event were written, too.
    pub(crate) done: SystemTime,
}

impl Switch {
    /// Whether it asked for that: in its time, for its group.
    pub(crate) fn caused(&self, request: &Request) -> bool {
        let of_group = request.name.strip_prefix(&self.group);
        let of_group = of_group.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']));
        of_group && self.began() <= request.received && request.received <= self.done
    }

    /// The operator may have seen the cause a little before the bench did.
    pub(crate) fn began(&self) -> SystemTime {
        self.cause.wall - Duration::from_millis(30)
    }
}
