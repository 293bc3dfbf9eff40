//! What each thing that was found means, and what to do about it. Pure.

use std::time::Duration;

use super::report::{Finding, Level, fail, ok, warn};
use crate::commands::gist::Clocks;
use crate::commands::standing::{Standing, State};
use crate::fmt::{count, one_line, span};
use crate::lock::gist::protocol::has_gist_scope;
use crate::lock::gist::stored::Stored;
use crate::lock::gist::token::AccessTokenKind;
use crate::lock::gist::wire::About;

/// Clocks that differ by less agree well enough for people who read two logs side by side.
const CLOSE_CLOCKS_MILLIS: i64 = 5_000;

/// How many requests a start may cost without anybody having to know: what two locks in one gist
/// cost each other, and a little more.
const CHEAP_START: u32 = 5;

/// A longer history than this is not read to its end by anybody.
const LONG_HISTORY: u64 = 100_000;

/// Whose kind of token it is, from where, and whether it is taken.
pub(super) fn token(kind: AccessTokenKind, source: &str) -> Finding {
    let what = match kind {
        AccessTokenKind::Classic => "a classic one",
        AccessTokenKind::FineGrained => "a fine-grained one",
        AccessTokenKind::OAuthApp => "an OAuth app's",
        AccessTokenKind::AppUser => "a GitHub App's, for a user",
        AccessTokenKind::Installation => {
            return fail(
                "token",
                format!(
                    "{source} holds a GitHub App's own token, as the GITHUB_TOKEN of Actions is: gists \
                     are closed to it; give a personal one with the scope gist"
                ),
            );
        }
        AccessTokenKind::Refresh => {
            return fail(
                "token",
                format!(
                    "{source} holds a refresh token, which opens nothing by itself; give a personal \
                     token with the scope gist"
                ),
            );
        }
        _ => "of none of GitHub's forms",
    };
    ok("token", format!("{what}, from {source}, accepted"))
}

/// What it may do, as far as that can be known without writing.
pub(super) fn rights(kind: AccessTokenKind, scopes: Option<&str>) -> Finding {
    match (kind, scopes) {
        (_, Some(scopes)) if !has_gist_scope(scopes) => fail(
            "rights",
            format!(
                "the token's scopes are {}: it may not write gists; give it the scope gist",
                one_line(scopes)
            ),
        ),
        (_, Some("gist")) => ok(
            "rights",
            "the token has the scope gist, and may write gists",
        ),
        (_, Some(scopes)) => warn(
            "rights",
            format!(
                "the token may do more than is needed here ({}): one with the scope gist alone would do",
                one_line(scopes)
            ),
        ),
        (AccessTokenKind::Classic | AccessTokenKind::OAuthApp, None) => warn(
            "rights",
            "the answers show no scopes: the token has none, or something on the way takes them out; \
             it needs the scope gist",
        ),
        (_, None) => ok(
            "rights",
            "such a token's are not shown: only a write tells whether it has the account permission \
             Gists (read and write)",
        ),
    }
}

/// Who sees the gist, and who may write it.
pub(super) fn gist(about: &About) -> Finding {
    let owner = match &about.owner {
        Some(owner) => format!(
            "of {}, and only that user's tokens can write it",
            one_line(owner)
        ),
        None => {
            "of an owner that is not shown, and only that user's tokens can write it".to_owned()
        }
    };
    match about.public {
        Some(true) => warn(
            "gist",
            format!(
                "{owner}; it is public: everybody can find it and see who leads; elector init makes a \
                 secret one"
            ),
        ),
        Some(false) => ok("gist", format!("secret, {owner}")),
        None => ok("gist", owner),
    }
}

/// Which file holds the record.
pub(super) fn file(name: &str, named: bool, files: &[String], newest: Option<&Stored>) -> Finding {
    let there = files.iter().any(|file| file == name);
    match newest {
        Some(Stored::Blank) if there => ok(
            "file",
            format!("{name:?} is blank: the first leader writes it"),
        ),
        Some(Stored::Blank) => ok(
            "file",
            format!("{name:?} is not there yet: the first leader makes it"),
        ),
        _ if named => ok("file", format!("{name:?}, as GIST_FILE says")),
        _ => ok("file", format!("{name:?}, the gist's only one")),
    }
}

/// What the file holds.
pub(super) fn record(standing: &Standing) -> Finding {
    let clause = standing.clause();
    let token = match standing.token {
        Some(token) => format!(", token {token}"),
        None => String::new(),
    };
    match standing.state {
        State::Alive => ok(
            "record",
            format!("{clause} leads{token}, renewed {}", standing.ago()),
        ),
        State::RunOut | State::Released | State::Prepared | State::Absent => {
            ok("record", format!("{clause}{token}"))
        }
        State::Overwritten | State::Spoilt | State::Gone => warn(
            "record",
            format!("{clause}{token}; candidates wait a lease, and then replace it"),
        ),
        State::Undated => warn(
            "record",
            format!("{clause}{token}; check any proxy on the way"),
        ),
        State::Foreign => fail(
            "record",
            format!("{clause}; name another file with GIST_FILE, or have elector init make one"),
        ),
        State::NewerProtocol => fail(
            "record",
            format!(
                "{clause}; upgrade this one, or look in the record for the gist that took over"
            ),
        ),
        State::Moved => fail("record", clause),
    }
}

