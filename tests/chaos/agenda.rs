//! The planned steps of a round, in order of time.

use std::cmp;
use std::collections::BinaryHeap;
use std::time::Duration;

use elector::election::time::Instant;

use crate::schedule::Action;

/// Step that the round carries out at its time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Do(Action),
    Clear(usize),
    Thaw(usize),
    Start(usize),
    EndTwin,
    ThawService,
    StartService,
    EndFaults(usize),
}

/// Step with its time. The earliest one is the greatest, for the binary heap.
struct Due {
    at: Instant,
    number: usize,
    step: Step,
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> cmp::Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

/// Steps to come. Steps of the same time keep the order in which they were planned.
#[derive(Default)]
pub(crate) struct Agenda {
    due: BinaryHeap<Due>,
    planned: usize,
}

impl Agenda {
    pub(crate) fn plan(&mut self, from: Instant, after: Duration, step: Step) {
        self.planned += 1;
        self.due.push(Due {
            at: from + after,
            number: self.planned,
            step,
        });
    }

    /// Removes and returns the next step that is due.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Step> {
        if self.due.peek()?.at > now {
            return None;
        }
        Some(self.due.pop()?.step)
    }

    pub(crate) fn clear(&mut self) {
        self.due.clear();
    }
}

#[test]
fn steps_run_in_order_when_due() {
    let mut agenda = Agenda::default();
    let at = |n| Instant::from_boot(Duration::from_secs(n));
    for (after, slot) in [(2, 0), (1, 1), (2, 2)] {
        agenda.plan(at(10), Duration::from_secs(after), Step::Start(slot));
    }
    let mut slots = Vec::new();
    let mut take_until = |now| {
        while let Some(Step::Start(slot)) = agenda.take_due(at(now)) {
            slots.push(slot);
        }
        slots.clone()
    };
    assert_eq!(take_until(10), [] as [usize; 0]);
    assert_eq!(take_until(11), [1]);
    assert_eq!(take_until(20), [1, 0, 2]);
}
