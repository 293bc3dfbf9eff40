//! A simulated world: candidates, their networks, one gist service, people, and what goes wrong, under
//! one queue of events in virtual time. The same seed makes the same world.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use multi_cluster_leader_election::election::action::{Action, Finish};
use multi_cluster_leader_election::election::config::LeaderElectionConfig;
use multi_cluster_leader_election::election::elector::LeaderElector;
use multi_cluster_leader_election::election::lock::LockError;
use multi_cluster_leader_election::election::time::Instant;
use multi_cluster_leader_election::emulator::{Edit, PendingWrite};
use multi_cluster_leader_election::lock::gist::protocol::{Outcome, Step};
use multi_cluster_leader_election::lock::gist::wire::{Answer, Request};

use crate::clock::{Clock, Time};
use crate::faults::Faults;
use crate::node::{self, Call, Node, Power, Workload};
use crate::service::{self, FILE, OTHER_FILE, Service};

/// How many of the last events a failure shows.
const TRACE: usize = 120;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub candidates: usize,
    /// How long things go wrong.
    pub troubled: Duration,
    /// How long nothing goes wrong afterwards.
    pub healed: Duration,
    pub faults: Faults,
    pub config: LeaderElectionConfig,
    pub confirm_delay: Duration,
}

impl Scenario {
    /// A world drawn from a seed.
    pub fn draw(seed: u64) -> Scenario {
        let mut rng = Rng::with_seed(seed);
        let (config, confirm_delay) = draw_config(&mut rng);
        Scenario {
            seed,
            candidates: rng.usize(2..=5),
            troubled: Duration::from_secs(3600),
            healed: Duration::from_secs(900),
            faults: Faults::draw(&mut rng, confirm_delay),
            config,
            confirm_delay,
        }
    }
}

/// The default times, or others that are as tight as the rules allow.
fn draw_config(rng: &mut Rng) -> (LeaderElectionConfig, Duration) {
    let default = LeaderElectionConfig::new("?");
    if rng.bool() {
        return (default, Duration::from_secs(2));
    }
    let confirm_delay = Duration::from_millis(rng.u64(400..2000));
    let retry_period = confirm_delay * 2;
    let termination_grace = Duration::from_secs(rng.u64(0..8));
    let kept = retry_period + termination_grace + default.margin();
    let config = LeaderElectionConfig {
        renew_deadline: default.lease_duration - kept,
        retry_period,
        termination_grace,
        ..default
    };
    (config, confirm_delay)
}

/// What came of a world that kept all promises.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    pub terms: u64,
    pub writes: u64,
    pub vanished: u64,
    pub events: u64,
    pub hours: f64,
    /// How long after the healing somebody led.
    pub recovery: Duration,
}

