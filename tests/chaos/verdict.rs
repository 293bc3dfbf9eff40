//! What is said of a round at its end: that it was as promised, or what was not, and what went before.

use std::fs;
use std::time::Duration;

use elector::system::clock::BootClock;

use crate::GRACE;
use crate::checker::{self, Flaw, Term};
use crate::round::Round;

/// Of what happened so long before something went wrong, and so long after it, everything is told.
const BEFORE: Duration = Duration::from_secs(20);
const AFTER: Duration = Duration::from_secs(5);

impl Round {
    pub(crate) fn terms(&self) -> Vec<Term> {
        checker::terms(&self.crowd.said(), GRACE)
    }

    /// Ends the test unless everything was as promised; counts what there was.
    pub(crate) fn verdict(&mut self) {
        if !self.judge() {
            self.fail("it was not as promised");
        }
        for (_, output) in self.crowd.outputs() {
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
            ("terms with a workload of their own", worked.count()),
            (
                "terms that were over before they began",
                terms.len() - holders.len(),
            ),
            ("takeovers by another process", takeovers.count()),
            ("fenced writes taken", attempts.len() - refused),
            ("fenced writes refused as stale", refused),
            ("terms with a refused write", of),
        ] {
            self.tally.add(what, times);
        }
    }

    /// Whether the terms and the fenced writes were as promised, and all else so far.
    fn judge(&mut self) -> bool {
        let flaws = checker::flaws(&self.terms(), self.start);
        self.flaws.extend(flaws);
        for flaw in checker::fence_flaws(&self.fence.attempts()) {
            self.blame(flaw);
        }
        self.flaws.is_empty()
    }

    /// Something is not as promised, as it shows now.
    pub(crate) fn blame(&mut self, text: String) {
        let at = BootClock::now();
        self.flaws.push(Flaw { at, text });
    }

    /// Ends the test before its end; what was not as promised until then may be why.
    pub(crate) fn give_up(&mut self, why: &str) -> ! {
        self.judge();
        self.fail(why)
    }

    /// Ends the test, and says what there is to be known.
    fn fail(&self, why: &str) -> ! {
        let mut told = format!(
            "{why} (seed {}; run it again with `make chaos SEED={} MINUTES=1`)\n",
            self.seed, self.seed
        );
        for flaw in &self.flaws {
            told += &format!("  {}\n", flaw.text);
        }
        let first = self.flaws.iter().map(|flaw| flaw.at).min();
        let about = first.unwrap_or_else(BootClock::now);
        told += "what happened then, in seconds since the start:\n";
        let mut events = self.journal.clone();
        for term in self.terms() {
            let Term { process, token, .. } = &term;
            events.push((term.from, format!("{process} begins the term {token}")));
            events.push((term.to, format!("the term {token} of {process} ends")));
        }
        events.retain(|(at, _)| (about - BEFORE..=about + AFTER).contains(at));
        events.sort_by_key(|(at, _)| *at);
        for (at, what) in events {
            told += &format!("  {:>9.3}  {what}\n", at.since(self.start).as_secs_f64());
        }
        panic!("{told}");
    }

    /// Keeps what everybody said.
    pub(crate) fn write_logs(&self) {
        for (label, output) in self.crowd.outputs() {
            let _ = fs::write(self.folder.join(format!("{label}.log")), output.report());
        }
        let lines = self.service.lines().join("\n");
        let _ = fs::write(self.folder.join("service.log"), lines);
    }
}
