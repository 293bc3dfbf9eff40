//! Leader file and webhook: they tell programs beside an elector about every transition.
//!
//! ```text
//!   election ──transition──▶ leader file: latest term ──▶ "leader-file" thread ──▶ disk
//!                       └──▶ webhook: bounded queue   ──▶ "webhook" thread     ──▶ network
//! ```
//!
//! Both take a transition without blocking. A slow disk or receiver delays only its own thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::election::LeaderElection;
use super::leader_file::LeaderFile;
use super::webhook::Webhook;
pub use super::webhook::WebhookTarget;

/// Longest wait for the disk and for the webhook's receiver when an election ends.
const LAST_WRITE: Duration = Duration::from_millis(500);
const LAST_MESSAGES: Duration = Duration::from_millis(1500);

/// Longest wait for the disk when the process exits immediately.
const LAST_WRITE_ON_EXIT: Duration = Duration::from_millis(50);

/// Leader file and webhook of an elector. A clone refers to the same ones.
#[derive(Clone, Debug)]
pub struct Sidecar {
    leader_file: Option<Arc<LeaderFile>>,
    webhook: Option<Arc<Webhook>>,
}

impl Sidecar {
    /// Removes the leader file that an earlier process left, and starts the threads.
    ///
    /// `leader_file` is the path of the file, `webhook` the receiver that gets a POST at every transition.
    ///
    /// # Errors
    /// If the file cannot be written or is a foreign one, or the system has no thread left. The text says
    /// what to do.
    pub fn start(
        identity: &str,
        leader_file: Option<&Path>,
        webhook: Option<WebhookTarget>,
    ) -> Result<Self, String> {
        let leader_file = leader_file.map(|path| LeaderFile::start(path, identity));
        let webhook = webhook.map(|target| Webhook::start(target, identity));
        Ok(Sidecar {
            leader_file: leader_file.transpose()?.map(Arc::new),
            webhook: webhook.transpose()?.map(Arc::new),
        })
    }

    /// Passes every later transition of `election` on.
    pub fn follow(&self, election: &mut LeaderElection) {
        let sidecar = self.clone();
        election.on_transition(move |transition| {
            if let Some(leader_file) = &sidecar.leader_file {
                leader_file.transition(transition);
            }
            if let Some(webhook) = &sidecar.webhook {
                webhook.transition(transition);
            }
        });
    }

    /// Removes the leader file, and waits up to two seconds for the webhook's queued messages. Call it
    /// when the election has ended.
    pub fn finish(&self) {
        if let Some(leader_file) = &self.leader_file {
            leader_file.finish(LAST_WRITE);
        }
        if let Some(webhook) = &self.webhook {
            webhook.finish(LAST_MESSAGES);
        }
    }

    /// Removes the leader file. Call it when the process exits immediately.
    pub fn abandon(&self) {
        if let Some(leader_file) = &self.leader_file {
            leader_file.finish(LAST_WRITE_ON_EXIT);
        }
    }
}
