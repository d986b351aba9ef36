//! Scopes: what one watch covers, and which scopes are synced.

use std::collections::BTreeSet;

/// What one watch covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All namespaces.
    Cluster,
    /// One namespace.
    Namespace(String),
}

impl Scope {
    /// The namespace, if it is only one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Cluster => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }

    /// The value of the log field `namespace`: empty for all of them.
    #[must_use]
    pub fn log_field(&self) -> &str {
        self.namespace().unwrap_or_default()
    }
}

/// The scopes whose first lists are complete.
#[derive(Debug, Default)]
pub(super) struct SyncedScopes {
    cluster: bool,
    namespaces: BTreeSet<String>,
}

impl SyncedScopes {
    /// Enters a scope; true if it was not synced before.
    pub(super) fn insert(&mut self, scope: Scope) -> bool {
        match scope {
            Scope::Cluster => !std::mem::replace(&mut self.cluster, true),
            Scope::Namespace(namespace) => self.namespaces.insert(namespace),
        }
    }

    /// All that exists in this namespace was seen.
    pub(super) fn covers(&self, namespace: &str) -> bool {
        self.cluster || self.namespaces.contains(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_covers_each_namespace_and_a_namespace_only_itself() {
        let mut synced = SyncedScopes::default();
        let shop = || Scope::Namespace("shop".to_owned());
        assert!(synced.insert(shop()) && !synced.insert(shop()));
        assert!(synced.covers("shop") && !synced.covers("bank"));
        assert!(synced.insert(Scope::Cluster) && !synced.insert(Scope::Cluster));
        assert!(synced.covers("bank"));
    }
}
