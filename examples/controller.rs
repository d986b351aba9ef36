//! A controller of which one replica reconciles: `kube::runtime`'s, started with each term and ended with it.
//!
//! ```sh
//! cargo run --example controller -- shop
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use election_operator::elector::pod_identity;
use election_operator::{ActiveTerm, ElectorConfig, LeaderElector};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Client, Config, ResourceExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let namespace = std::env::args().nth(1).ok_or("which namespace?")?;
    let kube = Config::infer().await?;
    let objects: Api<ConfigMap> = Api::namespaced(Client::try_from(kube.clone())?, &namespace);
    // Renewals have clients of their own: a busy controller does not hold them up.
    let elector =
        LeaderElector::new(kube, ElectorConfig::new(&namespace, "example-controller", pod_identity()?))?;
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    // Not raced against the signal: run gives the Lease back once the controller has ended.
    elector.run(stop, |guard| control(objects.clone(), guard)).await?;
    Ok(())
}

/// Reconciles until leadership is lost; what is under way then is finished.
async fn control(objects: Api<ConfigMap>, guard: ActiveTerm) {
    let lost = {
        let guard = guard.clone();
        async move { guard.lost().await }
    };
    Controller::new(objects, watcher::Config::default())
        .graceful_shutdown_on(lost)
        .run(reconcile, |_, error: &Infallible, _| match *error {}, Arc::new(guard))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// What is written should carry the term: who receives it can refuse an older one.
async fn reconcile(object: Arc<ConfigMap>, guard: Arc<ActiveTerm>) -> Result<Action, Infallible> {
    println!("{} in term {}", object.name_any(), guard.term().transitions);
    Ok(Action::requeue(Duration::from_secs(300)))
}
