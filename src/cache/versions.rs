//! Versions of objects, and the proof that they went backwards.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::namespace::Namespace;
use super::{Cache, Kind};
use crate::convert;
use crate::planner::{Identity, Millis, Version};

/// The API server has answered with an older object than before: its data were restored from a
/// backup. Versions no longer order objects, and the cache cannot be trusted. End the process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{object} is at version {answered}, after version {known} of the same object was seen: \
     the API server's data were restored from an older state; this process ends, to be started \
     again and read everything anew"
)]
pub struct WentBackwards {
    /// Kind, namespace and name.
    pub object: String,
    /// The version that the cache had before the request was sent.
    pub known: u64,
    /// The version in the answer.
    pub answered: u64,
}

impl Cache {
    /// UID and version of an object in the cache. Note them before you send a request, and pass
    /// them with the answer to [`Cache::check_answer`].
    #[must_use]
    pub fn version_of(&self, kind: Kind, namespace: &str, name: &str) -> Option<(String, Version)> {
        self.read(namespace, |space| space.version_of(kind, name)).map(|(uid, version, _)| (uid, version))
    }

    /// Checks the answer to a GET or a write, which is the newest state of an object. Versions went
    /// backwards if it is older than the version that was `known` before the request.
    pub fn check_answer<K>(&self, known: Option<&(String, Version)>, answer: &K)
    where
        K: Resource<DynamicType = ()>,
    {
        let (id, answered) = (convert::identity(answer), convert::version(answer));
        if let Some((uid, known)) = known
            && *uid == id.uid
            && *known > answered
        {
            let namespace = answer.namespace().unwrap_or_default();
            let kind = K::kind(&()).to_lowercase();
            let object = format!("{kind} {namespace}/{}", id.name);
            let error = WentBackwards { object, known: known.0, answered: answered.0 };
            self.backwards.send_if_modified(|first| first.is_none() && first.replace(error).is_none());
        }
    }

    /// Checks an object of a list that was requested at the moment `begun`, as
    /// [`Cache::check_answer`] does. Only what the cache learned before `begun` counts.
    pub fn check_listed<K>(&self, kind: Kind, object: &K, begun: Millis)
    where
        K: Resource<DynamicType = ()>,
    {
        let namespace = object.namespace().unwrap_or_default();
        let known = self.read(&namespace, |space| space.version_of(kind, &object.name_any()));
        let known = known.filter(|(_, _, learned_at)| *learned_at < begun);
        self.check_answer(known.map(|(uid, version, _)| (uid, version)).as_ref(), object);
    }

    /// Waits until versions have gone backwards.
    pub async fn until_backwards(&self) -> WentBackwards {
        let mut backwards = self.backwards.subscribe();
        // The sender lives as long as the cache.
        let found = backwards.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

impl Namespace {
    /// UID and version of an object, and when the cache learned it. Versions of Services and
    /// budgets decide nothing.
    fn version_of(&self, kind: Kind, name: &str) -> Option<(String, Version, Millis)> {
        let of = |metadata: &ObjectMeta, version, at| Some((metadata.uid.clone()?, version, at));
        match kind {
            Kind::Group => {
                let entry = self.groups.get(name)?;
                of(&entry.object.metadata, convert::version(&entry.object), entry.learned_at)
            }
            Kind::Pod => {
                let entry = self.pods.get(name)?;
                of(&entry.pod.metadata, convert::version(&entry.pod), entry.learned_at)
            }
            Kind::Lease => {
                let entry = self.leases.get(name)?;
                of(&entry.object.metadata, convert::version(&entry.object), entry.learned_at)
            }
            Kind::Slice => {
                let entry = self.slices.get(name)?;
                of(&entry.object.metadata, convert::version(&entry.object), entry.learned_at)
            }
            Kind::Service | Kind::Budget => None,
        }
    }

    pub(super) fn uid_of(&self, kind: Kind, name: &str) -> Option<String> {
        self.version_of(kind, name).map(|(uid, ..)| uid)
    }

    /// The object that has this name in the cache.
    pub(super) fn identity_of(&self, kind: Kind, name: &str) -> Option<Identity> {
        self.uid_of(kind, name).map(|uid| Identity::new(name, uid))
    }
}
