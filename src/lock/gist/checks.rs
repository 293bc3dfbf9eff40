//! Checks of a gist lock for `elector doctor`: connection, access token, gist, file, history, rate
//! limits and this machine's clock.
//!
//! [`run`] sends the requests; the functions below it, which judge what was found, are pure.

mod limits;

use super::inspect::Inspected;
use super::protocol::has_gist_scope;
use super::remarks::older_protocol;
use super::session::{Session, neutral};
use super::stored::Stored;
use super::token::AccessTokenKind;
use super::wire::About;
use crate::election::lock::LockError;
use crate::fmt::one_line;
use crate::lock::admin::{Checks, Finding, Level};
use crate::lock::clocks::{Clocks, Comparison};
use crate::lock::stats::expiration;
use crate::net::AccessTokenSource;

/// Names of the checks.
pub(super) const ALL: &[&str] = &[
    "connection",
    "token",
    "rights",
    "gist",
    "file",
    "history",
    "writes",
    "requests",
    "limit",
    "clock",
];

/// Requests of a start that need no warning: a little more than two locks in one gist cost each other.
const CHEAP_START: u32 = 5;

/// Validity of an access token in seconds below which it should be replaced: a week.
const SHORT_VALIDITY: i64 = 7 * 24 * 3_600;

/// Fix for a history that costs too much.
const NEW_GIST: &str = "create a new gist with elector init";

/// Runs all checks, each of which depends on those before it.
pub(super) fn run(session: &mut Session) -> Checks {
    let inspected = session.read();
    let mut run = Run {
        start: session.requests,
        session,
        inspected,
        findings: Vec::new(),
    };
    run.check_connection();
    run.check_token();
    run.check_gist();
    run.check_limits();
    Checks {
        record: run.inspected.as_ref().ok().map(neutral),
        findings: run.findings,
    }
}

/// Checks that are under way.
struct Run<'a> {
    session: &'a mut Session,
    inspected: Result<Inspected, LockError>,
    /// Number of requests of the first read, as of a candidate's start.
    start: u32,
    findings: Vec<Finding>,
}

impl Run<'_> {
    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn skip(&mut self, checks: &[&'static str]) {
        self.findings
            .extend(checks.iter().copied().map(Finding::skipped));
    }

    /// Returns the error of the read, if it is of this kind.
    fn error(&self, of: impl Fn(&LockError) -> bool) -> Option<String> {
        let error = self.inspected.as_ref().err();
        error.filter(|error| of(error)).map(LockError::to_string)
    }

    fn answered(&self, status: impl Fn(u16) -> bool) -> bool {
        let stats = self.session.client.stats();
        let mut answers = stats.answers.keys();
        answers.any(|(_, answered)| status(*answered))
    }

    fn check_connection(&mut self) {
        let unavailable = self.error(|error| matches!(error, LockError::Unavailable(_)));
        if let Some(error) = unavailable {
            return self.add(Finding::fail("connection", error));
        }
        let api = &self.session.options.api_url;
        let proxy = match self.session.client.proxy() {
            Some(proxy) => format!("through the proxy {proxy}"),
            None => "without a proxy".to_owned(),
        };
        let text = format!("{api} answers, {proxy}");
        self.add(Finding::ok("connection", text));
    }

    fn check_token(&mut self) {
        let kind = self.session.client.access_token_kind();
        let refused = self.error(|error| matches!(error, LockError::Unauthorized(_)));
        let form = token(kind, &source(&self.session.options.access_token));
        // A 401 says that the access token is invalid, other refusals that it may not do enough.
        let invalid = self.answered(|status| status == 401);
        match &refused {
            _ if form.level == Level::Fail => {
                self.add(form);
                return self.skip(&["rights"]);
            }
            Some(error) if invalid => {
                self.add(Finding::fail("token", error.as_str()));
                return self.skip(&["rights"]);
            }
            None if !self.answered(|status| status < 500 && status != 401) => {
                return self.skip(&["token", "rights"]);
            }
            _ => {
                let now = self.session.clocks.map(|clocks| clocks.date);
                let expires_at = self.session.client.stats().access_token_expires_at;
                self.add(match expires_at {
                    Some(expires_at) => with_expiration(&form, expires_at, now),
                    None => form,
                });
            }
        }
        let rights = match refused {
            Some(error) => Finding::fail("rights", error),
            None => rights(kind, self.session.client.scopes()),
        };
        self.add(rights);
    }

    fn check_gist(&mut self) {
        if let Some(error) = self.error(|error| matches!(error, LockError::NotFound(_))) {
            self.add(Finding::fail("gist", error));
            return self.skip(&["file", "history"]);
        }
        let refused = self.error(|error| matches!(error, LockError::Refused(_)));
        if refused.is_none() && self.session.inspector.newest().is_none() {
            return self.skip(&["gist", "file", "history"]);
        }
        self.add(gist(self.session.inspector.about()));
        if let Some(error) = refused {
            self.add(Finding::fail("file", error));
            return self.skip(&["history"]);
        }
        let inspector = &self.session.inspector;
        let name = inspector.file().unwrap_or_default();
        let named = self.session.options.file.is_some();
        let file = file(name, named, inspector.files(), inspector.newest());
        let file = match inspector.too_much() {
            Some(what_to_delete) => Finding::warn("file", what_to_delete),
            None => file,
        };
        self.add(file);
        let inspected = self.inspected.as_ref().ok();
        if let Some(older) = inspected.and_then(|it| it.effective.stored.older_protocol()) {
            self.add(Finding::warn("file", older_protocol(older)));
        }
        self.check_history();
    }

    fn check_history(&mut self) {
        match &self.inspected {
            Err(LockError::Unfinished(error)) => {
                let text = format!("{error}, after {} requests; {NEW_GIST}", self.start);
                self.add(Finding::fail("history", text));
            }
            Err(_) => self.skip(&["history"]),
            Ok(inspected) => self.add(history(self.start, inspected.effective.settled)),
        }
    }

    fn check_limits(&mut self) {
        let election = &self.session.election;
        let github = self.session.options.api_url.is_github_com();
        let rate = self.session.client.stats().rate_limit;
        let mut found = vec![
            limits::writes(election, github),
            limits::requests(election, rate.as_ref(), github),
        ];
        let limited = self.error(|error| matches!(error, LockError::RateLimited { .. }));
        let answered = self.answered(|_| true);
        found.push(match limited {
            Some(error) => Finding::fail("limit", error),
            None if answered => {
                limits::remaining(rate.as_ref(), self.session.clocks.map(|clocks| clocks.date))
            }
            None => Finding::skipped("limit"),
        });
        found.push(match answered {
            true => clock(self.session.clocks),
            false => Finding::skipped("clock"),
        });
        self.findings.append(&mut found);
    }
}

