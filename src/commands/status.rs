//! `elector status`: who leads, by one look at the gist.

use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;
use serde::Serialize;

use super::gist::{self, Gist};
use super::help;
use super::settings::Settings;
use super::standing::{Standing, State};
use super::usage::{self, UsageError};
use crate::election::lock::LockError;
use crate::fmt::{self, one_line, span};
use crate::lock::gist::client::RateLimit;
use crate::lock::gist::look::Looked;

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
Looks at the gist once, mostly with one request, and writes nothing. Of the settings
it needs GIST_ID, the token, and what else leads to the gist. All ages are by the
gist service's clock.

Options:
  --json   for scripts, an object on one line:
             leader                 who leads; \"\" if nobody is known to
             state                  alive, runOut, released, overwritten, prepared,
                                    spoilt, gone, absent, foreign, newerProtocol,
                                    moved, undated
             holder                 whom the record names, leading or not
             token                  the fencing token, or null
             renewedSecondsAgo      since the record was written, or null
             leaseSeconds           how long its lease lasts, or null
             expiresInSeconds       until it runs out, or null if it is not alive
             leadingSince           by the leader's own clock; \"\" if it does not say
             renewedAt, now         when it was written, and the answer's date
             revision, gist, file, api
             limit                  {limit, remaining, resetsInSeconds}, or null

Exit codes: 0 shown, also if nobody leads; 1 could not find out; 2 wrong usage or
settings.";

const NAME: &str = "status";

/// Runs it; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let json = match parse(args) {
        Ok(Some(json)) => json,
        Ok(None) => return gist::print(NAME, &help::text(help::topic(NAME)), ExitCode::SUCCESS),
        Err(error) => return usage::refuse(NAME, &error),
    };
    let settings = match gist::settings(NAME) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let mut gist = match Gist::open(&settings) {
        Ok(gist) => gist,
        Err(error) => return gist::wrong_settings(NAME, &error),
    };
    let looked = match gist.look() {
        Ok(looked) => looked,
        Err(error) => return gist::failed(NAME, &failure(&gist, &error)),
    };
    let view = View::new(&gist, &settings, &looked);
    let text = if json { view.json() } else { view.text() };
    let code = match view.standing.state {
        State::Undated => {
            let why = "the gist service gives no dates, so nobody knows whether the lease is alive; \
                       check any proxy on the way";
            gist::failed(NAME, &why)
        }
        _ => ExitCode::SUCCESS,
    };
    gist::print(NAME, &text, code)
}

/// Whether JSON is wanted; `None` is a wish for help.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Option<bool>, UsageError> {
    let mut json = false;
    let mut parser = lexopt::Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("json") => json = true,
            arg => return Err(usage::unexpected(&arg, &["--json", "--help"])),
        }
    }
    Ok(Some(json))
}

/// Why it could not be found out who leads, with what the newest revision says where that is known.
fn failure(gist: &Gist, error: &LockError) -> String {
    let newest = gist.looker().newest().and_then(|stored| stored.record());
    match (error, newest) {
        (LockError::Unfinished(_), Some(newest)) => format!(
            "{error}, after {} requests. The newest one names {:?} (token {}), but whether it is in \
             effect is not known; move the lock to a gist of its own with elector init --from",
            gist.requests(),
            one_line(&newest.record.holder_identity),
            newest.record.leader_transitions,
        ),
        _ => error.to_string(),
    }
}

/// All that is shown.
struct View {
    standing: Standing,
    revision: String,
    written_at: Option<i64>,
    date: Option<i64>,
    rate: Option<RateLimit>,
    gist: String,
    file: String,
    api: String,
    place: String,
    own_lease: Duration,
}

impl View {
    fn new(gist: &Gist, settings: &Settings, looked: &Looked) -> View {
        let target = gist.client().target();
        View {
            standing: Standing::of(looked),
            revision: looked.effect.commit.revision.to_string(),
            written_at: looked.effect.commit.committed_at,
            date: looked.date,
            rate: gist.client().rate_limit(),
            gist: target.gist.to_string(),
            file: looked.file.clone(),
            api: target.api.to_string(),
            place: gist.describe(),
            own_lease: settings.election.lease_duration,
        }
    }

