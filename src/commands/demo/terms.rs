//! The terms that a demonstration saw, and whether they were as promised.

use std::fmt::Write;
use std::time::Duration;

/// A term of leadership, in time since the demonstration began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) leader: String,
    pub(super) token: u64,
    pub(super) from: Duration,
    /// When it was over, at the latest.
    pub(super) to: Option<Duration>,
    /// How it ended.
    pub(super) end: &'static str,
}

/// The terms in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Terms(Vec<Term>);

impl Terms {
    pub(super) fn begin(&mut self, leader: &str, token: u64, from: Duration) {
        self.0.push(Term {
            leader: leader.to_owned(),
            token,
            from,
            to: None,
            end: "",
        });
    }

    /// The newest term of `leader` is over, unless it is already.
    pub(super) fn end(&mut self, leader: &str, to: Duration, end: &'static str) {
        let term = self.0.iter_mut().rev().find(|term| term.leader == leader);
        if let Some(term) = term
            && term.to.is_none()
        {
            term.to = Some(to);
            term.end = end;
        }
    }

    /// Who leads at present.
    pub(super) fn leader(&self) -> Option<&str> {
        let open = self.0.iter().rev().find(|term| term.to.is_none());
        open.map(|term| term.leader.as_str())
    }

    pub(super) fn last(&self) -> Option<&Term> {
        self.0.last()
    }

    /// The time between the end of the term before the one with this index and its beginning;
    /// `None` for the first one, and where they overlap.
    fn gap(&self, index: usize) -> Option<Duration> {
        let before = self.0.get(index.checked_sub(1)?)?;
        self.0.get(index)?.from.checked_sub(before.to?)
    }

    /// What was not as promised.
    pub(super) fn flaws(&self) -> Vec<String> {
        let mut flaws = Vec::new();
        for (index, pair) in self.0.windows(2).enumerate() {
            let (before, after) = (&pair[0], &pair[1]);
            if self.gap(index + 1).is_none() {
                flaws.push(format!(
                    "{} (token {}) led before the term of {} (token {}) was over",
                    after.leader, after.token, before.leader, before.token
                ));
            }
            if after.token <= before.token {
                flaws.push(format!(
                    "the token fell from {} to {}",
                    before.token, after.token
                ));
            }
        }
        flaws
    }

    /// The terms as a table.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "  {:<10} {:>6} {:>9} {:>9} {:>9}  {}\n",
            "who", "token", "from", "to", "gap", "how it ended"
        );
        for (index, term) in self.0.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "  {:<10} {:>6} {:>9} {:>9} {:>9}  {}",
                term.leader,
                term.token,
                seconds(Some(term.from)),
                seconds(term.to),
                seconds(self.gap(index)),
                term.end
            );
        }
        table
    }
}

/// A time as the table shows it.
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

    fn terms(ended: u64, next_token: u64) -> Terms {
        let mut terms = Terms::default();
        terms.begin("napoleon", 0, at(1000));
        terms.end("napoleon", at(ended), "killed");
        terms.begin("cleopatra", next_token, at(9000));
        terms
    }

    #[test]
    fn terms_in_order_have_no_flaw() {
        let terms = terms(2000, 1);
        assert_eq!(terms.flaws(), Vec::<String>::new());
        assert!(terms.table().contains("7.00s"), "{}", terms.table());
    }

    #[test]
    fn an_overlap_is_a_flaw() {
        assert_eq!(terms(9001, 1).flaws().len(), 1);
    }

    #[test]
    fn a_term_that_never_ended_overlaps_the_next() {
        let mut terms = Terms::default();
        terms.begin("napoleon", 0, at(1000));
        terms.begin("cleopatra", 1, at(9000));
        assert_eq!(terms.flaws().len(), 1);
    }

    #[test]
    fn a_token_that_does_not_rise_is_a_flaw() {
        assert_eq!(terms(2000, 0).flaws().len(), 1);
    }

    #[test]
    fn whoever_has_an_open_term_leads() {
        let mut terms = terms(2000, 1);
        assert_eq!(terms.leader(), Some("cleopatra"));
        terms.end("cleopatra", at(9500), "left politely");
        assert_eq!(terms.leader(), None);
    }

    #[test]
    fn the_first_end_of_a_term_counts() {
        let mut terms = terms(2000, 1);
        terms.end("napoleon", at(9500), "again");
        assert_eq!(terms.flaws(), Vec::<String>::new());
    }
}
