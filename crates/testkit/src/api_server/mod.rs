//! An API server in the process: objects of the kinds of [`crate::kind`], with the conditions and
//! the refusals of the real one. It shares no code with what is tested.
//!
//! A test gives it two things. [`Hooks`] see each commit, and may refuse one before. A function
//! stands between a client and the server ([`ApiServer::client_through`]): it delays, refuses and
//! loses calls, often by a [`Fault`], and does what it wants with the events of a [`Watch`].

mod answer;
mod call;
mod fault;
mod refusal;
mod selection;
mod store;
#[cfg(test)]
mod tests;
mod watch;
mod writes;

use std::io;
use std::sync::{Arc, Mutex};

use http::{Request, StatusCode};
use kube::Client;
use kube::client::Body;

pub use answer::{Answer, of as answer_of, of_lines as answer_of_lines};
pub use call::{Call, Verb};
pub use fault::{Fault, Reply};
pub use refusal::Refusal;
pub use store::{Commit, Hooks, Store};
pub use watch::{Watch, line};

/// The server. Clones are the same one.
#[derive(Debug)]
pub struct ApiServer<T>(Arc<Mutex<Store<T>>>);

impl<T> Clone for ApiServer<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Hooks> ApiServer<T> {
    /// A server of these objects.
    pub fn new(store: Store<T>) -> Self {
        Self(Arc::new(Mutex::new(store)))
    }

    /// Reads or changes what is stored. Nothing else happens meanwhile.
    pub fn with<R>(&self, f: impl FnOnce(&mut Store<T>) -> R) -> R {
        f(&mut self.0.lock().expect("no test panicked over the store"))
    }

    /// Carries a call out, and answers it.
    pub fn answer(&self, call: &Call) -> Answer {
        if call.verb == Verb::Watch {
            return self.with(|store| store.watch(call)).into_answer();
        }
        let code = if call.verb == Verb::Create { StatusCode::CREATED } else { StatusCode::OK };
        let answer = self.with(|store| store.carry_out(call));
        answer.map_or_else(Answer::from, |object| answer_of(code, &object))
    }

    /// A client whose calls are carried out and answered at once.
    pub fn client(&self) -> Client {
        let server = self.clone();
        self.client_through(move |call| std::future::ready(Ok(server.answer(&call))))
    }

    /// A client whose calls go through `way`. A call goes its way also if the client stops waiting.
    pub fn client_through<W, F>(&self, way: W) -> Client
    where
        W: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = io::Result<Answer>> + Send,
    {
        let service = tower::service_fn(move |request: Request<Body>| {
            let way = way.clone();
            async move {
                let task = tokio::spawn(async move {
                    way(Call::read(request).await.unwrap_or_else(|path| panic!("{path}"))).await
                });
                task.await.expect("no call panics")
            }
        });
        Client::new(service, self.with(|store| store.namespace().to_owned()))
    }
}
