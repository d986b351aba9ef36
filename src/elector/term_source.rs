//! Numbers of terms that rise whatever happens to the Lease: also when it is deleted, or etcd restored from a backup.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::active_term::ActiveTerm;
use super::clock::Time;
use super::decisions::record::FencingToken;

/// The number of a term, or why there is none yet.
pub type Number = Pin<Box<dyn Future<Output = Result<u64, String>> + Send>>;

/// A counter outside of the Lease that is never lowered: the strong form of the fencing token, [`ActiveTerm::number`].
pub trait TermSource: fmt::Debug + Send + Sync {
    /// Counts up, and tells the new number: higher than all before, whoever asked. Asked again after a failure, so that
    /// numbers may be left out; dropped when the term is lost.
    fn next(&self, term: &FencingToken) -> Number;
}

/// The guard with the number of its term; none: the term was lost before there was one.
pub(super) async fn numbered(
    mut guard: ActiveTerm,
    source: Option<Arc<dyn TermSource>>,
    clock: Arc<dyn Time>,
    pause: Duration,
) -> Option<ActiveTerm> {
    let Some(source) = source else { return Some(guard) };
    loop {
        let asked = async {
            match source.next(guard.term()).await {
                Ok(number) => Some(number),
                Err(error) => {
                    tracing::warn!(error, "no number for this term yet: its work has not started");
                    clock.sleep_until(clock.boot() + pause.into()).await;
                    None
                }
            }
        };
        tokio::select! {
            biased;
            () = guard.lost() => return None,
            number = asked => if number.is_some() {
                guard.number = number;
                return Some(guard);
            },
        }
    }
}
