//! The settings of an elector, and which of them make no sense.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

pub use super::decisions::nominee::Picked;
use super::decisions::rules::ElectorRules;
pub use super::decisions::rules::SameIdentity;
use super::decisions::time::Nanos;

/// Settings of a [`LeaderElector`](super::LeaderElector).
///
/// Settings may be added: end a literal with `..ElectorConfig::new(…)`.
#[derive(Clone, Debug)]
pub struct ElectorConfig {
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub name: String,
    /// The identity of this candidate, unique among all candidates. See [`default_identity`].
    pub identity: String,
    /// How long a rival waits without seeing a change before it takes the Lease. Whole seconds.
    pub lease_duration: Duration,
    /// The leader gives up so long after its newest acknowledged write was sent.
    pub renew_deadline: Duration,
    /// The pause between tries.
    pub retry_period: Duration,
    /// The pause after a successful renewal. None: a third of the lease duration, at most half the
    /// renew deadline. The Lease is renewed once a second at most.
    pub renew_period: Option<Duration>,
    /// How long to wait for an answer if another try could still help. None: a quarter of the renew
    /// deadline. A slow API server gets longer, as far as the renew deadline allows.
    pub request_timeout: Option<Duration>,
    /// How long work may drain after a stop.
    pub drain_timeout: Duration,
    /// By how much the rates of two clocks may differ, as a fraction.
    pub clock_skew: f64,
    /// Release the Lease when work has ended.
    pub release_on_stop: bool,
    /// End with the first term instead of standing for election again.
    pub once: bool,
    /// What to do with a held record that names this identity but was written by another process.
    pub same_identity: SameIdentity,
    /// Who picks the next holder. With [`Picked::ByNominee`] the Lease brings the lease duration,
    /// and all other timings of a term follow from it.
    pub picked: Picked,
    /// Watch the Lease, so that a free Lease is taken at once. Otherwise it is only polled.
    pub watch: bool,
    /// What to do with work that has not ended when another process may take the Lease.
    pub on_overrun: Overrun,
    /// Labels to set on the Lease. Other labels keep their values.
    pub labels: BTreeMap<String, String>,
    /// The reporting controller of the Events.
    pub component: String,
}

/// What to do with work that goes on after it was dropped, such as blocking code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overrun {
    /// Log an error.
    #[default]
    Report,
    /// Abort the process. Work is dropped [`OVERRUN_MARGIN`] before that moment.
    Abort,
}

/// With [`Overrun::Abort`]: how long before the process is aborted its work is dropped.
pub const OVERRUN_MARGIN: Duration = Duration::from_millis(50);

/// client-go compares `renewTime` by whole seconds: a renewal counts if its second differs from the
/// last one.
const SECOND: Duration = Duration::from_secs(1);