/// A promise that was broken, and what led to it.
pub struct Violation {
    pub seed: u64,
    pub what: String,
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

#[derive(Debug)]
enum Event {
    Wake {
        node: usize,
        serial: u64,
    },
    /// A request reaches the service.
    Arrive {
        from: Sender,
        request: Box<Request>,
    },
    /// A write moves the head.
    Land {
        from: Sender,
        request: Box<Request>,
        write: Box<PendingWrite>,
    },
    Answer {
        from: Sender,
        answer: Box<Answer>,
    },
    /// The guard looks at its workload.
    Guard {
        node: usize,
        life: u64,
    },
    Trouble {
        node: usize,
        kind: Trouble,
    },
    Relief {
        node: usize,
        kind: Trouble,
    },
    OutageEnds,
    Outage,
    OtherFile,
    Person,
    Heal,
}

/// Which request of which process.
#[derive(Clone, Copy, Debug)]
struct Sender {
    node: usize,
    life: u64,
    request: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Crash,
    PoliteStop,
    Pause,
    Suspend,
    Partition,
}

struct Queued {
    at: Time,
    order: u64,
    event: Event,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

pub struct World {
    scenario: Scenario,
    faults: Faults,
    rng: Rng,
    now: Time,
    queue: BinaryHeap<Reverse<Queued>>,
    order: u64,
    processes: u64,
    nodes: Vec<Node>,
    service: Service,
    outage: bool,
    highest_token: Option<u64>,
    /// The longest lease that a person wrote.
    healed_at: Option<Time>,
    led_since_healing: Option<Time>,
    transitions_after: u64,
    summary: Summary,
    trace: VecDeque<String>,
    violation: Option<String>,
    verbose: bool,
}

type Checked = Result<(), String>;

impl World {
    pub fn new(scenario: Scenario) -> World {
        let mut rng = Rng::with_seed(scenario.seed ^ 0x5eed);
        let content = ["{}", "", r#"{"holderIdentity":"","leaderTransitions":7}"#][rng.usize(..3)];
        let content = if content.is_empty() { "{}" } else { content };
        let mut world = World {
            faults: scenario.faults.clone(),
            service: Service::new(scenario.seed, content),
            rng,
            now: Time(0),
            queue: BinaryHeap::new(),
            order: 0,
            processes: 0,
            nodes: Vec::new(),
            outage: false,
            highest_token: None,
            healed_at: None,
            led_since_healing: None,
            transitions_after: 0,
            summary: Summary::default(),
            trace: VecDeque::new(),
            violation: None,
            verbose: false,
            scenario,
        };
        world.populate();
        world
    }

    /// Prints every event as it happens.
    pub fn verbose(mut self) -> World {
        self.verbose = true;
        self
    }

    fn populate(&mut self) {
        for index in 0..self.scenario.candidates {
            let drift = self.faults.drift_ppm;
            let clock = Clock {
                offset: self.rng.u64(1..100_000) * 1_000_000_000,
                drift_ppm: if drift == 0 {
                    0
                } else {
                    self.rng.i64(-drift..=drift)
                },
            };
            let same = self.faults.same_names && index > 0;
            let name = format!("c{}", if same { 0 } else { index });
            let (elector, protocol) = self.process(&name, clock);
            self.nodes.push(Node {
                name,
                clock,
                power: Power::On,
                life: 0,
                elector,
                protocol,
                call: None,
                requests: 0,
                workload: None,
                orders: 0,
                cut_off: false,
                throttled_until: Instant::BOOT,
                wake: None,
            });
            self.step(index);
        }
        self.plan_troubles();
        self.at(self.now.after(self.scenario.troubled), Event::Heal);
    }

    /// A new process of a candidate.
    fn process(
        &mut self,
        name: &str,
        clock: Clock,
    ) -> (
        LeaderElector,
        multi_cluster_leader_election::lock::gist::protocol::GistProtocol,
    ) {
        self.processes += 1;
        let config = LeaderElectionConfig {
            identity: name.to_owned(),
            seed: self.rng.u64(..),
            ..self.scenario.config.clone()
        };
        let elector = LeaderElector::new(
            config.clone(),
            Some(self.scenario.confirm_delay),
            clock.local(self.now),
        );
        (elector, node::protocol(&config, self.processes))
    }

    fn plan_troubles(&mut self) {
        let faults = self.faults.clone();
        let troubles = [
            (Trouble::Crash, faults.crashes),
            (Trouble::PoliteStop, faults.polite_stops),
            (Trouble::Pause, faults.pauses),
            (Trouble::Suspend, faults.suspends),
            (Trouble::Partition, faults.partitions),
        ];
        for (kind, an_hour) in troubles {
            for at in self.moments(an_hour) {
                let node = self.rng.usize(..self.scenario.candidates);
                self.at(at, Event::Trouble { node, kind });
            }
        }
        for at in self.moments(faults.outages) {
            self.at(at, Event::Outage);
        }
        for at in self.moments(faults.other_files) {
            self.at(at, Event::OtherFile);
        }
        for at in self.moments(faults.people) {
            self.at(at, Event::Person);
        }
    }

    /// Random moments in the troubled time, this many an hour.
    fn moments(&mut self, an_hour: f64) -> Vec<Time> {
        let span = self.scenario.troubled.as_nanos() as u64;
        let count = (an_hour * self.scenario.troubled.as_secs_f64() / 3600.0).round() as usize;
        (0..count).map(|_| Time(self.rng.u64(..span))).collect()
    }

    // ---- the queue ----

    fn at(&mut self, at: Time, event: Event) {
        self.order += 1;
        let order = self.order;
        self.queue.push(Reverse(Queued { at, order, event }));
    }

    fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now.after(delay), event);
    }

