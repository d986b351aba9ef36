//! A controller of which one replica reconciles: `kube::runtime`'s controller, started with each
//! term and ended with it.
//!
//! ```sh
//! cargo run --example controller -- shop
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::{Action, Controller};
use kube::runtime::watcher;
use kube::{Api, Client, Config, ResourceExt};
use lease_elector::pod_identity;
use lease_elector::{ActiveTerm, ElectorConfig, LeaderElector};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let namespace = std::env::args().nth(1).ok_or("which namespace?")?;
    let kube = Config::infer().await?;
    let objects: Api<ConfigMap> = Api::namespaced(Client::try_from(kube.clone())?, &namespace);
    // The elector has clients of its own: a busy controller does not delay renewals.
    let elector =
        LeaderElector::new(kube, ElectorConfig::new(&namespace, "example-controller", pod_identity()))?;
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    // Do not race `run` against the signal: it releases the Lease once the controller has ended.
    elector.run(stop, |term| control(objects.clone(), term)).await?;
    Ok(())
}

/// Reconciles until leadership is lost. A reconciliation under way is finished.
async fn control(objects: Api<ConfigMap>, term: ActiveTerm) {
    let lost = {
        let term = term.clone();
        async move { term.lost().await }
    };
    Controller::new(objects, watcher::Config::default())
        .graceful_shutdown_on(lost)
        .run(reconcile, |_, error: &Infallible, _| match *error {}, Arc::new(term))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// Writes should carry the term: their receiver can then refuse an older one.
async fn reconcile(object: Arc<ConfigMap>, term: Arc<ActiveTerm>) -> Result<Action, Infallible> {
    println!("{} in term {}", object.name_any(), term.token().transitions);
    Ok(Action::requeue(Duration::from_secs(300)))
}
