//! What others see of an elector: who leads, and whether it is this process.

use std::sync::Arc;

use super::active_term::{Stage, TermState};
use super::clock::Time;
use super::decisions::record::{ElectionRecord, FencingToken, ObservedRecord};
use super::decisions::time::{Nanos, WallMicros};

/// Who leads, as seen from this process. Answers about time are valid for the moment of the
/// question, not for the moment of publication.
#[derive(Clone, Debug)]
pub struct LeaderView {
    clock: Arc<dyn Time>,
    identity: Arc<str>,
    recorded: Option<PublishedRecord>,
    state: Option<Arc<TermState>>,
    trouble: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PublishedRecord {
    holder: String,
    /// Whether this process wrote it.
    own: bool,
    valid_until: Nanos,
    acquire_time: Option<WallMicros>,
    transitions: i32,
    nomination: Option<u64>,
}

impl LeaderView {
    pub(super) const fn new(clock: Arc<dyn Time>, identity: Arc<str>) -> Self {
        Self { clock, identity, recorded: None, state: None, trouble: None }
    }

    /// The identity of this candidate.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The leader. None: there is none, or its record has expired as seen from here.
    #[must_use]
    pub fn holder(&self) -> Option<&str> {
        if self.is_leader() {
            return Some(&self.identity);
        }
        let live = self.recorded.as_ref().filter(|seen| self.clock.boot() < seen.valid_until)?;
        // A term of this process ends before its record expires. A record that another process
        // wrote under the same name belongs to that process.
        let own = live.holder == *self.identity && (self.state.is_some() || live.own);
        (!own).then_some(live.holder.as_str())
    }

    /// The holder that the Lease names, expired or not.
    #[must_use]
    pub fn recorded_holder(&self) -> Option<&str> {
        self.recorded.as_ref().map(|seen| seen.holder.as_str())
    }

    /// Whether this process leads at this moment.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.state.as_ref().is_some_and(|state| state.is_held())
    }

    /// The term of this process, from its start until work has ended.
    #[must_use]
    pub fn token(&self) -> Option<&FencingToken> {
        self.state.as_ref().map(|state| &state.term)
    }

    /// The moment until which leadership may be claimed, on the clock that counts suspend. None
    /// while this process does not lead.
    #[must_use]
    pub fn valid_until(&self) -> Option<Nanos> {
        self.state.as_ref().filter(|state| state.is_held()).and_then(|state| state.claim_until())
    }

    /// `acquireTime` of the Lease.
    #[must_use]
    pub fn since(&self) -> Option<jiff::Timestamp> {
        let time = self.recorded.as_ref()?.acquire_time?;
        jiff::Timestamp::from_microsecond(time.0).ok()
    }

    /// `leaseTransitions`: how often the Lease has changed its holder.
    #[must_use]
    pub fn transitions(&self) -> i32 {
        self.recorded.as_ref().map_or(0, |seen| seen.transitions)
    }

    /// The number of the holder's term: that of its nomination in `mode: Nominated`, else
    /// `leaseTransitions`.
    #[must_use]
    pub fn term(&self) -> i64 {
        let nomination = self.recorded.as_ref().and_then(|seen| seen.nomination);
        let number = nomination.and_then(|term| i64::try_from(term).ok());
        number.unwrap_or_else(|| self.transitions().into())
    }

    /// The last refusal of the API server that only a person can resolve, as a static text.
    #[must_use]
    pub const fn problem(&self) -> Option<&'static str> {
        self.trouble
    }

    /// Takes in what the elector sees. True if watchers must be woken: a mere renewal wakes none.
    pub(super) fn see(&mut self, observed: &ObservedRecord, own: bool) -> bool {
        let held = observed.record.as_ref().filter(|record| !record.holder.is_empty());
        // The Lease has the term of its holder until the next nomination.
        let before = self.recorded.as_ref();
        let nomination = |record: &ElectionRecord| match &record.nomination {
            Some(nomination) if nomination.nominee.is_empty() => Some(nomination.term),
            _ => before.filter(|seen| seen.transitions == record.transitions)?.nomination,
        };
        let seen = held.map(|record| PublishedRecord {
            holder: record.holder.clone(),
            own,
            valid_until: observed.valid_until(),
            acquire_time: record.acquire_time,
            transitions: record.transitions,
            nomination: nomination(record),
        });
        let told = |seen: &Option<PublishedRecord>| seen.as_ref().map(|s| (s.holder.clone(), s.transitions));
        let changed = told(&self.recorded) != told(&seen);
        self.recorded = seen;
        changed
    }

    pub(super) fn set_clock(&mut self, clock: Arc<dyn Time>) {
        self.clock = clock;
    }

    pub(super) fn set_state(&mut self, state: Option<Arc<TermState>>) {
        self.state = state;
    }

    pub(super) fn set_trouble(&mut self, trouble: Option<&'static str>) -> bool {
        std::mem::replace(&mut self.trouble, trouble) != trouble
    }

    /// How long ago the Lease has expired, for a term whose work has not ended.
    pub(super) fn open_past_expiry(&self) -> Option<Nanos> {
        let open = self.state.as_ref().filter(|state| state.stage() != Stage::Over)?;
        Some(self.clock.boot().since(open.expires_at()))
    }
}
