//! Terms of leadership, read from the electors' logs, and a check of what they promise.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::program::Output;

/// A line of an elector's log in JSON.
#[derive(Clone, Debug)]
pub struct LogLine(Value);

impl LogLine {
    /// Parses a line of output. Returns `None` if it is not a line of an elector's log.
    pub fn parse(line: &str) -> Option<LogLine> {
        let line = LogLine(serde_json::from_str(line).ok()?);
        (line.time().is_some() && line.0["level"].is_string()).then_some(line)
    }

    pub fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.0["time"].as_str()?, &Rfc3339).ok()
    }

    pub fn level(&self) -> &str {
        self.text("level")
    }

    pub fn event(&self) -> &str {
        self.text("event")
    }

    pub fn message(&self) -> &str {
        self.text("message")
    }

    /// Returns a field, or an empty text if it is absent or a number.
    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_default()
    }

    pub fn fencing_token(&self) -> Option<u64> {
        self.0["fencing_token"].as_u64()
    }

    pub fn get(&self, key: &str) -> &Value {
        &self.0[key]
    }
}

#[derive(Clone, Debug)]
struct Term {
    elector: usize,
    fencing_token: u64,
    from: OffsetDateTime,
    to: Option<OffsetDateTime>,
}

fn terms_of(elector: usize, output: &Output) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for line in output.log() {
        let (Some(at), Some(fencing_token)) = (line.time(), line.fencing_token()) else {
            continue;
        };
        match line.event() {
            "started_leading" => terms.push(Term {
                elector,
                fencing_token,
                from: at,
                to: None,
            }),
            "workload_stopped" => {
                let open = terms.iter_mut().find(|term| term.to.is_none());
                let open = open.expect("a term that ends has begun");
                assert_eq!(open.fencing_token, fencing_token);
                open.to = Some(at);
            }
            _ => {}
        }
    }
    // A frozen or killed elector does not lead, even if it logs after the thaw.
    let silent = output.silent_since();
    for term in &mut terms {
        if let Some(silent) = silent
            && term.from < silent
        {
            term.to = Some(term.to.map_or(silent, |to| to.min(silent)));
        }
    }
    terms
}

/// Returns the broken promises over the output of all electors.
pub fn flaws<'a>(outputs: impl Iterator<Item = &'a Output>) -> Vec<String> {
    let mut terms: Vec<Term> = outputs
        .enumerate()
        .flat_map(|(elector, output)| terms_of(elector, output))
        .collect();
    terms.sort_by_key(|term| term.from);
    let mut flaws = Vec::new();
    for pair in terms.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        if before.to.is_none_or(|to| to > after.from) {
            flaws.push(format!("two lead simultaneously: {before:?} and {after:?}"));
        }
        if after.fencing_token <= before.fencing_token {
            flaws.push(format!(
                "the fencing token does not rise: {before:?} and {after:?}"
            ));
        }
    }
    flaws
}
