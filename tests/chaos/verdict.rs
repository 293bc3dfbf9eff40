//! The verdict on a round: broken promises, with the events around them.

use std::fs;
use std::time::Duration;

use elector::system::clock::BootClock;

use crate::GRACE;
use crate::checker::{self, Flaw, Term};
use crate::round::Round;

/// Span of the events to print around the first broken promise.
const BEFORE: Duration = Duration::from_secs(20);
const AFTER: Duration = Duration::from_secs(5);

impl Round {
    pub(crate) fn terms(&self) -> Vec<Term> {
        checker::terms(&self.watcher.events(), GRACE)
    }

    /// Fails the test if a promise was broken, and counts the results otherwise.
    pub(crate) fn verdict(&mut self) {
        if !self.judge() {
            self.fail("a promise was broken");
        }
        for (_, output) in self.watcher.outputs() {
            output.check();
        }
        let (terms, attempts) = (self.terms(), self.fence.attempts());
        let begun = terms.iter().filter(|term| !term.is_empty());
        let holders: Vec<_> = begun.map(|term| &term.process).collect();
        let takeovers = holders.windows(2).filter(|pair| pair[0] != pair[1]);
        let (refused, of) = checker::refused(&attempts);
        let worked = terms.iter().filter(|term| term.process.contains("worker"));
        for (what, times) in [
            ("terms", holders.len()),
            ("terms of workers", worked.count()),
            (
                "terms that ended before they began",
                terms.len() - holders.len(),
            ),
            ("takeovers by another process", takeovers.count()),
            ("fenced writes accepted", attempts.len() - refused),
            ("fenced writes refused as stale", refused),
            ("terms with a refused write", of),
        ] {
            self.tally.add(what, times);
        }
    }

    /// Returns whether all promises held.
    fn judge(&mut self) -> bool {
        let flaws = checker::flaws(&self.terms(), self.start);
        self.flaws.extend(flaws);
        for flaw in checker::fence_flaws(&self.fence.attempts()) {
            self.add_flaw(flaw);
        }
        self.flaws.is_empty()
    }

    /// Adds a broken promise that shows now.
    pub(crate) fn add_flaw(&mut self, text: String) {
        let at = BootClock::now();
        self.flaws.push(Flaw { at, text });
    }

    /// Fails the test early. Promises broken before may be the cause, so it prints them too.
    pub(crate) fn abort(&mut self, why: &str) -> ! {
        self.judge();
        self.fail(why)
    }

    /// Fails the test, with the broken promises and the events around them.
    fn fail(&self, why: &str) -> ! {
        let mut report = format!(
            "{why} (seed {}; rerun it with `make chaos SEED={} MINUTES=1`)\n",
            self.seed, self.seed
        );
        for flaw in &self.flaws {
            report += &format!("  {}\n", flaw.text);
        }
        let first = self.flaws.iter().map(|flaw| flaw.at).min();
        let about = first.unwrap_or_else(BootClock::now);
        report += "events around it, in seconds since the start:\n";
        let mut events = self.journal.clone();
        for term in self.terms() {
            let Term { process, token, .. } = &term;
            events.push((term.from, format!("{process} begins term {token}")));
            events.push((term.to, format!("term {token} of {process} ends")));
        }
        events.retain(|(at, _)| (about - BEFORE..=about + AFTER).contains(at));
        events.sort_by_key(|(at, _)| *at);
        for (at, what) in events {
            report += &format!("  {:>9.3}  {what}\n", at.since(self.start).as_secs_f64());
        }
        panic!("{report}");
    }

    /// Writes the output of every process to the folder of the round.
    pub(crate) fn write_logs(&self) {
        for (label, output) in self.watcher.outputs() {
            let _ = fs::write(self.folder.join(format!("{label}.log")), output.report());
        }
        let lines = self.service.lines().join("\n");
        let _ = fs::write(self.folder.join("service.log"), lines);
    }
}
