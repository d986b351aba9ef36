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

impl From<Option<String>> for Scope {
    fn from(namespace: Option<String>) -> Self {
        namespace.map_or(Self::Cluster, Self::Namespace)
    }
}

/// The empty text stands for all namespaces, as in the API of client libraries.
impl From<&str> for Scope {
    fn from(namespace: &str) -> Self {
        Some(namespace).filter(|name| !name.is_empty()).map(str::to_owned).into()
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
        assert!(synced.insert("shop".into()) && !synced.insert("shop".into()));
        assert!(synced.covers("shop") && !synced.covers("bank"));
        assert!(synced.insert("".into()) && !synced.insert(Scope::Cluster));
        assert!(synced.covers("bank"));
    }
}
