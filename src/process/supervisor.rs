//! The supervisor: runs one command until a moment that `elect` sets, and no longer.
//!
//! Orders come through standard input, eight bytes each. They hold the moment until which the
//! command may run, in nanoseconds of the clock that counts suspend. Zero asks the command to end.
//! A number below a microsecond is a signal to pass on. The end of the input is an order to kill.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, getpid, set_child_subreaper};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::AsyncReadExt;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

use super::process_tree::ProcessTree;
use super::signals::{Listener, MESSAGES, STOPS};
use crate::lines::complain;

/// The exit code if the command cannot be supervised.
const CANNOT_SUPERVISE: u8 = 125;

/// The earliest moment that an order can carry: smaller numbers are signals.
const FIRST_MOMENT_NANOS: u64 = 1000;

/// The arguments of the hidden command.
#[derive(Debug, clap::Args)]
pub struct SupervisorArgs {
    /// The time from SIGTERM to SIGKILL.
    #[arg(long)]
    grace_millis: u64,

    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// An order to the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The command may run until this moment of the clock that counts suspend.
    RunUntil(Duration),
    /// Send SIGTERM now, and SIGKILL after the grace period.
    Terminate,
    /// Send this signal now.
    PassOn(Signal),
}

impl Order {
    /// The order as it is sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        let nanos = match self {
            Self::RunUntil(moment) => {
                u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX).max(FIRST_MOMENT_NANOS)
            }
            Self::Terminate => 0,
            Self::PassOn(signal) => u64::from(signal.as_raw().unsigned_abs()),
        };
        nanos.to_le_bytes()
    }

    /// The order in `bytes`. None: a signal without a name.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Option<Self> {
        match u64::from_le_bytes(bytes) {
            0 => Some(Self::Terminate),
            signal @ 1..FIRST_MOMENT_NANOS => {
                Signal::from_named_raw(i32::try_from(signal).ok()?).map(Self::PassOn)
            }
            nanos => Some(Self::RunUntil(Duration::from_nanos(nanos))),
        }
    }
}

/// Runs the command to its end, and returns its exit status once none of its processes is left.
pub async fn run(args: SupervisorArgs) -> ExitCode {
    match supervise(args).await {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&format!("error: cannot guard the command: {error}"));
            ExitCode::from(CANNOT_SUPERVISE)
        }
    }
}

async fn supervise(args: SupervisorArgs) -> io::Result<u8> {
    // Orphans become children of this process: none gets out of sight.
    set_child_subreaper(Some(getpid()))?;
    let mut orders = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut deaths = signal(SignalKind::child())?;
    // A signal to all processes of a service is meant for the command, which this process must
    // outlive. `elect` passes messages on.
    let mut stops = Listener::new(STOPS)?;
    let _messages = Listener::new(MESSAGES)?;
    let deadline = Deadline::new()?;
    let Some(Order::RunUntil(moment)) = next(&mut orders).await else { return Ok(CANNOT_SUPERVISE) };
    deadline.set(moment)?;
    let mut tree = ProcessTree::new(start(&args.command)?);
    let mut grace = pin!(tokio::time::sleep(Duration::MAX));
    let (mut state, mut asked) = (SupervisorState::Running, SupervisorState::Running);
    while !tree.reap()? {
        if tree.status().is_some() {
            asked = asked.max(SupervisorState::Draining);
        }
        if state == SupervisorState::Running && asked == SupervisorState::Draining {
            grace.set(tokio::time::sleep(Duration::from_millis(args.grace_millis)));
        }
        state = asked;
        // Repeats at each death: the dead process may have left another orphan.
        match state {
            SupervisorState::Running => {}
            SupervisorState::Draining => tree.ask_to_end(),
            SupervisorState::Killed => tree.kill(),
        }
        asked = asked.max(tokio::select! {
            _ = deaths.recv() => state,
            _ = stops.next(), if state == SupervisorState::Running => SupervisorState::Draining,
            () = deadline.passed(), if state < SupervisorState::Killed => SupervisorState::Killed,
            () = &mut grace, if state == SupervisorState::Draining => SupervisorState::Killed,
            order = next(&mut orders), if state < SupervisorState::Killed => match order {
                // From here on an error must not end the supervisor: the command would run without
                // one.
                Some(Order::RunUntil(moment)) if deadline.set(moment).is_ok() => state,
                Some(Order::Terminate) => SupervisorState::Draining,
                Some(Order::PassOn(signal)) => {
                    tree.pass_on(signal);
                    state
                }
                Some(Order::RunUntil(_)) | None => SupervisorState::Killed,
            },
        });
    }
    Ok(tree.status().unwrap_or(CANNOT_SUPERVISE))
}

/// How far the supervisor has come; it never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SupervisorState {
    Running,
    Draining,
    Killed,
}

async fn next(orders: &mut pipe::Receiver) -> Option<Order> {
    let mut bytes = [0; 8];
    // An order is written in one piece: the kernel never splits a write that is smaller than the
    // pipe.
    orders.read_exact(&mut bytes).await.ok().and_then(|_| Order::from_bytes(bytes))
}

fn start(command: &[OsString]) -> io::Result<Pid> {
    let mut exec = Command::new(super::THIS_PROGRAM);
    exec.arg("exec").arg("--parent").arg(std::process::id().to_string()).arg("--").args(command);
    let child = exec.stdin(Stdio::null()).process_group(0).spawn()?;
    Ok(Pid::from_child(&child))
}

/// A timer on the clock that counts suspend: after a night of suspend it is due at once.
struct Deadline(AsyncFd<OwnedFd>);

impl Deadline {
    #[allow(deprecated, reason = "sound for an `OwnedFd`, and what is to replace it is unsafe code")]
    fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self(AsyncFd::new(timerfd_create(TimerfdClockId::Boottime, flags)?)?))
    }

    /// Sets the moment anew.
    fn set(&self, moment: Duration) -> io::Result<()> {
        let it_value = Timespec::try_from(moment).map_err(io::Error::other)?;
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(&self.0, TimerfdTimerFlags::ABSTIME, &Itimerspec { it_interval, it_value })?;
        Ok(())
    }

    /// Waits until the moment has passed.
    async fn passed(&self) {
        loop {
            let Ok(mut ready) = self.0.readable().await else { return };
            let mut expirations = [0; 8];
            match rustix::io::read(&self.0, &mut expirations) {
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_as_they_were_sent() {
        let orders = [
            Order::Terminate,
            Order::RunUntil(Duration::from_micros(1)),
            Order::RunUntil(Duration::from_secs(5)),
            Order::PassOn(Signal::HUP),
            Order::PassOn(Signal::WINCH),
        ];
        for order in orders {
            assert_eq!(Order::from_bytes(order.to_bytes()), Some(order));
        }
    }

    #[test]
    fn a_moment_near_zero_is_no_other_order() {
        for nanos in [0, 1, 15, 999] {
            assert_eq!(
                Order::from_bytes(Order::RunUntil(Duration::from_nanos(nanos)).to_bytes()),
                Some(Order::RunUntil(Duration::from_micros(1)))
            );
        }
    }
}
