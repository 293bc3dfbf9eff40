//! Timing of an election, and the relations between the times that keep it safe.

use std::fmt;
use std::time::Duration;

use super::record::LONGEST_LEASE;

/// client-go's `JitterFactor`: the renew deadline must leave room for more than one retry period.
const JITTER_FACTOR: f64 = 1.2;

/// The part of the lease that is reserved for reaping processes and for clock drift.
const MARGIN_DIVISOR: u32 = 30;

/// Shortest duration of a setting.
const SHORTEST: Duration = Duration::from_millis(1);

/// Longest duration of a setting that the lease does not bound.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Longest identity in bytes. Why: a store may return a long record truncated.
const LONGEST_IDENTITY: usize = 64 * 1024;

/// Configuration of a candidate. [`validate`](Self::validate) checks the relations between the times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaderElectionConfig {
    /// Name of this candidate, unique in the election; not empty.
    pub identity: String,
    /// Lease duration, at most one hour: a candidate may take over this long after it first observed the
    /// newest renewal. A longer lease tolerates longer outages of the store, and delays the takeover
    /// after a crash.
    pub lease_duration: Duration,
    /// Time without a successful renewal after which a leader stops leading.
    pub renew_deadline: Duration,
    /// Interval between renewals.
    pub retry_period: Duration,
    /// Interval between a candidate's reads.
    pub poll_period: Duration,
    /// Time from SIGTERM to SIGKILL for a workload whose lease is lost.
    pub termination_grace: Duration,
    /// Longest time for a graceful shutdown of the workload, during which the leader renews.
    pub stop_timeout: Duration,
    /// Whether this candidate releases the lease when it is stopped.
    pub release_on_cancel: bool,
    /// Whether this candidate finishes after it lost the lease. Otherwise it rejoins.
    pub exit_on_lost_lease: bool,
    /// Time within which this candidate must lead, or it finishes; `None` for no limit.
    pub give_up_after: Option<Duration>,
    /// This candidate finishes as soon as it observes that another candidate leads, or led within this
    /// time by the store's clock (whole seconds, in favour of not leading); `None` for never.
    pub unless_led_within: Option<Duration>,
    /// Whether this candidate is preferred: no other preferred candidate asks it to hand over, and it claims a
    /// free lease without the random delay.
    pub preferred: bool,
    /// Time after which a preferred candidate asks a leader that is not preferred to hand over to it, counted
    /// from its start, its last request and the end of each term that it leads; `None` for never.
    pub failback_after: Option<Duration>,
    /// Longest random delay before a candidate claims a lease that it may acquire, so that standbys do
    /// not all write simultaneously. At most the lease duration; three times as long after the first
    /// read. The default of 0.4 s suits three candidates.
    pub takeover_stagger: Duration,
    /// Seed of the random delays. Use another one for each candidate.
    pub seed: u64,
}

impl LeaderElectionConfig {
    /// Returns the default configuration of a candidate with this name.
    #[must_use]
    pub fn new(identity: impl Into<String>) -> Self {
        LeaderElectionConfig {
            identity: identity.into(),
            lease_duration: Duration::from_secs(30),
            renew_deadline: Duration::from_secs(16),
            retry_period: Duration::from_secs(8),
            poll_period: Duration::from_secs(2),
            termination_grace: Duration::from_secs(5),
            stop_timeout: Duration::from_secs(25),
            release_on_cancel: true,
            exit_on_lost_lease: false,
            give_up_after: None,
            unless_led_within: None,
            preferred: false,
            failback_after: None,
            takeover_stagger: Duration::from_millis(400),
            seed: 0,
        }
    }

    /// Returns the part of the lease that is reserved for reaping processes and for clock drift: a thirtieth.
    #[must_use]
    pub fn margin(&self) -> Duration {
        self.lease_duration / MARGIN_DIVISOR
    }

    /// Returns the time from sending a confirmed write to the leadership deadline: the lease less the
    /// time that stopping takes.
    #[must_use]
    pub fn usable_lease(&self) -> Duration {
        self.lease_duration
            .saturating_sub(self.termination_grace)
            .saturating_sub(self.margin())
    }

    /// Returns the lease duration of the record in seconds, rounded up, so that no candidate waits for
    /// less than the setting.
    #[must_use]
    pub fn lease_duration_seconds(&self) -> u64 {
        self.lease_duration.as_secs() + u64::from(self.lease_duration.subsec_nanos() > 0)
    }