    /// Runs the world to its end.
    pub fn run(mut self) -> Result<Summary, Violation> {
        let end = Time(0).after(self.scenario.troubled + self.scenario.healed);
        while let Some(Reverse(next)) = self.queue.pop() {
            if next.at > end {
                break;
            }
            self.now = next.at;
            self.summary.events += 1;
            let outcome = self.happen(next.event).and_then(|()| self.check());
            if let Err(what) = outcome.and_then(|()| self.violation.take().map_or(Ok(()), Err)) {
                return Err(self.broken(what));
            }
        }
        if let Err(what) = self.check_liveness() {
            return Err(self.broken(what));
        }
        self.summary.writes = self.service.writes;
        self.summary.vanished = self.service.vanished;
        self.summary.hours = end.seconds() / 3600.0 * self.nodes.len() as f64;
        Ok(self.summary)
    }

    fn broken(self, what: String) -> Violation {
        Violation {
            seed: self.scenario.seed,
            what: format!("at {:.3}s: {what}", self.now.seconds()),
            trace: self.trace.into(),
        }
    }

    fn note(&mut self, what: impl FnOnce(&World) -> String) {
        let line = format!("{:>10.3}s {}", self.now.seconds(), what(self));
        if self.verbose {
            println!("{line}");
        }
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(line);
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Wake { node, serial } => {
                if self.nodes[node]
                    .wake
                    .is_some_and(|(_, live)| live == serial)
                {
                    self.nodes[node].wake = None;
                    self.step(node);
                }
            }
            Event::Arrive { from, request } => self.arrive(from, request),
            Event::Land {
                from,
                request,
                write,
            } => self.land(from, &request, &write),
            Event::Answer { from, answer } => self.deliver(from, *answer),
            Event::Guard { node, life } => {
                if self.nodes[node].orders == life {
                    self.guard(node);
                }
            }
            Event::Trouble { node, kind } => self.trouble(node, kind),
            Event::Relief { node, kind } => self.relief(node, kind),
            Event::Outage => {
                self.note(|_| "OUTAGE begins".into());
                self.outage = true;
                let lasts = self.seconds(1.0, 400.0);
                self.after(lasts, Event::OutageEnds);
            }
            Event::OutageEnds => {
                self.note(|_| "outage ends".into());
                self.outage = false;
            }
            Event::OtherFile => self.other_file(),
            Event::Person => self.person(),
            Event::Heal => self.heal(),
        }
        Ok(())
    }

    fn seconds(&mut self, least: f64, most: f64) -> Duration {
        Duration::from_secs_f64(least + (most - least) * self.rng.f64())
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.f64() < probability
    }

    // ---- a candidate's process ----

    /// Lets a process that runs do what there is to do.
    fn step(&mut self, node: usize) {
        if self.nodes[node].power != Power::On {
            return;
        }
        let local = self.local(node);
        self.nodes[node].elector.handle_timeout(local);
        self.time_out_call(node, local);
        self.act(node);
        if let Some(finish) = self.nodes[node].elector.finished() {
            return self.leave(node, finish);
        }
        self.schedule_wake(node);
    }

    fn local(&self, node: usize) -> Instant {
        self.nodes[node].clock.local(self.now)
    }

    fn schedule_wake(&mut self, node: usize) {
        let candidate = &self.nodes[node];
        let call = candidate.call.as_ref().map(|call| call.deadline);
        let timeout = candidate.elector.poll_timeout();
        let Some(local) = [call, timeout].into_iter().flatten().min() else {
            return;
        };
        let at = candidate.clock.true_time(local).max(self.now);
        if candidate.wake.is_some_and(|(wake, _)| wake == at) {
            return;
        }
        let serial = self.order;
        self.nodes[node].wake = Some((at, serial));
        self.at(at, Event::Wake { node, serial });
    }

    fn act(&mut self, node: usize) {
        loop {
            let local = self.local(node);
            let action = self.nodes[node]
                .elector
                .poll_action(local, || "2026-11-22T10:00:00Z".to_owned());
            let Some(action) = action else { return };
            match action {
                Action::Get { timeout } => {
                    let step = self.nodes[node].protocol.start_get();
                    self.drive(node, step, local + timeout);
                }
                Action::Create { record, timeout } => {
                    let step = self.nodes[node].protocol.start_create(&record);
                    self.drive(node, step, local + timeout);
                }
                Action::Update { record, timeout } => {
                    let step = self.nodes[node].protocol.start_update(&record);
                    self.drive(node, step, local + timeout);
                }
                Action::StartLeading { token, until } => self.start_workload(node, token, until),
                Action::ExtendLease { until } => self.extend(node, until),
                Action::StopLeading { kill_at, reason } => {
                    self.note(|w| format!("{} stops leading: {reason}", w.nodes[node].name));
                    self.stop_workload(node, kill_at);
                }
                Action::Notice(notice) => {
                    self.note(|w| format!("{}: {notice:?}", w.nodes[node].name));
                }
                Action::NewLeader(_) | Action::Event(_) => {}
            }
        }
    }