    /// For people: a name and a value on each line.
    fn text(&self) -> String {
        let standing = &self.standing;
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<8} {value}");
        };
        line("leader", &standing.clause());
        if let Some(token) = standing.token {
            line("token", &token.to_string());
        }
        if let (Some(lease), false) = (standing.lease, standing.holder.is_empty()) {
            line("lease", &self.lease(lease));
        }
        if !standing.since.is_empty() && !standing.leader().is_empty() {
            let since = one_line(&standing.since);
            line("since", &format!("{since}, by the leader's own clock"));
        }
        if let Some(wait) = standing.waits(self.own_lease) {
            let wait = span(wait);
            line(
                "next",
                &format!("candidates that were there wait for {wait} more"),
            );
        }
        line("record", &self.place);
        if let Some(rate) = &self.rate {
            line("limit", &gist::limit_text(rate));
        }
        text
    }

    fn lease(&self, lease: Duration) -> String {
        let (lease, ago) = (span(lease), self.standing.ago());
        match self.standing.left() {
            Some(left) => format!(
                "{lease}, renewed {ago}, runs out in {} unless it is renewed",
                span(left)
            ),
            None => format!("{lease}, written {ago}"),
        }
    }

    /// For scripts: on one line.
    fn json(&self) -> String {
        let standing = &self.standing;
        let json = Json {
            leader: standing.leader(),
            state: standing.state.name(),
            holder: &standing.holder,
            token: standing.token,
            renewed_seconds_ago: standing.age.map(|age| age.as_secs()),
            lease_seconds: standing.lease.map(|lease| lease.as_secs()),
            expires_in_seconds: standing.left().map(|left| left.as_secs()),
            leading_since: match standing.leader() {
                "" => "",
                _ => &standing.since,
            },
            renewed_at: self.written_at.and_then(fmt::utc),
            now: self.date.and_then(fmt::utc),
            revision: &self.revision,
            gist: &self.gist,
            file: &self.file,
            api: &self.api,
            limit: self.rate.as_ref().map(|rate| JsonLimit {
                limit: rate.limit,
                remaining: rate.remaining,
                resets_in_seconds: gist::resets_in(rate).map(|time| time.as_secs()),
            }),
        };
        // Texts and numbers cannot fail to be written.
        let mut text = serde_json::to_string(&json).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Json<'a> {
    leader: &'a str,
    state: &'a str,
    holder: &'a str,
    token: Option<u64>,
    renewed_seconds_ago: Option<u64>,
    lease_seconds: Option<u64>,
    expires_in_seconds: Option<u64>,
    leading_since: &'a str,
    renewed_at: Option<String>,
    now: Option<String>,
    revision: &'a str,
    gist: &'a str,
    file: &'a str,
    api: &'a str,
    limit: Option<JsonLimit>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonLimit {
    limit: u64,
    remaining: u64,
    resets_in_seconds: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::super::standing::tests::{looked, ours};
    use super::*;

    fn view(text: &str, age: i64) -> View {
        let looked = looked(text, age);
        View {
            standing: Standing::of(&looked),
            revision: looked.effect.commit.revision.to_string(),
            written_at: looked.effect.commit.committed_at,
            date: looked.date,
            rate: Some(RateLimit {
                limit: 5_000,
                remaining: 4_893,
                reset: 1_588_010_945,
                date: looked.date,
            }),
            gist: "aa5a".to_owned(),
            file: looked.file,
            api: "https://api.github.com".to_owned(),
            place: "file \"leader.json\" of gist aa5a at https://api.github.com".to_owned(),
            own_lease: Duration::from_secs(30),
        }
    }

    #[test]
    fn a_leader_is_shown_with_its_lease_running_down() {
        assert_eq!(
            view(&ours("napoleon", ""), 4).text(),
            "\
leader   napoleon
token    3
lease    30s, renewed 4s ago, runs out in 26s unless it is renewed
since    2020-04-27T17:00:00Z, by the leader's own clock
record   file \"leader.json\" of gist aa5a at https://api.github.com
limit    4,893 of 5,000 requests left, all again in 44m 59s
"
        );
    }

    #[test]
    fn nobody_is_shown_with_the_reason_and_how_long_candidates_wait() {
        assert_eq!(
            view(r#"{"holderIdentity":"","leaderTransitions":3}"#, 12).text(),
            "\
leader   nobody: the holder was cleared 12s ago, past the elections (elector depose, or by hand)
token    3
next     candidates that were there wait for 18s more
record   file \"leader.json\" of gist aa5a at https://api.github.com
limit    4,893 of 5,000 requests left, all again in 44m 59s
"
        );
    }

    #[test]
    fn the_keys_for_scripts_are_those_of_the_help() {
        let json = view(&ours("napoleon", ""), 4).json();
        assert_eq!(json.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        for key in &keys {
            assert!(DETAILS.contains(key.as_str()), "{key}");
        }
        assert_eq!(keys.len(), 15);
        assert_eq!(json["leader"], "napoleon");
        assert_eq!(json["expiresInSeconds"], 26);
        assert_eq!(json["renewedAt"], "2020-04-27T17:24:02Z");
        assert_eq!(json["limit"]["resetsInSeconds"], 2_699);
    }

    #[test]
    fn a_script_that_asks_for_the_leader_gets_none_where_nobody_leads() {
        let json = view(&ours("napoleon", ""), 60).json();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["leader"], "");
        assert_eq!(json["holder"], "napoleon");
        assert_eq!(json["state"], "runOut");
        assert_eq!(json["expiresInSeconds"], serde_json::Value::Null);
    }

    #[test]
    fn every_state_stands_in_the_help() {
        for state in [
            State::Alive,
            State::RunOut,
            State::Released,
            State::Overwritten,
            State::Prepared,
            State::Spoilt,
            State::Gone,
            State::Absent,
            State::Foreign,
            State::NewerProtocol,
            State::Moved,
            State::Undated,
        ] {
            assert!(DETAILS.contains(state.name()), "{}", state.name());
        }
    }
}
