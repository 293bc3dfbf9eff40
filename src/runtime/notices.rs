//! What the elector has to say, as log lines: each thing once, not at every retry.

use std::time::Duration;

use crate::election::action::Notice;
use crate::election::time::Instant;

/// A failure that goes on is told again after this time.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Writes notices to the log.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// The failure told last, when, and how often it came since.
    failing: Option<(String, Instant, u32)>,
}

impl Reporter {
    /// Tells a notice that came `now`.
    pub(super) fn tell(&mut self, now: Instant, notice: &Notice) {
        match notice {
            Notice::Failed {
                call,
                error,
                retry_in,
            } => self.failed(now, format!("{call} failed: {error}"), *retry_in),
            Notice::ThrottledPastLimit { retry_after } => log::warn!(
                "GitHub's limits keep everybody away for {}s, longer than the lease lasts: nobody \
                 can lead until then",
                retry_after.as_secs()
            ),
            Notice::Claimed { token } => log::info!("claimed the lease for the term {token}"),
            Notice::ClaimLost => log::info!("another candidate's claim came first"),
            Notice::Rewound { pause } => log::warn!(
                "what was last seen in effect is gone: claiming nothing for {}s",
                pause.as_secs()
            ),
            Notice::Overwritten { what, wait } => log::warn!(
                "{what}: it is waited for, {}s from now, as somebody may still lead",
                wait.as_secs()
            ),
            Notice::Released => log::info!("gave the lease back"),
        }
    }

    /// A call came back well.
    pub(super) fn succeeded(&mut self) {
        if let Some((what, _, _)) = self.failing.take() {
            log::info!("works again, after: {what}");
        }
    }

    fn failed(&mut self, now: Instant, what: String, retry_in: Duration) {
        match &mut self.failing {
            Some((told, at, times)) if *told == what && now.since(*at) < REPEAT_AFTER => {
                *times += 1;
                log::debug!("{what}; trying again in {retry_in:.1?}");
            }
            failing => {
                let again = failing.take().filter(|(told, _, _)| *told == what);
                let times = again.map_or(String::new(), |(_, _, times)| {
                    format!(" ({} more times)", times + 1)
                });
                log::warn!("{what}{times}; trying again in {retry_in:.1?}");
                *failing = Some((what, now, 0));
            }
        }
    }
}
