//! The signals that ask a command to end, and those that are messages for what it runs.

use std::io;
use std::time::Duration;

use rustix::process::Signal;

use crate::elector::clock::{BootTime, Time};
use crate::process::signals::{Listener, MESSAGES, STOPS};

/// What a process ends with that was asked to end a second time, as shells show SIGINT.
pub const INTERRUPTED: i32 = 130;

/// A signal that comes again so soon is not a person's impatience. `timeout` and service managers signal a process and
/// then its group, and a terminal signals all processes in the foreground, of which one may pass on what it got.
const ECHO: Duration = Duration::from_millis(500);

/// Signals, each once.
#[derive(Debug)]
pub struct Signals {
    listener: Listener,
    last: Option<(Signal, Duration)>,
}

/// From now on the signals that ask to end no longer end the process by themselves: SIGTERM, SIGINT, SIGQUIT, and SIGHUP,
/// as nothing is read anew at it.
///
/// # Errors
/// If the operating system refuses.
pub fn listen() -> io::Result<Signals> {
    listen_for(STOPS.into_iter().chain([Signal::HUP]))
}

/// The same, and SIGUSR1, SIGUSR2 and SIGWINCH.
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
    /// Waits for the next one.
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
