//! How an election is timed, and the relations between the times that keep it safe.

use std::fmt;
use std::time::Duration;

use super::record::LONGEST_LEASE;

/// client-go's `JitterFactor`: the renew deadline must leave room for more than one retry period.
const JITTER_FACTOR: f64 = 1.2;

/// Which part of the lease is kept back for reaping processes and for clocks that drift.
const MARGIN_DIVISOR: u32 = 30;

/// The shortest duration that is taken for a setting.
const SHORTEST: Duration = Duration::from_millis(1);

/// The longest duration that is taken for a setting that the lease does not bound.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The longest identity that is taken, in bytes: the record must stay far below what a gist shows
/// uncut.
const LONGEST_IDENTITY: usize = 64 * 1024;

/// How an election is timed. See [`validate`](Self::validate) for what must hold between the times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaderElectionConfig {
    /// The name of this candidate, unlike that of every other one; not empty.
    pub identity: String,
    /// How long a lease lasts for those who see it: a candidate may take it over this long after it
    /// first saw the newest renewal. At most one hour. Longer: steadier, and a longer gap when a
    /// leader dies.
    pub lease_duration: Duration,
    /// A leader that could not renew for this long stops leading.
    pub renew_deadline: Duration,
    /// The time between two renewals.
    pub retry_period: Duration,
    /// The time between two looks of a candidate at the lease.
    pub poll_period: Duration,
    /// How long a workload gets from TERM to KILL when the lease is being lost.
    pub termination_grace: Duration,
    /// How long the lease is kept alive for a workload that is stopped politely.
    pub stop_timeout: Duration,
    /// Whether the lease is given back when this candidate is stopped.
    pub release_on_cancel: bool,
    /// Whether this candidate ends when it lost the lease, rather than stand again.
    pub exit_on_lost_lease: bool,
    /// A candidate that does not lead within this time gives up; `None`: never.
    pub give_up_after: Option<Duration>,
    /// A candidate gives up as soon as it sees another one lead, or that one did within this time by
    /// the store's own clock (to whole seconds, in favour of not leading); `None`: it stands on.
    pub unless_led_within: Option<Duration>,
    /// How long a candidate waits beyond the end of a lease at the most, drawn at random, so that not
    /// all of them write at once; at most the lease. It is for three candidates: each further one that
    /// the lock knows of adds twice as much, up to ten candidates; and it is three times as long on the
    /// first look after start. Where the lock cannot know, 0.6 s for each candidate keep them apart.
    pub takeover_stagger: Duration,
    /// Seeds what is drawn at random: staggers, when to look, and who looks on where requests run
    /// short. Another one for each candidate.
    pub seed: u64,
}

impl LeaderElectionConfig {
    /// The default times, for a candidate of this name.
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
            takeover_stagger: Duration::from_millis(400),
            seed: 0,
        }
    }

    /// What is kept back of the lease for reaping processes and for clocks that drift: a thirtieth.
    #[must_use]
    pub fn margin(&self) -> Duration {
        self.lease_duration / MARGIN_DIVISOR
    }

    /// How long after a confirmed write was sent its writer may lead: the lease less what stopping
    /// takes.
    #[must_use]
    pub fn usable_lease(&self) -> Duration {
        self.lease_duration
            .saturating_sub(self.termination_grace)
            .saturating_sub(self.margin())
    }

    /// The lease duration as it is written to the record: whole seconds, rounded up, so that nobody
    /// waits for less than the setting.
    #[must_use]
    pub fn lease_duration_seconds(&self) -> u64 {
        self.lease_duration.as_secs() + u64::from(self.lease_duration.subsec_nanos() > 0)
    }

    /// Checks every rule, and returns all that are broken.
    ///
    /// `confirmation` is what [`ResourceLock::confirm_delay`](super::lock::ResourceLock::confirm_delay)
    /// says of the store.
    ///
    /// # Errors
    /// One [`ConfigError`] for each broken rule.
    pub fn validate(&self, confirmation: Option<Duration>) -> Result<(), Vec<ConfigError>> {
        let mut errors = Vec::new();
        if self.identity.is_empty() {
            errors.push(ConfigError::EmptyIdentity);
        }
        if self.identity.len() > LONGEST_IDENTITY {
            errors.push(ConfigError::LongIdentity(self.identity.len()));
        }
        self.validate_ranges(&mut errors);
        self.validate_relations(confirmation, &mut errors);
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
        if self.takeover_stagger > self.lease_duration {
            errors.push(ConfigError::LongStagger(self.takeover_stagger));
        }
    }

    fn validate_relations(&self, confirmation: Option<Duration>, errors: &mut Vec<ConfigError>) {
        // client-go's two rules, the first of them tightened: a leader must have stopped, its
        // workload killed and reaped, before anybody else may take the lease.
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
                // In a form that can be read; up, so that what is shown is enough.
                needed: Duration::from_millis(needed.as_micros().div_ceil(1000) as u64),
            });
        }
        if self.renew_deadline.as_secs_f64() <= self.retry_period.as_secs_f64() * JITTER_FACTOR {
            errors.push(ConfigError::ShortRenewDeadline {
                renew_deadline: self.renew_deadline,
                retry_period: self.retry_period,
            });
        }
        if let Some(confirm_delay) = confirmation
            && confirm_delay > self.retry_period / 2
        {
            errors.push(ConfigError::LongConfirmDelay {
                confirm_delay,
                retry_period: self.retry_period,
            });
        }
    }
}

