//! What a candidate's state file says about its earlier processes: whether they are dead, and until when an
//! operator asked them not to acquire the lease. Pure.
//!
//! ```text
//!   with the file's lock:  read ──▶ judge ──▶ the predecessors are dead ──▶ their lease need not expire
//!                                        └──▶ or a reason why that is not known
//! ```
//!
//! Elector and guard hold the file's lock as long as they live, so the process that gets it knows that they
//! are dead. It does not know whether anything of the workload still runs: processes close descriptors that they
//! inherit. That is known only if the guard has noted it, or if the elector was the first process of a
//! container, with which the kernel ends all others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::election::lock::Observed;
use crate::election::time::Instant;
use crate::lock::stored::process_of;

/// Version of the format.
const FORMAT: u32 = 1;

/// Size of the file in bytes. It is always written as a whole, so that no part of an older text remains.
pub const SIZE: usize = 4096;

/// Greatest number of processes that the file names. The oldest are dropped.
const MOST_PROCESSES: usize = 32;

/// Part of the lease after which a process claims if it is known only from the end of a container that its
/// predecessor is dead, and the least such time. Why: the lock of the first process of a container was seen
/// free up to 64 ms before the last process there had ended.
const LEASE_PART: u32 = 30;
const LEAST_DELAY: Duration = Duration::from_millis(250);

/// Longest time for which an operator can keep a candidate from acquiring the lease.
pub const LONGEST_STEP_DOWN: Duration = Duration::from_secs(30 * 24 * 3600);

/// Content of a state file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    format: u32,
    /// What must be the same for a successor.
    #[serde(flatten)]
    place: Place,
    /// Process id of the elector, in its own namespace.
    pid: u32,
    /// Names of the processes of this candidate since the last one that waited like any other, oldest
    /// first. The last one wrote this.
    processes: Vec<String>,
    /// Whether nothing that the last process started can run any more once its lock is free.
    pub stopped: bool,
    /// Whether programs beside the elector may rely on `leads_until`.
    pub followed: bool,
    /// Latest leadership deadline that was announced, in nanoseconds since boot.
    leads_until: u64,
    /// Earliest time of a claim over the records of the earlier processes, in nanoseconds since boot. Kept
    /// because this process may end before it claims.
    not_before: u64,
    /// Time until which an operator prevents claims, in milliseconds since 1970; in the past if not. A time of
    /// day, because it outlives a boot.
    #[serde(default)]
    pub stepped_down_until: i64,
}

/// Lock, candidate and file that a state belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The lock, as messages name it.
    pub lock: String,
    /// Name of the candidate.
    pub name: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Device of the file. A copy has another one, or another inode.
    pub device: u64,
    /// Inode of the file.
    pub inode: u64,
}

/// Earlier processes of a candidate, of which nothing runs any more.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Predecessors {
    /// Their names, oldest first.
    pub processes: Vec<String>,
    /// Earliest time of a claim over their records.
    pub not_before: Instant,
}

/// How a process got the lock of its state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Time at which it got the lock.
    pub at: Instant,
    /// Whether it got the lock at its first try.
    pub at_first_try: bool,
    /// Lease duration of the candidate.
    pub lease: Duration,
}

/// Judges the content of a state file that this process has locked. `place` is this process's. Returns
/// `None` for a new file.
///
/// # Errors
/// The reason why predecessors must be taken for alive.
pub fn judge(
    text: &str,
    place: &Place,
    taken: Taken,
) -> Result<Option<Predecessors>, &'static str> {
    if trimmed(text).is_empty() {
        return Ok(None);
    }
    let state = parsed(text).ok_or("its content cannot be read")?;
    if state.format != FORMAT {
        return Err("another version of elector wrote it");
    }
    if state.place.lock != place.lock {
        return Err("it belongs to another lock");
    }
    if state.place.name != place.name {
        return Err("it belongs to a candidate of another name");
    }
    if state.place.boot_id != place.boot_id {
        return Err("this machine was booted since");
    }
    if (state.place.device, state.place.inode) != (place.device, place.inode) {
        return Err("it is a copy");
    }
    let mut not_before = taken.at.max(from_nanos(state.not_before));
    if !state.stopped {
        if state.pid != 1 {
            return Err("the workload may still run, because its guard did not report its end");
        }
        if !taken.at_first_try {
            return Err("it was locked by a process that outlived the container");
        }
        not_before = not_before.max(taken.at + (taken.lease / LEASE_PART).max(LEAST_DELAY));
    }
    if state.followed {
        not_before = not_before.max(from_nanos(state.leads_until));
    }
    Ok(Some(Predecessors {
        processes: state.processes,
        not_before,
    }))
}

