//! Summary of a demonstration: its terms, and the promises that they broke.

use std::fmt::Write;
use std::time::Duration;

/// Terms in the order in which they began. Times count from the start of the demonstration.
#[derive(Debug, Default)]
pub(super) struct Summary(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    leader: String,
    fencing_token: u64,
    from: Duration,
    /// Latest time at which the term ended; `None` while it lasts.
    to: Option<Duration>,
    /// Reason why it ended.
    end: &'static str,
}

impl Summary {
    /// Adds a term.
    pub(super) fn begin(&mut self, leader: &str, fencing_token: u64, from: Duration) {
        self.0.push(Entry {
            leader: leader.to_owned(),
            fencing_token,
            from,
            to: None,
            end: "",
        });
    }

    /// Ends the last term of `leader`, unless it has ended already.
    pub(super) fn end(&mut self, leader: &str, to: Duration, end: &'static str) {
        let term = self.0.iter_mut().rev().find(|term| term.leader == leader);
        if let Some(term) = term.filter(|term| term.to.is_none()) {
            term.to = Some(to);
            term.end = end;
        }
    }

    /// Returns the leader of the last term that has not ended.
    pub(super) fn leader(&self) -> Option<&str> {
        let open = self.0.iter().rev().find(|term| term.to.is_none());
        open.map(|term| term.leader.as_str())
    }

    /// Returns the time at which the last term began.
    pub(super) fn last_start(&self) -> Option<Duration> {
        self.0.last().map(|term| term.from)
    }

    /// Returns the time between a term and the one before it; `None` for the first term, and if the two
    /// overlap.
    fn gap(&self, index: usize) -> Option<Duration> {
        let before = self.0.get(index.checked_sub(1)?)?;
        self.0.get(index)?.from.checked_sub(before.to?)
    }

    /// Returns the broken promises.
    pub(super) fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        for (index, pair) in self.0.windows(2).enumerate() {
            let (before, after) = (&pair[0], &pair[1]);
            if self.gap(index + 1).is_none() {
                flaws.push(format!(
                    "{} (fencing token {}) led before the term of {} (fencing token {}) ended",
                    after.leader, after.fencing_token, before.leader, before.fencing_token
                ));
            }
            if after.fencing_token <= before.fencing_token {
                flaws.push(format!(
                    "the fencing token did not rise from {} to {}",
                    before.fencing_token, after.fencing_token
                ));
            }
        }
        flaws
    }

    /// Returns the terms as a table.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "  {:<10} {:>13} {:>9} {:>9} {:>9}  {}\n",
            "leader", "fencing token", "from", "to", "gap", "end"
        );
        for (index, term) in self.0.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "  {:<10} {:>13} {:>9} {:>9} {:>9}  {}",
                term.leader,
                term.fencing_token,
                seconds(Some(term.from)),
                seconds(term.to),
                seconds(self.gap(index)),
                term.end
            );
        }
        table
    }
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(
        || "-".to_owned(),
        |time| format!("{:.2}s", time.as_secs_f64()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn summary(ended: u64, next_token: u64) -> Summary {
        let mut terms = Summary::default();
        terms.begin("napoleon", 0, at(1000));
        terms.end("napoleon", at(ended), "killed");
        terms.begin("cleopatra", next_token, at(9000));
        terms
    }

    #[test]
    fn terms_in_order_have_no_flaw() {
        let terms = summary(2000, 1);
        assert_eq!(terms.flaws(), Vec::<String>::new());
        assert!(terms.table().contains("7.00s"), "{}", terms.table());
    }

    #[test]
    fn overlap_is_a_flaw() {
        assert_eq!(summary(9001, 1).flaws().len(), 1);
    }

    #[test]
    fn open_term_overlaps_the_next() {
        let mut terms = Summary::default();
        terms.begin("napoleon", 0, at(1000));
        terms.begin("cleopatra", 1, at(9000));
        assert_eq!(terms.flaws().len(), 1);
    }

    #[test]
    fn falling_token_is_a_flaw() {
        assert_eq!(summary(2000, 0).flaws().len(), 1);
    }

    #[test]
    fn candidate_with_open_term_leads() {
        let mut terms = summary(2000, 1);
        assert_eq!(terms.leader(), Some("cleopatra"));
        terms.end("cleopatra", at(9500), "released");
        assert_eq!(terms.leader(), None);
    }

    #[test]
    fn first_end_of_term_counts() {
        let mut terms = summary(2000, 1);
        terms.end("napoleon", at(9500), "again");
        assert_eq!(terms.flaws(), Vec::<String>::new());
    }
}
