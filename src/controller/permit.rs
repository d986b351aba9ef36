//! Whether this operator is the active one of several. The others keep everything ready and write nothing.
//!
//! That bounds noise. Safety (S1) does not depend on it: every write is conditional on what it was decided on.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// This operator's part among several. It becomes active once, and ends with its process.
#[derive(Clone)]
pub struct WritePermit {
    begun: watch::Receiver<bool>,
    holds: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for WritePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Active").field("begun", &*self.begun.borrow()).finish_non_exhaustive()
    }
}

impl WritePermit {
    /// At once and for good: there is no election among operators.
    #[must_use]
    pub fn always() -> Self {
        Self { begun: watch::channel(true).1, holds: Arc::new(|| true) }
    }

    /// From when `begun` is true, and only as long as `holds` says so, which is asked before each write.
    #[must_use]
    pub fn when(begun: watch::Receiver<bool>, holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { begun, holds: Arc::new(holds) }
    }

    /// At this moment.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.was_granted() && (self.holds)()
    }

    /// It is, or was.
    #[must_use]
    pub fn was_granted(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits until it has begun; for ever, if nobody is left who could say so.
    pub async fn granted(&self) {
        let mut begun = self.begun.clone();
        if begun.wait_for(|begun| *begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