    /// Carries out a step of a call, as the blocking shell of the lock does.
    fn drive(&mut self, node: usize, step: Step, deadline: Instant) {
        let local = self.local(node);
        match step {
            Step::Done(outcome) => {
                self.nodes[node].call = None;
                self.check_agreement(node);
                match outcome {
                    Outcome::Got(result) => self.nodes[node].elector.handle_got(local, result),
                    Outcome::Wrote(result) => {
                        self.note(|w| format!("{} wrote: {result:?}", w.nodes[node].name));
                        self.nodes[node].elector.handle_wrote(local, result);
                    }
                }
            }
            Step::Ask(request) => self.send(node, request, deadline),
        }
    }

    fn send(&mut self, node: usize, request: Request, deadline: Instant) {
        let local = self.local(node);
        let write = matches!(request, Request::Write { .. });
        let candidate = &mut self.nodes[node];
        candidate.requests += 1;
        let from = Sender {
            node,
            life: candidate.life,
            request: candidate.requests,
        };
        candidate.call = Some(Call {
            deadline,
            request: from.request,
            write,
        });
        if local < candidate.throttled_until {
            let retry_after = candidate.throttled_until.since(local);
            return self.answer_after(Duration::ZERO, from, Err(throttled(retry_after)));
        }
        if self.nodes[node].cut_off || self.outage || self.chance(self.faults.refused) {
            let quickly = self.seconds(0.001, 2.0);
            let error = if self.rng.bool() {
                LockError::Unavailable("cannot connect".into())
            } else {
                return;
            };
            return self.answer_after(quickly, from, Err(error));
        }
        if self.chance(self.faults.lost_requests) {
            return;
        }
        let way = self.way(self.faults.slow_requests);
        let request = Box::new(request);
        if write && self.chance(self.faults.duplicates) {
            let later = self.seconds(0.0, 30.0);
            let request = request.clone();
            self.after(way + later, Event::Arrive { from, request });
        }
        self.after(way, Event::Arrive { from, request });
    }

    fn way(&mut self, slow: f64) -> Duration {
        if self.chance(slow) {
            self.seconds(0.5, 30.0)
        } else {
            self.seconds(0.01, 0.4)
        }
    }

    fn answer_after(&mut self, delay: Duration, from: Sender, reply: Result<(), LockError>) {
        if let Err(error) = reply {
            let answer = Box::new(service::answer(self.now, Err(error)));
            self.after(delay, Event::Answer { from, answer });
        }
    }

    fn deliver(&mut self, from: Sender, answer: Answer) {
        let candidate = &self.nodes[from.node];
        if candidate.life != from.life {
            return;
        }
        match candidate.power {
            Power::Off => return,
            Power::Paused | Power::Suspended => {
                // It waits in the socket.
                let answer = Box::new(answer);
                return self.after(Duration::from_millis(500), Event::Answer { from, answer });
            }
            Power::On => {}
        }
        let local = self.local(from.node);
        // The elector's owner handles what is due before what came in.
        self.step(from.node);
        let Some(call) = &self.nodes[from.node].call else {
            return;
        };
        if call.request != from.request {
            return;
        }
        let deadline = call.deadline;
        if let Err(LockError::Throttled { retry_after, .. }) = &answer.reply {
            self.nodes[from.node].throttled_until = local + *retry_after;
        }
        let step = self.nodes[from.node].protocol.handle_answer(local, answer);
        self.drive(from.node, step, deadline);
        self.step(from.node);
    }

    fn time_out_call(&mut self, node: usize, local: Instant) {
        let Some(call) = &self.nodes[node].call else {
            return;
        };
        if local < call.deadline {
            return;
        }
        let error = if call.write {
            LockError::OutcomeUnknown("no answer came in time".into())
        } else {
            LockError::Unavailable("no answer came in time".into())
        };
        let deadline = call.deadline;
        let answer = Answer {
            date: None,
            running_low: None,
            reply: Err(error),
        };
        let step = self.nodes[node].protocol.handle_answer(local, answer);
        self.drive(node, step, deadline);
    }

