//! Which settings are accepted. client-go's rules come first, with its texts, and the first broken
//! rule wins.

use lease_elector::ElectorConfig;
use lease_elector::{ConfigError, default_identity};

use crate::support::*;

fn error(change: impl FnOnce(&mut ElectorConfig)) -> Option<String> {
    let mut config = config();
    change(&mut config);
    config.validate().err().map(|error| error.to_string())
}

fn timing(lease: u64, deadline: u64, retry: u64) -> Option<String> {
    error(|c| {
        c.lease_duration = millis(lease);
        c.renew_deadline = millis(deadline);
        c.retry_period = millis(retry);
    })
}

#[test]
fn leader_election_config_validation() {
    assert_eq!(short_config().validate(), Ok(()));
    assert_eq!(error(|c| c.identity.clear()).unwrap(), "Lock identity is empty");
}

#[test]
fn customary_settings_are_accepted() {
    // The last are those of client-go's examples and of programs built on it.
    let long = [(15, 10, 2), (137, 107, 26), (60, 40, 10), (60, 15, 5)];
    let short = [(15, 2, 1), (4, 2, 1), (6, 3, 1), (6, 4, 2), (15, 10, 5), (10, 8, 2)];
    for (lease, deadline, retry) in long.into_iter().chain(short) {
        assert_eq!(timing(lease * 1000, deadline * 1000, retry * 1000), None, "{lease}/{deadline}/{retry}");
    }
}

#[test]
fn each_rule_has_its_text() {
    assert_eq!(timing(10_000, 10_000, 2000).unwrap(), "leaseDuration must be greater than renewDeadline");
    let text = "renewDeadline must be greater than retryPeriod*JitterFactor";
    assert_eq!(timing(15_000, 2400, 2000).unwrap(), text);
    assert_eq!(timing(15_000, 2401, 2000), None);
    assert_eq!(timing(15_000, 10_000, 0).unwrap(), "retryPeriod must be greater than zero");
    assert_eq!(error(|c| c.name.clear()).unwrap(), "Lock must not be nil.");
    assert_eq!(error(|c| c.namespace.clear()).unwrap(), "Lock must not be nil.");
    let text = "leaseDuration must be whole seconds, 1 to 2147483647";
    assert_eq!(timing(15_900, 10_000, 2000).unwrap(), text);
    assert_eq!(timing(900, 500, 100).unwrap(), text);
    assert_eq!(timing((1 << 31) * 1000, 10_000, 2000).unwrap(), text);
    let text = "renewDeadline+retryPeriod/2 must be at most leaseDuration*(1-clockSkew)";
    assert_eq!(timing(15_000, 13_701, 2000).unwrap(), text);
    assert_eq!(timing(15_000, 13_700, 2000), None);
    let text = "renewPeriod and requestTimeout must be greater than zero";
    assert_eq!(error(|c| c.renew_period = Some(millis(0))).unwrap(), text);
    assert_eq!(error(|c| c.request_timeout = Some(millis(0))).unwrap(), text);
    for skew in [-0.1, 0.5, f64::NAN] {
        let found = error(|c| c.clock_skew = skew);
        let first = [
            "clockSkew must be in [0, 0.5)",
            "renewDeadline+retryPeriod/2 must be at most leaseDuration*(1-clockSkew)",
        ];
        assert!(first.contains(&found.clone().unwrap().as_str()), "{skew}: {found:?}");
    }
    let text = "renewPeriod+2*requestTimeout must be at most renewDeadline";
    assert_eq!(error(|c| c.request_timeout = Some(millis(2501))).unwrap(), text);
    let text = "renewDeadline must be at least 1s+2*requestTimeout: renewals within one second do not count";
    for (lease, deadline, retry) in [(2000, 1000, 300), (3000, 1500, 500), (1000, 500, 100)] {
        assert_eq!(timing(lease, deadline, retry).unwrap(), text);
    }
}

/// A guard process that knows an old limit must learn of a renewal before that limit.
#[test]
fn a_limit_is_told_to_others_well_before_the_old_one_ends() {
    for (lease, deadline, retry) in [(15, 10, 2), (6, 4, 2), (15, 10, 5), (10, 8, 2), (15, 13, 2), (4, 2, 1)]
    {
        let config = lease_elector::ElectorConfig {
            lease_duration: seconds(lease),
            renew_deadline: seconds(deadline),
            retry_period: seconds(retry),
            ..config()
        };
        config.validate().unwrap();
        let (limit, period) = (seconds(lease).mul_f64(0.98), config.limit_update_period());
        assert!(seconds(deadline) + period + millis(100) < limit, "{lease}/{deadline}/{retry}: {period:?}");
        assert!(period <= seconds(retry) && period >= millis(200), "{lease}/{deadline}/{retry}: {period:?}");
    }
}

#[test]
fn the_first_broken_rule_wins() {
    // Breaks all rules at first, then mends one after the other.
    let mut config = ElectorConfig { clock_skew: 0.7, ..config() };
    config.lease_duration = millis(900);
    config.renew_deadline = millis(1000);
    config.retry_period = millis(0);
    config.identity.clear();
    config.name.clear();
    let mut seen = Vec::new();
    let mut next = |config: &ElectorConfig| seen.push(config.validate().unwrap_err());
    next(&config);
    config.lease_duration = millis(2100);
    next(&config);
    config.retry_period = millis(900);
    next(&config);
    config.retry_period = millis(800);
    next(&config);
    config.name.push('l');
    next(&config);
    config.identity.push('i');
    next(&config);
    config.lease_duration = seconds(2);
    next(&config);
    config.lease_duration = seconds(30);
    config.renew_period = Some(millis(0));
    next(&config);
    config.renew_period = Some(millis(999));
    next(&config);
    config.clock_skew = 0.0;
    next(&config);
    config.renew_deadline = millis(1500);
    config.retry_period = millis(500);
    config.renew_period = Some(millis(500));
    config.request_timeout = Some(millis(500));
    next(&config);
    let order = [
        ConfigError::LeaseDurationTooShort,
        ConfigError::RetryPeriodZero,
        ConfigError::RenewDeadlineTooShort,
        ConfigError::NoLock,
        ConfigError::NoIdentity,
        ConfigError::LeaseDurationNotWholeSeconds,
        ConfigError::NoRoomForSkew,
        ConfigError::RenewOrRequestZero,
        ConfigError::ClockSkewOutOfRange,
        ConfigError::NoRoomForTwoTries,
        ConfigError::NoRoomForASecond,
    ];
    assert_eq!(seen, order);
}

#[test]
fn extreme_durations_do_not_overflow() {
    let huge = std::time::Duration::MAX;
    assert!(error(|c| c.retry_period = huge).is_some());
    assert!(error(|c| (c.lease_duration, c.renew_deadline) = (huge, huge - seconds(1))).is_some());
    assert!(error(|c| (c.renew_period, c.request_timeout) = (Some(huge), Some(huge))).is_some());
}

#[test]
fn default_identities_differ_and_end_in_a_random_uuid() {
    let (one, two) = (default_identity(), default_identity());
    assert_ne!(one, two);
    let uuid = one.rsplit('_').next().unwrap();
    assert_eq!(uuid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
    assert_eq!((&uuid[14..15], "89ab".contains(&uuid[19..20])), ("4", true));
}
