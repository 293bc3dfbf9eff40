//! `elector status`: shows who leads, by one read of the record.

#[expect(clippy::disallowed_methods, reason = "waits between two reads")]
mod watch;

use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;

use super::command::{
    Arguments, Command, CommandError, CommandOption, CommandResult, Operands, print,
};
use super::settings::Settings;
use crate::election::lock::LockError;
use crate::election::record::LeaderElectionRecord;
use crate::fmt::{one_line, span, utc, wrapped};
use crate::lock::admin::Admin;
use crate::lock::inspection::{InspectedRecord, LeaseState};
use crate::lock::stats::{StoreStats, expiration};

/// The command.
pub const COMMAND: Command = Command {
    name: "status",
    summary: "show who leads, and when the lease was renewed",
    details: "\
Reads the record once, usually with one request, and writes nothing. It needs only
the settings that lead to the lock. All ages are by the store's clock.",
    options: &[
        CommandOption::flag(JSON, "print a JSON object on one line, for scripts"),
        CommandOption::flag(
            WATCH,
            "read again every RETRY_PERIOD, and print a line for\neach change, until it is stopped",
        ),
    ],
    operands: Operands::None,
    notes: "\
The JSON object holds:
  holder                 the leader; \"\" for nobody, null if unknown
  state                  held, expired, released, foreignWrite, checkpoint,
                         corrupt, deleted, neverWritten, notARecord,
                         newerProtocol, undated
  record                 the record, or null if there is none
  fencingToken           the fencing token, or null
  renewedSecondsAgo      time since the record was written, or null
  leaseSeconds           duration of its lease, or null
  secondsLeft            time until it expires, or null if it is not held
  paused                 whether the election is paused or moved
  request                what operators ask of the election, or null
  since                  start of the term by the leader's own clock, or null
  renewedAt, time        time of the write, and of the answer
  recordVersion          version of the record in the store
  lock                   where the record is kept
  rateLimit              {limit, remaining, resetsAt}, or null
  accessTokenExpiresAt   expiration of the access token, or null if not reported
With --watch, a failed read is an object with time and error.

Exit codes: 0 shown, also if nobody leads; 1 could not find out; 2 wrong usage or
settings.",
    run,
};

const JSON: &str = "--json";
const WATCH: &str = "--watch";

