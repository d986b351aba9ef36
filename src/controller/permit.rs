//! The write permit: of several operators, one writes. The others keep their caches ready.
//!
//! The permit avoids conflicts. Safety (S1) does not depend on it: each write is conditional on the
//! versions that it was decided on.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// The right of this operator to write. It is granted once. The process ends when it is lost.
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
    /// A permit for good: the operators hold no election.
    #[must_use]
    pub fn always() -> Self {
        Self { begun: watch::channel(true).1, holds: Arc::new(|| true) }
    }

    /// A permit from when `begun` is true, for as long as `holds` returns true. Each write asks
    /// `holds`.
    #[must_use]
    pub fn when(begun: watch::Receiver<bool>, holds: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { begun, holds: Arc::new(holds) }
    }

    /// The operator may write now.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.was_granted() && (self.holds)()
    }

    /// The permit was granted, and may be lost by now.
    #[must_use]
    pub fn was_granted(&self) -> bool {
        *self.begun.borrow()
    }

    /// Waits until the permit is granted. For ever, if the sender of `begun` is dropped.
    pub async fn granted(&self) {
        let mut begun = self.begun.clone();
        if begun.wait_for(|begun| *begun).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
