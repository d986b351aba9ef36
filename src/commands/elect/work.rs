//! The work of a term: a command that runs while this process leads, and not a moment longer.

use std::ffi::OsString;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{BootTime, Time};
use crate::elector::Guard;
use crate::process::command::{GuardedCommand, Spec};

/// How long before the last moment the command is killed: so that it is gone by then.
const KILL_MARGIN: Duration = Duration::from_millis(50);

/// As shells do it: 128 and SIGKILL.
const KILLED: u8 = 137;

/// Nothing could be started.
const CANNOT_START: u8 = 125;

/// What to run, and how.
#[derive(Debug)]
pub struct Work {
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
}

impl Work {
    /// Runs the command while the term lasts. Returns its exit status if that is what this process is to end with: the
    /// command ended by itself, or as this process was asked to end.
    pub async fn lead(&self, guard: Guard) -> Option<u8> {
        loop {
            let status = self.run_once(&guard).await;
            if !guard.is_leader() {
                return self.stopped.borrow().then_some(status);
            }
            if !self.restart {
                return Some(status);
            }
            tracing::warn!(status, "the command ended; it is run again");
            tokio::select! {
                () = tokio::time::sleep(self.pause) => {}
                () = guard.lost() => return None,
            }
        }
    }

    async fn run_once(&self, guard: &Guard) -> u8 {
        let mut command = match GuardedCommand::start(&self.spec(guard), last_moment(guard)).await {
            Ok(command) => command,
            Err(error) => {
                tracing::error!(%error, "cannot start the command");
                return CANNOT_START;
            }
        };
        let mut updates = tokio::time::interval(self.update);
        let mut kill = self.kill.subscribe();
        let (mut terminated, mut killed) = (false, false);
        loop {
            tokio::select! {
                ended = command.ended() => match ended {
                    Ok(Some(status)) => return status,
                    unknown => give_up(&unknown),
                },
                () = guard.lost(), if !terminated => {
                    terminated = true;
                    command.run_until(last_moment(guard)).await;
                    command.terminate().await;
                }
                _ = kill.wait_for(|kill| *kill), if !killed => {
                    killed = true;
                    command.kill();
                }
                _ = updates.tick() => command.run_until(last_moment(guard)).await,
            }
        }
    }

    fn spec(&self, guard: &Guard) -> Spec {
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

fn last_moment(guard: &Guard) -> Duration {
    let remaining = guard.abort_in().saturating_sub(KILL_MARGIN);
    Duration::from(BootTime.boot()).saturating_add(remaining)
}

/// Somebody killed the guard: nobody knows what is left of the command, so the Lease must run out by itself.
fn give_up(ended: &std::io::Result<Option<u8>>) -> ! {
    tracing::error!(?ended, "the command's guard was killed; ending without giving the Lease back");
    std::process::exit(KILLED.into())
}
