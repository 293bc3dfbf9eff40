//! The rules of the configuration, each at its limit.

use std::time::Duration;

use elector::election::config::{ConfigError, LeaderElectionConfig};

use crate::conformance::rig::{config, millis, seconds};

fn broken(change: impl FnOnce(&mut LeaderElectionConfig)) -> Vec<ConfigError> {
    let mut config = config();
    change(&mut config);
    config
        .validate(Some(seconds(1)))
        .expect_err("a rule is broken")
}

#[test]
fn rules_are_checked_at_their_limits() {
    assert_eq!(
        LeaderElectionConfig::new("baz").validate(Some(seconds(2))),
        Ok(())
    );
    assert!(matches!(
        broken(|config| config.identity.clear())[..],
        [ConfigError::EmptyIdentity]
    ));
    assert!(matches!(
        broken(|config| config.poll_period = Duration::from_micros(999))[..],
        [ConfigError::TooShort {
            name: "POLL_PERIOD",
            ..
        }]
    ));
    assert!(matches!(
        broken(|config| config.poll_period = Duration::MAX)[..],
        [ConfigError::TooLong {
            name: "POLL_PERIOD",
            ..
        }]
    ));
    let endless = broken(|config| {
        config.lease_duration = Duration::MAX;
        config.renew_deadline = Duration::MAX;
        config.retry_period = Duration::MAX;
        config.termination_grace = Duration::MAX;
    });
    assert!(!endless.is_empty());
    // 5 s + 2 s + 1 s + a thirtieth of the lease; no lease below 8.276 s is long enough.
    let mut tight = config();
    tight.lease_duration = millis(8276);
    assert_eq!(tight.validate(None), Ok(()));
    tight.lease_duration = millis(8275);
    assert!(matches!(
        tight.validate(None).unwrap_err()[..],
        [ConfigError::ShortLease { .. }]
    ));
    // More than 1.2 times the retry period.
    assert!(matches!(
        broken(|config| config.renew_deadline = millis(2400))[..],
        [ConfigError::ShortRenewDeadline { .. }]
    ));
    let mut enough = config();
    enough.renew_deadline = millis(2401);
    assert_eq!(enough.validate(Some(seconds(1))), Ok(()));
    assert!(matches!(
        config().validate(Some(millis(1001))).unwrap_err()[..],
        [ConfigError::LongConfirmDelay { .. }]
    ));
    assert!(matches!(
        broken(|config| config.lease_duration = seconds(3601))[..],
        [ConfigError::LongLease(_)]
    ));
    assert!(matches!(
        broken(|config| config.takeover_stagger = millis(10_001))[..],
        [ConfigError::LongStagger(_)]
    ));
    let mut wide = config();
    wide.takeover_stagger = seconds(10);
    assert_eq!(wide.validate(None), Ok(()));
}

#[test]
fn all_broken_rules_are_reported() {
    let errors = broken(|config| {
        config.identity.clear();
        config.lease_duration = Duration::ZERO;
        config.retry_period = seconds(60);
    });
    assert!(errors.len() >= 4, "{errors:?}");
}

#[test]
fn record_rounds_seconds_up() {
    let config = LeaderElectionConfig {
        lease_duration: millis(9001),
        ..config()
    };
    assert_eq!(config.lease_duration_seconds(), 10);
}