/// A broken rule of [`LeaderElectionConfig`]. The texts name the settings as they stand in the
/// environment.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The identity is empty.
    EmptyIdentity,
    /// The identity has this many bytes.
    LongIdentity(usize),
    /// A duration is below a millisecond.
    TooShort {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: Duration,
    },
    /// A duration is above a day.
    TooLong {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: Duration,
    },
    /// The lease is longer than anybody would wait for.
    LongLease(Duration),
    /// Candidates wait longer for each other than for a leader.
    LongStagger(Duration),
    /// The lease is shorter than what has to fit into it.
    ShortLease {
        /// The setting.
        lease_duration: Duration,
        /// The sum that has to fit.
        needed: Duration,
    },
    /// The renew deadline leaves no room for a second try.
    ShortRenewDeadline {
        /// The setting.
        renew_deadline: Duration,
        /// What it has to exceed, times 1.2.
        retry_period: Duration,
    },
    /// Waiting for confirmations would slow the renewals down.
    LongConfirmDelay {
        /// The setting.
        confirm_delay: Duration,
        /// Half of this is the most.
        retry_period: Duration,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::EmptyIdentity => {
                f.write_str("LEADER_NAME is empty: give this candidate a name of its own")
            }
            ConfigError::LongIdentity(length) => write!(
                f,
                "LEADER_NAME has {length} bytes: give a name of at most {LONGEST_IDENTITY}"
            ),
            ConfigError::TooShort { name, value } => {
                write!(f, "{name} is {value:?}: give at least 1ms")
            }
            ConfigError::TooLong { name, value } => {
                write!(f, "{name} is {value:?}: give at most 24h")
            }
            ConfigError::LongLease(value) => write!(
                f,
                "LEASE_DURATION is {value:?}: a lease lasts at most 1h, longer ones are not waited for"
            ),
            ConfigError::LongStagger(value) => write!(
                f,
                "TAKEOVER_STAGGER is {value:?}: give at most LEASE_DURATION, and a second is enough for most"
            ),
            ConfigError::ShortLease {
                lease_duration,
                needed,
            } => write!(
                f,
                "LEASE_DURATION is {lease_duration:?}, but RENEW_DEADLINE + RETRY_PERIOD + \
                 TERMINATION_GRACE + a thirtieth of the lease are {needed:?}: a leader would not be \
                 gone in time; lengthen the lease or shorten the others"
            ),
            ConfigError::ShortRenewDeadline {
                renew_deadline,
                retry_period,
            } => write!(
                f,
                "RENEW_DEADLINE is {renew_deadline:?}, but must be more than {JITTER_FACTOR} times \
                 RETRY_PERIOD ({retry_period:?}), or one failed renewal loses the lease"
            ),
            ConfigError::LongConfirmDelay {
                confirm_delay,
                retry_period,
            } => write!(
                f,
                "CONFIRM_DELAY is {confirm_delay:?}, but may be at most half of RETRY_PERIOD \
                 ({retry_period:?})"
            ),
        }
    }
}

impl std::error::Error for ConfigError {}
