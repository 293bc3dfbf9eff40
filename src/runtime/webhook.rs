//! The webhook: every transition as a JSON POST to an address of somebody's choice.
//!
//! ```text
//!   tell(transition) ──▶ queue (bounded, the oldest goes) ──▶ "webhook" thread ──▶ POST
//!                                                                 ▲   │ failed, a few times
//!                                                                 └───┘
//! ```
//!
//! What is sent, each key in every message and null where it does not apply:
//!
//! | key | |
//! |---|---|
//! | `event` | `startedLeading`, `stoppedLeading`, `newLeader` |
//! | `identity` | this candidate |
//! | `leader` | who leads now, as far as it is known: this candidate for `startedLeading`, anybody (empty for nobody) for `newLeader` |
//! | `token` | the fencing token of the term that began, ended, or was seen |
//! | `reason` | why a term ended |
//! | `time` | when it came to be known, by this machine's clock (RFC 3339) |
//!
//! In order, and at least once: an answer that is lost makes it come twice. The address is a secret, and
//! is logged without its path.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant as Monotonic};

use serde::Serialize;

use super::election::Transition;
use crate::net::{ProxySettings, SetupError, Url, WebClient};
use crate::system::clock::utc_timestamp_millis;
use crate::system::monitor::Monitor;

/// How many messages wait at the most: a day of an election that is well, minutes of one that is not.
const QUEUE: usize = 64;

/// How often a message is sent, and how long one try may take: with the pauses, some ten seconds.
const TRIES: u32 = 3;
const LONGEST_TRY: Duration = Duration::from_secs(3);

/// Before the second try; before each further one it is doubled.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How a message fared.
enum Fate {
    Taken,
    /// It may be taken later.
    Failed(String),
    /// There is no use in trying again.
    Refused(String),
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<String>,
    /// How many were dropped since that was told last.
    dropped: u64,
    /// What is not sent by then is not sent at all.
    end: Option<Monotonic>,
    /// The thread has come to its end.
    done: bool,
}

/// The webhook, and the thread that sends to it.
#[derive(Debug)]
pub(super) struct Webhook {
    shared: Arc<Monitor<State>>,
    identity: String,
}

/// Why there is no webhook.
#[derive(Debug)]
pub(super) enum WebhookError {
    /// The certificates or the proxy cannot be used.
    Settings(SetupError),
    /// The system gives no thread.
    System(io::Error),
}

impl Webhook {
    /// Starts the thread that sends to `url`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the certificates or the proxy cannot be used, or there is no thread.
    pub(super) fn start(
        url: Url,
        ca_file: Option<&Path>,
        proxy: &ProxySettings,
        identity: &str,
    ) -> Result<Self, WebhookError> {
        let client = WebClient::new(&url, ca_file, proxy);
        let shared = Arc::new(Monitor::default());
        let mut sender = Sender {
            client: client.map_err(WebhookError::Settings)?,
            url,
            shared: Arc::clone(&shared),
            lost: 0,
        };
        thread::Builder::new()
            .name("webhook".into())
            .spawn(move || sender.run())
            .map_err(WebhookError::System)?;
        Ok(Webhook {
            shared,
            identity: identity.to_owned(),
        })
    }

    /// Queues the message for a transition. Never blocks.
    pub(super) fn tell(&self, transition: &Transition) {
        let Some(message) = message(&self.identity, transition, utc_timestamp_millis()) else {
            return;
        };
        self.shared.change(|state| {
            if state.end.is_some() {
                return;
            }
            if state.queue.len() >= QUEUE {
                state.queue.pop_front();
                state.dropped += 1;
            }
            state.queue.push_back(message);
        });
    }

    /// Has what is queued sent, once each, and waits for that, for `patience` at the most.
    pub(super) fn finish(&self, patience: Duration) {
        self.shared
            .change(|state| state.end = Some(Monotonic::now() + patience));
        let left = self.shared.wait_while_for(patience, |state| !state.done);
        if !left.done {
            log::warn!(
                "the webhook does not answer: it was not told of the end, nor of {} changes before",
                left.queue.len()
            );
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.shared.change(|state| {
            state.end.get_or_insert_with(Monotonic::now);
        });
    }
}

/// What is sent.
#[derive(Serialize)]
struct Message<'a> {
    event: &'static str,
    identity: &'a str,
    leader: Option<&'a str>,
    token: Option<u64>,
    reason: Option<String>,
    time: String,
}

/// What is sent for a transition in JSON, if anything is.
fn message(identity: &str, transition: &Transition, time: String) -> Option<String> {
    let (event, leader, token, reason) = match transition {
        Transition::StartedLeading { token, .. } => {
            ("startedLeading", Some(identity), Some(*token), None)
        }
        Transition::StoppedLeading { token, reason } => {
            let reason = Some(reason.to_string());
            ("stoppedLeading", None, Some(*token), reason)
        }
        Transition::NewLeader {
            identity: leader,
            token,
        } => ("newLeader", Some(leader.as_str()), *token, None),
        Transition::Renewed { .. } | Transition::TermOver { .. } => return None,
    };
    let message = Message {
        event,
        identity,
        leader,
        token,
        reason,
        time,
    };
    // Texts and numbers always make JSON.
    serde_json::to_string(&message).ok()
}

