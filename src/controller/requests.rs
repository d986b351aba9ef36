//! Sends single requests: bounded in number and time, failures sorted.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::checks::{Health, ScopedCheck};
use super::error::Error;
use super::permit::WritePermit;

/// How long one request may take at first, and how long it holds a place. An unanswered one may have been carried out: the
/// next look tells.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How long one may take at the most: the API server gives a webhook up to 30 s, and drops the write of whoever hangs up.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(35);

/// How many requests are under way at once, so that a burst of work cannot swamp the API server. First come, first
/// served.
const AT_ONCE: usize = 32;

/// How many of these may be such that can wait: the failover of one group never queues behind the renewals of thousands,
/// which fall on one moment after a start.
pub const PATIENT_AT_ONCE: usize = 16;

/// The right to have some requests under way that nobody waits for; it ends with this.
#[derive(Debug)]
pub struct LowPrioritySlot {
    _places: Option<OwnedSemaphorePermit>,
}

/// Sends requests through a client that never repeats one by itself: a repeated write could outlive its condition.
#[derive(Clone, Debug)]
pub struct Requests {
    client: ClientHandle,
    slots: Arc<Semaphore>,
    patient: Arc<Semaphore>,
    /// How long to wait where requests were not answered in time.
    timeouts: Arc<Mutex<HashMap<ScopedCheck, Duration>>>,
    active: WritePermit,
    health: Arc<Health>,
}

#[derive(Clone)]
struct ClientHandle(Client);

impl std::fmt::Debug for ClientHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Requests {
    /// `client` must have been made with `default_retry` off.
    #[must_use]
    pub fn new(client: Client, active: WritePermit, health: Arc<Health>) -> Self {
        let [slots, patient] = [AT_ONCE, PATIENT_AT_ONCE].map(|count| Arc::new(Semaphore::new(count)));
        Self { client: ClientHandle(client), slots, patient, timeouts: Arc::default(), active, health }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.0.clone()
    }

