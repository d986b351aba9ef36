//! An informer of Leases: the store of `kube::runtime` finds them by namespace and name.
//!
//! ```sh
//! cargo run --example leases -- shop orders
//! ```

use std::error::Error;
use std::future::ready;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::reflector::{self, ObjectRef};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(namespace), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("which namespace, and which Lease?".into());
    };
    let leases: Api<Lease> = Api::namespaced(Client::try_default().await?, &namespace);
    let (store, writer) = reflector::store();
    let events = watcher(leases, watcher::Config::default()).default_backoff();
    tokio::spawn(events.reflect(writer).applied_objects().for_each(|_| ready(())));
    store.wait_until_ready().await?;
    let wanted = ObjectRef::new(&name).within(&namespace);
    loop {
        let spec = store.get(&wanted).and_then(|lease| lease.spec.clone());
        let holder = spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
        println!("{}", holder.as_deref().unwrap_or("nobody"));
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    }
}
