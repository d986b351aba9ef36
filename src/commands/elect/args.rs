//! The arguments of `elect`, and the settings that follow from them.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ElectError;
use super::liveness::LivenessProbe;
use crate::commands::connect::Connection;
use crate::commands::go_duration::{self, BoolFlag};
use crate::commands::output::Output;
use crate::commands::own_pod::OwnPod;
use crate::elector::{ConfigError, ElectorConfig, default_identity};
use crate::http::Address;
use crate::lines::{self, Lines};

/// How long HTTP clients may take to notice a change: they ask each second.
const LINGER: Duration = Duration::from_secs(1);

/// The arguments of `elect`.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[command(after_help = "Durations are written as in Go: 15s, 1m30s, 400ms.

Exit codes: that of COMMAND (128 and the signal's number if a signal ended it); without one 0 after SIGTERM, SIGINT or SIGQUIT;
1 the election could not start, or leadership was lost with --once; 2 a flag is missing or wrong; 125 COMMAND could not
be started; 126 COMMAND is no program; 127 COMMAND was not found; 130 after a second signal while no COMMAND runs.

Examples:
  election-operator elect --lease-name orders --lease-namespace shop
  election-operator elect --lease-name orders --lease-namespace shop -- ./worker --once
  election-operator elect --nominated --lease-name orders --lease-namespace shop -- ./orders
  curl localhost:4040/leader    # with --http-addr localhost:4040")]
pub struct ElectArgs {
    /// The name of the Lease.
    #[arg(long, visible_aliases = ["lock-name", "lease-name"], value_name = "NAME")]
    pub(super) lease_lock_name: String,

    /// The namespace of the Lease.
    #[arg(
        long,
        visible_aliases = ["lock-namespace", "lease-namespace"],
        env = "POD_NAMESPACE",
        value_name = "NAMESPACE"
    )]
    pub(super) lease_lock_namespace: String,

    /// Lead only when the operator nominates this pod, in `mode: Nominated`. The Lease brings the
    /// timings. The pod is the one that `POD_NAME` and `POD_UID` say.
    #[arg(
        long,
        requires = "command",
        conflicts_with_all = ["lease_duration", "renew_deadline", "retry_period", "release_on_cancel", "restart"]
    )]
    pub(super) nominated: bool,

    /// The identity of this candidate, unique among all candidates. Default: the pod's name, else
    /// the host's name, `_` and a random UUID.
    #[arg(long, env = "POD_NAME", value_name = "IDENTITY")]
    pub(super) id: Option<String>,

    #[command(flatten)]
    pub(super) connection: Connection,

    /// How long other candidates wait without seeing a renewal before they take the Lease. Whole
    /// seconds.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = go_duration::duration)]
    pub(super) lease_duration: Duration,

    /// How long the leader goes on without a renewal before it gives up.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = go_duration::duration)]
    pub(super) renew_deadline: Duration,

    /// The pause between two tries.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = go_duration::duration)]
    pub(super) retry_period: Duration,

    /// Release the Lease at the end, so that another candidate can lead at once.
    #[arg(long, bool_flag = true)]
    pub(super) release_on_cancel: bool,

    /// Where to serve /leader, /leader?watch, /is-leader, /healthz and /metrics: `HOST:PORT`, or
    /// `:PORT` for all addresses. Default: nowhere.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) http_addr: Option<Address>,

    /// The URL of the application's health check. /healthz asks it, and only while this process
    /// leads.
    #[arg(long, value_name = "URL", requires = "http_addr")]
    pub(super) liveness: Option<LivenessProbe>,

    /// Without COMMAND: how much longer the Lease is kept after /is-leader has begun to answer 503.
    /// Clients that ask it stop before another candidate leads. Default: 1s with --http-addr, else
    /// 0s.
    #[arg(long, value_name = "DURATION", conflicts_with = "command", value_parser = go_duration::duration)]
    pub(super) linger: Option<Duration>,

    /// End after one term instead of standing for election again. The exit code is 1 if leadership
    /// was lost.
    #[arg(long)]
    pub(super) once: bool,

    /// Run COMMAND again when it ends, instead of stepping down and ending with its exit code.
    #[arg(long, requires = "command")]
    pub(super) restart: bool,

    /// How long COMMAND may take to end after SIGTERM before it is killed. The end of the Lease
    /// kills it earlier.
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = go_duration::duration)]
    pub(super) grace_period: Duration,

    /// The format of events and log lines.
    #[arg(long, short, value_enum, default_value_t)]
    pub(super) output: Output,

    /// Where events go: a file to append to, or the number of an open file descriptor. Default:
    /// standard output; with COMMAND, standard error.
    #[arg(long, value_name = "FILE|FD")]
    pub(super) events_to: Option<PathBuf>,

    /// The command to run while leading. Its environment has `ELECT_IDENTITY`, `ELECT_LEASE`,
    /// `ELECT_TERM` and `ELECT_ACQUIRED_VERSION`. Its standard input is empty.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// The file of an events target. A number is a file descriptor that this process was started with.
