//! The state machine of one candidate: inputs and the time in, actions out.
//!
//! ```text
//!                    claim sent                  claim confirmed
//!      Candidate ───────────────▶ Acquiring ─────────────────────▶ Leader
//!        ▲   ▲                       │                            │      │
//!        │   └───── claim lost ──────┘                 lease lost │      │ stopped gracefully,
//!        │                                                        ▼      │ workload stopped
//!        ├────────── workload stopped ◀────────────────────── Draining   │
//!        │                                                        │      ▼
//!        └─── backed off ◀──────────────────────────────────── Releasing ──▶ Finished
//! ```
//!
//! These are client-go's semantics (`tools/leaderelection`): the first read creates or takes over, a
//! leader renews by an update on top of its last write (the fast path) and reads again only after a
//! failure (the slow path), and a release reads first. There are four differences. The lease counts from
//! before a request is sent. A claim is confirmed by a second write if the store asks for it. Every
//! claim is a new term with a higher fencing token. Nothing is claimed or released while a workload of
//! this process still runs.
//!
//! One owner calls `handle_*` with what happened, then [`poll_action`](LeaderElector::poll_action)
//! until there is none, then waits until [`poll_timeout`](LeaderElector::poll_timeout) or the next
//! input. Nothing here blocks, reads a clock or starts a thread.
//!
//! `calls` makes the calls and retries those that failed, `term` extends this process's own term, and
//! `leaving` ends it.

mod calls;
mod leaving;
mod role;
mod term;

use std::collections::VecDeque;
use std::time::Duration;

use super::action::{Action, Finish, Notice, StopReason};
use super::candidacy::{Candidacy, POLL_JITTER};
use super::config::LeaderElectionConfig;
use super::lock::{LockError, Observed, Written};
use super::prediction::RenewalPrediction;
use super::same_name::SameName;
use super::status::{CallStatus, LeaderStatus, Status};
use super::time::Instant;
use role::{After, Call, ForeignWrites, InFlight, Role, Workload};

/// Longest interval between polls that a store may ask for.
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// One candidate of an election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaderElector {
    config: LeaderElectionConfig,
    confirm_delay: Option<Duration>,
    role: Role,
    candidacy: Candidacy,
    next: Option<(Instant, Call)>,
    in_flight: Option<InFlight>,
    foreign_writes: ForeignWrites,
    /// Number of `create` and `update` calls made.
    writes: u64,
    /// Number of calls that failed in a row.
    failures: u32,
    /// The store refuses calls before this.
    rate_limited_until: Instant,
    /// A leader does not write again before this, although a read shows that it still holds the lease.
    renew_not_before: Instant,
    /// This process's newest term is not released before this.
    term_not_over_before: Instant,
    min_poll_interval: Duration,
    prediction: RenewalPrediction,
    slow_paths: u64,
    /// A candidate that does not lead by then finishes.
    give_up_at: Option<Instant>,
    has_led: bool,
    same_name: SameName,
    reported_leader: String,
    actions: VecDeque<Action>,
}

impl LeaderElector {
    /// Returns a candidate whose first read is due `now`. `confirm_delay` is
    /// [`ResourceLock::confirm_delay`](super::lock::ResourceLock::confirm_delay).
    ///
    /// The configuration must be [valid](LeaderElectionConfig::validate) for the promises to hold.
    #[must_use]
    pub fn new(
        config: LeaderElectionConfig,
        confirm_delay: Option<Duration>,
        now: Instant,
    ) -> Self {
        let give_up_at = config.give_up_after.map(|patience| now + patience);
        let prediction = RenewalPrediction::new(config.retry_period, config.poll_period);
        let mut candidacy = Candidacy::new(&config);
        candidacy.delay_failback(now);
        LeaderElector {
            candidacy,
            config,
            confirm_delay,
            role: Role::Candidate { may_hold: false },
            next: Some((now, Call::Read)),
            in_flight: None,
            foreign_writes: ForeignWrites::default(),
            writes: 0,
            failures: 0,
            rate_limited_until: Instant::BOOT,
            renew_not_before: Instant::BOOT,
            term_not_over_before: Instant::BOOT,
            min_poll_interval: Duration::ZERO,
            prediction,
            slow_paths: 0,
            give_up_at,
            has_led: false,
            same_name: SameName::default(),
            reported_leader: String::new(),
            actions: VecDeque::new(),
        }
    }

