//! Texts of a gist's file, and other parts of answers, drawn from bytes.

use std::sync::Arc;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use elector::election::lock::LockError;
use elector::election::record::HIGHEST_TOKEN;
use elector::lock::gist::revision::Revision;
use elector::lock::gist::wire::Text;

use super::gist_model::FILE;

pub fn token(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=15)? {
        0 => HIGHEST_TOKEN + u.int_in_range(0..=2)?,
        1 => (1 << 52) + u.int_in_range(0..=2)?,
        2 => u64::MAX,
        _ => u.int_in_range(0..=9)?,
    })
}

pub fn foreign(u: &mut Unstructured<'_>) -> Result<Text> {
    let (lease, token) = (u.int_in_range(0..=4000)?, token(u)?);
    let holder = ["a", "b", ""][u.int_in_range(0..=2)?];
    let more = [
        "",
        r#","protocol":2"#,
        r#","checkpoint":true"#,
        r#","strategy":"x""#,
        r#","writeId":"me-1""#,
    ][u.int_in_range(0..=9)? % 5];
    Ok(whole(&format!(
        r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":{lease},"leaderTransitions":{token}{more}}}"#
    )))
}

pub fn ours(u: &mut Unstructured<'_>, supersedes: Revision) -> Result<Text> {
    let (lease, token) = (u.int_in_range(0..=4000)?, token(u)?);
    let (number, holder) = (
        u.int_in_range(0..=5)?,
        ["a", "b", ""][u.int_in_range(0..=2)?],
    );
    let process = ["other", "third"][u.int_in_range(0..=1)?];
    let protocol = if u.ratio(1, 20)? { 2 } else { 1 };
    Ok(whole(&format!(
        r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":{lease},"leaderTransitions":{token},"protocol":{protocol},"writeId":"{process}-{number}","supersedes":"{supersedes}"}}"#
    )))
}

pub fn odd(u: &mut Unstructured<'_>) -> Result<Text> {
    Ok(match u.int_in_range(0..=7)? {
        0 => Text::Missing,
        1 => Text::Cut("{".into()),
        2 => whole(""),
        3 => whole("{}"),
        4 => whole(r#"{"strategy":"x","preferredHolder":"b"}"#),
        5 => whole("somebody else's\u{1b}[2J text"),
        6 => whole(r#"{"leaderTransitions":7}"#),
        _ => whole(r#"{"holderIdentity":7,"leaderTransitions":8}"#),
    })
}

fn whole(text: &str) -> Text {
    Text::Whole(text.into())
}

pub fn files(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    Ok(match u.int_in_range(0..=5)? {
        0 => Vec::new(),
        1 => vec![FILE.to_owned(), "evil\u{1b}[2J\n\u{202e}".to_owned()],
        2 => vec!["x".repeat(100_000); 16],
        3 => vec!["y\u{0}".repeat(5000)],
        _ => vec![FILE.to_owned()],
    })
}

pub fn scopes(u: &mut Unstructured<'_>) -> Result<Option<Arc<str>>> {
    let scopes = [None, Some(""), Some("repo, gist"), Some("repo")];
    Ok(u.choose(&scopes)?.map(Arc::from))
}

/// Returns a failure as the parser reports it; only a write has an unknown outcome.
pub fn failure(u: &mut Unstructured<'_>, write: bool) -> Result<LockError> {
    let why = || "it failed".to_owned();
    Ok(match u.int_in_range(0..=5)? {
        0 => LockError::NotFound(why()),
        1 => LockError::Unauthorized(why()),
        2 => LockError::RateLimited {
            retry_after: Duration::from_secs(60),
            why: why(),
        },
        3 => LockError::Refused(why()),
        _ if write => LockError::OutcomeUnknown(why()),
        _ => LockError::Unavailable(why()),
    })
}
