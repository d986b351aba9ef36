//! What others see of an elector: who leads, and whether it is this process.

use std::sync::Arc;

use super::active_term::{Stage, TermState};
use super::clock::Time;
use super::decisions::record::{FencingToken, ObservedRecord};
use super::decisions::time::{Nanos, WallMicros};

/// Who leads, as seen from this process. Answers about time are of the moment they are asked for, not of the moment this
/// was published.
#[derive(Clone, Debug)]
pub struct LeaderView {
    clock: Arc<dyn Time>,
    identity: Arc<str>,
    recorded: Option<PublishedRecord>,
    claim: Option<Arc<TermState>>,
    trouble: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PublishedRecord {
    holder: String,
    /// This process wrote it.
    own: bool,
    valid_until: Nanos,
    acquire_time: Option<WallMicros>,
    transitions: i32,
}

impl LeaderView {
    pub(super) const fn new(clock: Arc<dyn Time>, identity: Arc<str>) -> Self {
        Self { clock, identity, recorded: None, claim: None, trouble: None }
    }

    /// This candidate.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Who leads. None: nobody, or the record is known here to have expired.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        if self.is_leader() {
            return Some(&self.identity);
        }
        let live = self.recorded.as_ref().filter(|seen| self.clock.boot() < seen.valid_until)?;
        // A claim of this process ends before its record does. What another process wrote under the same name is its own.
        let own = live.holder == *self.identity && (self.claim.is_some() || live.own);
        (!own).then_some(live.holder.as_str())
    }

    /// Who the Lease names, expired or not.
    #[must_use]
    pub fn recorded_holder(&self) -> Option<&str> {
        self.recorded.as_ref().map(|seen| seen.holder.as_str())
    }

    /// Whether this process leads at this moment.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.is_held())
    }

    /// This process's term, from its start until work has ended.
    #[must_use]
    pub fn term(&self) -> Option<&FencingToken> {
        self.claim.as_ref().map(|claim| &claim.term)
    }

    /// The moment up to which leadership may be claimed, on the clock that counts suspend; none while not leading.
    #[must_use]
    pub fn valid_until(&self) -> Option<Nanos> {
        self.claim.as_ref().filter(|claim| claim.is_held()).and_then(|claim| claim.claim_until())
    }

    /// `acquireTime` of the Lease.
    #[must_use]
    pub fn since(&self) -> Option<jiff::Timestamp> {
        let time = self.recorded.as_ref()?.acquire_time?;
        jiff::Timestamp::from_microsecond(time.0).ok()
    }

    /// How often the Lease has changed hands.
    #[must_use]
    pub fn transitions(&self) -> i32 {
        self.recorded.as_ref().map_or(0, |seen| seen.transitions)
    }

    /// What the API server last refused a request for, if only people can help: a static text.
    #[must_use]
    pub const fn trouble(&self) -> Option<&'static str> {
        self.trouble
    }

    /// Takes over what the elector sees. True if that is worth telling: a mere renewal is not.
    pub(super) fn see(&mut self, sight: &ObservedRecord, own: bool) -> bool {
        let held = sight.record.as_ref().filter(|record| !record.holder.is_empty());
        let seen = held.map(|record| PublishedRecord {
            holder: record.holder.clone(),
            own,
            valid_until: sight.valid_until(),
            acquire_time: record.acquire_time,
            transitions: record.transitions,
        });
        let told = |seen: &Option<PublishedRecord>| seen.as_ref().map(|s| (s.holder.clone(), s.transitions));
        let changed = told(&self.recorded) != told(&seen);
        self.recorded = seen;
        changed
    }

    pub(super) fn set_clock(&mut self, clock: Arc<dyn Time>) {
        self.clock = clock;
    }

    pub(super) fn set_claim(&mut self, claim: Option<Arc<TermState>>) {
        self.claim = claim;
    }

    pub(super) fn set_trouble(&mut self, trouble: Option<&'static str>) -> bool {
        std::mem::replace(&mut self.trouble, trouble) != trouble
    }

    /// How long ago the newest acknowledged write of a term was sent whose work has not ended.
    pub(super) fn open_for(&self) -> Option<Nanos> {
        let open = self.claim.as_ref().filter(|claim| claim.stage() != Stage::Over)?;
        Some(self.clock.boot().since(open.since()))
    }
}