fn source(token: &AccessTokenSource) -> String {
    match token {
        AccessTokenSource::Value(_) => "GITHUB_API_TOKEN".to_owned(),
        AccessTokenSource::File(path) => format!("{path:?} (GITHUB_API_TOKEN_FILE)"),
    }
}

/// Judges the kind of the access token.
fn token(kind: AccessTokenKind, source: &str) -> Finding {
    let form = match kind {
        AccessTokenKind::Classic => "a classic token",
        AccessTokenKind::FineGrained => "a fine-grained token",
        AccessTokenKind::OAuthApp => "a token of an OAuth app",
        AccessTokenKind::AppUser => "a user token of a GitHub App",
        AccessTokenKind::Installation => {
            return Finding::fail(
                "token",
                format!(
                    "{source} holds an installation token of a GitHub App, such as GITHUB_TOKEN in \
                     Actions, which cannot access gists; use a personal token with the scope gist"
                ),
            );
        }
        AccessTokenKind::Refresh => {
            return Finding::fail(
                "token",
                format!(
                    "{source} holds a refresh token, which grants no access; use a personal token \
                     with the scope gist"
                ),
            );
        }
        _ => "a token of unknown form",
    };
    Finding::ok("token", format!("{form}, from {source}, accepted"))
}

/// Adds to a finding when the access token expires, in seconds since the Unix epoch. `now` is the service's
/// clock.
fn with_expiration(form: &Finding, expires_at: i64, now: Option<i64>) -> Finding {
    let text = format!("{}; {}", form.text, expiration(expires_at, now));
    let left = now.and_then(|now| expires_at.checked_sub(now));
    match left {
        Some(..SHORT_VALIDITY) => Finding::warn(
            "token",
            format!("{text}; replace it: GITHUB_API_TOKEN_FILE is read again without a restart"),
        ),
        _ => Finding::ok("token", text),
    }
}

/// Judges the rights of the access token, as far as they can be known without writing.
fn rights(kind: AccessTokenKind, scopes: Option<&str>) -> Finding {
    match (kind, scopes) {
        (_, Some(scopes)) if !has_gist_scope(scopes) => Finding::fail(
            "rights",
            format!(
                "the access token has the scopes {} and may not write gists; add the scope gist",
                one_line(scopes)
            ),
        ),
        (_, Some("gist")) => Finding::ok(
            "rights",
            "the access token has the scope gist and may write gists",
        ),
        (_, Some(scopes)) => Finding::warn(
            "rights",
            format!(
                "the access token may do more than needed ({}); the scope gist suffices",
                one_line(scopes)
            ),
        ),
        (AccessTokenKind::Classic | AccessTokenKind::OAuthApp, None) => Finding::warn(
            "rights",
            "the answers show no scopes: the access token has none, or a proxy removes them; it \
             needs the scope gist",
        ),
        (_, None) => Finding::ok(
            "rights",
            "not shown for this kind of token: only a write shows whether it has the account \
             permission Gists (read and write)",
        ),
    }
}

