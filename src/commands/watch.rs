//! `election-operator watch`: follows Leases through one watch. This module reads and prints, and
//! [`lease_log`] judges.

pub mod lease_event;
pub mod lease_log;

use std::io;
use std::pin::pin;
use std::process::ExitCode;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};

use super::connect::{ConnectError, Connection};
use super::output::{Output, print};
use super::signals;
use crate::clock::Clock;
use crate::controller::checks::api_status;
use crate::convert::lease_content;
use crate::lines::complain;
use crate::planner::Millis;
use lease_event::LeaseEvent;
use lease_log::LeaseLog;

/// The arguments of `watch`.
#[derive(Debug, clap::Args)]
pub struct WatchArgs {
    /// The Leases to follow. Default: all Leases of the namespace.
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The namespace of the Leases. Default: the namespace of the kubeconfig's context.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,

    #[command(flatten)]
    connection: Connection,

    /// The format of the lines.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Why the Leases cannot be watched.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("cannot make a client: {0}")]
    BuildClient(#[from] kube::Error),
    #[error("cannot watch the Leases of {namespace}: {message}")]
    Refused { namespace: String, message: String },
    #[error("cannot listen for signals: {0}")]
    ListenForSignals(#[source] io::Error),
    #[error("cannot print: {0}")]
    Print(#[source] io::Error),
}

/// Follows Leases until SIGTERM or SIGINT, or until the reader of standard output is gone.
pub async fn run(args: WatchArgs) -> ExitCode {
    match follow(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(WatchError::Print(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn follow(args: WatchArgs) -> Result<(), WatchError> {
    let access = args.connection.access().await?;
    let namespace = args.namespace.unwrap_or_else(|| access.config().default_namespace.clone());
    let api: Api<Lease> = Api::namespaced(access.client()?, &namespace);
    let mut signals = signals::listen().map_err(WatchError::ListenForSignals)?;
    let narrowed = match args.names.as_slice() {
        [name] => watcher::Config::default().fields(&format!("metadata.name={name}")),
        _ => watcher::Config::default(),
    };
    let watch = || watcher(api.clone(), narrowed.clone()).default_backoff();
    let mut events = pin!(watch());
    let mut printer = WatchPrinter {
        log: LeaseLog::new(args.names),
        clock: Clock::start(),
        output: args.output,
        doubt: None,
    };
    let mut connected = false;
    loop {
        let event = tokio::select! {
            _ = signals.next() => return Ok(()),
            () = printer.until_doubt() => {
                // The connection may have died silently. A new watch brings a new list.
                events.set(watch());
                printer.begin_doubt();
                continue;
            }
            () = printer.until_doubt_ends() => None,
            event = events.next() => event,
        };
        match event {
            Some(Err(error)) if !connected && is_final(&error) => {
                return Err(WatchError::Refused { namespace, message: message(&error) });
            }
            Some(Err(error)) => complain(&format!("warning: {}; trying again", message(&error))),
            Some(Ok(event)) => {
                // The first event comes before the API server is asked.
                connected |= !matches!(event, Event::Init);
                printer.see(event)?;
            }
            // The API server does not answer the new watch either.
            None => printer.end_doubt()?,
        }
    }
}

/// Whether a further request would get the same answer.
fn is_final(error: &watcher::Error) -> bool {
    api_status(error).is_some_and(|status| (400..500).contains(&status.code) && status.code != 429)
}

fn message(error: &watcher::Error) -> String {
    api_status(error).map_or_else(|| error.to_string(), |status| status.message.clone())
}

/// How long a new watch may take to show that a Lease has not expired after all.
const DOUBT: Millis = Millis::from_seconds(5);

/// Feeds the log with watch events, and prints its events.
struct WatchPrinter {
    log: LeaseLog,
    clock: Clock,
    output: Output,
    /// While a new watch checks a Lease that seems to have expired: until when it may take.
    doubt: Option<Millis>,
}

impl WatchPrinter {
    async fn until(&self, moment: Option<Millis>) {
        match moment {
            Some(moment) => self.clock.sleep_until(moment).await,
            None => std::future::pending().await,
        }
    }

    async fn until_doubt(&self) {
        self.until(self.log.next_expiry().filter(|_| self.doubt.is_none())).await;
    }

    async fn until_doubt_ends(&self) {
        self.until(self.doubt).await;
    }

    fn begin_doubt(&mut self) {
        self.doubt = Some(self.clock.now() + DOUBT);
    }

    fn end_doubt(&mut self) -> Result<(), WatchError> {
        self.doubt = None;
        self.expire()
    }

    fn see(&mut self, event: Event<Lease>) -> Result<(), WatchError> {
        if self.doubt.is_none() {
            // An event shows that the connection is alive.
            self.expire()?;
        }
        let now = self.clock.now();
        let is_listed = matches!(event, Event::InitDone);
        let events = match event {
            Event::Init => {
                self.log.list();
                Vec::new()
            }
            Event::InitApply(lease) | Event::Apply(lease) => {
                let seen = self.log.see(&lease.name_any(), lease_content(&lease), now);
                seen.into_iter().collect()
            }
            Event::InitDone => self.log.listed(now),
            Event::Delete(lease) => self.log.gone(&lease.name_any(), now).into_iter().collect(),
        };
        self.tell(&events)?;
        if is_listed { self.end_doubt() } else { Ok(()) }
    }

    fn expire(&mut self) -> Result<(), WatchError> {
        let events = self.log.expire(self.clock.now());
        self.tell(&events)
    }

    fn tell(&self, events: &[LeaseEvent]) -> Result<(), WatchError> {
        let mut stdout = io::stdout().lock();
        events.iter().try_for_each(|event| {
            print(&mut stdout, &self.output.line(self.clock.wall(), event)).map_err(WatchError::Print)
        })
    }
}
