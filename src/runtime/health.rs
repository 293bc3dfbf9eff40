//! Health checks of the wrapped program, on a separate thread while the program runs.
//!
//! [`health`](crate::workload::health) judges the answers. The caller decides what follows from a failure.

use std::io;
use std::sync::Arc;
use std::thread;

use crate::net::{ProxySettings, Url, WebClient};
use crate::observe::{Health, WorkloadCounts};
use crate::system::clock::BootClock;
use crate::system::monitor::Monitor;
use crate::workload::health::{HealthChange, HealthConfig, HealthTracker};

/// Function called when the program has failed, with the reason.
type OnFailed = Box<dyn FnOnce(String) + Send>;

/// Shared with the thread: the function to call; `None` once it was called, or the prober was dropped.
type Pending = Monitor<Option<OnFailed>>;

/// Checks the health of a program until it is dropped.
pub struct Prober(Arc<Pending>);

impl Prober {
    /// Starts checking `url`, without a proxy and without following redirects, and keeps the health in
    /// `counts`.
    ///
    /// If the program fails after it was healthy, `on_failed` is called on a separate thread and the checks
    /// end. The call does not begin after the prober was dropped.
    ///
    /// # Errors
    /// Returns an error if no thread is left.
    pub fn start(
        url: Url,
        config: HealthConfig,
        counts: Arc<WorkloadCounts>,
        on_failed: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<Prober> {
        let client = WebClient::new(&url, None, &ProxySettings::default());
        let mut checker = Checker {
            client: client.map_err(|error| io::Error::other(error.to_string()))?,
            url,
            config,
            counts,
            pending: Arc::new(Monitor::new(Some(Box::new(on_failed)))),
        };
        checker.counts.set_health(Health::Starting);
        let pending = Arc::clone(&checker.pending);
        thread::Builder::new()
            .name("health".into())
            .spawn(move || checker.run())?;
        Ok(Prober(pending))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        // A check that is under way ends by its timeout; nothing waits for it.
        drop(self.0.change(Option::take));
    }
}

/// The thread that makes the checks.
struct Checker {
    client: WebClient,
    url: Url,
    config: HealthConfig,
    counts: Arc<WorkloadCounts>,
    pending: Arc<Pending>,
}

impl Checker {
    fn run(&mut self) {
        let mut tracker = HealthTracker::new(self.config, BootClock::now());
        while self.wait_until_due(&tracker) {
            let sent_at = BootClock::now();
            let answer = self.client.get(self.config.timeout);
            let change = tracker.handle_answer(sent_at, BootClock::now(), answer);
            if !self.note(&change) {
                return;
            }
            if let HealthChange::Failed(reason) = &change {
                let reason = format!(
                    "{} failed {} times in a row, the last time with: {reason}",
                    self.url, self.config.failure_threshold
                );
                let on_failed = self.pending.lock().take();
                if let Some(on_failed) = on_failed {
                    on_failed(reason);
                }
                return;
            }
            self.log(&change);
        }
    }

    /// Keeps the health. Returns false if the prober was dropped: then another run may have begun.
    fn note(&self, change: &HealthChange) -> bool {
        let pending = self.pending.lock();
        match change {
            _ if pending.is_none() => {}
            HealthChange::Started => self.counts.set_health(Health::Healthy),
            HealthChange::Failed(_) => self.counts.set_health(Health::Unhealthy),
            _ => {}
        }
        pending.is_some()
    }

    /// Waits until the next check is due. Returns false if the prober was dropped.
    fn wait_until_due(&self, tracker: &HealthTracker) -> bool {
        let left = tracker.next_check().since(BootClock::now());
        let pending = self
            .pending
            .wait_while_for(left, |pending| pending.is_some());
        pending.is_some()
    }

    fn log(&self, change: &HealthChange) {
        let (url, limit) = (&self.url, self.config.failure_threshold);
        match change {
            HealthChange::Unchanged | HealthChange::Failed(_) => {}
            HealthChange::Started => log::info!(
                event = "healthy", url:% = url, max_failures = limit;
                "workload became healthy"
            ),
            HealthChange::Recovered(failures) => log::info!(
                event = "healthy", failures = *failures, max_failures = limit;
                "workload recovered"
            ),
            HealthChange::Failing(failures, reason) => log::warn!(
                event = "health_check_failed", url:% = url, failures = *failures,
                max_failures = limit, reason;
                "health check failed"
            ),
            HealthChange::NeverHealthy(reason) => log::warn!(
                event = "never_healthy", url:% = url, reason;
                "health check has never succeeded, so its failures do not stop the workload; check \
                 WORKLOAD_HEALTH_URL"
            ),
        }
    }
}
