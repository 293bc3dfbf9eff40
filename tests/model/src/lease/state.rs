//! A state of the model with two candidates, and the possible actions.

use elector::election::action::StopReason;
use elector::election::lock::{LockError, Observed, Written};

use super::Bounds;
use super::node::{Call, Fate, Node};
use super::store::{Request, Store};

/// A possible action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The clocks advance.
    Tick,
    /// A candidate does what is due.
    Wake(usize),
    /// The call that a candidate has just made succeeds immediately.
    Succeed(usize),
    /// The call takes time.
    Linger(usize),
    /// The answer is lost, and a write never lands.
    Lose(usize),
    /// The answer is lost, but the write has landed.
    LoseLanded(usize),
    /// The answer is lost, and the write may land later.
    LoseFlying(usize),
    /// A candidate's delayed or abandoned write reaches the store.
    Land {
        node: usize,
        flight: usize,
    },
    /// The answer to a delayed write arrives.
    Answer(usize),
    /// A delayed read is answered with the state after this number of effective writes.
    Show {
        node: usize,
        length: usize,
    },
    /// The workload ends after it was asked to stop.
    End(usize),
    /// The newest writes are lost.
    LoseWrites {
        count: usize,
    },
    Freeze(usize),
    Thaw(usize),
    /// A candidate is asked to stop.
    Stop(usize),
    /// The process of a candidate is killed.
    Kill(usize),
    /// Another process of the candidate starts.
    Restart(usize),
    /// An operator annotates the record.
    Annotate(Request),
}

/// Faults that may still occur.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Calls that take time.
    pub slow: u8,
    /// Answers that are lost.
    pub lost: u8,
    /// Losses of writes.
    pub lost_writes: u8,
    /// Candidates that are frozen for a while.
    pub freezes: u8,
    /// Candidates that are asked to stop.
    pub stops: u8,
    /// Processes that are killed.
    pub kills: u8,
    /// Annotations of the record.
    pub annotations: u8,
}

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub tick: u32,
    pub store: Store,
    pub nodes: [Node; 2],
    pub faults: Faults,
    /// Number of terms of each candidate.
    pub terms: [u8; 2],
    last_token: Option<u64>,
    pub tokens_rise: bool,
}

impl State {
    pub fn new(bounds: &Bounds, rates: [u32; 2]) -> State {
        State {
            tick: 0,
            store: Store::default(),
            nodes: [0, 1].map(|index| Node::new(bounds, index, rates[index])),
            faults: bounds.faults,
            terms: [0; 2],
            last_token: None,
            tokens_rise: true,
        }
    }

    // ---- possible actions ----

