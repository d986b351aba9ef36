//! A leader elector for one process: client-go's wire format on a `coordination.k8s.io/v1` Lease, stricter about time.
//!
//! ```no_run
//! use election_operator::{ElectorConfig, LeaderElector};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ElectorConfig::new("shop", "orders", election_operator::elector::default_identity()?);
//! let elector = LeaderElector::new(kube::Config::infer().await?, config)?;
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
//! let ended = elector
//!     .run(stop, |guard| async move {
//!         loop {
//!             tokio::select! {
//!                 () = guard.lost() => return, // Drain here.
//!                 () = write_orders(guard.term().transitions) => {}
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
//! Among electors of this library, with unique identities, clocks whose rates differ by no more than
//! [`ElectorConfig::clock_skew`], and a linearizable API server:
//!
//! * work never runs in two processes at once;
//! * a leader knows that it leads no more by the renew deadline, also without a network and with a blocked runtime: the
//!   deadline has a thread and a clock of its own, one that counts suspend;
//! * one failed or slow request is not a loss;
//! * a release never changes another's record;
//! * a candidate with its watch up leads one watch delay and one write after a clean release, and the lease duration and
//!   one write after its last sight of a leader that crashed.
//!
//! # What it does not guarantee
//!
//! * That effects already sent do not arrive late: send the [`FencingToken`] along, or what a [`TermSource`] made of it, and let
//!   the receiver refuse an older one.
//! * That blocking code stops which ignores that its future was dropped, unless [`Overrun::Abort`] ends the process.
//! * Safety over a pause of the machine that stops every clock of it, or over a third party that edits or deletes a held
//!   Lease: then two may work until the first has seen it, and a second.
//! * Exclusion towards a leader that is client-go's: its deadlines stay its own.
//! * Fairness.
//!
//! # How it is built
//!
//! All judgement is in [`crate::elector::decisions`]: an event and the time in, the next request out. Here are the requests
//! (`lease_client`), the loop around the decisions (`driver`), the claim that the deadline's thread ends (`active_term`, `term_keeper`), the
//! watch, the numbers of terms (`term_source`), and what others see of it: state, health, metrics, Events. Why it differs from client-go, and what each setting costs, is in `docs/elector.md`.

mod access;
mod active_term;
pub mod clock;
mod config;
pub mod decisions;
mod driver;
mod events;
mod health;
mod health_server;
mod leader_elector;
mod leader_view;
pub mod lease_client;
mod metrics;
mod run_or_die;
mod term_keeper;
mod term_source;
mod watch;

pub use access::{Access, Read};
pub use active_term::ActiveTerm;
pub use config::{
    ConfigError, ElectorConfig, OVERRUN_MARGIN, Overrun, SameIdentity, default_identity, pod_identity,
};
pub use decisions::loss::LossReason;
pub use decisions::record::FencingToken;
pub use decisions::time::Nanos;
pub use decisions::{Ending, Notice};
pub use health::{HealthCheck, Unhealthy};
pub use leader_elector::{BuildError, Ended, LeaderElector, RunError};
pub use leader_view::LeaderView;
pub use metrics::ElectorMetrics;
pub use run_or_die::{Died, Liveness, Options, run_or_die};
pub use term_source::{Number, TermSource};
