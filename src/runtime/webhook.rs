//! The webhook: every transition as a JSON POST to the URL of an operator's choice.
//!
//! ```text
//!   transition ──▶ queue (bounded, the oldest is dropped) ──▶ "webhook" thread ──▶ POST
//!                                                                 ▲   │ failed: up to three tries
//!                                                                 └───┘
//! ```
//!
//! [`message`] owns the messages.
//!
//! Messages come in order. After a lost answer a message comes twice. The URL is a secret, and is logged
//! without its path.

mod message;

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Monotonic};

use self::message::Messages;
use super::transitions::Transition;
use crate::net::{Url, WebClient};
use crate::system::monitor::Monitor;

/// Largest number of queued messages: a day of a healthy election, minutes of an unhealthy one.
const QUEUE: usize = 64;

/// Largest number of tries for a message, and the timeout of one. With the pauses they take about ten
/// seconds.
const MAX_TRIES: u32 = 3;
const TRY_TIMEOUT: Duration = Duration::from_secs(3);

/// Pause before the second try. It doubles before each later one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Receiver of the messages, and the names in them.
#[derive(Debug)]
pub struct WebhookTarget {
    /// URL that gets the messages.
    pub url: Url,
    /// Client for that URL.
    pub client: WebClient,
    /// Name of the election.
    pub name: String,
    /// Description of the lock.
    pub lock: String,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<String>,
    /// Number of messages lost since the last accepted one.
    lost: u64,
    /// Time after which nothing is sent.
    deadline: Option<Monotonic>,
    /// Whether the thread has ended.
    done: bool,
}

/// The webhook, and the thread that sends to it.
#[derive(Debug)]
pub(super) struct Webhook {
    shared: Arc<Monitor<State>>,
    messages: Monitor<Messages>,
}

impl Webhook {
    /// Starts the thread that sends to `target`.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub(super) fn start(target: WebhookTarget, identity: &str) -> Result<Self, String> {
        let shared = Arc::new(Monitor::default());
        let mut sender = Sender {
            client: target.client,
            url: target.url,
            shared: Arc::clone(&shared),
            failing: false,
        };
        thread::Builder::new()
            .name("webhook".into())
            .spawn(move || sender.run())
            .map_err(|error| format!("no thread left: {error}"))?;
        Ok(Webhook {
            shared,
            messages: Monitor::new(Messages::new(identity, target.name, target.lock)),
        })
    }

    /// Queues the message for a transition, without blocking.
    pub(super) fn transition(&self, transition: &Transition) {
        let Some(message) = self.messages.lock().of(transition) else {
            return;
        };
        self.shared.change(|state| {
            if state.deadline.is_some() {
                return;
            }
            if state.queue.len() >= QUEUE {
                state.queue.pop_front();
                state.lost += 1;
            }
            state.queue.push_back(message);
        });
    }

    /// Sends the queued messages, with one try each, and waits for that at most `timeout`.
    pub(super) fn finish(&self, timeout: Duration) {
        self.shared
            .change(|state| state.deadline = Some(Monotonic::now() + timeout));
        let left = self.shared.wait_while_for(timeout, |state| !state.done);
        if !left.done {
            log::warn!(
                event = "webhook_failed", lost = left.queue.len() + 1;
                "webhook did not answer, lost its last messages"
            );
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.deadline.get_or_insert_with(Monotonic::now);
        });
    }
}

/// The thread that sends.
struct Sender {
    client: WebClient,
    url: Url,
    shared: Arc<Monitor<State>>,
    /// Whether the last message was lost.
    failing: bool,
}

impl Sender {
    fn run(&mut self) {
        while let Some(message) = self.next() {
            match self.deliver(&message) {
                Ok(()) => self.delivered(),
                Err(error) => self.failed(&error),
            }
        }
        self.shared.change(|state| state.done = true);
    }

    /// Waits for the next message. `None` means that there will be no more.
    fn next(&self) -> Option<String> {
        let waits = |state: &mut State| state.queue.is_empty() && state.deadline.is_none();
        self.shared.wait_while(waits).queue.pop_front()
    }

