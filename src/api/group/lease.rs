//! `spec.lease`: the Lease of the group.

#![expect(unreachable_pub, reason = "the derive of KubeSchema copies each type into a function")]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// The Lease of the group.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::tidy)]
#[x_kube(
    validation = Rule::new(
        "has(self.name) == has(oldSelf.name) && (!has(self.name) || self.name == oldSelf.name)"
    )
        .message("lease.name cannot be set, changed or unset after creation")
        .field_path(".name"),
    validation = Rule::new(
        "has(self.__namespace__) == has(oldSelf.__namespace__) && \
         (!has(self.__namespace__) || self.__namespace__ == oldSelf.__namespace__)"
    )
        .message("lease.namespace cannot be set, changed or unset after creation")
        .field_path(".namespace")
)]
pub struct LeaseSpec {
    /// The name of the Lease. Not set: the name of the `ElectionGroup`.
    /// Cannot be set, changed or unset after creation. For example `orders-leader`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub name: Option<String>,

    /// The namespace of the Lease. Not set: that of the `ElectionGroup`. Observed mode only: the
    /// operator reads the Lease there, and must serve that namespace, too. Cannot be set, changed
    /// or unset after creation. For example `kube-system`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::namespace_name")]
    pub namespace: Option<String>,

    /// For how many seconds the Lease is valid after a renewal. Not set: 60, in the other modes 15.
    /// In Managed mode it has no influence on failover: the operator does not wait for the Lease,
    /// which is there for those who read it. In Observed mode the Lease's own
    /// `leaseDurationSeconds` counts, and this is used only where it has none. In Nominated mode the
    /// next leader takes the Lease for so long: it stops by then if it cannot renew, and after a
    /// crash no other pod leads before. For example `90`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 3, max = 86_400))]
    pub duration_seconds: Option<u32>,

    /// The seconds between two renewals in Managed mode: twice as much must be less than
    /// `durationSeconds`. Not set: a third of `durationSeconds`. In the other modes it has
    /// no meaning. For example `15`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 43_199))]
    pub renew_seconds: Option<u32>,
}