    /// Returns the name of this candidate.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.config.identity
    }

    /// Returns whether this candidate leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// Returns the holder of the lease by the last observation; empty for nobody.
    #[must_use]
    pub fn leader(&self) -> &str {
        &self.reported_leader
    }

    /// Returns how the election ended for this candidate, once it has.
    #[must_use]
    pub fn finished(&self) -> Option<Finish> {
        match self.role {
            Role::Finished(finish) => Some(finish),
            _ => None,
        }
    }

    /// Returns the state of this candidate, for operators and probes.
    #[must_use]
    pub fn status(&self) -> Status {
        let leading = match &self.role {
            Role::Leader { lease, .. } => Some(LeaderStatus {
                fencing_token: lease.fencing_token,
                valid_until: lease.valid_until(&self.config).unwrap_or(Instant::BOOT),
            }),
            _ => None,
        };
        let after = self.role.after();
        Status {
            role: self.role.name(),
            stopping: after.is_some(),
            finishing: matches!(after, Some(After::Finish(_))),
            leader: self.reported_leader.clone(),
            leading,
            observed: self.candidacy.status(),
            failures: self.failures,
            rate_limited_until: self.rate_limited_until,
            call: self.in_flight.map(|in_flight| CallStatus {
                name: in_flight.call.name(),
                since: in_flight.sent_at,
                overdue_at: in_flight.overdue_at,
            }),
            slow_paths: self.slow_paths,
            stepped_down_until: self.candidacy.stepped_down_until(),
            same_name: self.same_name.certain(),
        }
    }

    // ---- outputs ----

    /// Returns the next action, if there is one. `wall` returns the time of day as RFC 3339 text; it is
    /// called when a record is written.
    pub fn poll_action(&mut self, now: Instant, wall: impl FnOnce() -> String) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let (at, call) = self.next?;
        if self.in_flight.is_some() || now < at {
            return None;
        }
        self.next = None;
        Some(self.send(now, call, wall))
    }

    /// Returns the latest time for the next call of [`handle_timeout`](Self::handle_timeout); `None` if
    /// only another input can change anything.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let call = self.next.map(|(at, _)| at);
        let call = call.filter(|_| self.in_flight.is_none());
        let role = match &self.role {
            Role::Leader { lease, .. } => lease.valid_until(&self.config),
            Role::Releasing { deadline, .. } => Some(*deadline),
            _ => None,
        };
        [call, role, self.patience()].into_iter().flatten().min()
    }

    // ---- inputs ----

    /// Handles the passing of time.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &self.role {
            Role::Leader { lease, .. }
                if lease
                    .valid_until(&self.config)
                    .is_none_or(|deadline| now >= deadline) =>
            {
                self.lose_lease(now, StopReason::RenewDeadline);
            }
            Role::Releasing {
                deadline, after, ..
            } if now >= *deadline => {
                self.finish_holding(now, *after);
            }
            _ => {}
        }
        self.lose_patience(now);
    }

    /// Handles that nothing of the workload runs any more.
    pub fn handle_workload_stopped(&mut self, now: Instant) {
        match &mut self.role {
            Role::Leader { workload, .. } => match *workload {
                Workload::Stopping(leaving) => self.release(now, leaving.reason, leaving.after),
                _ => *workload = Workload::Ended,
            },
            Role::Draining { may_hold, leaving } => match *leaving {
                Some(leaving) => self.release(now, leaving.reason, leaving.after),
                None => {
                    self.role = Role::Candidate {
                        may_hold: *may_hold,
                    };
                    self.schedule(now, Call::Read);
                }
            },
            _ => {}
        }
    }

    /// Takes in what the lock returns from
    /// [`min_poll_interval`](super::lock::ResourceLock::min_poll_interval). Call it before the handler
    /// of the call's result.
    pub fn handle_min_poll_interval(&mut self, interval: Duration) {
        self.min_poll_interval = interval.min(LONGEST_INTERVAL);
    }

    /// Handles the result of a `get`.
    pub fn handle_got(&mut self, now: Instant, result: Result<Observed, LockError>) {
        self.handle_timeout(now);
        let (call, sent_at) = match self.in_flight.take() {
            Some(in_flight) => (in_flight.call, in_flight.sent_at),
            None => (Call::Read, now),
        };
        let observed = match result {
            Ok(observed) => observed,
            Err(error) => return self.retry(now, call, error),
        };
        self.failures = 0;
        let first_read = self.candidacy.observed().is_none();
        for notice in self.candidacy.observe(now, observed) {
            self.notice(notice);
        }
        if !first_read && self.candidacy.is_news(now) {
            self.check_name(now);
        }
        match self.role {
            Role::Candidate { .. } => self.consider_acquiring(now, sent_at),
            Role::Draining { .. } => self.watch(now, sent_at),
            Role::Acquiring(_) | Role::Leader { .. } => {
                self.check_term(now, sent_at, call);
                self.follow_request(now);
            }
            Role::Releasing { after, .. } => self.check_before_release(now, after),
            Role::Finished(_) => {}
        }
    }

    /// Handles the result of a `create` or `update`.
    pub fn handle_wrote(&mut self, now: Instant, result: Result<Written, LockError>) {
        self.handle_timeout(now);
        let Some(InFlight {
            call,
            sent_at,
            write,
            ..
        }) = self.in_flight.take()
        else {
            return;
        };
        if call == Call::Claim && matches!(result, Ok(_) | Err(LockError::OutcomeUnknown(_))) {
            self.candidacy.back_off(self.term_not_over_before);
        }
        match (&self.role, result) {
            (Role::Finished(_), _) => {}
            (Role::Releasing { after, .. }, result) => match (call, result) {
                (Call::Release, Ok(_)) => self.released(now, *after),
                (Call::Release, Err(error)) if error != LockError::Conflict => {
                    self.retry(now, call, error);
                }
                // A renewal that was under way when the workload stopped.
                (_, Err(error @ LockError::RateLimited { .. })) => self.retry(now, call, error),
                _ => self.schedule(now.max(self.term_not_over_before), Call::Read),
            },
            (Role::Acquiring(_) | Role::Leader { .. }, Ok(written)) => {
                self.failures = 0;
                self.write_effective(now, call, write, sent_at, written.head_known_since);
                self.follow_request(now);
            }
            (_, Ok(_)) => self.schedule(now, Call::Read),
            (_, Err(LockError::Conflict)) if call == Call::Annotate => {
                self.candidacy
                    .repeat_failback(now + self.config.poll_period);
                self.schedule(now, Call::Read);
            }
            (_, Err(LockError::Conflict)) => {
                if call == Call::Claim {
                    self.notice(Notice::ClaimLost);
                }
                match self.role {
                    Role::Acquiring(_) => self.candidacy.claim_failed(now, false),
                    _ => self.note_conflict(now),
                }
                self.count_slow_path();
                self.schedule(now, Call::Read);
            }
            (_, Err(error)) => self.retry(now, call, error),
        }
    }

    // ---- what a read means for a candidate ----

    /// Claims the lease if it may be acquired now; otherwise schedules the next poll.
    fn consider_acquiring(&mut self, now: Instant, sent_at: Instant) {
        self.report_holder();
        if self.yields_to_recent_leader(now) {
            return;
        }
        if self.release_ended_term(now) {
            return;
        }
        if now >= self.candidacy.acquire_at() {
            return self.schedule(now, Call::Claim);
        }
        if self.candidacy.fails_back_at().is_some_and(|at| now >= at) {
            return self.schedule(now, Call::Annotate);
        }
        self.schedule_poll(now, sent_at);
    }

    /// Follows the lease while this candidate's own workload still runs.
    fn watch(&mut self, now: Instant, sent_at: Instant) {
        self.report_holder();
        if self.role.leaving().is_none() && self.yields_to_recent_leader(now) {
            return;
        }
        self.schedule_poll(now, sent_at);
    }

    fn report_holder(&mut self) {
        let holder = self.candidacy.holder();
        let mine = self.candidacy.mine().is_some();
        let waits = !mine && self.candidacy.predecessor().is_none();
        if waits && holder == self.config.identity && holder != self.reported_leader {
            self.notice(Notice::SameName);
        }
        if let Role::Candidate { may_hold } | Role::Draining { may_hold, .. } = &mut self.role {
            *may_hold = mine;
        }
        self.report(self.candidacy.holder().to_owned());
    }

    /// Checks whether another process made the newly observed write under this candidate's name.
    fn check_name(&mut self, now: Instant) {
        let other = self.candidacy.observed().filter(|observed| {
            observed.mine.is_none()
                && observed.predecessor.is_none()
                && observed.foreign_wait.is_none()
                && observed.content.holder() == self.config.identity
        });
        if other.is_some_and(|write| self.same_name.note(now, write, self.has_led)) {
            self.notice(Notice::SameNameRuns);
        }
    }

    /// Schedules the next poll after a read that did not let this candidate claim.
    fn schedule_poll(&mut self, now: Instant, sent_at: Instant) {
        let news = self.candidacy.is_news(now);
        self.prediction.note_read(sent_at, now, news);
        let jitter = self.candidacy.poll_jitter();
        // Never longer than the interval that the store gave, which may end just in time.
        let min_interval = self.min_poll_interval.mul_f64(jitter - POLL_JITTER);
        let spread = if news {
            self.candidacy.spread()
        } else {
            jitter
        };
        let period = self.config.poll_period.mul_f64(spread).max(min_interval);
        let mut at = (sent_at + period).max(now + period / 2);
        if min_interval.is_zero() {
            at = self.prediction.next_read(at).max(now);
        }
        let acquire_at = self.candidacy.acquire_at();
        if acquire_at > now {
            at = at.min(acquire_at);
        }
        // Where reads are scarce, a leader that has just renewed is not read again only because its
        // lease may have expired. One that has not renewed is, and so is a released lease.
        if news && self.candidacy.waits() {
            at = at.max(now + min_interval);
        }
        self.schedule(at, Call::Read);
    }

    // ---- reports ----

    fn report(&mut self, leader: String) {
        if self.reported_leader != leader {
            self.reported_leader.clone_from(&leader);
            self.actions.push_back(Action::NewLeader(leader));
        }
    }

    fn event(&mut self, what: &str) {
        let event = format!("{} {what}", self.config.identity);
        self.actions.push_back(Action::Event(event));
    }

    fn notice(&mut self, notice: Notice) {
        self.actions.push_back(Action::Notice(notice));
    }

    /// Counts that a leader has to read before it can write.
    fn count_slow_path(&mut self) {
        self.slow_paths += u64::from(self.is_leader());
    }
}