    fn leave(&mut self, node: usize, finish: Finish) {
        self.note(|w| format!("{} has left: {finish:?}", w.nodes[node].name));
        self.power_off(node);
        let back = self.seconds(0.5, 60.0);
        self.after(
            back,
            Event::Relief {
                node,
                kind: Trouble::Crash,
            },
        );
    }

    // ---- the service ----

    fn arrive(&mut self, from: Sender, request: Box<Request>) {
        if self.chance(self.faults.throttled) {
            let retry_after = self.seconds(1.0, 60.0);
            return self.answer_after(Duration::from_millis(50), from, Err(throttled(retry_after)));
        }
        let error = self.chance(self.faults.server_errors);
        let Request::Write { content, .. } = &*request else {
            if error {
                let failed = LockError::Unavailable("502".into());
                return self.answer_after(Duration::from_millis(50), from, Err(failed));
            }
            let stale = self.chance(self.faults.stale_reads);
            let back = if stale {
                self.faults.stale_by.as_nanos() as u64
            } else {
                0
            };
            let then = Time(self.now.0.saturating_sub(back));
            let answer = self
                .service
                .read(&request, then, self.now, self.faults.history_cap);
            return self.answer(from, answer);
        };
        if error && self.rng.bool() {
            let failed = LockError::OutcomeUnknown("502".into());
            return self.answer_after(Duration::from_millis(50), from, Err(failed));
        }
        match self.service.begin_write(Edit::put(FILE, content.as_str())) {
            Ok(write) => {
                let window = self.race_window();
                self.after(
                    window,
                    Event::Land {
                        from,
                        request,
                        write: Box::new(write),
                    },
                );
            }
            Err(error) => {
                let failed = LockError::Unavailable(format!("422: {error}"));
                self.answer_after(Duration::from_millis(50), from, Err(failed));
            }
        }
    }

    fn race_window(&mut self) -> Duration {
        let longest = self.faults.race_window.as_secs_f64();
        self.seconds(0.0, longest)
    }

    fn land(&mut self, from: Sender, request: &Request, write: &PendingWrite) {
        let landed = self.service.finish_write(write, self.faults.race, self.now);
        self.note(|w| format!("a write of {} lands: {landed:?}", w.nodes[from.node].name));
        let Request::Write { until, .. } = request else {
            return;
        };
        if landed.is_err() || self.chance(self.faults.server_errors / 2.0) {
            let failed = LockError::OutcomeUnknown("409 or 502".into());
            return self.answer_after(Duration::from_millis(50), from, Err(failed));
        }
        let answer = self
            .service
            .written(*until, self.now, self.faults.history_cap);
        self.answer(from, answer);
    }

    fn answer(&mut self, from: Sender, answer: Answer) {
        if self.chance(self.faults.lost_answers) {
            return;
        }
        let way = if self.chance(self.faults.sluggish_answers) {
            self.seconds(2.0, 4.9)
        } else {
            self.way(self.faults.slow_answers)
        };
        let answer = Box::new(answer);
        self.after(way, Event::Answer { from, answer });
    }

    fn other_file(&mut self) {
        let text = format!("{}", self.rng.u64(..));
        if let Ok(write) = self
            .service
            .begin_write(Edit::put(OTHER_FILE, text.as_str()))
        {
            let window = self.race_window();
            let request = Box::new(Request::Commits { page: 1 });
            let write = Box::new(write);
            let from = Sender {
                node: 0,
                life: u64::MAX,
                request: 0,
            };
            self.after(
                window,
                Event::Land {
                    from,
                    request,
                    write,
                },
            );
        }
    }

    /// A person edits the record on the web.
    fn person(&mut self) {
        let head = self.service.head_text().unwrap_or_default();
        let plain = |holder: &str, lease: u64, token: u64| {
            format!(
                r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":{lease},"leaderTransitions":{token}}}"#
            )
        };
        let what = self.rng.u8(..8);
        let back = self.rng.usize(1..400);
        let text = match what {
            0 => None,
            1 => Some("spoilt".to_owned()),
            2 => Some(plain("", 0, 3)),
            3 => Some(plain("", 1, 0)),
            4 => Some(plain("somebody", 60, 1)),
            5 => self.service.old_text(back).map(|text| text.to_string()),
            6 => Some(head.replace("holderIdentity\":\"c", "holderIdentity\":\"d")),
            _ => Some("{}".to_owned()),
        };
        if text.as_deref() == Some("") {
            return;
        }
        self.note(|_| format!("a PERSON writes {text:?}"));
        let forged = self.faults.forged_dates;
        self.service.edit_by_hand(text.as_deref(), self.now, forged);
    }

