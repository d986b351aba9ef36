//! Whether the versions of the API server's objects went backwards.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::namespace::Namespace;
use super::{Cache, Kind};
use crate::convert;
use crate::planner::{Identity, Millis, Version};

/// The API server has answered with an object that is older than one it told of before: its data were restored from a
/// backup. Versions no longer tell what is newer, and nothing of this picture can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{object} is at version {answered}, after version {known} of the same object was seen: the API server's data were \
     restored from an older state; this process ends, to be started again and read everything anew"
)]
pub struct WentBackwards {
    /// Kind, namespace and name.
    pub object: String,
    /// What was known when the question was sent.
    pub known: u64,
    /// What was answered.
    pub answered: u64,
}

impl Cache {
    /// UID and version of an object, as they are known now: to be compared with what is answered to a question that is
    /// sent after this.
    #[must_use]
    pub fn version_of(&self, kind: Kind, namespace: &str, name: &str) -> Option<(String, Version)> {
        self.look(namespace, |space| space.version_of(kind, name)).map(|(uid, version, _)| (uid, version))
    }

    /// What the API server answers to a GET or a write is its newest state. One that is older than what was `known` of
    /// the same object before the request was sent tells that versions went backwards.
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

    /// The same for an object of a list that was asked for after the moment `begun`: what was known before then.
    pub fn check_listed<K>(&self, kind: Kind, object: &K, begun: Millis)
    where
        K: Resource<DynamicType = ()>,
    {
        let namespace = object.namespace().unwrap_or_default();
        let known = self.look(&namespace, |space| space.version_of(kind, &object.name_any()));
        let known = known.filter(|(_, _, learned_at)| *learned_at < begun);
        self.check_answer(known.map(|(uid, version, _)| (uid, version)).as_ref(), object);
    }

    /// Waits until versions have gone backwards, which they never should.
    pub async fn until_backwards(&self) -> WentBackwards {
        let mut backwards = self.backwards.subscribe();
        // The sender lives as long as this.
        let found = backwards.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(found) => found,
            None => std::future::pending().await,
        }
    }
}

impl Namespace {
    /// UID and version of an object, and when it was learned. Of Services and budgets no version is kept.
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
            Kind::Service | Kind::Budget => None,
        }
    }

    pub(super) fn uid_of(&self, kind: Kind, name: &str) -> Option<String> {
        self.version_of(kind, name).map(|(uid, ..)| uid)
    }

    /// The object that has this name, as far as is known.
    pub(super) fn identity_of(&self, kind: Kind, name: &str) -> Option<Identity> {
        self.uid_of(kind, name).map(|uid| Identity::new(name, uid))
    }
}
