//! Health checks of the wrapped program, on a separate thread while the program runs.
//!
//! [`health`](crate::workload::health) judges the answers. The caller decides what follows from a failure.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::net::{ProxySettings, Url, WebClient};
use crate::system::clock::BootClock;
use crate::system::timer::Timer;
use crate::workload::health::{HealthChange, HealthConfig, HealthTracker};

/// Function called when the program has failed, with the reason.
type OnFailed = Box<dyn FnOnce(String) + Send>;

/// State shared with the thread.
struct Shared {
    timer: Timer,
    /// `None` once it was called, or the prober was dropped.
    on_failed: Mutex<Option<OnFailed>>,
}

impl Shared {
    fn on_failed(&self) -> MutexGuard<'_, Option<OnFailed>> {
        let on_failed = self.on_failed.lock();
        on_failed.unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.on_failed().is_none()
    }
}

/// Checks the health of a program until it is dropped.
pub struct Prober(Arc<Shared>);

impl Prober {
    /// Starts checking `url`, without a proxy and without following redirects.
    ///
    /// If the program fails after it was healthy, `on_failed` is called on a separate thread and the checks
    /// end. The call does not begin after the prober was dropped.
    ///
    /// # Errors
    /// Returns an error if no thread or timer is left.
    pub fn start(
        url: Url,
        config: HealthConfig,
        on_failed: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<Prober> {
        let client = WebClient::new(&url, None, &ProxySettings::default());
        let mut checker = Checker {
            client: client.map_err(|error| io::Error::other(error.to_string()))?,
            url,
            config,
            shared: Arc::new(Shared {
                timer: Timer::new()?,
                on_failed: Mutex::new(Some(Box::new(on_failed))),
            }),
        };
        let shared = Arc::clone(&checker.shared);
        thread::Builder::new()
            .name("health".into())
            .spawn(move || checker.run())?;
        Ok(Prober(shared))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        drop(self.0.on_failed().take());
        // Wakes the thread. A check that is under way ends by its timeout; nothing waits for it.
        let _ = self.0.timer.set(Some(BootClock::now()));
    }
}

/// The thread that makes the checks.
struct Checker {
    client: WebClient,
    url: Url,
    config: HealthConfig,
    shared: Arc<Shared>,
}

impl Checker {
    fn run(&mut self) {
        let mut tracker = HealthTracker::new(self.config, BootClock::now());
        while self.wait_until_due(&tracker) {
            let sent_at = BootClock::now();
            let answer = self.client.get(self.config.timeout);
            let change = tracker.handle_answer(sent_at, BootClock::now(), answer);
            if self.shared.is_over() {
                return;
            }
            if let HealthChange::Failed(reason) = &change {
                let reason = format!(
                    "{} failed {} times in a row, the last time with: {reason}",
                    self.url, self.config.failure_threshold
                );
                let on_failed = self.shared.on_failed().take();
                if let Some(on_failed) = on_failed {
                    on_failed(reason);
                }
                return;
            }
            self.log(&change);
        }
    }

    /// Waits until the next check is due. Returns false if the prober was dropped.
    fn wait_until_due(&self, tracker: &HealthTracker) -> bool {
        let timer = &self.shared.timer;
        // Sets the timer before the check for a drop, because dropping does both in the other order.
        timer.set(Some(tracker.next_check())).is_ok()
            && !self.shared.is_over()
            && timer.wait().is_ok()
            && !self.shared.is_over()
    }

    fn log(&self, change: &HealthChange) {
        let (url, limit) = (&self.url, self.config.failure_threshold);
        match change {
            HealthChange::Unchanged | HealthChange::Failed(_) => {}
            HealthChange::Started => log::info!(
                event = "healthy", url:% = url, max_failures = limit;
                "workload healthy for the first time"
            ),
            HealthChange::Recovered(failures) => log::info!(
                event = "healthy", failures = *failures, max_failures = limit;
                "workload healthy again"
            ),
            HealthChange::Failing(failures, reason) => log::warn!(
                event = "health_check_failed", url:% = url, failures = *failures,
                max_failures = limit, reason;
                "health check failed"
            ),
            HealthChange::NeverHealthy(reason) => log::warn!(
                event = "never_healthy", url:% = url, reason;
                "workload not healthy yet, its failures do not count before the first success: check \
                 WORKLOAD_HEALTH_URL"
            ),
        }
    }
}
