//! Signals that this process handles itself.

use std::fs;
use std::io;
use std::task::{Context, Poll};

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};

/// The signals that ask a process to end.
pub const STOPS: [Signal; 3] = [Signal::TERM, Signal::INT, Signal::QUIT];

/// Signals whose meaning the program chooses: reread its settings, reopen its logs, note the new
/// size of the terminal. SIGHUP also says that the terminal is gone.
pub const MESSAGES: [Signal; 4] = [Signal::HUP, Signal::USR1, Signal::USR2, Signal::WINCH];

/// A stream of signals.
#[derive(Debug)]
pub struct Listener(Vec<(Signal, unix::Signal)>);

impl Listener {
    /// Catches these signals: they no longer have their default effect.
    ///
    /// SIGHUP stays ignored if the parent process ignored it: that is how `nohup` keeps a program
    /// running.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Self> {
        let heard = signals.into_iter().filter(|signal| *signal != Signal::HUP || !is_ignored(*signal));
        let listen = |heard: Signal| Ok((heard, unix::signal(SignalKind::from_raw(heard.as_raw()))?));
        heard.map(listen).collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Signal> {
        let mut streams = self.0.iter_mut();
        let come =
            streams.find_map(|(signal, stream)| stream.poll_recv(context).is_ready().then_some(*signal));
        come.map_or(Poll::Pending, Poll::Ready)
    }
}

fn is_ignored(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask >> (signal.as_raw() - 1) & 1 == 1
}