/// Returns until when an operator keeps the candidate `name` of `lock` from acquiring the lease, by the
/// content of a state file: milliseconds since 1970, 0 if the file does not say. Copies, files of an earlier boot
/// and those of living processes count too, because they can only delay.
#[must_use]
pub fn stepped_down_until(text: &str, lock: &str, name: &str) -> i64 {
    let state = parsed(text).filter(|state| {
        state.format == FORMAT && state.place.lock == lock && state.place.name == name
    });
    state.map_or(0, |state| state.stepped_down_until)
}

/// Returns the time that is left until a time of day, both in milliseconds since 1970. The result is bounded,
/// because the clock may have been set back.
#[must_use]
pub fn time_left(until: i64, now: i64) -> Duration {
    let millis = u64::try_from(until.saturating_sub(now)).unwrap_or_default();
    Duration::from_millis(millis).min(LONGEST_STEP_DOWN)
}

fn trimmed(text: &str) -> &str {
    text.trim_end_matches(['\0', ' ', '\n'])
}

fn parsed(text: &str) -> Option<State> {
    serde_json::from_str(trimmed(text)).ok()
}

impl Predecessors {
    /// Marks a record that one of them wrote last.
    pub fn mark(&self, observed: &mut Observed) {
        let writer = observed.renew_id.as_deref().and_then(process_of);
        if writer.is_some_and(|writer| self.processes.iter().any(|known| known == writer)) {
            observed.predecessor = Some(self.not_before);
        }
    }
}

fn from_nanos(since_boot: u64) -> Instant {
    Instant::from_boot(Duration::from_nanos(since_boot))
}

fn to_nanos(time: Instant) -> u64 {
    u64::try_from(time.since_boot().as_nanos()).unwrap_or(u64::MAX)
}

impl State {
    /// Returns the state of a process that has just begun, by its name and its process id. `predecessors`
    /// are the dead ones that it may follow, `stopped` whether it starts nothing that could outlive it.
    #[must_use]
    pub fn new(
        place: Place,
        (process, pid): (&str, u32),
        predecessors: Option<&Predecessors>,
        stopped: bool,
    ) -> State {
        let mut processes = predecessors.map_or(Vec::new(), |known| known.processes.clone());
        processes.push(process.to_owned());
        let excess = processes.len().saturating_sub(MOST_PROCESSES);
        processes.drain(..excess);
        State {
            format: FORMAT,
            place,
            pid,
            processes,
            stopped,
            followed: false,
            leads_until: 0,
            not_before: predecessors.map_or(0, |known| to_nanos(known.not_before)),
            stepped_down_until: 0,
        }
    }

    /// Notes a leadership deadline before it is announced.
    pub fn extend(&mut self, valid_until: Instant) {
        self.leads_until = self.leads_until.max(to_nanos(valid_until));
    }

