//! What the elector has to say, as log lines: each thing once, not at every retry.

use std::time::Duration;

use crate::election::action::Notice;
use crate::election::lock::LockError;
use crate::election::time::Instant;
use crate::system::clock::wall_after;

/// A failure that goes on is told again after this time.
const REPEAT_AFTER: Duration = Duration::from_secs(60);

/// Writes notices to the log.
#[derive(Debug, Default)]
pub(super) struct Reporter {
    /// The failure told last.
    failing: Option<Failing>,
    /// When it was last told that a long history is being read.
    reading_told_at: Option<Instant>,
    /// When it was last told that looks are put off, or are not any more.
    pause_told_at: Option<Instant>,
    /// By what was told last, they are.
    put_off: bool,
}

#[derive(Debug)]
struct Failing {
    what: String,
    /// It was a write that failed.
    write: bool,
    told_at: Instant,
    /// How often it came since.
    times: u32,
}

impl Reporter {
    /// Tells a notice that came `now`.
    pub(super) fn tell(&mut self, now: Instant, notice: &Notice) {
        match notice {
            Notice::Failed {
                error: LockError::Unfinished(how_far),
                ..
            } => self.unfinished(now, how_far),
            Notice::Failed {
                call,
                error,
                write,
                retry_in,
            } => self.failed(now, format!("{call} failed: {error}"), *write, *retry_in),
            Notice::ThrottledPastLimit {
                leads_for,
                retry_after,
            } => log::warn!(
                "GitHub's limits keep everybody away for {}s, longer than the lease lasts: this \
                 candidate leads for {leads_for:.1?} more, and then nobody can before {}, as the \
                 others share the limits",
                retry_after.as_secs(),
                wall_after(*retry_after)
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
            Notice::SameName => log::info!(
                "the lease is held under this candidate's own name, by another process or by one \
                 that was here before: it is waited for like any other"
            ),
            Notice::StandsBack { pause } => log::info!(
                "stepped down: claiming nothing for {}s, so that another one can lead",
                pause.as_secs()
            ),
            Notice::Released => log::info!("gave the lease back"),
        }
    }

    /// A call came back well; that a look does says nothing of writes that fail.
    pub(super) fn succeeded(&mut self, write: bool) {
        let over = |failing: &mut Failing| write || !failing.write;
        if let Some(failing) = self.failing.take_if(over) {
            log::info!("works again, after: {}", failing.what);
        }
    }

    /// The store wants a candidate's looks to be so far apart; zero for as usual. That goes up and down
    /// all the time, and is told now and then.
    pub(super) fn poll_pause(&mut self, now: Instant, pause: Duration) {
        let told_lately = |at: Instant| now.since(at) < REPEAT_AFTER * 10;
        if self.pause_told_at.is_some_and(told_lately) || (pause.is_zero() && !self.put_off) {
            return;
        }
        self.pause_told_at = Some(now);
        self.put_off = !pause.is_zero();
        if self.put_off {
            return log::info!(
                "the hour's requests run short, and are kept for the leader's renewals: looking at \
                 the lease every {pause:.1?}"
            );
        }
        log::info!("the hour's requests suffice again: looking at the lease as usual");
    }

    /// A long history is being read, in many calls.
    fn unfinished(&mut self, now: Instant, how_far: &str) {
        let told_lately = |at: Instant| now.since(at) < REPEAT_AFTER / 6;
        if self.reading_told_at.is_some_and(told_lately) {
            return log::debug!("{how_far}");
        }
        self.reading_told_at = Some(now);
        log::info!("{how_far}");
    }

    fn failed(&mut self, now: Instant, what: String, write: bool, retry_in: Duration) {
        let again = self.failing.as_mut().filter(|failing| failing.what == what);
        let mut times = 0;
        if let Some(failing) = again {
            failing.times += 1;
            if now.since(failing.told_at) < REPEAT_AFTER {
                log::debug!("{what}; trying again in {retry_in:.1?}");
                return;
            }
            times = failing.times;
        }
        let more = match times {
            0 => String::new(),
            times => format!(" ({times} more times)"),
        };
        log::warn!("{what}{more}; trying again in {retry_in:.1?}");
        self.failing = Some(Failing {
            what,
            write,
            told_at: now,
            times: 0,
        });
    }
}
