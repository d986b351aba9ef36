//! A program with several replicas of which one works: client-go's usual example in one call.
//!
//! Run it twice, with 6, 4 and 2 seconds, and end the one that leads with SIGTERM or SIGKILL:
//!
//! ```sh
//! cargo run --example elect -- shop orders
//! ```

use std::error::Error;
use std::time::Duration;

use lease_elector::{ActiveTerm, Options, run_or_die};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(namespace), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("which namespace, and which Lease?".into());
    };
    let mut options = Options::new(namespace, name);
    options.config.lease_duration = Duration::from_secs(6);
    options.config.renew_deadline = Duration::from_secs(4);
    options.config.retry_period = Duration::from_secs(2);
    options.health_addr = arguments.next().map(|address| address.parse()).transpose()?;
    println!("standing for election as {}", options.config.identity);
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    // A loss is an error: the process ends with 1, and the kubelet restarts it.
    run_or_die(options, stop, work).await?;
    println!("given back");
    Ok(())
}

/// Works every five to six seconds while this process leads.
async fn work(term: ActiveTerm) {
    println!("leading, term {}", term.token().transitions);
    term.repeat(Duration::from_secs(5), 0.2, async || println!("worked")).await;
    println!("draining, {} ms are left", term.abort_in().as_millis());
}
