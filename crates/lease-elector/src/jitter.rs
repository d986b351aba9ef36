//! Jitter of the pauses of one elector.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Random numbers that differ between electors. Electors that failed together must not come back
/// together.
#[derive(Debug)]
pub(super) struct Jitter {
    salt: DefaultHasher,
    count: u64,
}

impl Jitter {
    pub(super) fn new(whom: &impl Hash) -> Self {
        let mut salt = DefaultHasher::new();
        whom.hash(&mut salt);
        Self { salt, count: 0 }
    }

    /// In [0, 1).
    pub(super) fn next(&mut self) -> f64 {
        self.count = self.count.wrapping_add(1);
        self.salt.write_u64(self.count);
        let fraction = u32::try_from(self.salt.finish() >> 32).unwrap_or_default();
        f64::from(fraction) / (f64::from(u32::MAX) + 1.0)
    }
}
