//! Gist lock behind the interface for all kinds of locks.

use std::time::Duration;

use super::checks;
use super::options::{CONFIRM_DELAY, GistOptions};
use super::session::Session;
use crate::election::config::LeaderElectionConfig;
use crate::lock::admin::Admin;
use crate::lock::backend::{Backend, OpenError, Opened, Times};
use crate::net::is_loopback;
use crate::system::random::process_name;

/// GitHub's limit on writes that create content, per hour and user.
const WRITES_PER_HOUR: f64 = 500.0;

/// Shortest poll period that leaves GitHub's 900 points per minute and user to eight candidates. Why: a
/// 304 is free of the hourly limit only.
const SHORTEST_POLL: Duration = Duration::from_millis(500);

impl Backend for GistOptions {
    fn open(&self, election: &LeaderElectionConfig) -> Result<Opened, OpenError> {
        let process = process_name().map_err(OpenError::System)?;
        let lock = self.open_as(process.clone(), election)?;
        Ok(Opened {
            stats: lock.stats(),
            lock: Box::new(lock),
            process,
        })
    }

    fn admin(&self, election: &LeaderElectionConfig) -> Result<Box<dyn Admin>, OpenError> {
        Ok(Box::new(Session::open(self, election)?))
    }

    fn checks(&self) -> &'static [&'static str] {
        checks::ALL
    }

    fn lock(&self) -> String {
        format!("gist:{}", self.lease_name())
    }

    fn lease_name(&self) -> String {
        let gist = self.gist_id.iter().map(ToString::to_string);
        let parts: Vec<String> = gist.chain(self.file.clone()).collect();
        parts.join("/")
    }

    fn web_page(&self) -> Option<String> {
        let site = self.api_url.gist_site()?;
        Some(format!("{site}/{}", self.gist_id.as_ref()?))
    }

    fn confirm_delay(&self) -> Option<Duration> {
        Some(self.confirm_delay)
    }

    fn secret_variables(&self) -> &'static [&'static str] {
        &["GITHUB_API_TOKEN", "GITHUB_API_TOKEN_FILE"]
    }

    fn default_times(&self) -> Times {
        Times {
            lease_duration: Duration::from_secs(30),
            renew_deadline: Duration::from_secs(16),
            retry_period: Duration::from_secs(8),
            poll_period: Duration::from_secs(2),
        }
    }

    fn warnings(&self, election: &LeaderElectionConfig) -> Vec<String> {
        let mut warnings = Vec::new();
        let api = &self.api_url;
        if !api.is_https() && !is_loopback(api.host()) {
            warnings.push(format!(
                "ALLOW_INSECURE_HTTP: the access token is sent to {} unencrypted; use https://",
                api.host()
            ));
        }
        if api.is_github_com() {
            self.warn_of_limits(election, &mut warnings);
        }
        warnings
    }
}

impl GistOptions {
    /// Warns about settings with which one leader or a few candidates exceed GitHub's limits, which
    /// count per user over all programs.
    fn warn_of_limits(&self, election: &LeaderElectionConfig, warnings: &mut Vec<String>) {
        let renewals = per_hour(election.retry_period);
        if renewals > WRITES_PER_HOUR {
            warnings.push(format!(
                "RETRY_PERIOD: {:?} makes {renewals:.0} writes per hour, and GitHub accepts \
                 {WRITES_PER_HOUR} from one user; use 8s or more, with RENEW_DEADLINE and \
                 LEASE_DURATION to match",
                election.retry_period
            ));
        }
        if election.poll_period < SHORTEST_POLL {
            warnings.push(format!(
                "POLL_PERIOD: {:?} makes {:.0} requests per minute from each candidate, and GitHub \
                 accepts 900 from one user; use 1s or more",
                election.poll_period,
                per_hour(election.poll_period) / 60.0
            ));
        }
        if self.confirm_delay < CONFIRM_DELAY {
            warnings.push(format!(
                "CONFIRM_DELAY: {:?} is too short if GitHub takes longer to apply a write, because two \
                 candidates may then lead; use 2s or more",
                self.confirm_delay
            ));
        }
    }
}

fn per_hour(period: Duration) -> f64 {
    3600.0 / period.as_secs_f64()
}