fn file_of(target: &Path) -> PathBuf {
    let is_number = target.to_str().is_some_and(|target| target.parse::<u32>().is_ok());
    if is_number { Path::new("/proc/self/fd").join(target) } else { target.to_owned() }
}

impl ElectArgs {
    /// SIGHUP can be a message for a command. It ends this process if there is no command, or if
    /// standard input is a terminal.
    pub(super) fn hangup_stops(&self) -> bool {
        self.command.is_empty() || io::stdin().is_terminal()
    }

    /// The target of events: standard output, unless the command uses it or a flag names another.
    pub(super) fn events(&self) -> Result<Lines, ElectError> {
        let events = match &self.events_to {
            Some(target) => lines::append_to(&file_of(target)),
            None if self.command.is_empty() => lines::stdout(),
            None => Ok(lines::stderr().clone()),
        };
        let target =
            self.events_to.as_ref().map_or("standard output".into(), |target| target.to_string_lossy());
        events.map_err(|source| ElectError::OpenEvents { target: target.into_owned(), source })
    }

    pub(super) fn linger(&self) -> Duration {
        self.linger.unwrap_or(if self.http_addr.is_some() { LINGER } else { Duration::ZERO })
    }

    /// The pod of a companion. None: the candidates pick the leader.
    pub(super) fn pod(&self) -> Result<Option<OwnPod>, ElectError> {
        if !self.nominated {
            return Ok(None);
        }
        let pod = OwnPod::from_environment()?;
        // The flag has its value from `POD_NAME`, unless the user gives it.
        let is_other = |id: &String| *id != pod.name;
        if self.id.as_ref().is_some_and(is_other) { Err(ElectError::NominatedId) } else { Ok(Some(pod)) }
    }

    pub(super) fn elector(&self, pod: Option<&OwnPod>) -> Result<ElectorConfig, ElectError> {
        let identity = self.id.clone().unwrap_or_else(default_identity);
        let (namespace, name) = (&self.lease_lock_namespace, &self.lease_lock_name);
        let by_candidates = || ElectorConfig {
            lease_duration: self.lease_duration,
            renew_deadline: self.renew_deadline,
            retry_period: self.retry_period,
            release_on_stop: self.release_on_cancel,
            ..ElectorConfig::new(namespace, name, identity)
        };
        let config = ElectorConfig {
            // The Lease is released when the last process of the command has ended, however long
            // that takes.
            drain_timeout: Duration::MAX,
            once: self.once,
            ..pod.map_or_else(by_candidates, |pod| pod.elector(namespace, name))
        };
        match config.validate() {
            Ok(()) => Ok(config),
            Err(source) => Err(ElectError::Flag { flag: self.flag_of(source), source }),
        }
    }

    /// The flag that the user must correct.
    const fn flag_of(&self, error: ConfigError) -> &'static str {
        match error {
            ConfigError::LeaseDurationTooShort | ConfigError::LeaseDurationNotWholeSeconds => {
                "--lease-duration"
            }
            ConfigError::RetryPeriodZero => "--retry-period",
            ConfigError::NoLock if self.lease_lock_name.is_empty() => "--lease-lock-name",
            ConfigError::NoLock => "--lease-lock-namespace",
            ConfigError::NoIdentity => "--id",
            // The other rules concern the deadline, and times that follow from it.
            _ => "--renew-deadline",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Parsed {
        #[command(flatten)]
        args: ElectArgs,
    }

    fn parsed(flags: &[&str]) -> ElectArgs {
        let usual = ["elect", "--lease-name", "orders", "--lease-namespace", "shop"];
        Parsed::try_parse_from(usual.iter().chain(flags)).unwrap().args
    }

    /// A pod has 30 seconds by default. If the kubelet kills this process with its command, it
    /// cannot release the Lease.
    #[test]
    fn the_command_is_killed_before_the_pod_is() {
        assert!(parsed(&[]).grace_period <= Duration::from_secs(25));
    }

    #[test]
    fn it_lingers_for_those_who_ask_over_http() {
        assert_eq!(parsed(&[]).linger(), Duration::ZERO);
        assert_eq!(parsed(&["--http-addr", "localhost:4040"]).linger(), LINGER);
        assert_eq!(parsed(&["--http-addr", ":4040", "--linger", "0"]).linger(), Duration::ZERO);
    }
}
