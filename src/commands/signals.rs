//! The signals that end a command, and those that are messages for the program it runs.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use crate::elector::clock::{BootTime, Time};
use crate::process::signals::{Listener, MESSAGES, STOPS};

/// The exit code after a second signal, as shells show SIGINT.
pub const INTERRUPTED: i32 = 130;

/// A signal that is repeated within this time is an echo and not a person's impatience. `timeout`
/// and service managers signal a process and then its group. A terminal signals all processes in
/// the foreground, and one of them may pass the signal on.
const ECHO: Duration = Duration::from_millis(500);

/// Signals without their echoes.
#[derive(Debug)]
pub struct Signals {
    listener: Listener,
    last: Option<(Signal, Duration)>,
}

/// Catches the signals that end a process: SIGTERM, SIGINT, SIGQUIT, and SIGHUP, as no command
/// rereads its settings. The process must then end by itself.
///
/// # Errors
/// If the operating system refuses.
pub fn listen() -> io::Result<Signals> {
    listen_for(STOPS.into_iter().chain([Signal::HUP]))
}

/// Catches the same signals, and SIGUSR1, SIGUSR2 and SIGWINCH.
///
/// # Errors
/// If the operating system refuses.
pub fn listen_for_messages_too() -> io::Result<Signals> {
    listen_for(STOPS.into_iter().chain(MESSAGES))
}

fn listen_for(signals: impl IntoIterator<Item = Signal>) -> io::Result<Signals> {
    Ok(Signals { listener: Listener::new(signals)?, last: None })
}

impl Signals {
    /// Waits for the next signal.
    pub async fn next(&mut self) -> Signal {
        loop {
            let signal = self.listener.next().await;
            if !self.is_echo(signal, BootTime.monotonic().into()) {
                return signal;
            }
        }
    }

    fn is_echo(&mut self, signal: Signal, now: Duration) -> bool {
        let is_echo = STOPS.contains(&signal)
            && self.last.is_some_and(|(last, at)| last == signal && now.saturating_sub(at) < ECHO);
        if !is_echo {
            self.last = Some((signal, now));
        }
        is_echo
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_same_signal_to_end_again_and_soon_is_an_echo() {
        let mut signals = listen_for([]).unwrap();
        let mut at = |signal, millis| signals.is_echo(signal, Duration::from_millis(millis));
        assert!(!at(Signal::INT, 0), "the first one");
        assert!(at(Signal::INT, 499), "again, and soon");
        assert!(!at(Signal::INT, 500), "again, but later than an echo comes");
        assert!(!at(Signal::TERM, 501), "another one");
        assert!(!at(Signal::USR1, 502) && !at(Signal::USR1, 503), "two messages");
    }
}
