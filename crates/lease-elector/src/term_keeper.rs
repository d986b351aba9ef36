//! What the elector's loop, the deadline thread and the program share: the present term, and what
//! is shown of it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

use super::active_term::{Stage, TermState};
use super::clock::{Alarm, Time};
use super::config::{ElectorConfig, Overrun};
use super::decisions::loss::Deadlines;
use super::decisions::record::FencingToken;
use super::inbox::Input;
use super::leader_view::LeaderView;
use super::metrics::ElectorMetrics;

#[derive(Debug)]
pub(super) struct TermKeeper {
    pub(super) clock: Arc<dyn Time>,
    pub(super) config: ElectorConfig,
    pub(super) view: watch::Sender<LeaderView>,
    pub(super) metrics: ElectorMetrics,
    pub(super) inbox: UnboundedSender<Input>,
    slot: Mutex<Slot>,
    alarm: OnceLock<Box<dyn Alarm>>,
}

#[derive(Debug, Default)]
struct Slot {
    state: Option<Arc<TermState>>,
    closed: bool,
}

impl TermKeeper {
    pub(super) fn new(
        clock: Arc<dyn Time>,
        config: ElectorConfig,
        view: watch::Sender<LeaderView>,
        metrics: ElectorMetrics,
        inbox: UnboundedSender<Input>,
    ) -> Self {
        Self { clock, config, view, metrics, inbox, slot: Mutex::default(), alarm: OnceLock::new() }
    }

    /// Starts the deadline thread. It judges by its own alarm, whatever the elector's loop is
    /// doing.
    pub(super) fn arm(self: &Arc<Self>) -> std::io::Result<()> {
        let keeper = Arc::downgrade(self);
        let alarm = self.clock.alarm(Arc::new(move || {
            if let Some(keeper) = keeper.upgrade() {
                keeper.ring();
            }
        }))?;
        let _ = self.alarm.set(alarm);
        Ok(())
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> Option<Arc<TermState>> {
        self.slot().state.clone()
    }

    fn ring(&self) {
        let Some(state) = self.state() else { return };
        if state.stage() >= Stage::Lost {
            self.show_lost();
            let _ = self.inbox.send(Input::Expired(state.clone()));
        }
        if state.overruns() {
            self.overrun();
        }
        self.set_alarm(&state);
    }

    fn set_alarm(&self, state: &TermState) {
        if let Some(alarm) = self.alarm.get() {
            alarm.set(state.next_moment());
        }
    }

    /// A term has begun.
    pub(super) fn open(&self, term: FencingToken, deadlines: Deadlines) -> Arc<TermState> {
        let state = Arc::new(TermState::new(self.clock.clone(), term, deadlines));
        let mut slot = self.slot();
        if slot.closed {
            state.end(Stage::Over);
        }
        slot.state = Some(state.clone());
        drop(slot);
        self.count_leading();
        self.view.send_modify(|view| view.set_state(Some(state.clone())));
        self.set_alarm(&state);
        state
    }

    /// The elector has new deadlines. A term that the clock has ended stays ended.
    pub(super) fn set(&self, deadlines: Deadlines) {
        let Some(state) = self.state() else { return };
        state.set(deadlines);
        if state.stage() >= Stage::Lost {
            self.show_lost();
            if deadlines.claim_until.is_some() {
                let _ = self.inbox.send(Input::Expired(state.clone()));
            }
        }
        self.set_alarm(&state);
    }

    fn show_lost(&self) {
        self.count_leading();
        self.view.send_modify(|_| {});
    }

    /// The gauge shows the present term, even if another thread still looks at an older one.
    fn count_leading(&self) {
        let slot = self.slot();
        self.metrics.leads(&self.config.name, slot.state.as_ref().is_some_and(|state| state.is_held()));
    }

    /// Work has ended, or its caller is gone.
    pub(super) fn end_term(&self) {
        let state = self.slot().state.take();
        self.count_leading();
        if let Some(state) = state {
            state.end(Stage::Over);
            self.view.send_modify(|view| view.set_state(None));
        }
    }

    /// Lets no further term begin.
    pub(super) fn close(&self) {
        self.slot().closed = true;
        self.end_term();
    }

    fn overrun(&self) {
        let lease = format!("{}/{}", self.config.namespace, self.config.name);
        if self.config.on_overrun == Overrun::Abort {
            tracing::error!(%lease, "work goes on though another may lead by now: aborting the process");
            std::process::abort();
        }
        tracing::error!(
            %lease,
            "work goes on though another may lead by now: it blocks, and ignores that it was dropped"
        );
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::clock::ManualClock;
    use crate::decisions::time::Nanos;

    fn gauge(metrics: &ElectorMetrics) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        metrics.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("leader_election_master_status{"));
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
    }

    #[test]
    fn an_alarm_that_is_late_does_not_count_the_next_term_as_lost() {
        let clock = Arc::new(ManualClock::default());
        let config = ElectorConfig::new("shop", "orders", "me");
        let view = watch::Sender::new(LeaderView::new(clock.clone(), "me".into()));
        let metrics = ElectorMetrics::default();
        let (inbox, _news) = tokio::sync::mpsc::unbounded_channel();
        let keeper = TermKeeper::new(clock.clone(), config, view, metrics.clone(), inbox);
        let term = |transitions| FencingToken {
            uid: String::new(),
            transitions,
            acquired_version: String::new(),
            nomination: None,
        };
        let deadlines = |since| Deadlines {
            since: Nanos(since),
            claim_until: Some(Nanos(since + 10)),
            work_until: Nanos(since + 15),
            held_until: Nanos(since + 15),
            expires_at: Nanos(since + 15),
        };
        let old = keeper.open(term(1), deadlines(0));
        clock.set(Nanos(10));
        // The deadline thread has seen the end of the term, and is held up before it reports it.
        assert!(!old.is_held());
        keeper.end_term();
        assert_eq!(gauge(&metrics), "0");
        keeper.open(term(2), deadlines(10));
        keeper.show_lost();
        assert_eq!(gauge(&metrics), "1");
        clock.set(Nanos(20));
        keeper.show_lost();
        assert_eq!(gauge(&metrics), "0");
    }
}