    /// Returns the whole content of the file; `None` if it is too long.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self).ok()?;
        (bytes.len() < SIZE).then(|| {
            bytes.resize(SIZE - 1, b' ');
            bytes.push(b'\n');
            bytes
        })
    }

    /// Returns the content with `stopped`, for a guard whose elector is dead and below which nothing is
    /// left; `None` if it cannot be read.
    #[must_use]
    pub fn stopped(text: &str) -> Option<Vec<u8>> {
        let mut state = parsed(text)?;
        state.stopped = true;
        state.to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn place() -> Place {
        Place {
            lock: "file in gist x".to_owned(),
            name: "napoleon".to_owned(),
            boot_id: "b".to_owned(),
            device: 1,
            inode: 2,
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::BOOT + Duration::from_secs(seconds)
    }

    fn taken() -> Taken {
        Taken {
            at: at(100),
            at_first_try: true,
            lease: LEASE,
        }
    }

    fn text(change: impl FnOnce(&mut State)) -> String {
        let mut state = State::new(place(), ("p", 7), None, false);
        change(&mut state);
        String::from_utf8(state.to_bytes().unwrap()).unwrap()
    }

    fn not_before(text: &str, taken: Taken) -> Result<Instant, &'static str> {
        judge(text, &place(), taken).map(|known| known.unwrap().not_before)
    }

    #[test]
    fn stopped_workload_proves_death() {
        let stopped = text(|state| state.stopped = true);
        let late = Taken {
            at_first_try: false,
            ..taken()
        };
        for taken in [taken(), late] {
            assert_eq!(not_before(&stopped, taken), Ok(at(100)));
        }
        let by_guard = State::stopped(&text(|_| ())).unwrap();
        assert_eq!(by_guard, stopped.as_bytes());
    }

    #[test]
    fn end_of_container_proves_death_later() {
        let container = text(|state| state.pid = 1);
        assert_eq!(not_before(&container, taken()), Ok(at(101)));
        let short = Taken {
            lease: Duration::from_secs(3),
            ..taken()
        };
        assert_eq!(not_before(&container, short), Ok(at(100) + LEAST_DELAY));
        let late = Taken {
            at_first_try: false,
            ..taken()
        };
        assert!(not_before(&container, late).is_err());
    }

    #[test]
    fn other_states_prove_nothing() {
        for change in [
            (|state| state.place.lock.push('x')) as fn(&mut State),
            |state| state.place.name.push('x'),
            |state| state.place.boot_id.push('x'),
            |state| state.place.device = 9,
            |state| state.place.inode = 9,
            |state| state.format = 2,
            |state| state.stopped = false,
        ] {
            let text = text(|state| {
                state.stopped = true;
                change(state);
            });
            assert!(judge(&text, &place(), taken()).is_err(), "{text}");
        }
        let whole = text(|state| state.stopped = true);
        assert!(judge(&whole[..100], &place(), taken()).is_err());
        let torn = format!("{}{}", &whole[..60], " ".repeat(100));
        assert!(judge(&torn, &place(), taken()).is_err());
        assert_eq!(judge("", &place(), taken()), Ok(None));
        assert_eq!(judge(&"\0".repeat(SIZE), &place(), taken()), Ok(None));
    }

    #[test]
    fn followed_term_ends_first() {
        let followed = text(|state| {
            state.stopped = true;
            state.followed = true;
            state.extend(at(111));
            state.extend(at(108));
        });
        assert_eq!(not_before(&followed, taken()), Ok(at(111)));
        let alone = text(|state| {
            state.stopped = true;
            state.extend(at(111));
        });
        assert_eq!(not_before(&alone, taken()), Ok(at(100)));
    }

    #[test]
    fn unused_wait_is_inherited() {
        let known = Predecessors {
            processes: vec!["first".to_owned()],
            not_before: at(111),
        };
        let second = State::new(place(), ("second", 7), Some(&known), true);
        let text = String::from_utf8(second.to_bytes().unwrap()).unwrap();
        assert_eq!(not_before(&text, taken()), Ok(at(111)));
        let late = Taken {
            at: at(120),
            ..taken()
        };
        assert_eq!(not_before(&text, late), Ok(at(120)));
    }

    #[test]
    fn step_down_outlives_boot_and_copy() {
        let lock_and_name = |text: &str| stepped_down_until(text, &place().lock, &place().name);
        for change in [
            (|_| {}) as fn(&mut State),
            |state| state.place.boot_id.push('x'),
            |state| state.place.inode = 9,
            |state| state.pid = 1,
        ] {
            let text = text(|state| {
                state.stepped_down_until = 7_000;
                change(state);
            });
            assert_eq!(lock_and_name(&text), 7_000, "{text}");
            let stopped = String::from_utf8(State::stopped(&text).unwrap()).unwrap();
            assert_eq!(lock_and_name(&stopped), 7_000, "{stopped}");
        }
        for change in [
            (|state| state.place.lock.push('x')) as fn(&mut State),
            |state| state.place.name.push('x'),
            |state| state.format = 2,
        ] {
            let text = text(|state| {
                state.stepped_down_until = 7_000;
                change(state);
            });
            assert_eq!(lock_and_name(&text), 0, "{text}");
        }
        assert_eq!(lock_and_name(""), 0);
        let older = text(|_| ()).replace(",\"steppedDownUntil\":0", "");
        assert_eq!(lock_and_name(&older), 0);
        assert!(judge(&older, &place(), taken()).is_err_and(|why| why.contains("guard")));
    }

    #[test]
    fn time_left_is_bounded() {
        assert_eq!(time_left(7_500, 7_000), Duration::from_millis(500));
        for (until, now) in [(7_000, 7_000), (0, 7_000), (i64::MIN, i64::MAX)] {
            assert_eq!(time_left(until, now), Duration::ZERO);
        }
        assert_eq!(time_left(i64::MAX, i64::MIN), LONGEST_STEP_DOWN);
    }

    #[test]
    fn chain_keeps_newest_processes() {
        let mut known = Predecessors {
            processes: (0..MOST_PROCESSES).map(|n| n.to_string()).collect(),
            not_before: at(0),
        };
        let state = State::new(place(), ("new", 7), Some(&known), false);
        known.processes.push("new".to_owned());
        assert_eq!(state.processes, known.processes[1..]);
        assert!(state.to_bytes().is_some());
    }
}
