//! Single requests: bounded in number and time, with classified failures.

use std::collections::HashMap;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::checks::{Health, ScopedCheck};
use super::error::Error;
use super::fair_slots::{FairSlots, Lane, RequestSlot};
use super::permit::WritePermit;

/// The first time-out of a request, and how long it keeps its slot. The API server may have carried
/// out a request without an answer: the next look shows the result.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The longest time-out. The API server waits up to 30 s for a webhook, and drops the write of a
/// client that hangs up before.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(35);

/// The limit of requests in flight, which protects the API server from a burst of work.
const MAX_IN_FLIGHT: usize = 32;

/// The limit of low-priority requests in flight. The failover of one group never queues behind the
/// renewals of thousands of groups, which are due at one moment after a start.
pub const MAX_IN_FLIGHT_LOW_PRIORITY: usize = 16;

/// The right to have some low-priority requests in flight. It ends when the slot is dropped.
#[derive(Debug)]
pub struct LowPrioritySlot {
    _permits: Option<OwnedSemaphorePermit>,
}

/// Sends requests through a client that never retries: a repeated write could outlive its
/// condition.
#[derive(Clone, Debug)]
pub struct Requests {
    client: ClientHandle,
    /// What these requests are for.
    lane: Lane,
    slots: FairSlots,
    low_priority_slots: Arc<Semaphore>,
    /// Longer time-outs for requests that had no answer in time. Webhooks, which may be slow, are
    /// chosen by verb, kind and namespace.
    timeouts: Arc<Mutex<HashMap<ScopedCheck, Duration>>>,
    permit: WritePermit,
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
    pub fn new(client: Client, permit: WritePermit, health: Arc<Health>) -> Self {
        Self {
            client: ClientHandle(client),
            lane: Lane::Switch,
            slots: FairSlots::new(MAX_IN_FLIGHT),
            low_priority_slots: Arc::new(Semaphore::new(MAX_IN_FLIGHT_LOW_PRIORITY)),
            timeouts: Arc::default(),
            permit,
            health,
        }
    }

    /// The same requests for another purpose: they share all limits.
    #[must_use]
    pub fn in_lane(&self, lane: Lane) -> Self {
        Self { lane, ..self.clone() }
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

    /// Waits for a slot of this many low-priority requests. Drop the future if urgent work comes:
    /// it has sent nothing.
    pub async fn low_priority_slot(&self, requests: usize) -> LowPrioritySlot {
        let requests = u32::try_from(requests.clamp(1, MAX_IN_FLIGHT_LOW_PRIORITY)).unwrap_or(1);
        // The semaphore is never closed.
        LowPrioritySlot { _permits: self.low_priority_slots.clone().acquire_many_owned(requests).await.ok() }
    }

    fn timeouts(&self) -> MutexGuard<'_, HashMap<ScopedCheck, Duration>> {
        self.timeouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer. If the last request of its kind had none in time, the time-out doubles.
    /// A slow request gives its slot to others.
    async fn answer<T>(
        &self,
        requests: &ScopedCheck,
        slot: RequestSlot,
        request: impl Future<Output = T>,
    ) -> Result<T, Duration> {
        let longest = self.timeouts().get(requests).copied().unwrap_or(TIMEOUT);
        let mut request = pin!(request);
        if let Ok(answer) = timeout(TIMEOUT, &mut request).await {
            self.timeouts().remove(requests);
            return Ok(answer);
        }
        drop(slot);
        let answer = timeout(longest.saturating_sub(TIMEOUT), &mut request).await;
        if answer.is_err() {
            self.timeouts().insert(requests.clone(), (longest * 2).min(LONGEST_TIMEOUT));
        }
        answer.map_err(|_| longest)
    }

    /// Reads one object. None if it does not exist.
    ///
    /// # Errors
    /// If the request failed.
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

    /// Sends one request, if this operator has the write permit at that moment. `object` names the
    /// object of the request, which is in `namespace`.
    ///
    /// # Errors
    /// [`Error::Changed`] if the condition of a write does not hold, [`Error::Gone`] if no object
    /// of that name and UID exists, else the failure.
    pub async fn send<T>(
        &self,
        verb: &'static str,
        kind: &'static str,
        namespace: &str,
        object: String,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        let slot = self.slots.acquire(self.lane, namespace).await;
        if !self.permit.is_granted() {
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
                // A missing permission concerns all objects of the namespace. An admission rule or
                // the deletion of the namespace concerns one. Events are best effort.
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

/// A 404 that names the object. Any other 404 may come from an API server that does not serve the
/// kind (yet), and proves nothing about the object.
fn is_missing(status: &kube::core::Status) -> bool {
    status.is_not_found() && status.details.as_ref().is_some_and(|details| !details.name.is_empty())
}

/// The condition of a write does not hold: the object has another version, or exists already.
fn is_refused_condition(status: &kube::core::Status) -> bool {
    status.is_conflict() || status.is_already_exists()
}

/// The API server answers a merge patch with another UID than the object's by a 422 that names the
/// field.
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

    /// Requests to an API server that answers each after a second.
    fn each_takes_a_second(clock: Clock) -> Requests {
        let answer = |_: http::Request<Body>| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<_, std::io::Error>(http::Response::builder().status(404).body(Body::empty()).unwrap())
        };
        let client = Client::new(tower::service_fn(answer), "default");
        Requests::new(client, WritePermit::always(), Arc::new(Health::new(clock)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_cannot_wait_does_not_queue_behind_hundreds_that_can() {
        let clock = Clock::start();
        let requests = each_takes_a_second(clock);
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

    #[tokio::test(start_paused = true)]
    async fn a_switch_waits_for_one_request_of_another_namespace_and_not_for_hundreds() {
        let clock = Clock::start();
        let requests = each_takes_a_second(clock);
        let took = async |lane: Lane, namespace: &str| {
            for _ in 0..300 {
                let requests = requests.in_lane(lane);
                tokio::spawn(async move { requests.find::<Pod>("pods", "flood", "a").await });
            }
            tokio::task::yield_now().await;
            let begun = clock.now();
            let _ = requests.find::<Pod>("pods", namespace, "b").await;
            clock.now().since(begun)
        };
        assert_eq!(took(Lane::Switch, "shop").await, Millis::from_seconds(2), "one slot, one answer");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(
            took(Lane::Report, "flood").await,
            Millis::from_seconds(2),
            "reports of its own namespace"
        );
    }
}
