//! A leader elector for one process: client-go's wire format, stricter about time.
//!
//! docs to come

mod claim;
mod config;
mod driver;
mod events;
mod health;
pub mod lease;
mod metrics;
mod run;
mod shared;
mod state;
mod watch;

pub use crate::election::elector::record::{Nanos, Term};
pub use crate::election::elector::tenure::LossReason;
pub use crate::election::elector::{Ending, Note as Notice};
pub use claim::Guard;
pub use config::{ConfigError, ElectorConfig, OVERRUN_MARGIN, Overrun, SameIdentity, default_identity};
pub use health::{HealthCheck, Unhealthy};
pub use metrics::ElectorMetrics;
pub use run::{BuildError, Ended, LeaderElector, RunError};
pub use state::Leadership;