/// How long a gist's history is, as far as a few requests tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Exactly(u64),
    /// From the first up to the second number.
    Between(u64, u64),
    MoreThan(u64),
}

/// The pages that tell how long a history is, each ten times as far down as the one before.
const FAR_PAGES: [u32; 3] = [11, 101, 1_001];

/// Finds out how long a history is; `entries` says how many a page has. At most five requests.
pub(super) fn length<E>(mut entries: impl FnMut(u32) -> Result<usize, E>) -> Result<Length, E> {
    let size = entries(1)? as u64;
    if entries(2)? == 0 {
        return Ok(Length::Exactly(size));
    }
    let mut above = size;
    for page in FAR_PAGES {
        let before = u64::from(page - 1) * size;
        if entries(page)? == 0 {
            return Ok(Length::Between(above, before));
        }
        above = before;
    }
    Ok(Length::MoreThan(above))
}

impl Length {
    fn text(self) -> String {
        match self {
            Length::Exactly(1) => "1 revision".to_owned(),
            Length::Exactly(number) => format!("{} revisions", count(number)),
            Length::Between(from, to) => format!("{} to {} revisions", count(from), count(to)),
            Length::MoreThan(number) => format!("more than {} revisions", count(number)),
        }
    }
}

/// What a start costs by the history. `start` is what it cost just now, `whole` says whether that
/// was all that a candidate has to read.
pub(super) fn history(start: u32, whole: bool, length: Option<Length>) -> Finding {
    let long = match length {
        Some(length) => length.text(),
        None => "a number of revisions that could not be found out".to_owned(),
    };
    const MOVE: &str = "elector init --from moves the lock to a new gist";
    if !whole {
        return warn(
            "history",
            format!(
                "{long}; a start has to read far back, more than {start} of them, one request each: {MOVE}"
            ),
        );
    }
    let cost = match start {
        1 => "1 request".to_owned(),
        _ => format!("{start} requests"),
    };
    let text = format!("{long}; a start costs {cost}");
    if start > CHEAP_START {
        return warn("history", format!("{text}: {MOVE}"));
    }
    match length {
        Some(Length::MoreThan(number)) if number >= LONG_HISTORY => warn(
            "history",
            format!("{text}, but should it have to be read to its end, nobody can: {MOVE}"),
        ),
        _ => ok("history", text),
    }
}

/// How far this machine's clock is off.
pub(super) fn clock(clocks: Option<Clocks>) -> Finding {
    let Some(clocks) = clocks else {
        return warn(
            "clock",
            "the answers have no date: nobody can say how old a record is; check any proxy on the way",
        );
    };
    let here = clocks.sent.midpoint(clocks.answered);
    // Dates are cut off to whole seconds: half of one is what they lack on average.
    let there = clocks.date.saturating_mul(1_000).saturating_add(500);
    let ahead = here.saturating_sub(there);
    let span = span(Duration::from_millis(ahead.unsigned_abs()));
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    if ahead.abs() < 1_000 {
        let text = "this machine's agrees with the gist service's; no decision rests on it";
        return ok("clock", text);
    }
    let text =
        format!("this machine's is {span} {side} the gist service's; no decision rests on it");
    if ahead.abs() <= CLOSE_CLOCKS_MILLIS {
        return ok("clock", text);
    }
    warn(
        "clock",
        format!("{text}, but times in logs and records do: set it, or have it set (NTP)"),
    )
}

