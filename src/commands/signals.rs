//! The signals that ask a command to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a process ends with that was asked to end a second time, as shells show SIGINT.
pub const INTERRUPTED: i32 = 130;

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// From now on these signals no longer end the process by themselves.
///
/// # Errors
/// If the operating system refuses.
pub fn listen() -> std::io::Result<Signals> {
    Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
}

impl Signals {
    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
