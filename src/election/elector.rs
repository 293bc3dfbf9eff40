//! The state machine of one candidate: inputs and the time in, actions out.
//!
//! ```text
//!                     claim sent                 claim confirmed
//!       Candidate ───────────────▶ Acquiring ─────────────────────▶ Leader
//!         ▲  ▲                        │                              │
//!         │  └──── lost the claim ────┘                              │
//!         └──── the lease ran out, or somebody else holds it ────────┘
//!
//!       any of them, stopped ──▶ Leaving (the lease is given back) ──▶ finished
//! ```
//!
//! These are client-go's semantics (`tools/leaderelection`): the first look creates or takes over,
//! a leader renews by an update on top of its last (the fast path) and looks again only after a
//! failure (the slow path), and release looks first. What is different: the lease counts from before
//! a request is sent, a claim is confirmed by a second write where the store asks for it, every
//! claim is a new term with a higher token, and nothing is claimed or released while a workload of
//! ours still runs.
//!
//! One owner calls `handle_*` with what happened, then [`poll_action`](LeaderElector::poll_action)
//! until there is none, then waits until [`poll_timeout`](LeaderElector::poll_timeout) or the next
//! input. Nothing in here blocks, reads a clock or keeps a thread.

mod calls;
mod ending;
mod own;

use std::collections::VecDeque;
use std::time::Duration;

use super::action::{Action, Finish, Notice, StopReason};
use super::candidacy::{Candidacy, POLL_JITTER};
use super::config::LeaderElectionConfig;
use super::lock::{LockError, Observed, Written};
use super::prediction::RenewalPrediction;
use super::status::{CallStatus, LeaderStatus, RoleName, Status};
use super::term::Term;
use super::time::Instant;
use ending::{After, Ending};

/// The call that is made next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Next {
    Look,
    Claim,
    Renew,
    Release,
}

