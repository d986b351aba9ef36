//! Leases, and the groups that own them.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference};
use kube::{Resource, ResourceExt};

use super::version;
use crate::api::{ADOPT_ANNOTATION, DURATION_ANNOTATION, ElectionGroup, NOMINEE_ANNOTATION, TERM_ANNOTATION};
use crate::planner::seen::LeaseContent;
use crate::planner::seen::Owner;
use crate::planner::{Identity, Term};

/// The Lease for the planner, without its owner: only the cache knows which groups exist.
#[must_use]
pub fn lease_content(lease: &Lease) -> LeaseContent {
    let spec = lease.spec.as_ref();
    let time = |time: Option<&MicroTime>| time.map(|time| time.0.as_microsecond());
    LeaseContent {
        uid: lease.uid().unwrap_or_default(),
        version: version(lease),
        owner: Owner::None,
        holder: spec.and_then(|spec| spec.holder_identity.clone()),
        duration_seconds: spec.and_then(|spec| spec.lease_duration_seconds),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or_default(),
        term: lease.annotations().get(TERM_ANNOTATION).and_then(|text| Term::parse(text)),
        adopt: lease.annotations().get(ADOPT_ANNOTATION).cloned(),
        nominee: lease.annotations().get(NOMINEE_ANNOTATION).and_then(|text| nominee(text)),
        nominated_seconds: lease.annotations().get(DURATION_ANNOTATION).and_then(|text| text.parse().ok()),
        times: (
            time(spec.and_then(|spec| spec.acquire_time.as_ref())),
            time(spec.and_then(|spec| spec.renew_time.as_ref())),
        ),
    }
}

/// The nominee that an annotation names. A text that names no pod is a nominee, too.
fn nominee(text: &str) -> Option<Identity> {
    let any = || (!text.is_empty()).then(|| Identity::new(text, ""));
    Identity::parse(text).or_else(any)
}

/// The groups that own an object, by its owner references. A name that no group can have is
/// ignored.
pub fn owners(object: &impl ResourceExt) -> impl Iterator<Item = Identity> {
    let groups = object.owner_references().iter().filter(|owner| is_group(owner));
    groups.filter_map(|owner| Identity::parse(&Identity::new(&*owner.name, &*owner.uid).to_string()))
}

/// The owner is an `ElectionGroup`, of any API version.
#[must_use]
pub fn is_group(owner: &OwnerReference) -> bool {
    let (group, _) = owner.api_version.split_once('/').unwrap_or_default();
    group == ElectionGroup::group(&()) && owner.kind == ElectionGroup::kind(&())
}
