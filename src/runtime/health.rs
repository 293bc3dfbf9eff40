//! Asks a workload whether it is healthy, on a thread of its own, while it runs.
//!
//! What its answers mean stands in [`health`](crate::workload::health); what follows from a workload
//! that has failed is the business of whoever started this.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::net::{ProxySettings, Url, WebClient};
use crate::system::clock::BootClock;
use crate::system::timer::Timer;
use crate::workload::health::{Health, HealthConfig, Verdict};

/// What is called when the workload has failed, with a sentence that says how.
type OnFailed = Box<dyn FnOnce(String) + Send>;

/// What the prober shares with its thread.
struct Shared {
    timer: Timer,
    /// The prober was dropped.
    over: AtomicBool,
    /// Gone once it is called, or must not be any more.
    on_failed: Mutex<Option<OnFailed>>,
}

impl Shared {
    fn take_on_failed(&self) -> Option<OnFailed> {
        let mut on_failed = self
            .on_failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        on_failed.take()
    }
}

/// Asks a workload whether it is healthy, until it is dropped.
pub struct Prober(Arc<Shared>);

impl Prober {
    /// Asks at `url` from now on, without a proxy and without following redirects. `on_failed` is called
    /// once, on a thread of its own, when the workload has failed after it had been healthy; nothing is
    /// asked after that. Once this prober was dropped, that call does not begin any more.
    ///
    /// # Errors
    /// When the system gives no thread or timer.
    pub fn start(
        url: Url,
        config: HealthConfig,
        on_failed: impl FnOnce(String) + Send + 'static,
    ) -> io::Result<Prober> {
        let client = WebClient::new(&url, None, &ProxySettings::default());
        let mut asker = Asker {
            client: client.map_err(|error| io::Error::other(error.to_string()))?,
            url,
            config,
            shared: Arc::new(Shared {
                timer: Timer::new()?,
                over: AtomicBool::new(false),
                on_failed: Mutex::new(Some(Box::new(on_failed))),
            }),
        };
        let shared = Arc::clone(&asker.shared);
        thread::Builder::new()
            .name("health".into())
            .spawn(move || asker.run())?;
        Ok(Prober(shared))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        drop(self.0.take_on_failed());
        // Wakes the thread. A question that is under way has a timeout, and nobody waits for it.
        let _ = self.0.timer.set(Some(BootClock::now()));
    }
}

/// The thread that asks.
struct Asker {
    client: WebClient,
    url: Url,
    config: HealthConfig,
    shared: Arc<Shared>,
}

impl Asker {
    fn run(&mut self) {
        let mut health = Health::new(self.config, BootClock::now());
        while self.wait(&health) {
            let asked_at = BootClock::now();
            let answer = self.client.get(self.config.timeout);
            let verdict = health.handle_answer(asked_at, BootClock::now(), answer);
            if self.is_over() {
                return;
            }
            if let Verdict::Failed(why) = &verdict {
                let why = format!(
                    "the workload at {} failed {} times in a row, the last time because {why}",
                    self.url, self.config.failures
                );
                if let Some(on_failed) = self.shared.take_on_failed() {
                    on_failed(why);
                }
                return;
            }
            self.tell(&verdict);
        }
    }

    /// Waits until the workload is to be asked; false once the prober was dropped.
    fn wait(&self, health: &Health) -> bool {
        let timer = &self.shared.timer;
        // Set before looking: who drops the prober does it the other way round.
        timer.set(Some(health.ask_at())).is_ok() && !self.is_over() && {
            let waited = timer.wait();
            waited.is_ok() && !self.is_over()
        }
    }

    fn is_over(&self) -> bool {
        self.shared.over.load(Ordering::Acquire)
    }

    fn tell(&self, verdict: &Verdict) {
        let (url, most) = (&self.url, self.config.failures);
        match verdict {
            Verdict::AsBefore | Verdict::Failed(_) => {}
            Verdict::Started => log::info!(
                "the workload is healthy by {url}: from now on, {most} failures in a row stop it"
            ),
            Verdict::Recovered(failures) => {
                log::info!("the workload is healthy again, after {failures} of {most} failures");
            }
            Verdict::Failing(failures, why) => log::warn!(
                "the workload is not healthy by {url}: {why}; failure {failures} of {most} in a row"
            ),
            Verdict::NeverHealthy(why) => log::warn!(
                "the workload has not been healthy by {url} once yet: {why}; check \
                 WORKLOAD_HEALTH_URL, failures do not count before the first success"
            ),
        }
    }
}