    /// Sends a message, with several tries if necessary.
    fn deliver(&mut self, message: &str) -> Result<(), String> {
        let (mut tries, mut pause) = (0, FIRST_PAUSE);
        loop {
            let error = match self.client.post_json(message, self.try_timeout()) {
                Ok(200..=299) => return Ok(()),
                // Another try is known to help with these.
                Ok(status @ (408 | 425 | 429 | 500..=599)) => format!("answered {status}"),
                Ok(status @ 300..=399) => {
                    return Err(format!("answered {status}; redirects are not followed"));
                }
                Ok(status) => return Err(format!("answered {status}")),
                Err(error) => error,
            };
            tries += 1;
            log::debug!(url:% = self.url, tries, error; "webhook request failed");
            if tries == MAX_TRIES || !self.pause(pause) {
                return Err(error);
            }
            pause *= 2;
        }
    }

    /// Returns the timeout of a try that begins now.
    fn try_timeout(&self) -> Duration {
        let deadline = self.shared.lock().deadline;
        deadline.map_or(TRY_TIMEOUT, |deadline| {
            TRY_TIMEOUT.min(deadline.saturating_duration_since(Monotonic::now()))
        })
    }

    /// Waits before another try. Returns `false` if there must be none, because the election ended.
    fn pause(&self, pause: Duration) -> bool {
        let running = |state: &mut State| state.deadline.is_none();
        let state = self.shared.wait_while_for(pause, running);
        state.deadline.is_none()
    }

    /// Logs a lost message, as a warning unless the one before was lost too.
    fn failed(&mut self, error: &str) {
        let mut state = self.shared.lock();
        state.lost += 1;
        let lost = state.lost;
        drop(state);
        let level = match std::mem::replace(&mut self.failing, true) {
            false => log::Level::Warn,
            true => log::Level::Debug,
        };
        log::log!(
            level, event = "webhook_failed", url:% = self.url, error, lost;
            "lost webhook message"
        );
    }

    fn delivered(&mut self) {
        self.failing = false;
        let lost = std::mem::take(&mut self.shared.lock().lost);
        if lost > 0 {
            log::info!(
                event = "webhook_recovered", url:% = self.url, lost;
                "webhook accepts messages again"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::election::time::Instant;
    use crate::net::ProxySettings;

    fn webhook(url: &str) -> Webhook {
        let url: Url = url.parse().unwrap();
        let client = WebClient::new(&url, None, &ProxySettings::default()).unwrap();
        let target = WebhookTarget {
            url,
            client,
            name: "a".into(),
            lock: "gist 1".into(),
        };
        Webhook::start(target, "me").unwrap()
    }

    fn term_started(fencing_token: u64) -> Transition {
        Transition::StartedLeading {
            fencing_token,
            valid_until: Instant::BOOT,
        }
    }

    #[test]
    fn full_queue_drops_oldest_without_blocking() {
        // The kernel accepts connections, and nothing answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let webhook = webhook(&format!("http://{}/", listener.local_addr().unwrap()));
        let started = Monotonic::now();
        for fencing_token in 0..200 {
            webhook.transition(&term_started(fencing_token));
        }
        assert!(
            started.elapsed() < TRY_TIMEOUT,
            "transition() waits for answers"
        );
        let state = webhook.shared.lock();
        // One message may be under way already.
        assert!((QUEUE - 1..=QUEUE).contains(&state.queue.len()));
        let (oldest, newest) = (state.queue.front().unwrap(), state.queue.back().unwrap());
        assert!(newest.contains("\"fencingToken\":199,"), "{newest}");
        let is_136_or_next =
            oldest.contains("\"fencingToken\":136,") || oldest.contains("\"fencingToken\":137,");
        assert!(is_136_or_next, "{oldest}");
    }

    #[test]
    fn finish_is_bounded_and_final() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let webhook = webhook(&format!("http://{}/", listener.local_addr().unwrap()));
        for fencing_token in 0..10 {
            webhook.transition(&term_started(fencing_token));
        }
        let started = Monotonic::now();
        webhook.finish(Duration::from_millis(50));
        assert!(started.elapsed() < TRY_TIMEOUT);
        let waiting = webhook.shared.lock().queue.len();
        webhook.transition(&term_started(10));
        assert!(webhook.shared.lock().queue.len() <= waiting);
    }

    #[test]
    fn idle_webhook_finishes_immediately() {
        let webhook = webhook("http://127.0.0.1:9/");
        let started = Monotonic::now();
        webhook.finish(Duration::from_secs(60));
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(webhook.shared.lock().done);
    }
}