impl Next {
    fn name(self) -> &'static str {
        match self {
            Next::Look => "reading the lease",
            Next::Claim => "claiming the lease",
            Next::Renew => "renewing the lease",
            Next::Release => "releasing the lease",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct InFlight {
    kind: Next,
    sent_at: Instant,
    timeout: Duration,
    /// The number of a write.
    write: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Role {
    Candidate,
    Acquiring(Term),
    Leader(Term),
    Leaving { deadline: Instant },
    Finished(Finish),
}

impl Role {
    fn name(&self) -> RoleName {
        match self {
            Role::Candidate => RoleName::Candidate,
            Role::Acquiring(_) => RoleName::Acquiring,
            Role::Leader(_) => RoleName::Leader,
            Role::Leaving { .. } => RoleName::Leaving,
            Role::Finished(_) => RoleName::Finished,
        }
    }
}

/// One candidate of an election.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaderElector {
    config: LeaderElectionConfig,
    confirmation: Option<Duration>,
    role: Role,
    /// Something of the workload may still run.
    workload: bool,
    /// The present term was not yet said to have ended.
    term_open: bool,
    /// The record may name this process as the holder.
    may_hold: bool,
    candidacy: Candidacy,
    next: Option<(Instant, Next)>,
    in_flight: Option<InFlight>,
    /// When the next renewal is due.
    renew_at: Instant,
    /// The look that comes next, or is under way, only prepares the renewal: it finds out what others
    /// wrote beside the record.
    preparing: bool,
    /// Before how many more renewals a look comes first, since others write to the same store.
    crowded: u32,
    /// The last write of this term confirmed nothing, as others had written in the while before it.
    disturbed: bool,
    /// How many `create` and `update` calls were made.
    writes: u64,
    /// How many calls failed in a row.
    failures: u32,
    /// The store wants no call before this.
    rate_limited_until: Instant,
    /// How far apart the store wants a candidate's looks to be.
    min_poll_interval: Duration,
    prediction: RenewalPrediction,
    slow_paths: u64,
    /// It is to leave, for good or for a while, as soon as the workload has gone.
    ending: Option<Ending>,
    /// It gives up if it does not lead by then.
    give_up_at: Option<Instant>,
    /// It has led before.
    has_led: bool,
    /// The last leader reported.
    reported: String,
    actions: VecDeque<Action>,
}

impl LeaderElector {
    /// A candidate that begins to look `now`. `confirmation` is what the lock says of itself.
    ///
    /// The configuration must be [valid](LeaderElectionConfig::validate) for the promises to hold.
    #[must_use]
    pub fn new(config: LeaderElectionConfig, confirmation: Option<Duration>, now: Instant) -> Self {
        let give_up_at = config.give_up_after.map(|patience| now + patience);
        let prediction = RenewalPrediction::new(config.retry_period, config.poll_period);
        LeaderElector {
            candidacy: Candidacy::new(&config),
            config,
            confirmation,
            role: Role::Candidate,
            workload: false,
            term_open: false,
            may_hold: false,
            next: Some((now, Next::Look)),
            in_flight: None,
            renew_at: now,
            preparing: false,
            crowded: 0,
            disturbed: false,
            writes: 0,
            failures: 0,
            rate_limited_until: Instant::BOOT,
            min_poll_interval: Duration::ZERO,
            prediction,
            slow_paths: 0,
            ending: None,
            give_up_at,
            has_led: false,
            reported: String::new(),
            actions: VecDeque::new(),
        }
    }

    /// The name of this candidate.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.config.identity
    }

    /// Whether this candidate leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The holder of the lease by the last observation; empty for nobody.
    #[must_use]
    pub fn leader(&self) -> &str {
        &self.reported
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn finished(&self) -> Option<Finish> {
        match self.role {
            Role::Finished(finish) => Some(finish),
            _ => None,
        }
    }

    /// What there is to know about it, for people and probes.
    #[must_use]
    pub fn status(&self) -> Status {
        let leading = match &self.role {
            Role::Leader(term) => Some(LeaderStatus {
                fencing_token: term.fencing_token,
                valid_until: term.limit(&self.config).unwrap_or(Instant::BOOT),
            }),
            _ => None,
        };
        Status {
            role: self.role.name(),
            stopping: self.ending.is_some(),
            finishing: self.ending.is_some_and(Ending::is_for_good),
            leader: self.reported.clone(),
            leading,
            observed: self.candidacy.status(),
            failures: self.failures,
            rate_limited_until: self.rate_limited_until,
            call: self.in_flight.map(|call| CallStatus {
                name: call.kind.name(),
                since: call.sent_at,
                overdue_at: call.sent_at + call.timeout,
            }),
            slow_paths: self.slow_paths,
        }
    }

    // ---- what the owner asks for ----

    /// The next thing to do, if there is one. `wall` is asked for the time of day, as RFC 3339 text,
    /// when a record is written.
    pub fn poll_action(&mut self, now: Instant, wall: impl FnOnce() -> String) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let (at, next) = self.next?;
        if self.in_flight.is_some() || now < at {
            return None;
        }
        self.next = None;
        Some(self.call(now, next, wall))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` if only an input
    /// can move it on.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let call = self.next.map(|(at, _)| at);
        let call = call.filter(|_| self.in_flight.is_none());
        let role = match &self.role {
            Role::Leader(term) => term.limit(&self.config),
            Role::Leaving { deadline } => Some(*deadline),
            _ => None,
        };
        [call, role, self.patience()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &self.role {
            Role::Leader(term) if term.limit(&self.config).is_none_or(|limit| now >= limit) => {
                self.become_candidate(now, StopReason::RenewDeadline);
            }
            Role::Leaving { deadline } if now >= *deadline => self.finish_holding(now),
            _ => {}
        }
        self.lose_patience(now);
    }

    /// Nothing of the workload is left.
    pub fn handle_workload_gone(&mut self, now: Instant) {
        self.workload = false;
        if self.ending.is_some() {
            self.become_leaving(now);
        } else if matches!(self.role, Role::Candidate) {
            self.schedule(now, Next::Look);
        }
    }

    /// Takes in what the lock returns from
    /// [`min_poll_interval`](super::lock::ResourceLock::min_poll_interval). Call it before the handler
    /// of the call's result.
    pub fn handle_min_poll_interval(&mut self, interval: Duration) {
        self.min_poll_interval = interval;
    }

    /// A `get` came back.
    pub fn handle_got(&mut self, now: Instant, result: Result<Observed, LockError>) {
        self.handle_timeout(now);
        let sent_at = self.in_flight.take().map_or(now, |call| call.sent_at);
        let observed = match result {
            Ok(observed) => observed,
            Err(error) => return self.failed(now, Next::Look, error),
        };
        self.failures = 0;
        for notice in self.candidacy.observe(now, observed) {
            self.notice(notice);
        }
        match &self.role {
            Role::Candidate => self.consider(now, sent_at),
            Role::Acquiring(_) | Role::Leader(_) => self.check_own(now, sent_at),
            Role::Leaving { .. } => self.check_before_release(now),
            Role::Finished(_) => {}
        }
    }

    /// A `create` or `update` came back.
    pub fn handle_wrote(&mut self, now: Instant, result: Result<Written, LockError>) {
        self.handle_timeout(now);
        let Some(call) = self.in_flight.take() else {
            return;
        };
        match (&mut self.role, result) {
            (Role::Acquiring(term) | Role::Leader(term), Ok(written)) => {
                self.failures = 0;
                let since = written.head_known_since;
                let confirms = term.took_effect(call.write, now, self.confirmation, since);
                if since.is_none() {
                    self.crowded = own::LOOKS_WHEN_CROWDED;
                }
                self.tell_of_claim(call.kind);
                self.renewed(now, call.sent_at, confirms);
            }
            (Role::Leaving { .. }, Ok(_)) if call.kind == Next::Release => self.released(now),
            (Role::Leaving { .. }, _) if call.kind != Next::Release => {
                self.schedule(now, Next::Look);
            }
            (_, Ok(_)) => self.schedule(now, Next::Look),
            (_, Err(LockError::Conflict)) => {
                if call.kind == Next::Claim {
                    self.notice(Notice::ClaimLost);
                }
                self.count_slow_path();
                self.schedule(now, Next::Look);
            }
            (_, Err(error)) => self.failed(now, call.kind, error),
        }
    }

    // ---- what a look means ----

    /// A candidate decides whether it may take the lease now, or when to look again.
    fn consider(&mut self, now: Instant, sent_at: Instant) {
        let holder = self.candidacy.holder();
        let namesake = holder == self.config.identity && self.candidacy.mine().is_none();
        if namesake && holder != self.reported {
            self.notice(Notice::SameName);
        }
        self.report(self.candidacy.holder().to_owned());
        self.may_hold = self.candidacy.mine().is_some();
        if let Some(finish) = self.too_recent(now) {
            return self.give_up(now, finish);
        }
        let acquire_at = self.candidacy.acquire_at();
        if now >= acquire_at && !self.workload && self.ending.is_none() {
            return self.schedule(now, Next::Claim);
        }
        let at = self.next_look(now, sent_at);
        self.schedule(at, Next::Look);
    }

    /// When a candidate looks again after a look that did not let it claim.
    fn next_look(&mut self, now: Instant, sent_at: Instant) -> Instant {
        let news = self.candidacy.is_news(now);
        self.prediction.looked(sent_at, now, news);
        let jitter = self.candidacy.poll_jitter();
        // Never longer than it was told: that may be up to a moment that matters.
        let pause = self.min_poll_interval.mul_f64(jitter - POLL_JITTER);
        let spread = if news {
            self.candidacy.spread()
        } else {
            jitter
        };
        let period = self.config.poll_period.mul_f64(spread).max(pause);
        let mut at = (sent_at + period).max(now + period / 2);
        if pause.is_zero() {
            at = self.prediction.next_look(at).max(now);
        }
        let acquire_at = self.candidacy.acquire_at();
        if acquire_at > now {
            at = at.min(acquire_at);
        }
        // Where looks are dear, a leader that has just renewed is not looked at again for the only
        // reason that its lease may be over. One that has not is, and one that has given it back.
        if news && self.candidacy.waits() {
            at = at.max(now + pause);
        }
        at
    }

    fn check_before_release(&mut self, now: Instant) {
        if self.candidacy.mine().is_some() && !self.candidacy.holder().is_empty() {
            return self.schedule(now, Next::Release);
        }
        self.finish_leaving(now);
    }

    // ---- roles: nothing else changes to or from leading ----

    fn become_acquiring(&mut self, term: Term) {
        self.role = Role::Acquiring(term);
        self.may_hold = true;
    }

    fn become_leader(&mut self, until: Instant) {
        let Role::Acquiring(term) = &self.role else {
            return;
        };
        let term = term.clone();
        let fencing_token = term.fencing_token;
        self.role = Role::Leader(term);
        self.workload = true;
        self.term_open = true;
        self.has_led = true;
        self.give_up_at = None;
        self.event("became leader");
        self.actions.push_back(Action::StartLeading {
            fencing_token,
            valid_until: until,
        });
        self.report(self.config.identity.clone());
    }

    fn become_candidate(&mut self, now: Instant, reason: StopReason) {
        let Role::Leader(term) = &self.role else {
            return;
        };
        let limit = term.limit(&self.config).unwrap_or(now);
        self.role = Role::Candidate;
        self.stop_leading(reason, limit.min(now) + self.config.termination_grace);
        self.failures = 0;
        self.schedule(now, Next::Look);
        if self.config.exit_on_lost_lease && self.ending.is_none() {
            self.end(now, After::Finish(Finish::LostLease));
        }
    }

    fn stop_leading(&mut self, reason: StopReason, kill_at: Instant) {
        if std::mem::take(&mut self.term_open) {
            self.event("stopped leading");
        }
        self.actions
            .push_back(Action::StopLeading { reason, kill_at });
    }

    // ---- what people and the lock are told ----

    fn report(&mut self, leader: String) {
        if self.reported != leader {
            self.reported.clone_from(&leader);
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

    /// A leader has to look before it can write.
    fn count_slow_path(&mut self) {
        self.slow_paths += u64::from(self.is_leader());
    }
}
