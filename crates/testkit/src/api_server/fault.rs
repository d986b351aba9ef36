//! What becomes of one call on its way, and of its answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::stream;
use tokio::sync::Notify;

use super::answer::{self, Answer};
use super::refusal::Refusal;

/// What becomes of one call.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Before it is carried out.
    pub before: Duration,
    /// Before it is answered.
    pub after: Duration,
    /// The server carries it out, whatever the client is told.
    pub carry_out: bool,
    /// What the client is told.
    pub reply: Reply,
    /// It is not carried out before this is notified.
    pub gate: Option<Arc<Notify>>,
}

/// What the client is told of a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// What the server says.
    True,
    /// A refusal, true or not.
    Refused(Refusal),
    /// The connection is lost.
    Reset,
    /// Nothing, ever.
    Never,
    /// The headers come, the body does not.
    NoBody,
}

impl Default for Fault {
    fn default() -> Self {
        let none = Duration::ZERO;
        Self { before: none, after: none, carry_out: true, reply: Reply::True, gate: None }
    }
}

impl Fault {
    /// Refused, and not carried out.
    #[must_use]
    pub fn refuse(code: u16) -> Self {
        Self { carry_out: false, ..Self::commit_then(code) }
    }

    /// Refused with `Retry-After`, and not carried out.
    #[must_use]
    pub fn busy(code: u16, seconds: u64) -> Self {
        let refusal = Refusal::new(code, "injected").with_retry_after(seconds);
        Self { carry_out: false, reply: Reply::Refused(refusal), ..Self::default() }
    }

    /// Carried out, and told as refused.
    #[must_use]
    pub fn commit_then(code: u16) -> Self {
        Self { reply: Reply::Refused(Refusal::new(code, "injected")), ..Self::default() }
    }

    /// Carried out, and never answered.
    #[must_use]
    pub fn lost_answer() -> Self {
        Self { reply: Reply::Never, ..Self::default() }
    }

    /// Not carried out, and never answered.
    #[must_use]
    pub fn swallowed() -> Self {
        Self { carry_out: false, ..Self::lost_answer() }
    }

    /// The connection is lost before the call is carried out.
    #[must_use]
    pub fn reset() -> Self {
        Self { carry_out: false, reply: Reply::Reset, ..Self::default() }
    }

    /// The answer takes this long.
    #[must_use]
    pub fn slow_reply(after: Duration) -> Self {
        Self { after, ..Self::default() }
    }

    /// The request takes this long.
    #[must_use]
    pub fn slow_request(before: Duration) -> Self {
        Self { before, ..Self::default() }
    }

    /// Carried out once the gate is notified.
    #[must_use]
    pub fn gated(gate: &Arc<Notify>) -> Self {
        Self { gate: Some(gate.clone()), ..Self::default() }
    }

    /// The connection is lost once the gate is notified; the call is not carried out.
    #[must_use]
    pub fn gated_reset(gate: &Arc<Notify>) -> Self {
        Self { gate: Some(gate.clone()), ..Self::reset() }
    }

    /// The way of the call to the server, and what the server says if it gets there.
    pub async fn reach(&self, carry_out: impl FnOnce() -> Answer) -> Option<Answer> {
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        pause(self.before).await;
        let answer = self.carry_out.then(carry_out);
        pause(self.after).await;
        answer
    }

    /// What the client gets.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn reply(self, answer: Option<Answer>) -> io::Result<Answer> {
        match (self.reply, answer) {
            (Reply::True, Some(answer)) => Ok(answer),
            (Reply::Refused(refusal), _) => Ok(refusal.into()),
            (Reply::Reset, _) | (Reply::True, None) => Err(io::ErrorKind::ConnectionReset.into()),
            (Reply::Never, _) => std::future::pending().await,
            (Reply::NoBody, _) => Ok(answer::of_lines(stream::pending())),
        }
    }
}

async fn pause(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
    }
}
