//! The work of a term: a command that runs while this process leads, and no longer.

use std::ffi::OsString;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{Mutex, MutexGuard, broadcast, watch};

use crate::elector::ActiveTerm;
use crate::elector::clock::{BootTime, Time};
use crate::process::command::{Spec, SupervisedCommand};
use crate::process::sole::Sole;

/// How long before the last moment the supervisor kills the command, so that it is gone by then.
const KILL_MARGIN: Duration = Duration::from_millis(50);

/// How long to wait beyond the grace period of the command before its supervisor is resumed: it may
/// have been stopped.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// How long the processes of the last term may linger before a warning is logged.
const UNREMARKABLE: Duration = Duration::from_secs(1);

/// The longest pause before the command is run again. A command that ran for longer gets the first
/// pause again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The exit code if nothing could be started.
const CANNOT_START: u8 = 125;

/// Exit codes after which it is useless to run the command again: it cannot be started, is no
/// program, or does not exist.
const HOPELESS: std::ops::RangeInclusive<u8> = CANNOT_START..=127;

/// The command to run, and how.
#[derive(Debug)]
pub struct CommandWork {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// The time from SIGTERM to SIGKILL, if the Lease lasts for so long.
    pub grace: Duration,
    /// Whether to run the command again when it ends.
    pub restart: bool,
    /// How often to tell the supervisor until when the command may run, at least.
    pub update: Duration,
    /// The first pause before the command is run again.
    pub pause: Duration,
    /// That this process is the only one of its pod.
    pub sole: Option<Arc<Sole>>,
    /// Whether this process was asked to stop.
    pub stopped: watch::Receiver<bool>,
    /// Kills the command. Only a running command subscribes.
    pub kill: watch::Sender<bool>,
    /// Signals for the command. Only a running command subscribes.
    pub messages: broadcast::Sender<Signal>,
    /// The running command, or what is left of it.
    pub running: Mutex<Option<SupervisedCommand>>,
}

impl CommandWork {
    /// Runs the command while the term lasts. Returns its exit status if this process must end with
    /// it: the command ended by itself, or this process was asked to stop.
    pub async fn lead(&self, term: ActiveTerm) -> Option<u8> {
        self.until_all_is_gone().await;
        let mut pause = self.pause;
        loop {
            let started_at = BootTime.monotonic();
            if !term.is_leader() {
                return None;
            }
            let status = self.run_once(&term).await;
            if !term.is_leader() {
                return self.stopped.borrow().then_some(status);
            }
            if !self.restart || HOPELESS.contains(&status) {
                return Some(status);
            }
            if Duration::from(BootTime.monotonic().since(started_at)) > LONGEST_PAUSE {
                pause = self.pause;
            }
            tracing::warn!(status, pause_seconds = pause.as_secs_f64(), "the command ended; it is run again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = term.lost() => return None,
            }
            pause = next_pause(pause);
        }
    }

    /// Waits until nothing is left of a command that had not ended with its term. Returns its
    /// status.
    ///
    /// A process that waits for a disk cannot be killed sooner. Meanwhile no process may lead: if
    /// this process ended, the Lease would be released or expire.
    pub async fn until_all_is_gone(&self) -> Option<u8> {
        let mut running = self.running.lock().await;
        let command = running.as_mut()?;
        // A second signal cannot do more: the command is killed already.
        let _killed = self.kill.subscribe();
        let status = if let Ok(status) = tokio::time::timeout(UNREMARKABLE, command.ended()).await {
            status
        } else {
            tracing::warn!(
                "processes of the last term are still there; nothing is started before they are gone"
            );
            command.ended().await
        };
        *running = None;
        Some(status.unwrap_or(CANNOT_START))
    }

    async fn run_once(&self, term: &ActiveTerm) -> u8 {
        let (mut kill, mut messages) = (self.kill.subscribe(), self.messages.subscribe());
        let mut slot = RunningSlot(self.running.lock().await);
        let command = match SupervisedCommand::start(&self.spec(term), last_moment(term)).await {
            Ok(command) => slot.0.insert(command),
            Err(error) => {
                tracing::error!(%error, "cannot start the command");
                return CANNOT_START;
            }
        };
        let mut updates = tokio::time::interval(self.update_period(term));
        let mut patience = pin!(tokio::time::sleep(Duration::MAX));
        let (mut terminated, mut killed) = (false, false);
        let status = loop {
            tokio::select! {
                status = command.ended() => break status,
                () = term.lost(), if !terminated => {
                    terminated = true;
                    patience.set(tokio::time::sleep(self.grace.saturating_add(DRAIN_MARGIN)));
                    command.run_until(last_moment(term)).await;
                    command.terminate().await;
                }
                () = &mut patience, if terminated && !killed => {
                    killed = true;
                    tracing::warn!(
                        "the command outlasts its grace period; the Lease is kept until all of it is gone"
                    );
                    command.kill();
                }
                _ = kill.wait_for(|kill| *kill), if !killed => {
                    killed = true;
                    command.kill();
                }
                Ok(message) = messages.recv() => command.pass_on(message).await,
                _ = updates.tick() => command.run_until(last_moment(term)).await,
            }
        };
        *slot.0 = None;
        status.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot see how the command ended");
            CANNOT_START
        })
    }

    /// A renewal just before the term's deadline must be known to the supervisor halfway to the
    /// limit that it extends. The Lease may have brought shorter timings than the settings.
    fn update_period(&self, term: &ActiveTerm) -> Duration {
        let from_deadline_to_limit = term.abort_in().saturating_sub(term.valid_for());
        self.update.min(from_deadline_to_limit / 2).max(Duration::from_millis(1))
    }

    fn spec(&self, term: &ActiveTerm) -> Spec {
        let (namespace, name) = term.lease();
        Spec {
            command: self.command.clone(),
            environment: vec![
                ("ELECT_IDENTITY", term.identity().to_owned()),
                ("ELECT_LEASE", format!("{namespace}/{name}")),
                ("ELECT_TERM", term.token().term().to_string()),
                ("ELECT_ACQUIRED_VERSION", term.token().acquired_version.clone()),
            ],
            grace: self.grace,
            sole: self.sole.clone(),
        }
    }
}

/// The slot of the running command. Dropping it before the command has ended kills the command. The
/// command then stays in the slot until all of it is gone.
struct RunningSlot<'a>(MutexGuard<'a, Option<SupervisedCommand>>);

impl Drop for RunningSlot<'_> {
    fn drop(&mut self) {
        if let Some(command) = self.0.as_mut() {
            command.kill();
        }
    }
}

fn next_pause(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE.max(pause))
}

fn last_moment(term: &ActiveTerm) -> Duration {
    let remaining = term.abort_in().saturating_sub(KILL_MARGIN);
    Duration::from(BootTime.boot()).saturating_add(remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let seconds = |seconds| Duration::from_secs(seconds);
        let cases = [(2, 4), (32, 60), (60, 60), (90, 90)];
        for (before, after) in cases {
            assert_eq!(next_pause(seconds(before)), seconds(after));
        }
    }
}
