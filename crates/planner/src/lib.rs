//! Who leads, and which writes make it so: values in, values out.
//!
//! The planner knows no Kubernetes, no clock, no randomness and no I/O. It never panics; only a
//! debug build asserts the order of each plan. Time is an argument, always the monotonic clock of
//! this process ([`Millis`]). The planner never compares it with a remote clock.
//!
//! Every plan keeps these promises. Code and tests cite them by number:
//!
//! * **S1** At every revision at most one pod of the group carries the leader label (as far as only
//!   operators write it).
//! * **S2** The term of a group never falls, whatever happens to its Lease, and no two pods are
//!   promoted in one term.
//! * **S3** A pod is promoted only as the leader of a record that existed before, with that term.
//!   In Managed mode the Lease named the pod before, too. In Observed mode the Lease has named the
//!   pod while the pod was there. In Nominated mode the pod has taken the Lease in that term.
//! * **S4** No plan contains a write that changes nothing. Planning again on the result of a plan
//!   gives an empty plan.
//! * **S5** A pod is never identified by its name alone.
//! * **L1** If an eligible pod exists, writes succeed and the group is not paused, then a leader is
//!   labelled in a bounded number of steps.
//! * **L2** A healthy leader is not moved.
//!
//! In Observed mode the pods elect: there *eligible* (L1) and *healthy* (L2) mean holding the
//! Lease.
//!
//! In Nominated mode the plans and the pods' companions keep these promises together, as long as
//! they alone write the Lease:
//!
//! * **X1** At any time at most one command of the group runs.
//! * **X2** A pod is promoted in a term only if it took the Lease in that term. While its label
//!   stands, no command of a lower term runs.
//! * **X3** A pod takes the Lease only if it is free and nominates that pod, by UID.
//! * **X4** Each nomination has a higher term than the Lease.
//! * **X5** A Lease is created free and without a nominee. The operator nominates only in the Lease
//!   that the record names.
//! * **X7** A companion releases the Lease after the last process has ended.
//! * **X9** Each start of a command has a term of its own.
//! * **L4** No holder is replaced before its Lease has run out here because nothing is heard of it:
//!   a short outage of the API server or of the operator moves nothing.
//!
//! The files, in reading order. Types: [`seen`] (what is seen), [`plan`](mod@plan) (what is
//! wanted). Judgement: [`eligibility`] (which pods could lead), [`decide`] (who should lead),
//! [`observed_mode`] (who leads where the pods elect), [`nominated_mode`] (what the Lease says where
//! the operator nominates), [`refusal`] (when a group is not served),
//! `route` (what a slice is to say), [`switch`] (the writes in their order), [`report`] and
//! [`services`] (what people are told), [`nodes`] (which nodes are silent), `cleanup` (deleted
//! groups). The function [`plan()`] puts them together.

mod cleanup;
mod leader_problem;
mod new_leader;
mod order;
mod planning;
mod project;
mod route;

pub mod decide;
pub mod eligibility;
pub mod names;
pub mod nodes;
pub mod nominated_mode;
pub mod observed_mode;
pub mod ownership;
pub mod plan;
pub mod reason;
pub mod refusal;
pub mod report;
pub mod seen;
pub mod services;
pub mod switch;

pub use cleanup::RECREATED_WITHIN;
pub use leader_problem::{LeaderProblem, leader_problem};
pub use new_leader::NewLeader;
pub use planning::{other_urgent_work_at, plan, plan_group};

use std::fmt;
use std::ops::Add;

/// Milliseconds: a span, or a moment on this process's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The span from `earlier` to `self`, zero if `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Millis {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// A moment of the wall clock, in microseconds since the Unix epoch. It is written for people only:
/// no decision depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub i64);

impl Micros {
    /// The moment `span` before this one.
    #[must_use]
    pub fn before(self, span: Millis) -> Self {
        let micros = i64::try_from(span.0.saturating_mul(1000)).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }
}

/// A number that rises with each change of leader of a group, and never falls (S2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(u64);

impl Term {
    /// The highest term: 2^53. Every JSON reader holds numbers up to it exactly.
    pub const MAX: Self = Self(1 << 53);

    /// A term, if `value` is within 0 … 2^53.
    #[must_use]
    pub const fn new(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// A term as an annotation carries it: a plain integer of 0 … 2^53. None for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse().ok().and_then(Self::new) } else { None }
    }

    /// The next term. None after the highest.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version (`resourceVersion`) of one object. Two versions of one kind of object can be ordered
/// (Kubernetes enhancement 5504).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// One object for its lifetime. A name alone may mean another object tomorrow (S5).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The name within the namespace.
    pub name: String,
    /// The UID that the API server gave to the object.
    pub uid: String,
}

impl Identity {
    /// From name and UID.
    pub fn new(name: impl Into<String>, uid: impl Into<String>) -> Self {
        Self { name: name.into(), uid: uid.into() }
    }

    /// The reverse of the text form `<name>/<uid>`. None if no object can have that name: a live
    /// read could not ask for it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, uid) = text.split_once('/')?;
        (is_name(name) && !uid.is_empty() && !uid.contains('/')).then(|| Self::new(name, uid))
    }
}

/// A DNS subdomain, as the names of pods and custom resources are (RFC 1123, a little laxer about
/// dots).
fn is_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends = [text.bytes().next(), text.bytes().last()];
    let within = text.bytes().all(|b| inner(b) || b == b'-' || b == b'.');
    text.len() <= 253 && within && ends.into_iter().all(|end| end.is_some_and(inner))
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.uid)
    }
}