/// Whether what was found lets the later checks go on.
pub(super) fn stops(finding: &Finding) -> bool {
    finding.level == Level::Fail
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::standing::tests::{looked, ours};

    #[test]
    fn tokens_that_cannot_write_gists_fail_by_their_form_alone() {
        for (kind, level) in [
            (AccessTokenKind::Classic, Level::Ok),
            (AccessTokenKind::FineGrained, Level::Ok),
            (AccessTokenKind::Installation, Level::Fail),
            (AccessTokenKind::Refresh, Level::Fail),
            (AccessTokenKind::Other, Level::Ok),
        ] {
            assert_eq!(token(kind, "GITHUB_API_TOKEN").level, level, "{kind:?}");
        }
    }

    #[test]
    fn rights_are_told_as_far_as_they_are_shown() {
        for (kind, scopes, level, part) in [
            (
                AccessTokenKind::Classic,
                Some("gist"),
                Level::Ok,
                "may write",
            ),
            (
                AccessTokenKind::Classic,
                Some("repo, gist"),
                Level::Warn,
                "repo",
            ),
            (
                AccessTokenKind::Classic,
                Some("repo"),
                Level::Fail,
                "scope gist",
            ),
            (AccessTokenKind::Classic, None, Level::Warn, "no scopes"),
            (
                AccessTokenKind::FineGrained,
                None,
                Level::Ok,
                "only a write",
            ),
        ] {
            let found = rights(kind, scopes);
            assert_eq!(found.level, level, "{}", found.text);
            assert!(found.text.contains(part), "{}", found.text);
        }
    }

    #[test]
    fn a_public_gist_is_a_hint_and_the_owner_is_named() {
        let about = |public| About {
            public,
            owner: Some("someone".into()),
        };
        for (public, level) in [
            (Some(true), Level::Warn),
            (Some(false), Level::Ok),
            (None, Level::Ok),
        ] {
            let found = gist(&about(public));
            assert_eq!(found.level, level);
            assert!(found.text.contains("of someone"), "{}", found.text);
        }
        assert_eq!(gist(&About::default()).level, Level::Ok);
    }

    #[test]
    fn records_that_electors_refuse_fail_and_those_they_replace_are_warnings() {
        for (text, level) in [
            (ours("napoleon", "").as_str(), Level::Ok),
            (&ours("", ""), Level::Ok),
            (&ours("napoleon", r#","protocol":2"#), Level::Fail),
            (r#"{"holderIdentity":"me"}"#, Level::Warn),
            (r#"{"leaderTransitions":"x"}"#, Level::Warn),
            ("{}", Level::Ok),
            ("dear diary", Level::Fail),
        ] {
            let found = record(&Standing::of(&looked(text, 4)));
            assert_eq!(found.level, level, "{text}: {}", found.text);
        }
        let found = record(&Standing::of(&looked(&ours("napoleon", ""), 4)));
        assert_eq!(found.text, "napoleon leads, token 3, renewed 4s ago");
    }

    #[test]
    fn files_are_told_apart() {
        let files = ["a.json".to_owned()];
        let text = |name, named, newest| file(name, named, &files, newest).text;
        assert!(text("a.json", false, None).contains("only one"));
        assert!(text("a.json", true, None).contains("GIST_FILE"));
        assert!(text("a.json", true, Some(&Stored::Blank)).contains("blank"));
        assert!(text("b.json", true, Some(&Stored::Blank)).contains("not there yet"));
    }

    fn length_of(revisions: usize, size: usize) -> (Length, u32) {
        let mut requests = 0;
        let found = length(|page: u32| {
            requests += 1;
            let before = (page as usize - 1) * size;
            Ok::<_, ()>(revisions.saturating_sub(before).min(size))
        });
        (found.unwrap(), requests)
    }

    #[test]
    fn the_length_of_a_history_is_found_with_few_requests() {
        for (revisions, expected) in [
            (1, Length::Exactly(1)),
            (100, Length::Exactly(100)),
            (101, Length::Between(100, 1_000)),
            (1_000, Length::Between(100, 1_000)),
            (1_001, Length::Between(1_000, 10_000)),
            (11_000, Length::Between(10_000, 100_000)),
            (400_000, Length::MoreThan(100_000)),
        ] {
            let (found, requests) = length_of(revisions, 100);
            assert_eq!(found, expected, "{revisions}");
            assert!(requests <= 5, "{requests}");
        }
        assert_eq!(length_of(400, 30).0, Length::Between(300, 3_000));
        assert_eq!(length(|_| Err("no")), Err("no"));
    }

    #[test]
    fn a_start_that_costs_much_says_what_to_do() {
        let long = Some(Length::MoreThan(100_000));
        for (start, whole, length, level) in [
            (1, true, Some(Length::Exactly(7)), Level::Ok),
            (1, true, Some(Length::Between(10_000, 100_000)), Level::Ok),
            (1, true, None, Level::Ok),
            (1, true, long, Level::Warn),
            (6, true, Some(Length::Exactly(7)), Level::Warn),
            (21, false, long, Level::Warn),
        ] {
            let found = history(start, whole, length);
            assert_eq!(found.level, level, "{}", found.text);
            let helps = found.text.contains("elector init --from");
            assert_eq!(helps, level == Level::Warn, "{}", found.text);
        }
        let text = history(1, true, Some(Length::Exactly(1))).text;
        assert_eq!(text, "1 revision; a start costs 1 request");
    }

    #[test]
    fn a_clock_is_judged_by_the_middle_of_the_request_and_of_the_second() {
        let at = |millis: i64| {
            clock(Some(Clocks {
                sent: millis - 100,
                answered: millis + 100,
                date: 1_588_008_246,
            }))
        };
        let base = 1_588_008_246_500;
        for millis in [base, base + 4_900, base - 4_900] {
            assert_eq!(at(millis).level, Level::Ok, "{millis}");
        }
        assert!(at(base + 900).text.contains("agrees"));
        assert!(at(base - 3_000).text.contains("3s behind"));
        let ahead = at(base + 90_000);
        assert_eq!(ahead.level, Level::Warn);
        assert!(ahead.text.contains("1m 30s ahead of"), "{}", ahead.text);
        let behind = at(base - 7_000);
        assert!(behind.text.contains("7s behind"), "{}", behind.text);
        assert_eq!(clock(None).level, Level::Warn);
    }
}
