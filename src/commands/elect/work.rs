//! The work of a term: a command that runs while this process leads, and not a moment longer.

use std::ffi::OsString;
use std::pin::pin;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{Mutex, MutexGuard, broadcast, watch};

use crate::elector::ActiveTerm;
use crate::elector::clock::{BootTime, Time};
use crate::process::command::{GuardedCommand, Spec};

/// How long before the last moment the command is killed: so that it is gone by then.
const KILL_MARGIN: Duration = Duration::from_millis(50);

/// How much longer than the command's grace period its guard is waited for before it is woken, in case it was stopped.
const DRAIN_MARGIN: Duration = Duration::from_secs(5);

/// How long the processes of the last term may take to be gone before a word is said.
const UNREMARKABLE: Duration = Duration::from_secs(1);

/// The longest pause before the command is run again; a command that ran for longer is not one that ends at once.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Nothing could be started.
const CANNOT_START: u8 = 125;

/// With these statuses it makes no sense to run the command again here: it cannot be started, is no program, is not there.
const HOPELESS: std::ops::RangeInclusive<u8> = CANNOT_START..=127;

/// What to run, and how.
#[derive(Debug)]
pub struct CommandWork {
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// From SIGTERM to SIGKILL, if the Lease lasts for so long.
    pub grace: Duration,
    /// Run it again when it ends.
    pub restart: bool,
    /// How often its permission is brought up to date.
    pub update: Duration,
    /// How long it rests before it is run again.
    pub pause: Duration,
    /// This process was asked to end.
    pub stopped: watch::Receiver<bool>,
    /// The command is not to be waited for any longer. Who listens is a command that runs.
    pub kill: watch::Sender<bool>,
    /// Signals for the command. Who listens is a command that runs.
    pub messages: broadcast::Sender<Signal>,
    /// The command that runs, or what is left of it.
    pub place: Mutex<Option<GuardedCommand>>,
}

impl CommandWork {
    /// Runs the command while the term lasts. Returns its exit status if that is what this process is to end with: the
    /// command ended by itself, or as this process was asked to end.
    pub async fn lead(&self, guard: ActiveTerm) -> Option<u8> {
        self.until_all_is_gone().await;
        let mut pause = self.pause;
        loop {
            let started_at = BootTime.monotonic();
            if !guard.is_leader() {
                return None;
            }
            let status = self.run_once(&guard).await;
            if !guard.is_leader() {
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
                () = guard.lost() => return None,
            }
            pause = next_pause(pause);
        }
    }

    /// Waits until nothing is left of a command that could not be waited for when its term was over. Returns its status.
    ///
    /// Nothing hurries the end of a process that waits for a disk: nobody is to lead meanwhile, and if this process ended, the
    /// Lease would be given back or run out.
    pub async fn until_all_is_gone(&self) -> Option<u8> {
        let mut place = self.place.lock().await;
        let command = place.as_mut()?;
        // A second signal cannot do more either.
        let _killed = self.kill.subscribe();
        let status = if let Ok(status) = tokio::time::timeout(UNREMARKABLE, command.ended()).await {
            status
        } else {
            tracing::warn!(
                "processes of the last term are still there; nothing is started before they are gone"
            );
            command.ended().await
        };
        *place = None;
        Some(status.unwrap_or(CANNOT_START))
    }

    async fn run_once(&self, guard: &ActiveTerm) -> u8 {
        let (mut kill, mut messages) = (self.kill.subscribe(), self.messages.subscribe());
        let mut place = Place(self.place.lock().await);
        let command = match GuardedCommand::start(&self.spec(guard), last_moment(guard)).await {
            Ok(command) => place.0.insert(command),
            Err(error) => {
                tracing::error!(%error, "cannot start the command");
                return CANNOT_START;
            }
        };
        let mut updates = tokio::time::interval(self.update);
        let mut patience = pin!(tokio::time::sleep(Duration::MAX));
        let (mut terminated, mut killed) = (false, false);
        let status = loop {
            tokio::select! {
                status = command.ended() => break status,
                () = guard.lost(), if !terminated => {
                    terminated = true;
                    patience.set(tokio::time::sleep(self.grace.saturating_add(DRAIN_MARGIN)));
                    command.run_until(last_moment(guard)).await;
                    command.terminate().await;
                }
                () = &mut patience, if terminated && !killed => {
                    killed = true;
                    tracing::warn!("the command outlasts its grace period; the Lease is kept until all of it is gone");
                    command.kill();
                }
                _ = kill.wait_for(|kill| *kill), if !killed => {
                    killed = true;
                    command.kill();
                }
                Ok(message) = messages.recv() => command.pass_on(message).await,
                _ = updates.tick() => command.run_until(last_moment(guard)).await,
            }
        };
        *place.0 = None;
        status.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot see how the command ended");
            CANNOT_START
        })
    }

    fn spec(&self, guard: &ActiveTerm) -> Spec {
        let (namespace, name) = guard.lease();
        Spec {
            command: self.command.clone(),
            environment: vec![
                ("ELECT_IDENTITY", guard.identity().to_owned()),
                ("ELECT_LEASE", format!("{namespace}/{name}")),
                ("ELECT_TERM", guard.term().transitions.to_string()),
                ("ELECT_ACQUIRED_VERSION", guard.term().acquired_version.clone()),
            ],
            grace: self.grace,
        }
    }
}

/// The command that runs. Dropped before its end, it leaves it killed, and in its place until all of it is gone.
struct Place<'a>(MutexGuard<'a, Option<GuardedCommand>>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(command) = self.0.as_mut() {
            command.kill();
        }
    }
}

fn next_pause(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE.max(pause))
}

fn last_moment(guard: &ActiveTerm) -> Duration {
    let remaining = guard.abort_in().saturating_sub(KILL_MARGIN);
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
