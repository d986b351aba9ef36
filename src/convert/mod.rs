//! Converts API objects to values of the planner, once for each version, and back. It judges
//! nothing.

mod group;
mod lease;
mod pod;
mod route;
mod status;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Resource, ResourceExt};

pub use self::group::{CompiledSpec, RoleLabel, lease_not_served, record_not_kept};
pub use self::lease::{is_group, lease_content, owners};
pub use self::pod::{labels_written_by, owner, same_but_version, standing};
pub use self::route::{
    address_type, api_endpoints, api_ports, is_managed, owner_of_slice, owns_slice, purpose, route,
    slice_name, slice_object,
};
pub use self::status::{api_status, record};
use crate::planner::{Identity, Micros, Version};

/// Name and UID of an object.
pub fn identity<K: Resource>(object: &K) -> Identity {
    Identity::new(object.name_any(), object.uid().unwrap_or_default())
}

/// The version of an object.
pub fn version<K: Resource>(object: &K) -> Version {
    Version(object.resource_version().and_then(|text| text.parse().ok()).unwrap_or_default())
}

fn micros(time: &MicroTime) -> Micros {
    Micros(time.0.as_microsecond())
}

/// A moment as the API writes it. None outside of the years that the API can write.
#[must_use]
pub fn micro_time(moment: Micros) -> Option<MicroTime> {
    Timestamp::from_microsecond(moment.0).ok().map(MicroTime)
}
