//! The way between the operators, or companions, and the API server: faults from a seed, for each call and for each
//! event of a watch.

use std::io;
use std::time::Duration;

use futures::stream;
use kube::Client;
use testkit::api_server::{Answer, ApiServer, Call, Fault, Refusal, Store, Verb, Watch};
use testkit::api_server::{answer_of, answer_of_lines, line};
use testkit::json::At;
use testkit::kind::Kind;
use testkit::random::Random;
use tokio::time::Instant;

use super::book::{Book, OPERATORS};

pub const NAMESPACE: &str = "sim";
/// Versions kept for watches to start from; older ones are answered with 410.
const HISTORY: usize = 60;

/// The objects, and the book of the run.
pub type State = Store<Book>;

#[derive(Clone)]
pub struct Server(ApiServer<Book>);

/// What happens to a watch at one of its events.
enum Fate {
    Goes,
    /// Nothing comes any more, and it does not end for a while.
    Stalls,
    /// It ends in the middle of an event.
    BreaksOff,
    /// It ends with 410: the client must list again.
    Forgets,
}

impl Server {
    pub fn new(random: Random) -> Self {
        Self(ApiServer::new(Store::new(NAMESPACE, Book::new(random)).remembering(HISTORY)))
    }

    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        self.0.with(f)
    }

    /// A client for one operator, or one companion.
    pub fn client(&self, instance: usize) -> Client {
        let server = self.clone();
        self.0.client_through(move |call| server.clone().answer(instance, call))
    }

    /// Nothing that this instance sends or watches moves until it is woken.
    pub fn stall(&self, instance: usize, stalled: bool) {
        self.with(|state| {
            if stalled {
                state.test.stalled.insert(instance)
            } else {
                state.test.stalled.remove(&instance)
            };
        });
    }

    /// The API server answers nobody, or answers again.
    pub fn outage(&self, outage: bool) {
        self.with(|state| {
            if std::mem::replace(&mut state.test.outage, outage) != outage {
                state.test.note(if outage { "the API server is away" } else { "the API server is back" });
            }
            if outage {
                state.end_watches();
            }
        });
    }

    async fn delay(&self, instance: usize) {
        let millis = self.with(|state| latency(&mut state.test));
        tokio::time::sleep(Duration::from_millis(millis)).await;
        self.woken(instance).await;
    }

    async fn woken(&self, instance: usize) {
        while self.with(|state| state.test.stalled.contains(&instance)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn answer(self, instance: usize, call: Call) -> io::Result<Answer> {
        self.delay(instance).await;
        let fault = self.with(|state| fault(&mut state.test));
        if call.verb == Verb::Watch {
            return Ok(match fault {
                None => self.watch(instance, call),
                Some(_) => Refusal::new(503, "unavailable").into(),
            });
        }
        let fault = fault.unwrap_or_default();
        let answer = fault.reach(|| self.carry_out(instance, &call)).await;
        let answer = fault.reply(answer).await;
        self.delay(instance).await;
        answer
    }

    fn carry_out(&self, instance: usize, call: &Call) -> Answer {
        let (mangled, before) = self.with(|state| {
            let (version, before) = (state.version(), state.object(call.kind, &call.name));
            let mangled = state.test.mangle.map(|mangle| {
                let mut call = call.clone();
                mangle(instance, &mut call, before.as_ref());
                call
            });
            state.test.sees_call(instance, mangled.as_ref().unwrap_or(call), version, before.as_ref());
            (mangled, before)
        });
        let call = mangled.as_ref().unwrap_or(call);
        if call.kind == Kind::Event && call.verb == Verb::Create {
            self.with(|state| state.test.events.push(call.body.clone()));
            return answer_of(http::StatusCode::CREATED, &call.body);
        }
        let answer = self.0.answer(call);
        if call.verb.writes() && answer.status().is_success() {
            self.with(|state| {
                let after = state.object(call.kind, &call.name);
                state.test.judge_need(call.kind, before.as_ref(), after.as_ref());
                if call.kind == Kind::Lease && instance >= OPERATORS {
                    state.test.judge_companion(before.as_ref(), after.as_ref());
                }
            });
        }
        answer
    }

    fn watch(&self, instance: usize, mut call: Call) -> Answer {
        let of_nodes = call.namespace.as_deref() != Some(NAMESPACE);
        let (watch, end) = self.with(|state| {
            let since = call.since().unwrap_or_default();
            if of_nodes {
                // The bookmarks of a real one keep a quiet watch from being forgotten.
                let now = state.version().to_string();
                call.query.insert("resourceVersion".to_owned(), now);
            } else if state.has_forgotten(since) {
                state.test.meet("a watch from a version that is forgotten");
            }
            let watch = state.watch(&call);
            let lifetime = if state.test.calm { 290_000 } else { 500 + state.test.random.below(60_000) };
            (watch, Instant::now() + Duration::from_millis(lifetime))
        });
        self.deliver(instance, call.kind, watch, end)
    }

    fn deliver(&self, instance: usize, kind: Kind, watch: Watch, end: Instant) -> Answer {
        let server = self.clone();
        answer_of_lines(stream::unfold(Some(watch), move |watch| {
            let server = server.clone();
            async move {
                let mut watch = watch?;
                let event = tokio::time::timeout_at(end, watch.next()).await.ok()??;
                if server.with(|state| !state.test.calm && state.test.random.below(15) == 0) {
                    server.delay(instance).await;
                }
                server.woken(instance).await;
                let (line, next) = match server.with(|state| fate(&mut state.test)) {
                    Fate::Goes => (line(&event), Some(watch)),
                    Fate::Stalls => {
                        while Instant::now() < end && !server.with(|state| state.test.calm) {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        return None;
                    }
                    Fate::BreaksOff => (line(&event).chars().take(40).collect(), None),
                    Fate::Forgets => (line(&Refusal::new(410, "too old").event()), None),
                };
                if next.is_some() {
                    let version = event.text("/object/metadata/resourceVersion").parse().unwrap_or_default();
                    server.with(|state| state.test.told(instance, kind, version));
                }
                Some((Ok(line), next))
            }
        }))
    }
}

/// The milliseconds that a request or an answer takes.
fn latency(book: &mut Book) -> u64 {
    let millis = match book.random.below(20) {
        _ if book.calm => 1,
        0 => book.random.below(8000),
        1..4 => book.random.below(400),
        _ => book.random.below(12),
    };
    if millis > 3000 {
        book.meet("a reply slower than the shortest Lease");
    }
    millis
}

fn fault(book: &mut Book) -> Option<Fault> {
    if book.outage {
        let faults = [Fault::reset, Fault::swallowed, || Fault::refuse(503)];
        let which = usize::try_from(book.random.below(3)).unwrap_or_default();
        return Some(faults[which]());
    }
    if book.calm {
        return None;
    }
    let (name, fault) = match book.random.below(60) {
        0 => ("500", Fault::refuse(500)),
        1 => ("503", Fault::refuse(503)),
        2 => ("429", Fault::refuse(429)),
        3 => ("409", Fault::refuse(409)),
        4 => ("409 after the commit", Fault::commit_then(409)),
        5 => ("500 after the commit", Fault::commit_then(500)),
        6 => ("no answer after the commit", Fault::lost_answer()),
        7 => ("no answer and no commit", Fault::swallowed()),
        _ => return None,
    };
    book.meet(name);
    Some(fault)
}

fn fate(book: &mut Book) -> Fate {
    if book.calm {
        return Fate::Goes;
    }
    let (name, fate) = match book.random.below(120) {
        0 => ("a watch that stalls", Fate::Stalls),
        1 => ("a watch that breaks off", Fate::BreaksOff),
        2 => ("a watch that ends with 410", Fate::Forgets),
        _ => return Fate::Goes,
    };
    book.meet(name);
    fate
}
