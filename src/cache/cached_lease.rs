//! One Lease in the cache, and since when its content holds.

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;

use crate::convert;
use crate::planner::Millis;
use crate::planner::seen::SeenLease;

#[derive(Debug)]
pub(super) struct CachedLease {
    pub(super) object: Lease,
    pub(super) seen: SeenLease,
    /// When the cache got this version of the object.
    pub(super) learned_at: Millis,
}

impl CachedLease {
    /// The UIDs of the groups that own it, each with the name of the Lease.
    pub(super) fn owners(&self) -> impl Iterator<Item = (String, String)> {
        convert::owners(&self.object).map(|owner| (owner.uid, self.object.name_any()))
    }
}
