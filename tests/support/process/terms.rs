//! Terms of leadership, read from what electors said, and whether they were as promised.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::program::Output;

/// What a line tells of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saying {
    Leads(u64),
    SteppedDown,
}

#[derive(Clone, Debug)]
struct Term {
    who: usize,
    token: u64,
    from: OffsetDateTime,
    to: Option<OffsetDateTime>,
}

/// When a line was written, and what it tells of a term.
pub fn understand(line: &str) -> Option<(OffsetDateTime, Saying)> {
    let (time, rest) = line.split_once(' ')?;
    let at = OffsetDateTime::parse(time, &Rfc3339).ok()?;
    let (level, text) = rest.trim_start().split_once(' ')?;
    let text = text.trim_start();
    if text.contains(" does not lead any more (token ") {
        return ["INFO", "WARN"]
            .contains(&level)
            .then_some((at, Saying::SteppedDown));
    }
    let (_, token) = text.split_once("! I will lead you to greatness! (token ")?;
    let token = token.split_once(')')?.0.parse().ok()?;
    text.starts_with("I am ")
        .then_some((at, Saying::Leads(token)))
}

fn terms_of(who: usize, output: &Output) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    for (at, saying) in output.lines().iter().filter_map(|line| understand(line)) {
        match saying {
            Saying::Leads(token) => terms.push(Term {
                who,
                token,
                from: at,
                to: None,
            }),
            Saying::SteppedDown => {
                let open = terms.iter_mut().find(|term| term.to.is_none());
                open.expect("a term that ends has begun").to = Some(at);
            }
        }
    }
    // One that is frozen or gone does not lead, whatever it says after the thaw.
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

/// What was not as promised, over all that these electors said.
pub fn flaws<'a>(outputs: impl Iterator<Item = &'a Output>) -> Vec<String> {
    let mut terms: Vec<Term> = outputs
        .enumerate()
        .flat_map(|(who, output)| terms_of(who, output))
        .collect();
    terms.sort_by_key(|term| term.from);
    let mut flaws = Vec::new();
    for pair in terms.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        if before.to.is_none_or(|to| to > after.from) {
            flaws.push(format!("two lead at once: {before:?} and {after:?}"));
        }
        if after.token <= before.token {
            flaws.push(format!("the token does not rise: {before:?} and {after:?}"));
        }
    }
    flaws
}