    pub fn actions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        let fresh = self.nodes.iter().position(|node| node.has_fresh_call());
        if let Some(node) = fresh {
            return self.outcomes(node, actions);
        }
        for index in 0..self.nodes.len() {
            self.actions_of(index, actions);
        }
        if self.faults.lost_writes > 0 {
            let delay = bounds.confirmation.unwrap_or_default().as_secs();
            let delay = u32::try_from(delay).unwrap_or(u32::MAX);
            // Less than the confirmation delay ago.
            let most = self.store.newer_than(self.tick.checked_sub(delay));
            actions.extend((1..=most).map(|count| Action::LoseWrites { count }));
        }
        if self.faults.annotations > 0 {
            let requests = bounds.requests.iter().copied();
            let permitted = requests.filter(|request| self.store.permits(*request));
            actions.extend(permitted.map(Action::Annotate));
        }
        let busy = |node: &Node| node.is_due(self.tick) || node.is_overdue(self.tick);
        let waits = |node: &Node| !node.frozen && busy(node);
        if self.tick < bounds.ticks && !self.nodes.iter().any(waits) {
            actions.push(Action::Tick);
        }
    }

    /// Adds the possible courses of a call that was just made.
    fn outcomes(&self, node: usize, actions: &mut Vec<Action>) {
        actions.push(Action::Succeed(node));
        if self.faults.slow > 0 {
            actions.push(Action::Linger(node));
        }
        if self.faults.lost > 0 {
            actions.push(Action::Lose(node));
            if self.nodes[node].writes_now() {
                actions.extend([Action::LoseLanded(node), Action::LoseFlying(node)]);
            }
        }
    }

    fn actions_of(&self, index: usize, actions: &mut Vec<Action>) {
        let node = &self.nodes[index];
        let flights = 0..node.flights.len();
        actions.extend(flights.map(|flight| Action::Land {
            node: index,
            flight,
        }));
        if node.frozen {
            return actions.push(Action::Thaw(index));
        }
        if node.dead {
            actions.push(Action::Restart(index));
            if node.workload.is_some() {
                actions.push(Action::End(index));
            }
            return;
        }
        if self.faults.kills > 0 {
            actions.push(Action::Kill(index));
        }
        if node.is_due(self.tick) {
            actions.push(Action::Wake(index));
        }
        self.answers(index, actions);
        if node.workload.is_some_and(|workload| workload.asked_to_end) {
            actions.push(Action::End(index));
        }
        if self.faults.freezes > 0 {
            actions.push(Action::Freeze(index));
        }
        if self.faults.stops > 0 {
            actions.push(Action::Stop(index));
        }
    }

    /// Adds the possible ends of a delayed call.
    fn answers(&self, index: usize, actions: &mut Vec<Action>) {
        let node = &self.nodes[index];
        let Some(call) = &node.call else {
            return;
        };
        match call.length {
            Some(length) => {
                let newest = self.store.writes();
                let shown = length.min(newest)..=newest;
                actions.extend(shown.map(|length| Action::Show {
                    node: index,
                    length,
                }));
            }
            None if node.fate.is_some() => actions.push(Action::Answer(index)),
            None => {}
        }
        if node.is_overdue(self.tick) {
            actions.push(Action::LoseFlying(index));
        }
    }

    // ---- effects of the actions ----

    pub fn apply(&mut self, bounds: &Bounds, action: Action) {
        match action {
            Action::Tick => self.continue_call(),
            Action::Wake(index) => {
                let now = self.nodes[index].now(self.tick);
                self.nodes[index].elector.handle_timeout(now);
                self.act(index);
            }
            Action::Succeed(index) => self.succeed(index),
            Action::Linger(index) => {
                self.faults.slow -= 1;
                self.nodes[index].linger();
            }
            Action::Lose(index) => {
                self.faults.lost -= 1;
                self.nodes[index].forget_flight();
                self.lose(index);
            }
            Action::LoseLanded(index) => {
                self.faults.lost -= 1;
                self.land_last(index);
                self.lose(index);
            }
            Action::LoseFlying(index) => {
                // A delayed call has used its fault.
                if self.nodes[index].has_fresh_call() {
                    self.faults.lost -= 1;
                }
                self.lose(index);
            }
            Action::Land { node, flight } => self.land(node, flight),
            Action::Answer(index) => self.answer(index),
            Action::Show { node, length } => self.show(node, length),
            Action::End(index) => self.end_workload(index),
            Action::Kill(index) => {
                self.faults.kills -= 1;
                self.nodes[index].kill(self.tick);
            }
            Action::Restart(index) => {
                self.nodes[index].restart(bounds, index, self.tick);
                self.act(index);
            }
            Action::LoseWrites { count } => {
                self.faults.lost_writes -= 1;
                self.store.lose(count);
            }
            Action::Freeze(index) => {
                self.faults.freezes -= 1;
                self.nodes[index].frozen = true;
            }
            Action::Thaw(index) => {
                self.nodes[index].frozen = false;
                self.bury(index);
            }
            Action::Annotate(request) => {
                self.faults.annotations -= 1;
                self.store.annotate(request, self.tick);
            }
            Action::Stop(index) => {
                self.faults.stops -= 1;
                let now = self.nodes[index].now(self.tick);
                self.nodes[index]
                    .elector
                    .handle_stop(now, StopReason::Cancelled);
                self.act(index);
            }
        }
    }

    /// Advances to the next tick; guards kill what must have stopped by then.
    fn continue_call(&mut self) {
        self.tick += 1;
        self.bury(0);
        self.bury(1);
    }

    /// Tells a candidate that its workload was killed.
    fn bury(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.workload.is_some() && !node.runs(self.tick) && !node.frozen {
            self.end_workload(index);
        }
    }

    fn end_workload(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        if node.orphaned {
            return node.end_orphan();
        }
        node.stop_workload(self.tick);
        self.act(index);
    }

    fn act(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.act(index, self.tick, self.store.writes());
        if let Some(token) = node.started.take() {
            self.terms[index] += 1;
            self.tokens_rise &= Some(token) > self.last_token;
            self.last_token = Some(token);
        }
    }

    fn succeed(&mut self, index: usize) {
        if self.nodes[index].writes_now() {
            self.land_last(index);
            return self.answer(index);
        }
        self.show(index, self.store.writes());
    }

    /// Lets the write that was just sent land.
    fn land_last(&mut self, index: usize) {
        let last = self.nodes[index].flights.len() - 1;
        self.land(index, last);
    }

    fn land(&mut self, index: usize, flight: usize) {
        let node = &mut self.nodes[index];
        let write = node.flights.remove(flight);
        let fate = match self.store.land(&write, self.tick, node.lease_ticks()) {
            true => Fate::Landed,
            false => Fate::PassedOver,
        };
        if node.waits_for(write.id) {
            node.fate = Some(fate);
        } else {
            node.passed_over |= fate == Fate::PassedOver;
        }
    }

    fn answer(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let now = node.now(self.tick);
        let (Some(Call { id, .. }), Some(fate)) = (node.call.take(), node.fate.take()) else {
            return;
        };
        let result = match fate {
            Fate::Landed => {
                // It supersedes what the candidate knew, because the store has a compare-and-swap.
                let head_known_since = Some(node.known_since);
                node.learn(Some(id), now);
                Ok(Written { head_known_since })
            }
            Fate::PassedOver => Err(LockError::Conflict),
        };
        node.elector.handle_wrote(now, result);
        self.act(index);
    }

    fn show(&mut self, index: usize, length: usize) {
        let node = &mut self.nodes[index];
        let now = node.now(self.tick);
        let reader = (index, node.process);
        let (mut observed, known) = self.store.show(length, reader, node.known);
        node.mark(&mut observed);
        node.learn(known, now);
        node.call = None;
        let observed = Observed {
            head_known_since: Some(node.known_since),
            ..observed
        };
        node.elector.handle_got(now, Ok(observed));
        self.act(index);
    }

    fn lose(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let now = node.now(self.tick);
        let writes = node.writes_now();
        node.call = None;
        node.fate = None;
        if writes {
            let lost = LockError::OutcomeUnknown(String::new());
            node.elector.handle_wrote(now, Err(lost));
        } else {
            let lost = LockError::Unavailable(String::new());
            node.elector.handle_got(now, Err(lost));
        }
        self.act(index);
    }
}
