//! What a signal means for the election and for the command.

use rustix::process::Signal;
use tokio::sync::{broadcast, watch};

use crate::commands::signals::{self, Signals};
use crate::lines;
use crate::process::signals::STOPS;

/// Turns signals into requests to stop or to kill, and into messages for the command.
#[derive(Debug)]
pub struct SignalRouter {
    /// Asks this process to stop.
    pub stop: watch::Sender<bool>,
    /// Kills the command.
    pub kill: watch::Sender<bool>,
    /// Signals for the command.
    pub messages: broadcast::Sender<Signal>,
    /// Whether SIGHUP stops this process when no command receives it.
    pub hangup_stops: bool,
}

impl SignalRouter {
    /// The first signal stops the election. The second kills the command. If no command runs, it
    /// ends this process, and an unreleased Lease expires. All other signals go to the command.
    pub async fn listen(self, mut signals: Signals) {
        loop {
            let signal = signals.next().await;
            let is_told = !STOPS.contains(&signal) && self.messages.send(signal).is_ok();
            let stops = STOPS.contains(&signal) || signal == Signal::HUP && self.hangup_stops;
            if stops && !is_told {
                self.stop_or_kill();
            }
        }
    }

    fn stop_or_kill(&self) {
        if !self.stop.send_replace(true) {
            tracing::info!(
                "stopping; a second signal kills the command, or ends this process at once if none runs"
            );
        } else if self.kill.send(true).is_ok() {
            tracing::warn!("second signal: the command is killed");
        } else {
            tracing::warn!("second signal: ending at once");
            lines::exit(signals::INTERRUPTED);
        }
    }
}
