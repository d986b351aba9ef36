//! Numbers of terms that rise whatever happens to the Lease: also when it is deleted, or when etcd
//! is restored from a backup.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::active_term::ActiveTerm;
use super::clock::Time;
use super::decisions::record::FencingToken;

/// The number of a term, or why there is none yet.
pub type Number = Pin<Box<dyn Future<Output = Result<u64, String>> + Send>>;

/// A counter outside of the Lease that never falls: the strong form of the fencing token,
/// [`ActiveTerm::number`].
pub trait TermSource: fmt::Debug + Send + Sync {
    /// Counts up and returns the new number. It must be higher than all numbers returned before, to
    /// any process. The elector asks again after a failure, so numbers may be left out. It drops
    /// the future when the term is lost.
    fn next(&self, term: &FencingToken) -> Number;
}

/// The term with its number. None: the term was lost before there was a number.
pub(super) async fn numbered(
    mut term: ActiveTerm,
    source: Option<Arc<dyn TermSource>>,
    clock: Arc<dyn Time>,
    pause: Duration,
) -> Option<ActiveTerm> {
    let Some(source) = source else { return Some(term) };
    loop {
        let asked = async {
            match source.next(term.token()).await {
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
            () = term.lost() => return None,
            number = asked => if number.is_some() {
                term.number = number;
                return Some(term);
            },
        }
    }
}
