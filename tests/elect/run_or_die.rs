//! `run_or_die`, the library's one call, with its health server and a real connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use election_operator::elector::{Died, LossReason, Options, run_or_die};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use lease_elector::Access;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::http::ask;
use crate::running::eventually;
use crate::server::{NAMESPACE, Server};

async fn options(server: &Server) -> Options {
    let kubeconfig = Kubeconfig::read_from(&server.kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let mut options = Options::new(NAMESPACE, "orders");
    options.access = Some(Access::from(config));
    options
}

fn holder(server: &Server) -> String {
    server.writes().last().map(|write| write.holder.clone()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_or_die_leads_tells_its_health_and_gives_the_lease_back() {
    let server = Server::start().await;
    server.put("orders", json!({ "holderIdentity": "another", "leaseDurationSeconds": 3600 }));
    let mut options = options(&server).await;
    let (identity, alive) = (options.config.identity.clone(), Arc::new(AtomicBool::new(false)));
    let asked = alive.clone();
    options.liveness =
        Some(Arc::new(move || if asked.load(Ordering::SeqCst) { Ok(()) } else { Err("stuck".to_owned()) }));
    // The health server gets a port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    options.health_addr = Some(address);
    let (stop, stopped) = oneshot::channel::<()>();
    let (begun, mut begins) = watch::channel(false);
    let run = tokio::spawn(run_or_die(options, async { stopped.await.unwrap_or_default() }, move |active| {
        begun.send_replace(true);
        async move {
            active.lost().await;
            "done"
        }
    }));
    eventually("health is served", || std::net::TcpStream::connect(address).ok()).await;
    assert_eq!(ask(address, "/healthz").await, (200, "ok\n".to_owned()), "a standby is not asked");
    assert_eq!(ask(address, "/leader").await.0, 404);
    server.put("orders", json!({}));
    begins.wait_for(|begun| *begun).await.unwrap();
    assert_eq!(ask(address, "/healthz").await, (500, "stuck\n".to_owned()));
    alive.store(true, Ordering::SeqCst);
    assert_eq!(ask(address, "/healthz").await.0, 200);
    assert_eq!(holder(&server), identity);
    stop.send(()).unwrap();
    assert_eq!(run.await.unwrap().unwrap(), Some("done"));
    assert_eq!(holder(&server), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_an_error_that_names_the_lease() {
    let server = Server::start().await;
    let robbed = server.clone();
    let ended = run_or_die(options(&server).await, std::future::pending(), |active| {
        robbed.put("orders", json!({ "holderIdentity": "another", "leaseDurationSeconds": 15 }));
        async move { active.lost().await }
    });
    let error = ended.await.unwrap_err();
    assert!(matches!(error, Died::Lost { reason: LossReason::Usurped, .. }), "{error}");
    assert_eq!(error.to_string(), "lost the Lease shop/orders: usurped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_work_ends_with_the_term() {
    let server = Server::start().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let mut stop = Some(stop);
    let times = run_or_die(options(&server).await, async { stopped.await.unwrap_or_default() }, |active| {
        let mut stop = stop.take();
        async move {
            let mut times = 0;
            active
                .repeat(Duration::from_millis(1), 1.0, || {
                    times += 1;
                    if times == 3
                        && let Some(stop) = stop.take()
                    {
                        let _ = stop.send(());
                    }
                    std::future::ready(())
                })
                .await;
            times
        }
    });
    assert!(times.await.unwrap() >= Some(3));
}
