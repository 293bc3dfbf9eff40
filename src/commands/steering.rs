//! Carries out requests of operators to an election: calls of the lock, and the waits between them.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::command::CommandError;
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::{LeaseId, LockError, Observed, ResourceLock};
use crate::election::record::LeaderElectionRecord;
use crate::election::time::Instant;
use crate::fmt::{one_line, span};
use crate::lock::LockSpec;
use crate::lock::admin::CALL_TIMEOUT;
use crate::lock::backend::OpenError;
use crate::lock::steering::{Done, Next, Request, Steering};
use crate::system::clock::{BootClock, utc_timestamp};

/// Longest time that a command waits for candidates. Ten minutes are longer than most workloads take to stop.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Longest time between two reads, so that a command can tell how long nobody led.
const LONGEST_POLL: Duration = Duration::from_millis(500);

/// Access of an operator's command to an election.
pub(super) struct Operator {
    lock: Box<dyn ResourceLock + Send>,
    election: LeaderElectionConfig,
    poll_period: Duration,
    ends_at: Instant,
    /// Last record that was read.
    pub(super) observed: Observed,
    pub(super) gap: Gap,
    /// Error of the last call, if it failed.
    failure: Option<LockError>,
    reported_foreign: bool,
}

impl Operator {
    /// Opens a lock. Sends no request.
    pub(super) fn open(
        lock: &LockSpec,
        election: &LeaderElectionConfig,
    ) -> Result<Operator, OpenError> {
        Ok(Operator {
            lock: lock.backend().open(election)?.lock,
            poll_period: LONGEST_POLL.min(election.poll_period),
            election: election.clone(),
            ends_at: BootClock::now() + LONGEST_WAIT,
            observed: Observed::default(),
            gap: Gap::default(),
            failure: None,
            reported_foreign: false,
        })
    }

    /// Returns the time between two reads.
    pub(super) fn poll_period(&self) -> Duration {
        self.poll_period.max(self.lock.min_poll_interval())
    }

    /// Returns whether the holder of the last record leads: where a claim must be confirmed, it has written
    /// twice.
    pub(super) fn has_leader(&self) -> bool {
        let holder = self.observed.content.holder();
        !holder.is_empty() && (self.lock.confirm_delay().is_none() || self.observed.renewed)
    }

    /// Reads the record at `at`.
    ///
    /// # Errors
    /// [`CommandError`] if that is after the longest wait. `awaited` is what the command waits for.
    pub(super) fn read(
        &mut self,
        at: Instant,
        awaited: &str,
    ) -> Result<Result<Observed, LockError>, CommandError> {
        if at > self.ends_at {
            let failure = self.failure.as_ref();
            let failure = failure.map_or(String::new(), |error| format!("; last error: {error}"));
            return Err(CommandError::failed(format!(
                "gave up waiting {awaited}, because it takes more than {}; check with elector status, and \
                 run this again{failure}",
                span(LONGEST_WAIT)
            )));
        }
        thread::sleep(at.since(BootClock::now()));
        let result = self.lock.get(CALL_TIMEOUT);
        self.failure = result.as_ref().err().cloned();
        if let Ok(observed) = &result {
            self.observed = observed.clone();
            self.gap.note(BootClock::now(), observed);
        }
        Ok(result)
    }

    /// Follows a request until it is done. Calls `report` once the record says what is requested.
    pub(super) fn request(
        &mut self,
        request: Request,
        awaited: &str,
        mut report: impl FnMut(&Observed),
    ) -> Result<Done, CommandError> {
        let pauses = matches!(request, Request::Pause { .. });
        let mut steering = Steering::new(
            request,
            self.lock.confirm_delay(),
            self.poll_period,
            self.election.lease_duration,
        );
        let mut at = BootClock::now();
        let mut reported = false;
        loop {
            let sent_at = at.max(BootClock::now());
            let result = self.read(at, awaited)?;
            if pauses {
                self.report_foreign();
            }
            let mut next = steering.handle_got(BootClock::now(), sent_at, result);
            while let Ok(Next::Annotate(annotation)) = &next {
                let result = self.lock.annotate(annotation, CALL_TIMEOUT);
                self.failure = result.as_ref().err().cloned();
                if result.is_ok() && !std::mem::replace(&mut reported, true) {
                    report(&self.observed);
                }
                next = steering.handle_annotated(BootClock::now(), result);
            }
            match next.map_err(CommandError::failed)? {
                Next::Done(done) => return Ok(done),
                Next::ReadAt(next) => at = next,
                Next::Annotate(_) => {}
            }
        }
    }

    /// Says once that another program's leader ignores requests.
    fn report_foreign(&mut self) {
        let holder = self.observed.content.holder();
        let foreign = self.observed.foreign_wait.is_some() && !holder.is_empty();
        if foreign && !std::mem::replace(&mut self.reported_foreign, true) {
            let holder = one_line(holder);
            tell(&format!(
                "{holder} was named by hand or by another program; a leader of client-go ignores requests"
            ));
        }
    }
}

/// When the leader that a command found led last, as far as its reads show.
#[derive(Clone, Debug, Default)]
pub(super) struct Gap {
    /// Holder of the first record, and the last sign of life of its lease.
    leader: String,
    lease: Option<(LeaseId, Instant)>,
    /// Last read that showed the leader alive.
    led_at: Option<Instant>,
    /// First read after that which showed no holder.
    free_at: Option<Instant>,
}

impl Gap {
    fn note(&mut self, now: Instant, observed: &Observed) {
        let (holder, id) = (observed.content.holder(), observed.lease_id());
        if self.lease.is_none() {
            self.leader = holder.to_owned();
        }
        if self.lease.as_ref().is_none_or(|(known, _)| *known != id) {
            self.lease = Some((id, now));
        }
        if holder.is_empty() {
            self.free_at.get_or_insert(now);
        }
        let since = self.lease.as_ref().map_or(now, |(_, since)| *since);
        let record = observed.content.record();
        let lease = record.map_or(Duration::ZERO, LeaderElectionRecord::lease_duration);
        if holder == self.leader && self.free_at.is_none() {
            // A leader that lives renews several times within its lease.
            let alive = now.since(since) < lease / 2;
            self.led_at = Some(if alive { now } else { since });
        }
    }

    /// Returns how long nobody led until `now`: `about 1.2s`.
    pub(super) fn describe(&self, now: Instant) -> String {
        let seconds = |since: Instant| format!("{:.1}s", now.since(since).as_secs_f64());
        match (self.free_at, self.led_at) {
            (Some(free_at), _) => format!("about {}", seconds(free_at)),
            (None, led_at) => format!("at most {}", seconds(led_at.unwrap_or(now))),
        }
    }
}

/// Writes a line about progress to standard error.
pub(super) fn tell(text: &str) {
    // If standard error cannot be written, the work goes on all the same.
    let _ = writeln!(io::stderr(), "{text}");
}

/// Returns who makes a request now, for the record: the user, if known, and the name of this machine or pod.
pub(super) fn asked(election: &LeaderElectionConfig) -> Value {
    let identity = &election.identity;
    let by = match std::env::var("USER") {
        Ok(user) if !user.is_empty() => format!("{}@{identity}", one_line(&user)),
        _ => identity.clone(),
    };
    json!({"by": by, "at": utc_timestamp()})
}