impl ElectorConfig {
    /// Uses client-go's customary 15, 10 and 2 seconds.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            renew_period: None,
            request_timeout: None,
            drain_timeout: Duration::from_secs(30),
            clock_skew: 0.02,
            release_on_stop: true,
            once: false,
            same_identity: SameIdentity::Wait,
            picked: Picked::ByCandidates,
            watch: true,
            on_overrun: Overrun::Report,
            labels: BTreeMap::new(),
            component: "election-operator".to_owned(),
        }
    }

    /// A pod that the operator may nominate for a Lease of `mode: Nominated`.
    #[must_use]
    pub fn nominated(
        namespace: impl Into<String>,
        name: impl Into<String>,
        pod_name: &str,
        pod_uid: &str,
    ) -> Self {
        let nominee = format!("{pod_name}/{pod_uid}");
        let picked = Picked::ByNominee { nominee };
        Self { picked, ..Self::new(namespace, name, format!("{pod_name}_{pod_uid}")) }
    }

    /// The pause after a successful renewal.
    #[must_use]
    pub fn renew_period(&self) -> Duration {
        self.renew_period.unwrap_or_else(|| (self.lease_duration / 3).min(self.renew_deadline / 2))
    }

    /// How long to wait for an answer if another try could still help.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout.unwrap_or(self.renew_deadline / 4)
    }

    /// How often to tell another process until when work may run. A renewal just before the renew
    /// deadline must be known there halfway to the limit that it extends.
    #[must_use]
    pub fn limit_update_period(&self) -> Duration {
        let policy = self.rules();
        let from_deadline_to_limit = Duration::from(policy.work_limit.since(policy.renew_deadline));
        (from_deadline_to_limit / 2).min(self.retry_period).max(Duration::from_millis(1))
    }

    /// Checks that the settings make sense together, client-go's rules first.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_like_client_go()?;
        let (lease, deadline) = (self.lease_duration, self.renew_deadline);
        if lease.subsec_nanos() != 0 || !(1..=u64::from(i32::MAX.unsigned_abs())).contains(&lease.as_secs()) {
            return Err(ConfigError::LeaseDurationNotWholeSeconds);
        }
        let claim_and_drain = deadline.saturating_add(self.retry_period / 2).as_secs_f64();
        if claim_and_drain > lease.as_secs_f64() * (1.0 - self.clock_skew) {
            return Err(ConfigError::NoRoomForSkew);
        }
        let (renew, request) = (self.renew_period(), self.request_timeout());
        if renew.is_zero() || request.is_zero() {
            return Err(ConfigError::RenewOrRequestZero);
        }
        if !(0.0..0.5).contains(&self.clock_skew) {
            return Err(ConfigError::ClockSkewOutOfRange);
        }
        if renew.saturating_add(request.saturating_mul(2)) > deadline {
            return Err(ConfigError::NoRoomForTwoTries);
        }
        if SECOND.saturating_add(request.saturating_mul(2)) > deadline {
            return Err(ConfigError::NoRoomForASecond);
        }
        Ok(())
    }

    fn validate_like_client_go(&self) -> Result<(), ConfigError> {
        if self.lease_duration <= self.renew_deadline {
            return Err(ConfigError::LeaseDurationTooShort);
        }
        // 1.2 is client-go's JitterFactor.
        if self.renew_deadline.as_nanos() * 10 <= self.retry_period.as_nanos() * 12 {
            return Err(ConfigError::RenewDeadlineTooShort);
        }
        if self.retry_period.is_zero() {
            return Err(ConfigError::RetryPeriodZero);
        }
        if self.namespace.is_empty() || self.name.is_empty() {
            return Err(ConfigError::NoLock);
        }
        if self.identity.is_empty() {
            return Err(ConfigError::NoIdentity);
        }
        Ok(())
    }

    /// The rules for the decisions. Does not check them.
    #[must_use]
    pub fn rules(&self) -> ElectorRules {
        let work_limit = Nanos::from(self.lease_duration).times(1.0 - self.clock_skew);
        let margin = if self.on_overrun == Overrun::Abort { OVERRUN_MARGIN } else { Duration::ZERO };
        let rules = ElectorRules {
            me: self.identity.clone(),
            lease_seconds: i32::try_from(self.lease_duration.as_secs()).unwrap_or(i32::MAX),
            lease_duration: self.lease_duration.into(),
            work_limit: work_limit - margin.into(),
            renew_deadline: self.renew_deadline.into(),
            retry_period: self.retry_period.into(),
            renew_period: self.renew_period().into(),
            request_timeout: self.request_timeout().into(),
            drain_timeout: self.drain_timeout.into(),
            release_on_stop: self.release_on_stop,
            once: self.once,
            same_identity: self.same_identity,
            picked: self.picked.clone(),
            clock_skew: self.clock_skew,
            overrun_margin: margin.into(),
        };
        let seconds = rules.lease_seconds;
        if rules.by_nominee() { rules.lasting(seconds) } else { rules }
    }
}

/// The first rule that an [`ElectorConfig`] breaks. client-go's other rules cannot be broken here:
/// a duration has no sign, and there is no elector without callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the message says it")]
#[non_exhaustive]
pub enum ConfigError {
    #[error("leaseDuration must be greater than renewDeadline")]
    LeaseDurationTooShort,
    #[error("renewDeadline must be greater than retryPeriod*JitterFactor")]
    RenewDeadlineTooShort,
    #[error("retryPeriod must be greater than zero")]
    RetryPeriodZero,
    #[error("Lock must not be nil.")]
    NoLock,
    #[error("Lock identity is empty")]
    NoIdentity,
    #[error("leaseDuration must be whole seconds, 1 to 2147483647")]
    LeaseDurationNotWholeSeconds,
    #[error("renewDeadline+retryPeriod/2 must be at most leaseDuration*(1-clockSkew)")]
    NoRoomForSkew,
    #[error("renewPeriod and requestTimeout must be greater than zero")]
    RenewOrRequestZero,
    #[error("clockSkew must be in [0, 0.5)")]
    ClockSkewOutOfRange,
    #[error("renewPeriod+2*requestTimeout must be at most renewDeadline")]
    NoRoomForTwoTries,
    #[error("renewDeadline must be at least 1s+2*requestTimeout: renewals within one second do not count")]
    NoRoomForASecond,
}

/// The host's name, `_` and a random UUID, as client-go's users make it. Each process gets another
/// one.
#[must_use]
pub fn default_identity() -> String {
    // The keys of a hasher are the random numbers that std has from the system.
    let [high, low] = [(); 2].map(|()| u128::from(RandomState::new().build_hasher().finish()));
    let random = high << 64 | low;
    // Version 4, variant 1.
    let number = (random & !((0xf << 76) | (0x3 << 62))) | (0x4 << 76) | (0x2 << 62);
    let mut uuid = String::new();
    for (at, digit) in format!("{number:032x}").chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    format!("{}_{uuid}", host_name())
}

#[cfg(unix)]
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "localhost".to_owned())
}

/// The pod's name from `POD_NAME`; without it [`default_identity`].
#[must_use]
pub fn pod_identity() -> String {
    let name = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty());
    name.unwrap_or_else(default_identity)
}
