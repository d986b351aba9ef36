//! A leader elector for one process. It uses client-go's wire format on a `coordination.k8s.io/v1`
//! Lease, and is stricter about time.
//!
//! ```no_run
//! use lease_elector::{ElectorConfig, LeaderElector};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ElectorConfig::new("shop", "orders", lease_elector::default_identity());
//! let elector = LeaderElector::new(kube::Config::infer().await?, config)?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//! let ended = elector
//!     .run(stop, |term| async move {
//!         loop {
//!             tokio::select! {
//!                 () = term.lost() => return, // Drain here.
//!                 () = write_orders(term.token().transitions) => {}
//!             }
//!         }
//!     })
//!     .await?;
//! println!("{:?}", ended.ending);
//! # Ok(())
//! # }
//! # async fn write_orders(_token: i32) {}
//! ```
//!
//! # What it guarantees
//!
//! Its guarantees hold among electors of this library that have unique identities and a
//! linearizable API server. The rates of their clocks differ by no more than
//! [`ElectorConfig::clock_skew`].
//!
//! * Work never runs in two processes at once.
//! * A leader knows by the renew deadline that it no longer leads. This needs no network, and no
//!   runtime that makes progress. The deadline has its own thread and its own clock, which counts
//!   suspend.
//! * One failed or slow request is not a loss.
//! * A release never changes the record of another holder.
//! * After a clean release, a watching candidate leads within one watch delay plus one write. After
//!   a crash it leads one lease duration plus one write after the last renewal that it saw.
//!
//! # What it does not guarantee
//!
//! * An effect that was already sent may arrive late. Send the [`FencingToken`] along, or the
//!   number that a [`TermSource`] made of it. The receiver must refuse an older one.
//! * Blocking code that ignores that its future was dropped goes on, unless [`Overrun::Abort`] ends
//!   the process.
//! * Two processes may work at once after a pause of the machine that stops all its clocks. The
//!   same holds after a third party edits or deletes a held Lease. It ends one second after the
//!   first leader has seen the change.
//! * A leader that runs client-go keeps its own deadlines: it is not excluded by ours.
//! * Candidates do not take turns.
//!
//! # How it is built
//!
//! All judgement is in [`decisions`]: an event and the time go in, the next request comes out. The
//! rooms around it:
//!
//! * `lease_client` sends the requests, and `watch` watches the Lease.
//! * `driver` is the loop around the decisions.
//! * `active_term` and `term_keeper` hold the term that the deadline thread ends.
//! * `term_source` numbers the terms.
//! * `leader_view`, `health`, `metrics` and `events` show the elector to others.
//!
//! `docs/elector.md` says why it differs from client-go, and what each setting costs.

mod access;
mod active_term;
pub mod clock;
mod config;
#[doc(hidden)]
pub mod decisions;
mod driver;
mod events;
mod health;
mod health_server;
mod inbox;
mod jitter;
mod leader_elector;
mod leader_view;
#[doc(hidden)]
pub mod lease_client;
mod metrics;
mod run_or_die;
mod term_keeper;
mod term_source;
mod watch;

pub use access::{Access, SettingsRead};
pub use active_term::ActiveTerm;
pub use config::{
    ConfigError, ElectorConfig, OVERRUN_MARGIN, Overrun, Picked, SameIdentity, default_identity, pod_identity,
};
pub use decisions::loss::LossReason;
pub use decisions::record::FencingToken;
pub use decisions::time::Nanos;
pub use decisions::{Ending, Notice};
pub use health::{HealthCheck, Unhealthy};
pub use health_server::Liveness;
/// The `kube` whose types are in this API.
pub use kube;
pub use leader_elector::{BuildError, Ended, LeaderElector, RunError};
pub use leader_view::LeaderView;
pub use metrics::ElectorMetrics;
pub use run_or_die::{Died, Options, run_or_die};
pub use term_source::{Number, TermSource};