    // ---- workloads ----

    fn start_workload(&mut self, node: usize, token: u64, until: Instant) {
        let local = self.local(node);
        self.note(|w| {
            format!(
                "{} LEADS, token {token}, until {until} (now {local})",
                w.nodes[node].name
            )
        });
        self.summary.terms += 1;
        if self.highest_token.is_some_and(|highest| token <= highest) {
            self.violate(format!(
                "the token {token} does not rise above {:?}",
                self.highest_token
            ));
        }
        self.highest_token = self.highest_token.max(Some(token));
        if self.healed_at.is_some() {
            self.led_since_healing.get_or_insert(self.now);
            self.transitions_after += 1;
        }
        if local >= until {
            self.violate("a term begins after its own end".into());
        }
        let grace = self.scenario.config.termination_grace;
        let takes = if self.chance(self.faults.stubborn_workloads) {
            Duration::from_secs(3600)
        } else {
            self.seconds(0.0, 6.0)
        };
        self.nodes[node].workload = Some(Workload {
            token,
            until,
            stopping: None,
            kill_at: until + grace,
            takes,
        });
        self.schedule_guard(node);
    }

    fn extend(&mut self, node: usize, until: Instant) {
        if let Some(workload) = &mut self.nodes[node].workload {
            workload.until = until;
        }
        self.schedule_guard(node);
    }

    fn stop_workload(&mut self, node: usize, kill_at: Instant) {
        let local = self.local(node);
        if let Some(workload) = &mut self.nodes[node].workload {
            workload.stopping.get_or_insert(local);
            workload.kill_at = workload
                .kill_at
                .min(kill_at)
                .max(kill_at.min(workload.kill_at));
            workload.kill_at = kill_at;
        }
        self.schedule_guard(node);
    }

    fn schedule_guard(&mut self, node: usize) {
        let grace = self.scenario.config.termination_grace;
        let candidate = &mut self.nodes[node];
        candidate.orders += 1;
        let life = candidate.orders;
        if let Some(workload) = &candidate.workload {
            let at = candidate
                .clock
                .true_time(workload.gone_at(grace))
                .max(self.now);
            self.at(at, Event::Guard { node, life });
        }
    }

    /// The time of the workload is over: nothing of it is left.
    fn guard(&mut self, node: usize) {
        if self.nodes[node].power == Power::Suspended {
            return;
        }
        if self.nodes[node].workload.take().is_none() {
            return;
        }
        self.note(|w| format!("the workload of {} is gone", w.nodes[node].name));
        if self.nodes[node].power == Power::On {
            self.tell_gone(node);
        }
    }

    fn tell_gone(&mut self, node: usize) {
        let local = self.local(node);
        self.nodes[node].elector.handle_timeout(local);
        self.nodes[node].elector.handle_workload_gone(local);
        self.step(node);
    }

    // ---- trouble ----

    fn trouble(&mut self, node: usize, kind: Trouble) {
        if self.nodes[node].power != Power::On {
            return;
        }
        self.note(|w| format!("TROUBLE for {}: {kind:?}", w.nodes[node].name));
        let lasts = match kind {
            Trouble::Crash => self.seconds(0.2, 120.0),
            Trouble::PoliteStop => {
                let local = self.local(node);
                self.nodes[node].elector.handle_cancel(local);
                return self.step(node);
            }
            _ => self.seconds(0.5, 120.0),
        };
        match kind {
            Trouble::Crash => {
                self.power_off(node);
                if self.rng.bool() {
                    // The whole machine.
                    self.nodes[node].workload = None;
                } else {
                    let now = self.local(node);
                    self.stop_workload(node, now + self.scenario.config.termination_grace);
                }
            }
            Trouble::Pause => self.nodes[node].power = Power::Paused,
            Trouble::Suspend => self.nodes[node].power = Power::Suspended,
            Trouble::Partition => self.nodes[node].cut_off = true,
            Trouble::PoliteStop => {}
        }
        self.after(lasts, Event::Relief { node, kind });
    }

    fn power_off(&mut self, node: usize) {
        let candidate = &mut self.nodes[node];
        candidate.power = Power::Off;
        candidate.life += 1;
        candidate.call = None;
        candidate.wake = None;
    }