/// The thread that sends.
struct Sender {
    client: WebClient,
    url: Url,
    shared: Arc<Monitor<State>>,
    /// How many messages were lost since the last one that was taken.
    lost: u64,
}

impl Sender {
    fn run(&mut self) {
        while let Some((message, dropped)) = self.next() {
            if dropped > 0 {
                log::warn!(
                    "the webhook at {} does not keep up: {dropped} changes are not told to it",
                    self.url
                );
            }
            match self.deliver(&message) {
                Ok(()) => self.recover(),
                Err(why) => self.complain(&why),
            }
        }
        self.shared.change(|state| state.done = true);
    }

    /// The next message, and how many before it were dropped; `None` when no more is to be sent.
    fn next(&self) -> Option<(String, u64)> {
        let waits = |state: &mut State| state.queue.is_empty() && state.end.is_none();
        let mut state = self.shared.wait_while(waits);
        let message = state.queue.pop_front()?;
        Some((message, std::mem::take(&mut state.dropped)))
    }

    /// Sends a message, a few times if need be.
    fn deliver(&mut self, message: &str) -> Result<(), String> {
        let (mut tries, mut pause) = (0, FIRST_PAUSE);
        loop {
            let why = match self.post(message) {
                Fate::Taken => return Ok(()),
                Fate::Refused(why) => return Err(why),
                Fate::Failed(why) => why,
            };
            tries += 1;
            log::debug!("the webhook at {}, try {tries}: {why}", self.url);
            if tries == TRIES || !self.pause(pause) {
                return Err(why);
            }
            pause *= 2;
        }
    }

    fn post(&mut self, message: &str) -> Fate {
        let timeout = self.longest_try();
        if timeout.is_zero() {
            return Fate::Failed("no time was left".to_owned());
        }
        match self.client.post_json(message, timeout) {
            Ok(200..=299) => Fate::Taken,
            // Of these, trying again is known to help.
            Ok(status @ (408 | 425 | 429 | 500..=599)) => Fate::Failed(answered(status)),
            Ok(status @ 300..=399) => {
                let why = format!("{}, and redirects are not followed", answered(status));
                Fate::Refused(why)
            }
            Ok(status) => Fate::Refused(answered(status)),
            Err(why) => Fate::Failed(why),
        }
    }

    /// How long a try may take now.
    fn longest_try(&self) -> Duration {
        let end = self.shared.lock().end;
        end.map_or(LONGEST_TRY, |end| {
            LONGEST_TRY.min(end.saturating_duration_since(Monotonic::now()))
        })
    }

    /// Waits before a further try. At the end there is none.
    fn pause(&self, pause: Duration) -> bool {
        let goes_on = |state: &mut State| state.end.is_none();
        self.shared.wait_while_for(pause, goes_on).end.is_none()
    }

    /// Tells of a message that was lost, unless the one before was lost as well.
    fn complain(&mut self, why: &str) {
        self.lost += 1;
        if self.lost == 1 {
            log::warn!(
                "the webhook at {} was not told of a change: {why}; told again when it works",
                self.url
            );
        } else {
            log::debug!(
                "the webhook at {} was not told of a change: {why}",
                self.url
            );
        }
    }

    fn recover(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            log::info!(
                "the webhook at {} works again; it was not told of {lost} changes",
                self.url
            );
        }
    }
}

fn answered(status: u16) -> String {
    format!("it answered {status}")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn webhook(url: &str) -> Webhook {
        let url = url.parse().unwrap();
        Webhook::start(url, None, &ProxySettings::default(), "me").unwrap()
    }

    fn leader(token: u64) -> Transition {
        Transition::NewLeader {
            identity: "you".into(),
            token: Some(token),
        }
    }

    #[test]
    fn of_too_many_messages_the_oldest_go_and_nobody_waits() {
        // Connections are taken by the system, and nobody answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let webhook = webhook(&format!("http://{}/", listener.local_addr().unwrap()));
        let started = Monotonic::now();
        for token in 0..200 {
            webhook.tell(&leader(token));
        }
        assert!(
            started.elapsed() < LONGEST_TRY,
            "it does not wait for answers"
        );
        let state = webhook.shared.lock();
        // One may be on its way already.
        assert!((QUEUE - 1..=QUEUE).contains(&state.queue.len()));
        let (oldest, newest) = (state.queue.front().unwrap(), state.queue.back().unwrap());
        assert!(newest.contains("\"token\":199,"), "{newest}");
        let is_136_or_next = oldest.contains("\"token\":136,") || oldest.contains("\"token\":137,");
        assert!(is_136_or_next, "{oldest}");
    }

    #[test]
    fn the_end_waits_no_longer_than_it_may_and_nothing_is_taken_after_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let webhook = webhook(&format!("http://{}/", listener.local_addr().unwrap()));
        for token in 0..10 {
            webhook.tell(&leader(token));
        }
        let started = Monotonic::now();
        webhook.finish(Duration::from_millis(50));
        assert!(started.elapsed() < LONGEST_TRY);
        let waiting = webhook.shared.lock().queue.len();
        webhook.tell(&leader(10));
        assert!(webhook.shared.lock().queue.len() <= waiting);
    }

    #[test]
    fn the_end_of_an_idle_webhook_takes_no_time() {
        let webhook = webhook("http://127.0.0.1:9/");
        let started = Monotonic::now();
        webhook.finish(Duration::from_secs(60));
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(webhook.shared.lock().done);
    }
}