/// Judges who can see and write the gist.
fn gist(about: &About) -> Finding {
    let owner = match &about.owner {
        Some(owner) => format!("owned by {}", one_line(owner)),
        None => "its owner is not shown".to_owned(),
    };
    let text = format!("{owner}; only the owner's access tokens can write it");
    match about.public {
        Some(true) => Finding::warn(
            "gist",
            format!(
                "{text}; public: anyone can find it and see who leads; elector init creates a secret \
                 one"
            ),
        ),
        Some(false) => Finding::ok("gist", format!("secret, {text}")),
        None => Finding::ok("gist", text),
    }
}

/// Judges the file that holds the record.
fn file(name: &str, named: bool, files: &[String], newest: Option<&Stored>) -> Finding {
    let exists = files.iter().any(|file| file == name);
    let text = match newest {
        Some(Stored::Blank) if exists => format!("{name:?} is blank: the first leader writes it"),
        Some(Stored::Blank) => {
            format!("{name:?} does not exist yet: the first leader creates it")
        }
        _ if named => format!("{name:?}, from GIST_FILE"),
        _ => format!("{name:?}, the gist's only file"),
    };
    Finding::ok("file", text)
}

/// Judges what a start costs because of the history. `start` is the number of requests of the first
/// read; `whole` tells whether that was all that a candidate must read.
fn history(start: u32, whole: bool) -> Finding {
    if !whole {
        let text =
            format!("a start reads more than {start} revisions, one request each; {NEW_GIST}");
        return Finding::warn("history", text);
    }
    let cost = match start {
        1 => "1 request".to_owned(),
        _ => format!("{start} requests"),
    };
    match start > CHEAP_START {
        true => Finding::warn("history", format!("a start costs {cost}; {NEW_GIST}")),
        false => Finding::ok("history", format!("a start costs {cost}")),
    }
}

/// Judges this machine's clock against the service's.
fn clock(clocks: Option<Clocks>) -> Finding {
    let Some(clocks) = clocks else {
        return Finding::warn(
            "clock",
            "the answers have no date, so the age of a record is unknown; check any proxy on the way",
        );
    };
    let said = |what: &str| {
        format!("this machine's clock {what} the service's; no decision depends on it")
    };
    match clocks.compare() {
        Comparison::Same => Finding::ok("clock", said("agrees with")),
        Comparison::Close(apart) => Finding::ok("clock", said(&format!("is {apart}"))),
        Comparison::Apart(apart) => Finding::warn(
            "clock",
            format!(
                "{}, but times in logs and records do; set it (NTP)",
                said(&format!("is {apart}"))
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_that_cannot_write_gists_fails() {
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
    fn token_that_expires_soon_warns() {
        let now = 1_588_008_246;
        let judge =
            |left, now| with_expiration(&Finding::ok("token", "good"), now + left, Some(now));
        for (left, level, part) in [
            (
                SHORT_VALIDITY,
                Level::Ok,
                "good; expires in 7d, on 2020-05-04",
            ),
            (
                SHORT_VALIDITY - 1,
                Level::Warn,
                "good; expires in 6d 23h, on 2020-05-04",
            ),
            (-1, Level::Warn, "good; expired on 2020-04-27"),
        ] {
            let found = judge(left, now);
            assert_eq!(found.level, level, "{}", found.text);
            assert!(found.text.contains(part), "{}", found.text);
        }
        let undated = with_expiration(&Finding::ok("token", "good"), now, None);
        assert_eq!(undated.level, Level::Ok);
    }

    #[test]
    fn rights_follow_scopes() {
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
    fn public_gist_warns_and_names_owner() {
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
            assert!(found.text.contains("owned by someone"), "{}", found.text);
        }
        assert_eq!(gist(&About::default()).level, Level::Ok);
    }

    #[test]
    fn file_names_its_source() {
        let files = ["a.json".to_owned()];
        let text = |name, named, newest| file(name, named, &files, newest).text;
        assert!(text("a.json", false, None).contains("only file"));
        assert!(text("a.json", true, None).contains("GIST_FILE"));
        assert!(text("a.json", true, Some(&Stored::Blank)).contains("blank"));
        assert!(text("b.json", true, Some(&Stored::Blank)).contains("does not exist yet"));
    }

    #[test]
    fn costly_start_names_fix() {
        for (start, whole, level) in [
            (1, true, Level::Ok),
            (6, true, Level::Warn),
            (21, false, Level::Warn),
        ] {
            let found = history(start, whole);
            assert_eq!(found.level, level, "{}", found.text);
            let helps = found.text.contains("elector init");
            assert_eq!(helps, level == Level::Warn, "{}", found.text);
        }
        assert_eq!(history(1, true).text, "a start costs 1 request");
    }

    #[test]
    fn clock_is_compared_at_request_midpoint() {
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