    /// The API of one kind in a namespace.
    #[must_use]
    pub fn namespaced<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client(), namespace)
    }

    /// Waits for a turn of so many requests that nobody waits for. While it waits nothing has been sent: whoever has
    /// something better to do can give it up.
    pub async fn low_priority_slot(&self, requests: usize) -> LowPrioritySlot {
        let requests = u32::try_from(requests.clamp(1, PATIENT_AT_ONCE)).unwrap_or(1);
        // The semaphore is never closed.
        LowPrioritySlot { _places: self.patient.clone().acquire_many_owned(requests).await.ok() }
    }

    fn timeouts(&self) -> MutexGuard<'_, HashMap<ScopedCheck, Duration>> {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer: twice as long as the last time, where there was none then. A request that takes long gives its
    /// place to others.
    async fn answer<T>(
        &self,
        path: &ScopedCheck,
        slot: Option<SemaphorePermit<'_>>,
        request: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let longest = self.timeouts().get(path).copied().unwrap_or(TIMEOUT);
        let mut request = pin!(request);
        if let Ok(answer) = timeout(TIMEOUT, &mut request).await {
            self.timeouts().remove(path);
            return Ok(answer);
        }
        drop(slot);
        let answer = timeout(longest.saturating_sub(TIMEOUT), &mut request).await;
        if answer.is_err() {
            self.timeouts().insert(path.clone(), (longest * 2).min(LONGEST_TIMEOUT));
        }
        answer.map_err(|_| longest)
    }

    /// Reads one object; none if it is not there.
    ///
    /// # Errors
    /// What went wrong, other than that.
    pub async fn find<K>(&self, kind: &'static str, namespace: &str, name: &str) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let api: Api<K> = self.namespaced(namespace);
        let object = format!("{kind} {namespace}/{name}");
        match self.send("get", kind, namespace, object, api.get(name)).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::Gone { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends one request, if this operator is the active one at that moment; `object`, in `namespace`, names what it is
    /// about.
    ///
    /// # Errors
    /// [`Error::Changed`] where a condition was refused, [`Error::Gone`] where nothing of that name and UID is there,
    /// else what went wrong.
    pub async fn send<T>(
        &self,
        verb: &'static str,
        kind: &'static str,
        namespace: &str,
        object: String,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        let slot = self.slots.acquire().await.ok();
        if !self.active.is_granted() {
            return Err(Error::NotActive);
        }
        let at = ScopedCheck::requests(verb, kind, namespace);
        let answer = self.answer(&at, slot, request).await;
        match answer {
            Err(waited) => Err(Error::TimedOut { verb, object, seconds: waited.as_secs() }),
            Ok(Ok(done)) => {
                self.health.report_ok(&at);
                Ok(done)
            }
            Ok(Err(kube::Error::Api(status))) if status.is_forbidden() => {
                // A missing permission concerns all objects of the namespace; an admission rule or a namespace that is
                // going away, one. Events are best effort.
                if status.message.contains(&format!(" cannot {verb} resource ")) && kind != "events" {
                    self.health.report_problem(&at, status.message.clone());
                }
                Err(Error::Forbidden { verb, object, source: status })
            }
            Ok(Err(kube::Error::Api(status))) if is_missing(&status) || is_other_uid(&status) => {
                Err(Error::Gone { object })
            }
            Ok(Err(kube::Error::Api(status))) if is_refused_condition(&status) => {
                Err(Error::Changed { object })
            }
            Ok(Err(source)) => Err(Error::Request { verb, object, source: Box::new(source) }),
        }
    }
}

/// A 404 that names the object. One that does not may come from an API server that does not serve the kind (yet): it
/// says nothing about the object.
fn is_missing(status: &kube::core::Status) -> bool {
    status.is_not_found() && status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

/// The object is not as it was seen: at another version, or there where it was not.
fn is_refused_condition(status: &kube::core::Status) -> bool {
    status.is_conflict() || status.is_already_exists()
}

/// A merge patch with another UID than the object's is a 422 that names the field.
fn is_other_uid(status: &kube::core::Status) -> bool {
    let mut causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 422 && causes.any(|cause| cause.field == "metadata.uid")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::client::Body;
    use serde_json::json;

    use super::*;
    use crate::clock::Clock;
    use crate::planner::Millis;

    /// Pods of the namespace `dark` may not be read.
    fn client() -> Client {
        let answer = |request: http::Request<Body>| async move {
            let path = request.uri().path();
            let (code, body) = if path.starts_with("/api/v1/namespaces/dark/") {
                let message =
                    "pods \"a\" is forbidden: User \"me\" cannot get resource \"pods\" in API group \"\"";
                (403, json!({ "kind": "Status", "code": 403, "reason": "Forbidden", "message": message }))
            } else {
                (200, json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a" } }))
            };
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, std::io::Error>(http::Response::builder().status(code).body(body).unwrap())
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn a_missing_right_is_told_with_its_namespace_and_is_not_hidden_by_another_one_that_has_it() {
        let health = Arc::new(Health::new(Clock::start()));
        let requests = Requests::new(client(), WritePermit::always(), health.clone());
        for namespace in ["dark", "light"] {
            let _ = requests.find::<Pod>("pods", namespace, "a").await;
        }
        let told = health.readiness().unwrap_err();
        let line = told.lines().nth(1).unwrap();
        assert!(line.starts_with("get pods in namespace dark: pods \"a\" is forbidden"), "{told}");
        assert_eq!(told.lines().count(), 2, "{told}");
    }

    /// A webhook that takes 7 s and is then ignored.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_long_is_waited_for_longer_each_time_until_it_comes() {
        let answer = |request: http::Request<Body>| async move {
            let slow = request.uri().path().starts_with("/api/v1/namespaces/slow/");
            tokio::time::sleep(Duration::from_secs(if slow { 7 } else { 0 })).await;
            Ok::<_, std::io::Error>(http::Response::builder().status(404).body(Body::empty()).unwrap())
        };
        let client = Client::new(tower::service_fn(answer), "default");
        let clock = Clock::start();
        let requests = Requests::new(client, WritePermit::always(), Arc::new(Health::new(clock)));
        let mut waited = Vec::new();
        for namespace in ["slow", "slow", "slow", "slow"] {
            let begun = clock.now();
            let answer = requests.find::<Pod>("pods", namespace, "a").await;
            let timed_out = matches!(answer, Err(Error::TimedOut { .. }));
            waited.push((clock.now().since(begun).0, timed_out));
        }
        assert_eq!(waited, [(3_000, true), (6_000, true), (7_000, false), (7_000, false)]);
        let begun = clock.now();
        let _ = requests.find::<Pod>("pods", "quick", "a").await;
        assert_eq!(clock.now(), begun, "another namespace waits for none of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_cannot_wait_does_not_queue_behind_hundreds_that_can() {
        let answer = |_: http::Request<Body>| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, std::io::Error>(http::Response::builder().status(404).body(Body::empty()).unwrap())
        };
        let client = Client::new(tower::service_fn(answer), "default");
        let clock = Clock::start();
        let requests = Requests::new(client, WritePermit::always(), Arc::new(Health::new(clock)));
        for _ in 0..300 {
            let requests = requests.clone();
            tokio::spawn(async move {
                let _turn = requests.low_priority_slot(1).await;
                requests.find::<Pod>("pods", "shop", "a").await
            });
        }
        tokio::task::yield_now().await;
        let begun = clock.now();
        let _ = requests.find::<Pod>("pods", "shop", "b").await;
        assert_eq!(clock.now().since(begun), Millis::from_seconds(1));
    }
}