    fn relief(&mut self, node: usize, kind: Trouble) {
        match (kind, self.nodes[node].power) {
            (Trouble::Partition, _) => self.nodes[node].cut_off = false,
            (Trouble::Crash, Power::Off) => self.restart(node),
            (Trouble::Pause, Power::Paused) | (Trouble::Suspend, Power::Suspended) => {
                self.resume(node);
            }
            _ => {}
        }
    }

    fn restart(&mut self, node: usize) {
        if self.nodes[node].workload.is_some() {
            // The container does not start anew before everything in it has ended.
            let later = Duration::from_millis(200);
            return self.after(
                later,
                Event::Relief {
                    node,
                    kind: Trouble::Crash,
                },
            );
        }
        self.note(|w| format!("{} starts again", w.nodes[node].name));
        let (name, clock) = (self.nodes[node].name.clone(), self.nodes[node].clock);
        let (elector, protocol) = self.process(&name, clock);
        let candidate = &mut self.nodes[node];
        candidate.elector = elector;
        candidate.protocol = protocol;
        candidate.power = Power::On;
        candidate.throttled_until = Instant::BOOT;
        self.step(node);
    }

    fn resume(&mut self, node: usize) {
        self.note(|w| format!("{} goes on", w.nodes[node].name));
        self.nodes[node].power = Power::On;
        let local = self.local(node);
        let grace = self.scenario.config.termination_grace;
        let overdue = |workload: &Workload| workload.gone_at(grace) <= local;
        if self.nodes[node].workload.as_ref().is_some_and(overdue) {
            self.nodes[node].workload = None;
        }
        if self.nodes[node].workload.is_none() {
            self.tell_gone(node);
        } else {
            self.schedule_guard(node);
        }
        self.step(node);
    }

    fn heal(&mut self) {
        self.note(|_| "HEALING".into());
        self.faults = Faults {
            drift_ppm: self.faults.drift_ppm,
            ..Faults::none()
        };
        self.outage = false;
        self.healed_at = Some(self.now);
        if self.service.head_text().as_deref() == Some("spoilt") {
            // Who starts now refuses a file with other people's text: a person has to mend it.
            self.service.edit_by_hand(Some("{}"), self.now, false);
        }
        for node in 0..self.nodes.len() {
            self.nodes[node].cut_off = false;
            match self.nodes[node].power {
                Power::Off => self.restart(node),
                Power::Paused | Power::Suspended => self.resume(node),
                Power::On => {}
            }
            if let Some(workload) = &mut self.nodes[node].workload {
                workload.takes = workload.takes.min(Duration::from_secs(3));
            }
        }
        if self
            .nodes
            .iter()
            .any(|node| node.elector.is_leader() && node.workload.is_some())
        {
            self.led_since_healing = Some(self.now);
        }
    }

    // ---- what is checked ----

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn check(&mut self) -> Checked {
        let running = |node: &&Node| node.workload.is_some() && node.power != Power::Suspended;
        let mut workloads = self.nodes.iter().filter(running);
        if let (Some(one), Some(other)) = (workloads.next(), workloads.next()) {
            let token = |node: &Node| node.workload.as_ref().map(|workload| workload.token);
            return Err(format!(
                "two workloads run: of {} (token {:?}) and of {} (token {:?})",
                one.name,
                token(one),
                other.name,
                token(other)
            ));
        }
        Ok(())
    }

    /// Every candidate agrees with the full rule about the head that it knows.
    fn check_agreement(&mut self, node: usize) {
        let Some((head, effect)) = self.nodes[node].protocol.in_effect() else {
            return;
        };
        let expected = self.service.effect_at(head);
        if expected != Some(effect) {
            let name = self.nodes[node].name.clone();
            self.violate(format!(
                "{name} takes {effect} to be in effect, by the rule it is {expected:?}"
            ));
        }
    }

    fn check_liveness(&mut self) -> Checked {
        let healed_at = self.healed_at.ok_or("it was not healed")?;
        let led_at = self
            .led_since_healing
            .ok_or("nobody led after the healing")?;
        self.summary.recovery = led_at.since(healed_at);
        let leaders = self
            .nodes
            .iter()
            .filter(|node| node.elector.is_leader())
            .count();
        if leaders != 1 {
            return Err(format!("{leaders} leaders at the end"));
        }
        Ok(())
    }
}

fn throttled(retry_after: Duration) -> LockError {
    LockError::Throttled {
        retry_after,
        why: "a limit".into(),
    }
}
