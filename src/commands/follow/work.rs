//! What runs by the role: a command while the pod leads, and hooks when that changes.

use std::ffi::OsString;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{broadcast, watch};

use super::role::{OnDoubt, PodRole, Progress};
use crate::elector::clock::{BootTime, Time};
use crate::process::command::{Spec, SupervisedCommand};

/// How long before the last moment the supervisor kills the command, so that it is gone by then.
const KILL_MARGIN: Duration = Duration::from_millis(50);

/// How much longer than its grace period a hook may take.
const HOOK_MARGIN: Duration = Duration::from_secs(5);

/// The exit code if nothing could be started.
const CANNOT_START: u8 = 125;

/// Commands by the role, one at a time.
#[derive(Debug)]
pub struct RoleWork {
    /// Runs while the pod leads. Empty: nothing does.
    pub command: Vec<OsString>,
    /// Runs when the pod has become the leader, before the command. Empty: nothing does.
    pub on_promote: Vec<OsString>,
    /// Runs when the pod leads no longer, after the command. Empty: nothing does.
    pub on_demote: Vec<OsString>,
    /// The time from SIGTERM to SIGKILL, and for the hook of a demotion.
    pub grace: Duration,
    /// What happens when the API server does not confirm.
    pub on_doubt: OnDoubt,
    /// `namespace/name` of the Lease.
    pub lease: String,
    /// Kills what runs.
    pub kill: watch::Receiver<bool>,
    /// Signals for the command.
    pub messages: broadcast::Sender<Signal>,
}

impl RoleWork {
    /// Follows the roles until the last one, or until the command has ended by itself. Returns the
    /// status of the command that ended then.
    pub async fn follow(self, mut roles: watch::Receiver<PodRole>) -> Option<u8> {
        let _ = roles.wait_for(|role| role.stage != Progress::Unknown).await.ok()?;
        loop {
            let mut status = None;
            let role = roles.borrow().clone();
            if role.leads {
                status = self.lead(&role, &mut roles).await;
                if status.is_some() && roles.borrow().is_still(role.tenure) {
                    return status;
                }
            }
            // It led no longer, or does not lead at the start.
            let role = roles.borrow().clone();
            if role.stage == Progress::Known || role.tenure > 0 {
                self.run_hook(&self.on_demote, &role).await;
            }
            if role.stage == Progress::Last {
                return status;
            }
            let next = roles.wait_for(|role| role.leads || role.stage == Progress::Last).await.ok()?.clone();
            if next.stage == Progress::Last {
                return None;
            }
        }
    }

    /// Runs the hook and the command of one tenure, and returns the status of the command when the
    /// tenure or the command has ended.
    async fn lead(&self, role: &PodRole, roles: &mut watch::Receiver<PodRole>) -> Option<u8> {
        if !self.on_promote.is_empty() {
            let status = self.run_while_leading(&self.on_promote, role, roles).await;
            report("--on-promote", status);
        }
        if !self.command.is_empty() && roles.borrow().is_still(role.tenure) {
            return Some(self.run_while_leading(&self.command, role, roles).await);
        }
        let _ = roles.wait_for(|now| !now.is_still(role.tenure)).await;
        None
    }

    async fn run_while_leading(
        &self,
        command: &[OsString],
        role: &PodRole,
        roles: &mut watch::Receiver<PodRole>,
    ) -> u8 {
        let (mut kill, mut messages) = (self.kill.clone(), self.messages.subscribe());
        let spec = self.spec(command, role);
        let until = self.last_moment(&roles.borrow());
        let mut process = match SupervisedCommand::start(&spec, until).await {
            Ok(process) => process,
            Err(error) => {
                tracing::error!(%error, "cannot start the command");
                return CANNOT_START;
            }
        };
        let (mut terminated, mut killed) = (false, false);
        let status = loop {
            tokio::select! {
                status = process.ended() => break status,
                changed = roles.changed(), if !terminated => {
                    let now = roles.borrow_and_update().clone();
                    if changed.is_ok() && now.is_still(role.tenure) {
                        process.run_until(self.last_moment(&now)).await;
                    } else {
                        terminated = true;
                        process.terminate().await;
                    }
                }
                () = asked(&mut kill), if !killed => {
                    killed = true;
                    process.kill();
                }
                Ok(message) = messages.recv() => process.pass_on(message).await,
            }
        };
        status.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot see how the command ended");
            CANNOT_START
        })
    }

    /// The hook of a demotion: nothing ends it but its own time, and a second signal.
    async fn run_hook(&self, command: &[OsString], role: &PodRole) {
        if command.is_empty() {
            return;
        }
        let until = Duration::from(BootTime.boot()).saturating_add(self.grace).saturating_add(HOOK_MARGIN);
        let mut process = match SupervisedCommand::start(&self.spec(command, role), until).await {
            Ok(process) => process,
            Err(error) => return tracing::error!(%error, "cannot start --on-demote"),
        };
        let mut kill = self.kill.clone();
        let status = tokio::select! {
            status = process.ended() => status,
            () = asked(&mut kill) => {
                process.kill();
                process.ended().await
            }
        };
        report("--on-demote", status.unwrap_or(CANNOT_START));
    }

    /// Until when the command may run without another word. In doubt it goes on if it shall.
    fn last_moment(&self, role: &PodRole) -> Duration {
        match self.on_doubt {
            OnDoubt::Stop => Duration::from(role.until).saturating_sub(KILL_MARGIN),
            OnDoubt::Continue => Duration::MAX,
        }
    }

    fn spec(&self, command: &[OsString], role: &PodRole) -> Spec {
        Spec {
            command: command.to_vec(),
            environment: vec![
                ("ELECT_IDENTITY", role.holder.clone()),
                ("ELECT_LEASE", self.lease.clone()),
                ("ELECT_TERM", role.term.map(|term| term.to_string()).unwrap_or_default()),
                ("ELECT_ACQUIRED_VERSION", role.version.clone()),
            ],
            grace: self.grace,
            sole: None,
        }
    }
}

async fn asked(kill: &mut watch::Receiver<bool>) {
    let _ = kill.wait_for(|kill| *kill).await;
}

fn report(hook: &str, status: u8) {
    if status == 0 {
        tracing::info!(hook, "the hook has ended");
    } else {
        tracing::error!(hook, status, "the hook failed");
    }
}