    /// Checks every rule. `confirm_delay` is that of the store
    /// ([`ResourceLock::confirm_delay`](super::lock::ResourceLock::confirm_delay)).
    ///
    /// # Errors
    /// Returns one [`ConfigError`] for each broken rule.
    pub fn validate(&self, confirm_delay: Option<Duration>) -> Result<(), Vec<ConfigError>> {
        let mut errors = Vec::new();
        if self.identity.is_empty() {
            errors.push(ConfigError::EmptyIdentity);
        }
        if self.identity.len() > LONGEST_IDENTITY {
            errors.push(ConfigError::LongIdentity(self.identity.len()));
        }
        self.validate_ranges(&mut errors);
        self.validate_relations(confirm_delay, &mut errors);
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    fn validate_ranges(&self, errors: &mut Vec<ConfigError>) {
        let durations = [
            ("LEASE_DURATION", self.lease_duration),
            ("RENEW_DEADLINE", self.renew_deadline),
            ("RETRY_PERIOD", self.retry_period),
            ("POLL_PERIOD", self.poll_period),
        ];
        for (name, value) in durations {
            if value < SHORTEST {
                errors.push(ConfigError::TooShort { name, value });
            }
        }
        let unbounded = [
            ("POLL_PERIOD", self.poll_period),
            ("STOP_TIMEOUT", self.stop_timeout),
        ];
        for (name, value) in unbounded {
            if value > LONGEST {
                errors.push(ConfigError::TooLong { name, value });
            }
        }
        if self.lease_duration > LONGEST_LEASE {
            errors.push(ConfigError::LongLease(self.lease_duration));
        }
        if self
            .failback_after
            .is_some_and(|after| after < self.lease_duration)
        {
            errors.push(ConfigError::ShortFailback(self.lease_duration));
        }
        if self.takeover_stagger > self.lease_duration {
            errors.push(ConfigError::LongStagger(self.takeover_stagger));
        }
    }

    fn validate_relations(&self, confirm_delay: Option<Duration>, errors: &mut Vec<ConfigError>) {
        // client-go's two rules. The first is stricter: a leader must have stopped, and its workload must
        // be killed and reaped, before another candidate may acquire the lease.
        let needed = [
            self.renew_deadline,
            self.retry_period,
            self.termination_grace,
            self.margin(),
        ]
        .into_iter()
        .fold(Duration::ZERO, Duration::saturating_add);
        if needed > self.lease_duration {
            errors.push(ConfigError::ShortLease {
                lease_duration: self.lease_duration,
                // Rounded up to milliseconds, so that the value shown is enough.
                needed: Duration::from_millis(needed.as_micros().div_ceil(1000) as u64),
            });
        }
        if self.renew_deadline.as_secs_f64() <= self.retry_period.as_secs_f64() * JITTER_FACTOR {
            errors.push(ConfigError::ShortRenewDeadline {
                renew_deadline: self.renew_deadline,
                retry_period: self.retry_period,
            });
        }
        if let Some(confirm_delay) = confirm_delay
            && confirm_delay > self.retry_period / 2
        {
            errors.push(ConfigError::LongConfirmDelay {
                confirm_delay,
                retry_period: self.retry_period,
            });
        }
    }
}

/// Broken rule of [`LeaderElectionConfig`]. The texts name the settings of the environment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The identity is empty.
    EmptyIdentity,
    /// The identity has this many bytes.
    LongIdentity(usize),
    /// A duration is below a millisecond.
    TooShort {
        /// Name of the setting.
        name: &'static str,
        /// Value of the setting.
        value: Duration,
    },
    /// A duration is above a day.
    TooLong {
        /// Name of the setting.
        name: &'static str,
        /// Value of the setting.
        value: Duration,
    },
    /// The lease is longer than a candidate waits for.
    LongLease(Duration),
    /// The takeover stagger is longer than the lease.
    LongStagger(Duration),
    /// A preferred candidate would ask again before others can lead for a lease, which has this duration.
    ShortFailback(Duration),
    /// The lease is shorter than the times that must fit into it.
    ShortLease {
        /// Value of the setting.
        lease_duration: Duration,
        /// Sum of the times that must fit.
        needed: Duration,
    },
    /// The renew deadline leaves no room for a second try.
    ShortRenewDeadline {
        /// Value of the setting.
        renew_deadline: Duration,
        /// Setting that it must exceed by a factor of 1.2.
        retry_period: Duration,
    },
    /// The confirm delay would slow down the renewals.
    LongConfirmDelay {
        /// Value of the setting.
        confirm_delay: Duration,
        /// Setting of which it may be at most half.
        retry_period: Duration,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::EmptyIdentity => {
                f.write_str("LEADER_NAME: empty; give this candidate a unique name")
            }
            ConfigError::LongIdentity(length) => write!(
                f,
                "LEADER_NAME: {length} bytes are too long; give at most {LONGEST_IDENTITY}"
            ),
            ConfigError::TooShort { name, value } => {
                write!(f, "{name}: {value:?} is too short; give at least 1ms")
            }
            ConfigError::TooLong { name, value } => {
                write!(f, "{name}: {value:?} is too long; give at most 24h")
            }
            ConfigError::LongLease(value) => write!(
                f,
                "LEASE_DURATION: {value:?} is too long; give at most 1h, because no candidate waits longer"
            ),
            ConfigError::LongStagger(value) => write!(
                f,
                "TAKEOVER_STAGGER: {value:?} is too long; give at most LEASE_DURATION (one second is usually \
                 enough)"
            ),
            ConfigError::ShortFailback(lease) => write!(
                f,
                "FAILBACK_AFTER: too short; give at least LEASE_DURATION ({lease:?}), so that leaders do not \
                 alternate"
            ),
            ConfigError::ShortLease {
                lease_duration,
                needed,
            } => write!(
                f,
                "LEASE_DURATION: {lease_duration:?} is too short, because RENEW_DEADLINE + RETRY_PERIOD + \
                 TERMINATION_GRACE + a thirtieth of the lease are {needed:?}, so a leader could not stop \
                 in time; lengthen the lease or shorten the others"
            ),
            ConfigError::ShortRenewDeadline {
                renew_deadline,
                retry_period,
            } => write!(
                f,
                "RENEW_DEADLINE: {renew_deadline:?} is too short, because one failed renewal would lose the \
                 lease; give more than {JITTER_FACTOR} times RETRY_PERIOD ({retry_period:?})"
            ),
            ConfigError::LongConfirmDelay {
                confirm_delay,
                retry_period,
            } => write!(
                f,
                "CONFIRM_DELAY: {confirm_delay:?} is too long; give at most half of RETRY_PERIOD ({retry_period:?})"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