fn run(args: &Arguments) -> CommandResult {
    let settings = Settings::from_environment(false)?;
    if args.has(WATCH) {
        return watch::run(&settings, args.has(JSON));
    }
    let mut admin = settings.lock.backend().admin(&settings.election)?;
    let status = LockStatus::read(&mut *admin, settings.election.lease_duration)?;
    print(&match args.has(JSON) {
        true => status.json(),
        false => status.text(),
    })?;
    match status.record.state() {
        LeaseState::Undated => Err(CommandError::failed(
            "the answers have no date, so it is unknown whether the lease is held; check any proxy \
             on the way",
        )),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Status of a lock.
#[derive(Clone, Debug)]
pub struct LockStatus {
    /// Effective record.
    pub record: InspectedRecord,
    stats: StoreStats,
    lock: String,
    own_lease: Duration,
}

impl LockStatus {
    /// Reads the status. Candidates with the lease setting `own_lease` are assumed.
    ///
    /// # Errors
    /// Those of [`Admin::inspect`].
    pub fn read(admin: &mut dyn Admin, own_lease: Duration) -> Result<LockStatus, LockError> {
        Ok(LockStatus {
            record: admin.inspect()?,
            stats: admin.stats(),
            lock: admin.describe(),
            own_lease,
        })
    }

    /// Returns the status for display: one name and value per line.
    #[must_use]
    pub fn text(&self) -> String {
        let record = &self.record;
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", wrapped(&format!("{name:<13}  "), value));
        };
        line("leader", &record.summary());
        if let Some(token) = record.fencing_token {
            line("fencing token", &token.to_string());
        }
        if let (Some(lease), false) = (record.lease_duration(), record.content.holder().is_empty())
        {
            let (lease, ago) = (span(lease), record.ago());
            let lease = match record.expires_in() {
                Some(left) => format!(
                    "{lease}, renewed {ago}, expires in {} unless renewed",
                    span(left)
                ),
                None => format!("{lease}, written {ago}"),
            };
            line("lease", &lease);
        }
        let since = self.leading_since();
        if !since.is_empty() {
            let since = format!("{}, by the leader's own clock", one_line(since));
            line("since", &since);
        }
        if let Some(request) = self.request() {
            line("request", &request);
        }
        if let Some(wait) = record.foreign_wait(self.own_lease) {
            let wait = format!("running candidates wait {} more", span(wait));
            line("next", &wait);
        }
        line("record", &self.lock);
        if let Some(rate) = &self.stats.rate_limit {
            line("rate limit", &rate.summary(record.read_at));
        }
        if let Some(expires_at) = self.stats.access_token_expires_at {
            line("access token", &expiration(expires_at, record.read_at));
        }
        text
    }

    /// Returns the status for scripts: a JSON object on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let record = &self.record;
        let rate_limit = self.stats.rate_limit.map(|rate| {
            json!({
                "limit": rate.limit,
                "remaining": rate.remaining,
                "resetsAt": utc(rate.resets_at),
            })
        });
        let all = json!({
            "holder": self.holder(),
            "state": record.state(),
            "record": record.record(),
            "fencingToken": record.fencing_token,
            "renewedSecondsAgo": record.age().map(|age| age.as_secs()),
            "leaseSeconds": record.lease_duration().map(|lease| lease.as_secs()),
            "secondsLeft": record.expires_in().map(|left| left.as_secs()),
            "request": self.request(),
            "paused": record.record().is_some_and(LeaderElectionRecord::is_paused),
            "since": Some(self.leading_since()).filter(|since| !since.is_empty()),
            "renewedAt": record.written_at.and_then(utc),
            "time": record.read_at.and_then(utc),
            "recordVersion": record.version,
            "lock": self.lock,
            "rateLimit": rate_limit,
            "accessTokenExpiresAt": self.stats.access_token_expires_at.and_then(utc),
        });
        format!("{all}\n")
    }

    /// Returns the leader; empty for nobody, `None` if the record does not show it.
    fn holder(&self) -> Option<&str> {
        match self.record.state() {
            LeaseState::Undated | LeaseState::NewerProtocol => None,
            LeaseState::ForeignWrite if !self.record.content.holder().is_empty() => None,
            _ => Some(self.record.leader()),
        }
    }

    /// Returns what operators or preferred candidates ask of the election, in one clause.
    fn request(&self) -> Option<String> {
        Some(one_line(&self.record.record()?.request()?))
    }

    fn leading_since(&self) -> &str {
        match (self.record.leader(), self.record.record()) {
            ("", _) | (_, None) => "",
            (_, Some(record)) => &record.acquire_time,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fmt::COLUMNS;
    use crate::lock::inspection::tests::{foreign, inspected};
    use crate::lock::stats::RateLimit;

    fn status(record: InspectedRecord) -> LockStatus {
        LockStatus {
            record,
            stats: StoreStats {
                rate_limit: Some(RateLimit {
                    limit: 5_000,
                    remaining: 4_893,
                    resets_at: 1_588_010_945,
                }),
                access_token_expires_at: Some(1_590_600_246),
                ..StoreStats::default()
            },
            lock: "memory \"a\"".to_owned(),
            own_lease: Duration::from_secs(30),
        }
    }

    #[test]
    fn leader_is_shown_with_its_lease() {
        assert_eq!(
            status(inspected("napoleon", 4)).text(),
            "\
leader         napoleon
fencing token  3
lease          30s, renewed 4s ago, expires in 26s unless renewed
since          2020-04-27T17:00:00Z, by the leader's own clock
record         memory \"a\"
rate limit     4,893 of 5,000 requests left, all again in 44m 59s
access token   expires in 30d, on 2020-05-27T17:24:06Z
"
        );
    }

    #[test]
    fn foreign_write_is_shown_with_wait() {
        assert_eq!(
            status(foreign("", 12)).text(),
            "\
leader         nobody: a foreign write cleared the holder 12s ago (elector
               depose, or by hand)
fencing token  3
next           running candidates wait 18s more
record         memory \"a\"
rate limit     4,893 of 5,000 requests left, all again in 44m 59s
access token   expires in 30d, on 2020-05-27T17:24:06Z
"
        );
    }

    #[test]
    fn text_fits_80_columns() {
        let mut status = status(foreign("napoleon, from a cluster with a long name", 12));
        status.lock = "file \"leader.json\" of gist 1fa0cfa3f1f0d1a4c7e7a5b2e0d3c9f8 at \
                       https://github.example.com/api/v3"
            .to_owned();
        for line in status.text().lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }

    #[test]
    fn json_keys_are_in_help() {
        let json = status(inspected("napoleon", 4)).json();
        assert_eq!(json.lines().count(), 1);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        for key in &keys {
            assert!(COMMAND.notes.contains(key.as_str()), "{key}");
        }
        assert_eq!(keys.len(), 16);
        assert_eq!(json["holder"], "napoleon");
        assert_eq!(json["secondsLeft"], 26);
        assert_eq!(json["renewedAt"], "2020-04-27T17:24:02Z");
        assert_eq!(json["rateLimit"]["resetsAt"], "2020-04-27T18:09:05Z");
        assert_eq!(json["accessTokenExpiresAt"], "2020-05-27T17:24:06Z");
    }

    #[test]
    fn expired_lease_has_no_leader() {
        let json = status(inspected("napoleon", 60)).json();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["holder"], "");
        assert_eq!(json["record"]["holderIdentity"], "napoleon");
        assert_eq!(json["state"], "expired");
        assert_eq!(json["secondsLeft"], serde_json::Value::Null);
    }

    #[test]
    fn every_state_is_in_help() {
        for state in [
            LeaseState::Held,
            LeaseState::Expired,
            LeaseState::Released,
            LeaseState::ForeignWrite,
            LeaseState::Checkpoint,
            LeaseState::Corrupt,
            LeaseState::Deleted,
            LeaseState::NeverWritten,
            LeaseState::NotARecord,
            LeaseState::NewerProtocol,
            LeaseState::Undated,
        ] {
            let name = json!(state);
            let name = name.as_str().unwrap();
            assert!(COMMAND.notes.contains(name), "{name}");
        }
    }
}
