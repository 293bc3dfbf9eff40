//! Credentials that expire, and are fetched anew in time. Pure.

use std::time::Duration;

use crate::election::time::Instant;
use crate::lock::store::Failure;

/// Interval between attempts to replace credentials that are still valid, and between two that a server
/// refuses.
const PAUSE: Duration = Duration::from_secs(30);

/// Longest attempt to replace credentials that are still valid. Why: a renewal waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Credentials that a source gave.
#[derive(Debug)]
pub struct Fetched<T> {
    /// Credentials.
    pub value: T,
    /// Time for which they are valid; `None` if they do not expire.
    pub valid_for: Option<Duration>,
}

/// Credentials, as long as they are valid.
#[derive(Debug)]
pub struct Temporary<T> {
    /// Time before the end of validity at which they are replaced.
    margin: Duration,
    held: Option<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    value: T,
    fetched_at: Instant,
    expires_at: Option<Instant>,
    next_attempt: Option<Instant>,
}

impl<T> Temporary<T> {
    /// Returns none yet. They will be replaced `margin` before they expire.
    #[must_use]
    pub fn new(margin: Duration) -> Temporary<T> {
        Temporary { margin, held: None }
    }

    /// Returns valid credentials, which `fetch` gets within the time that it is given, at most `timeout`.
    /// If it fails, credentials that are still valid are kept.
    ///
    /// # Errors
    /// The error of `fetch` if there are no valid credentials.
    pub fn get(
        &mut self,
        now: Instant,
        timeout: Duration,
        fetch: impl FnOnce(Duration) -> Result<Fetched<T>, Failure>,
    ) -> Result<&T, Failure> {
        let valid = self.held.as_ref().is_some_and(|held| held.is_valid(now));
        let due = match &self.held {
            Some(held) if valid => held.next_attempt.is_some_and(|at| now >= at),
            _ => true,
        };
        if due {
            let patience = match valid {
                true => timeout.min(PATIENCE),
                false => timeout,
            };
            match (fetch(patience), &mut self.held) {
                (Ok(fetched), _) => self.hold(now, fetched),
                (Err(failure), Some(held)) if valid => {
                    let why = failure.why();
                    log::warn!(event = "credentials_unavailable", error = why; "cannot get new credentials, keeping the present ones");
                    held.next_attempt = Some(now + PAUSE);
                }
                (Err(failure), _) => return Err(failure),
            }
        }
        match &self.held {
            Some(held) => Ok(&held.value),
            None => Err(Failure::NoCredentials("no credentials".to_owned())),
        }
    }

    fn hold(&mut self, now: Instant, fetched: Fetched<T>) {
        let expires_at = fetched.valid_for.map(|valid_for| now + valid_for);
        let next_attempt = fetched.valid_for.map(|valid_for| {
            // Sources keep credentials for all their clients, so these may be close to their end.
            now + valid_for.saturating_sub(self.margin).max(PAUSE)
        });
        self.held = Some(Held {
            value: fetched.value,
            fetched_at: now,
            expires_at,
            next_attempt,
        });
    }

    /// Drops credentials that a server refused. Returns whether others may be fetched now.
    pub fn refuse(&mut self, now: Instant) -> bool {
        let old = self.held.as_ref();
        let old = old.is_some_and(|held| now.since(held.fetched_at) >= PAUSE);
        if old {
            self.held = None;
        }
        old
    }

    /// Returns the credentials that are held, valid or not, and their remaining time.
    #[must_use]
    pub fn held(&self, now: Instant) -> Option<(&T, Option<Duration>)> {
        let held = self.held.as_ref()?;
        let left = held.expires_at.map(|end| end.since(now));
        Some((&held.value, left))
    }
}

impl<T> Held<T> {
    fn is_valid(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Instant {
        Instant::BOOT + Duration::from_secs(seconds)
    }

    fn minutes(value: u32, minutes: u32) -> Result<Fetched<u32>, Failure> {
        Ok(Fetched {
            value,
            valid_for: Some(minutes * MINUTE),
        })
    }

    fn fails() -> Result<Fetched<u32>, Failure> {
        Err(Failure::NotSent("away".to_owned()))
    }

    fn never() -> Result<Fetched<u32>, Failure> {
        panic!("fetched although the credentials are valid")
    }

    #[test]
    fn credentials_are_replaced_before_their_end() {
        let mut temporary = Temporary::new(5 * MINUTE);
        assert_eq!(temporary.get(at(0), MINUTE, |_| minutes(1, 60)), Ok(&1));
        assert_eq!(temporary.get(at(3299), MINUTE, |_| never()), Ok(&1));
        assert_eq!(temporary.get(at(3300), MINUTE, |_| minutes(2, 60)), Ok(&2));
        assert_eq!(temporary.get(at(3301), MINUTE, |_| never()), Ok(&2));
    }

    #[test]
    fn valid_credentials_survive_failed_fetches() {
        let mut temporary = Temporary::new(5 * MINUTE);
        assert_eq!(temporary.get(at(0), MINUTE, |_| minutes(1, 60)), Ok(&1));
        let patience = |given| {
            assert_eq!(given, PATIENCE);
            fails()
        };
        assert_eq!(temporary.get(at(3300), MINUTE, patience), Ok(&1));
        assert_eq!(temporary.get(at(3329), MINUTE, |_| never()), Ok(&1));
        assert_eq!(temporary.get(at(3599), MINUTE, |_| fails()), Ok(&1));
        assert!(temporary.get(at(3600), MINUTE, |_| fails()).is_err());
        assert_eq!(temporary.get(at(3601), MINUTE, |_| minutes(2, 60)), Ok(&2));
    }

    #[test]
    fn short_lived_credentials_are_not_fetched_each_time() {
        let mut temporary = Temporary::new(5 * MINUTE);
        assert_eq!(temporary.get(at(0), MINUTE, |_| minutes(1, 4)), Ok(&1));
        assert_eq!(temporary.get(at(29), MINUTE, |_| never()), Ok(&1));
        assert_eq!(temporary.get(at(30), MINUTE, |_| minutes(2, 4)), Ok(&2));
    }

    #[test]
    fn refused_credentials_are_fetched_once_per_pause() {
        let mut temporary = Temporary::new(5 * MINUTE);
        assert!(!temporary.refuse(at(0)));
        assert_eq!(temporary.get(at(0), MINUTE, |_| minutes(1, 60)), Ok(&1));
        assert!(!temporary.refuse(at(29)));
        assert!(temporary.refuse(at(30)));
        assert_eq!(temporary.get(at(30), MINUTE, |_| minutes(2, 60)), Ok(&2));
        assert_eq!(
            temporary.held(at(60)),
            Some((&2, Some(59 * MINUTE + MINUTE / 2)))
        );
    }
}
