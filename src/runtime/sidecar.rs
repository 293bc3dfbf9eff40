//! For what runs beside an elector: the leader file and the webhook, told of every transition.
//!
//! ```text
//!   election ──watch──▶ "sidecar" thread ──▶ leader file (a thread of its own)
//!                            │         └───▶ webhook (a thread of its own)
//!                            └───▶ whoever else wants to be told
//! ```
//!
//! The thread in between only passes on, so that it always keeps up: nothing that a slow disk or a slow
//! receiver does can lose the end of a term, or reach the election.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use super::election::{LeaderElection, Transition};
use super::leader_file::LeaderFile;
use super::webhook::{Webhook, WebhookError};
use crate::net::{ProxySettings, SetupError, Url};

/// The thread only passes on: this many transitions would take it to be starved for hours.
const QUEUE: usize = 256;

/// How long the end waits for the disk, and for the receiver of the webhook.
const LAST_WRITE: Duration = Duration::from_millis(500);
const LAST_MESSAGES: Duration = Duration::from_millis(1500);

/// How long an end at once waits for the disk.
const AT_ONCE: Duration = Duration::from_millis(50);

/// What is to be told, and to whom.
#[derive(Clone, Debug, Default)]
pub struct SidecarOptions {
    /// This candidate.
    pub identity: String,
    /// The file that is there while it leads.
    pub leader_file: Option<PathBuf>,
    /// Gets a POST at every transition.
    pub webhook_url: Option<Url>,
    /// File of root certificates (PEM) that replace the built-in ones.
    pub ca_file: Option<PathBuf>,
    /// The proxies to use.
    pub proxy: ProxySettings,
}

/// Why nobody can be told.
#[non_exhaustive]
#[derive(Debug)]
pub enum SidecarError {
    /// The leader file cannot be written, or is somebody else's.
    LeaderFile(String),
    /// The certificates or the proxy for the webhook cannot be used.
    Webhook(SetupError),
    /// The system gives no thread.
    System(io::Error),
}

impl fmt::Display for SidecarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SidecarError::LeaderFile(why) => f.write_str(why),
            SidecarError::Webhook(error) => write!(f, "for WEBHOOK_URL: {error}"),
            SidecarError::System(error) => write!(f, "the system gives no further thread: {error}"),
        }
    }
}

impl std::error::Error for SidecarError {}

/// The leader file and the webhook of an elector. The clones are the same ones.
#[derive(Clone, Debug)]
pub struct Sidecar {
    leader_file: Option<Arc<LeaderFile>>,
    webhook: Option<Arc<Webhook>>,
}

impl Sidecar {
    /// Removes the leader file that an earlier process left, and gets ready to tell.
    ///
    /// # Errors
    /// When the file cannot be written or is not ours, or the webhook cannot be reached by these
    /// settings.
    pub fn start(options: SidecarOptions) -> Result<Self, SidecarError> {
        let identity = &options.identity;
        let leader_file = options.leader_file.as_deref();
        let leader_file = leader_file.map(|path| LeaderFile::start(path, identity));
        let webhook = options.webhook_url.map(|url| {
            let roots = options.ca_file.as_deref();
            Webhook::start(url, roots, &options.proxy, identity)
        });
        Ok(Sidecar {
            leader_file: leader_file
                .transpose()
                .map_err(SidecarError::LeaderFile)?
                .map(Arc::new),
            webhook: webhook
                .transpose()
                .map_err(|error| match error {
                    WebhookError::Settings(error) => SidecarError::Webhook(error),
                    WebhookError::System(error) => SidecarError::System(error),
                })?
                .map(Arc::new),
        })
    }

    /// Tells of every transition of `election` from now on, and calls `tell` for each as well, on the
    /// same thread: it must not block.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn follow(
        &self,
        election: &mut LeaderElection,
        mut tell: impl FnMut(&Transition) + Send + 'static,
    ) -> io::Result<Following> {
        let transitions = election.watch(QUEUE);
        let (following, ended) = sync_channel(0);
        let sidecar = self.clone();
        thread::Builder::new()
            .name("sidecar".into())
            .spawn(move || {
                let _following: std::sync::mpsc::SyncSender<()> = following;
                for transition in &transitions {
                    sidecar.tell(&transition);
                    tell(&transition);
                }
            })?;
        Ok(Following {
            sidecar: self.clone(),
            ended,
        })
    }

    fn tell(&self, transition: &Transition) {
        if let Some(leader_file) = &self.leader_file {
            leader_file.tell(transition);
        }
        if let Some(webhook) = &self.webhook {
            webhook.tell(transition);
        }
    }

    /// Removes the leader file, for good: this process is about to end in the middle of things.
    pub fn abandon(&self) {
        if let Some(leader_file) = &self.leader_file {
            leader_file.finish(AT_ONCE);
        }
    }
}

/// A sidecar that follows an election.
#[derive(Debug)]
pub struct Following {
    sidecar: Sidecar,
    /// Disconnected when the last transition was passed on.
    ended: Receiver<()>,
}

impl Following {
    /// To be called when the election is over, however it ended: removes the leader file, and gives the
    /// webhook a moment to take what is queued for it.
    pub fn finish(self) {
        // Disconnected, or late: in either case there is nothing more to wait for.
        let _ = self.ended.recv_timeout(LAST_WRITE);
        if let Some(leader_file) = &self.sidecar.leader_file {
            leader_file.finish(LAST_WRITE);
        }
        if let Some(webhook) = &self.sidecar.webhook {
            webhook.finish(LAST_MESSAGES);
        }
    }
}
