//! A command under a guard, seen from the process that started it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};

use super::family::{Undertaker, end_all_children};
use super::supervisor::Order;

/// As shells show SIGKILL.
const KILLED: u8 = 137;

/// How long an order may take. A guard that takes none for so long is stopped, and reads the end of its orders when it is
/// woken.
const ORDER: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The command and its arguments; not empty.
    pub command: Vec<OsString>,
    /// Variables added to its environment.
    pub environment: Vec<(&'static str, String)>,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
}

/// A command that runs until a moment which can be moved. Dropping it kills the command, and waits for nothing.
///
/// One at a time: should a guard be killed, all children of this process are taken for what it left behind.
#[derive(Debug)]
pub struct GuardedCommand {
    guard: Child,
    orders: Option<ChildStdin>,
    undertaker: Undertaker,
}

impl GuardedCommand {
    /// Starts it; without further word it is killed at `until`, a moment of the clock that counts suspended time too.
    ///
    /// # Errors
    /// If the guard cannot be started. That the command cannot be started shows as its exit status.
    pub async fn start(spec: &Spec, until: Duration) -> io::Result<Self> {
        // Should the guard be killed, what it guarded becomes children of this process, and is killed here.
        set_child_subreaper(Some(getpid()))?;
        let mut command = std::process::Command::new(super::THIS_PROGRAM);
        command.arg0(env!("CARGO_PKG_NAME"));
        command.arg("guard").arg("--grace-millis").arg(spec.grace.as_millis().to_string());
        command
            .arg("--")
            .args(&spec.command)
            .envs(spec.environment.iter().map(|(name, value)| (name, value)));
        // Out of the reach of a terminal's Ctrl-C: that is for `elect` to pass on.
        command.stdin(Stdio::piped()).process_group(0);
        let mut guard = tokio::process::Command::from(command).spawn()?;
        let orders = guard.stdin.take();
        let mut started = Self { guard, orders, undertaker: Undertaker::default() };
        started.order(Order::RunUntil(until)).await;
        Ok(started)
    }

    /// It may run until then, and no longer. To be told again and again.
    pub async fn run_until(&mut self, moment: Duration) {
        self.undertaker.look(self.pid());
        self.order(Order::RunUntil(moment)).await;
    }

    /// Asks it to end: SIGTERM, and SIGKILL after the grace period.
    pub async fn terminate(&mut self) {
        self.order(Order::Terminate).await;
    }

    /// Sends it a signal.
    pub async fn pass_on(&mut self, signal: Signal) {
        self.order(Order::PassOn(signal)).await;
    }

    /// Kills all of it at once.
    pub fn kill(&mut self) {
        self.orders = None;
        self.wake();
    }

    /// Wakes a guard that somebody stopped: the end of its orders is its order to kill.
    fn wake(&self) {
        if let Some(guard) = self.pid() {
            let _ = kill_process(guard, Signal::CONT);
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.guard.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
    }

    async fn order(&mut self, order: Order) {
        if let Some(orders) = &mut self.orders {
            // A guard that reads no more has ended: that will be seen. An order is written whole or not at all.
            let _ = tokio::time::timeout(ORDER, orders.write_all(&order.to_bytes())).await;
        }
    }

    /// Until nothing of it is left: the exit status as a shell shows it. If its guard was killed, so is all of it.
    ///
    /// # Errors
    /// If the operating system refuses to tell who ends.
    pub async fn ended(&mut self) -> io::Result<u8> {
        if let Some(status) = self.guard.wait().await.ok().and_then(shown) {
            return Ok(status);
        }
        end_all_children().await?;
        Ok(KILLED)
    }
}

impl Drop for GuardedCommand {
    fn drop(&mut self) {
        self.wake();
    }
}

/// None: it was killed.
fn shown(status: ExitStatus) -> Option<u8> {
    if status.signal().is_some() { None } else { status.code().and_then(|code| u8::try_from(code).ok()) }
}
