//! A supervised command, seen from the process that started it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};

use super::process_tree::{OrphanReaper, end_all_children};
use super::sole::Sole;
use super::supervisor::Order;

/// The exit code of a killed process, as shells show SIGKILL.
const KILLED: u8 = 137;

/// How long an order may take. A supervisor that takes none for so long is stopped. Once resumed,
/// it reads the end of its orders.
const ORDER_TIMEOUT: Duration = Duration::from_secs(1);

/// The command to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The command and its arguments; not empty.
    pub command: Vec<OsString>,
    /// Variables to add to its environment.
    pub environment: Vec<(&'static str, String)>,
    /// The time from SIGTERM to SIGKILL.
    pub grace: Duration,
    /// A name that all of its processes keep until the last one has ended.
    pub sole: Option<Arc<Sole>>,
}

/// A command that runs until a moment which can be moved. Dropping it kills the command, without
/// waiting.
///
/// Run only one at a time: if its supervisor is killed, all children of this process count as left
/// behind by it.
#[derive(Debug)]
pub struct SupervisedCommand {
    supervisor: Child,
    orders: Option<ChildStdin>,
    orphans: OrphanReaper,
}

impl SupervisedCommand {
    /// Starts the command. Without a further order the supervisor kills it at `until`, a moment of
    /// the clock that counts suspend.
    ///
    /// # Errors
    /// If the supervisor cannot be started. A command that cannot be started shows as an exit
    /// status.
    pub async fn start(spec: &Spec, until: Duration) -> io::Result<Self> {
        // If the supervisor is killed, its processes become children of this process, which kills
        // them.
        set_child_subreaper(Some(getpid()))?;
        let mut command = std::process::Command::new(super::THIS_PROGRAM);
        command.arg0(env!("CARGO_PKG_NAME"));
        command.arg("guard").arg("--grace-millis").arg(spec.grace.as_millis().to_string());
        command
            .arg("--")
            .args(&spec.command)
            .envs(spec.environment.iter().map(|(name, value)| (name, value)));
        // Keeps the supervisor out of reach of a terminal's Ctrl-C, which `elect` passes on.
        command.stdin(Stdio::piped()).process_group(0);
        let mut command = tokio::process::Command::from(command);
        let mut supervisor = match &spec.sole {
            Some(sole) => sole.handed_on(|| command.spawn())?,
            None => command.spawn()?,
        };
        let orders = supervisor.stdin.take();
        let mut started = Self { supervisor, orders, orphans: OrphanReaper::default() };
        started.order(Order::RunUntil(until)).await;
        Ok(started)
    }

    /// Lets the command run until `moment`, and no longer. Call it again and again.
    pub async fn run_until(&mut self, moment: Duration) {
        self.orphans.reap(self.pid());
        self.order(Order::RunUntil(moment)).await;
    }

    /// Asks the command to end: SIGTERM, and SIGKILL after the grace period.
    pub async fn terminate(&mut self) {
        self.order(Order::Terminate).await;
    }

    /// Sends the command a signal.
    pub async fn pass_on(&mut self, signal: Signal) {
        self.order(Order::PassOn(signal)).await;
    }

    /// Kills all of its processes at once.
    pub fn kill(&mut self) {
        self.orders = None;
        self.resume();
    }

    /// Resumes a supervisor that was stopped: the end of its orders then makes it kill the command.
    fn resume(&self) {
        if let Some(supervisor) = self.pid() {
            let _ = kill_process(supervisor, Signal::CONT);
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.supervisor.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
    }

    async fn order(&mut self, order: Order) {
        if let Some(orders) = &mut self.orders {
            // A supervisor that no longer reads has ended, which `ended` shows. An order is written
            // whole or not at all.
            let _ = tokio::time::timeout(ORDER_TIMEOUT, orders.write_all(&order.to_bytes())).await;
        }
    }

    /// Waits until no process of it is left. Returns the exit status as a shell shows it. If the
    /// supervisor was killed, this kills all of its processes.
    ///
    /// # Errors
    /// If the operating system does not tell which processes end.
    pub async fn ended(&mut self) -> io::Result<u8> {
        if let Some(status) = self.supervisor.wait().await.ok().and_then(shown) {
            return Ok(status);
        }
        end_all_children().await?;
        Ok(KILLED)
    }
}

impl Drop for SupervisedCommand {
    fn drop(&mut self) {
        self.resume();
    }
}

/// The exit status as a shell shows it. None: the process was killed.
fn shown(status: ExitStatus) -> Option<u8> {
    if status.signal().is_some() { None } else { status.code().and_then(|code| u8::try_from(code).ok()) }
}
