//! `elector doctor`: checks whether an election can work with the settings, and says what to fix. Only with
//! `--race` it writes.
//!
//! The kind of lock contributes the checks of its store; this file adds those of the times and of the
//! record, and prints them all.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use super::command::{Arguments, Command, CommandOption, CommandResult, Operands, print};
use super::local_endpoint::{addresses, local_status};
use super::settings::Settings;
use crate::election::annotation::MOVED_TO;
use crate::election::config::LeaderElectionConfig;
use crate::fmt::{one_line, round_up, span};
use crate::lock::admin::{Finding, Level};
use crate::lock::backend::{Backend, OpenError};
use crate::lock::inspection::{InspectedRecord, LeaseState};
use crate::runtime::logging::filter_warning;
use crate::system::clock::BootClock;
use crate::workload::restart::Taken;
use crate::workload::state_file::{StateError, StatePath, check_directory};

/// The command.
pub const COMMAND: Command = Command {
    name: "doctor",
    summary: "check access, record, limits and clock, and say what to fix",
    details: "\
Checks with a few requests and without writing: the settings, the access to the
store, the place of the record, the record, the store's limits against the settings,
and this machine's clock. Each finding is `ok`, `warn` (an election works, but something
should be known or changed) or `FAIL` (no election can work until it is fixed), and
says what to do. Run it where the elector runs, with the same settings.",
    options: &[CommandOption::flag(
        RACE,
        "also let eight writers race in a scratch place of the\nstore, which shows whether it refuses stale writes;\nwrites there, and nowhere else",
    )],
    operands: Operands::None,
    notes: "Exit codes: 0 no FAIL; 1 at least one; 2 wrong usage or settings.",
    run,
};

const RACE: &str = "--race";

/// Approximate time of the requests of a takeover.
const REQUESTS: Duration = Duration::from_millis(500);

fn run(args: &Arguments) -> CommandResult {
    let settings = Settings::from_environment(false)?;
    let mut report = examine(settings.lock.backend(), &settings.election);
    if args.has(RACE) && report.is_healthy() {
        let mut admin = settings.lock.backend().admin(&settings.election)?;
        report.0.push(admin.race());
    }
    let warnings = settings.warnings().iter().cloned();
    let warnings = warnings.chain(filter_warning(&settings.log_filter));
    let warnings = warnings.map(|text| Finding::warn("settings", text));
    report.0.splice(1..1, warnings);
    report.0.extend(restart(&settings));
    report.0.extend(same_name(&settings));
    print(&report.to_string())?;
    Ok(match report.is_healthy() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Runs all checks of a lock and its times.
#[must_use]
pub fn examine(backend: &dyn Backend, election: &LeaderElectionConfig) -> Report {
    let mut findings = vec![times(election, backend.confirm_delay())];
    match backend.admin(election) {
        Ok(mut admin) => {
            let checks = admin.check();
            let differs = checks.record.as_ref();
            findings.extend(differs.and_then(|record| lease_differs(record, election)));
            findings.extend(checks.findings);
            findings.push(match &checks.record {
                Some(record) => record_finding(record),
                None => Finding::skipped("record"),
            });
        }
        Err(error) => {
            let check = match error {
                OpenError::Settings { check, .. } => check,
                _ => "system",
            };
            findings.push(Finding::fail(check, error.to_string()));
            let others = backend.checks().iter().chain(&["record"]);
            let others = others.filter(|other| **other != check);
            findings.extend(others.map(|check| Finding::skipped(check)));
        }
    }
    Report(findings)
}

/// Returns the times and the takeover times that follow from them.
fn times(election: &LeaderElectionConfig, confirm_delay: Option<Duration>) -> Finding {
    let delay = confirm_delay.unwrap_or_default();
    let graceful = election.poll_period + election.takeover_stagger + delay;
    let crash = election.lease_duration + graceful;
    let confirm_delay = match confirm_delay {
        Some(delay) => format!(", CONFIRM_DELAY={delay:?}"),
        None => String::new(),
    };
    Finding::ok(
        "settings",
        format!(
            "LEASE_DURATION={:?}{confirm_delay}: a standby leads within about {} of a crash, {} of a \
             graceful shutdown",
            election.lease_duration,
            span(round_up(crash + REQUESTS)),
            span(round_up(graceful + REQUESTS)),
        ),
    )
}

/// Returns a warning if the holder of the lease uses another lease duration than the setting.
fn lease_differs(record: &InspectedRecord, election: &LeaderElectionConfig) -> Option<Finding> {
    let theirs = record.record()?;
    let differs = theirs.lease_duration_seconds != election.lease_duration_seconds();
    let held = !theirs.holder_identity.is_empty() && record.refusal.is_none();
    (held && differs).then(|| {
        Finding::warn(
            "settings",
            format!(
                "LEASE_DURATION: {:?} differs from the record of {}, whose lease is {}s; set the same for \
                 all candidates",
                election.lease_duration,
                record.shown_holder(),
                theirs.lease_duration_seconds
            ),
        )
    })
}

/// Says whether a restarted elector of this candidate would resume, if `STATE_DIR` is set.
fn restart(settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "restart";
    let directory = settings.state_dir.as_ref()?;
    let file_system = match check_directory(directory) {
        Ok(file_system) => file_system,
        Err(why) => return Some(Finding::warn(CHECK, why)),
    };
    let opened = settings.lock.backend().open(&settings.election).ok()?;
    let path = StatePath::new(
        directory,
        &opened.lock.describe(),
        &settings.election.identity,
    );
    let file = match path.take(false) {
        Ok(file) => file,
        Err(StateError::Held { .. }) => {
            return Some(Finding::ok(
                CHECK,
                format!(
                    "an elector holds the state file on {file_system}; after a crash it may resume"
                ),
            ));
        }
        Err(StateError::Missing) => {
            return Some(Finding::ok(
                CHECK,
                format!("{directory:?} is on {file_system}, and holds no state file yet"),
            ));
        }
        Err(StateError::Unusable(why)) => return Some(Finding::warn(CHECK, why)),
    };
    let taken = Taken {
        at: BootClock::now(),
        at_first_try: true,
        lease: settings.election.lease_duration,
    };
    Some(match file.judge(taken) {
        Ok(_) => Finding::ok(
            CHECK,
            format!("the state file on {file_system} lets the next elector resume"),
        ),
        Err(why) => Finding::warn(
            CHECK,
            format!(
                "{:?}: {why}, so the next elector waits for the lease",
                path.path
            ),
        ),
    })
}

/// Asks the elector that runs with these settings on this machine, if there is one, whether another process
/// runs under its name. Returns a warning if so.
fn same_name(settings: &Settings) -> Option<Finding> {
    let addr = settings.http_addr.as_ref()?.to_string();
    let addresses = addresses(Some(&addr)).ok()?;
    let status = addresses
        .into_iter()
        .find_map(|address| local_status(address).ok())?;
    let identity = settings.election.identity.as_str();
    let ago = status.get("sameNameSecondsAgo")?.as_f64()?;
    (status.get("identity")?.as_str()? == identity).then(|| {
        Finding::warn(
            "name",
            format!(
                "another process wrote under the name {} {} ago; give each candidate another LEADER_NAME",
                one_line(identity),
                span(Duration::from_secs_f64(ago.clamp(0.0, 3600.0)))
            ),
        )
    })
}

/// Judges the effective record.
fn record_finding(record: &InspectedRecord) -> Finding {
    let current = record.record().filter(|_| record.refusal.is_none());
    if let Some((current, pause)) = current.and_then(|current| Some((current, current.pause()?))) {
        let next = match current.annotation(MOVED_TO) {
            Some(_) => "set LOCK to its new place",
            None => "nobody leads until elector resume",
        };
        return Finding::warn("record", format!("election {}; {next}", one_line(&pause)));
    }
    let summary = record.summary();
    let token = match record.fencing_token {
        Some(token) => format!(", fencing token {token}"),
        None => String::new(),
    };
    match record.state() {
        LeaseState::Held => Finding::ok(
            "record",
            format!("{summary} leads{token}, renewed {}", record.ago()),
        ),
        LeaseState::Expired
        | LeaseState::Released
        | LeaseState::Checkpoint
        | LeaseState::NeverWritten => Finding::ok("record", format!("{summary}{token}")),
        LeaseState::ForeignWrite | LeaseState::Corrupt | LeaseState::Deleted => Finding::warn(
            "record",
            format!("{summary}{token}; candidates wait a lease and then replace it"),
        ),
        LeaseState::Undated => Finding::warn(
            "record",
            format!("{summary}{token}; check any proxy on the way"),
        ),
        LeaseState::NotARecord => Finding::fail(
            "record",
            format!("{summary}; use another place, or create one with elector init"),
        ),
        LeaseState::NewerProtocol => {
            Finding::fail("record", format!("{summary}; upgrade this elector"))
        }
    }
}

/// Findings in the order of the checks, displayed as one line for each and a summary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Finding>);

impl Report {
    /// Returns whether an election can work.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.count(Level::Fail) == 0
    }

    fn count(&self, level: Level) -> usize {
        self.0.iter().filter(|found| found.level == level).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            writeln!(f, "{finding}")?;
        }
        let failed = self.count(Level::Fail);
        let warnings = match self.count(Level::Warn) {
            1 => "1 warning".to_owned(),
            number => format!("{number} warnings"),
        };
        match (failed, self.count(Level::Warn)) {
            (0, 0) => writeln!(f, "\nEverything is ok."),
            (0, _) => writeln!(f, "\nElections work; {warnings}."),
            (_, 0) => writeln!(f, "\n{failed} failed."),
            _ => writeln!(f, "\n{failed} failed, {warnings}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::lock::Content;
    use crate::fmt::COLUMNS;
    use crate::lock::inspection::Refusal;
    use crate::lock::inspection::tests::{NEWER, content, foreign, inspected, refused};

    #[test]
    fn only_failures_make_report_unhealthy() {
        let healthy = Report(vec![
            Finding::ok("a", "fine"),
            Finding::warn("b", "odd; do this"),
        ]);
        assert!(healthy.is_healthy());
        assert_eq!(
            healthy.to_string(),
            "\
ok    a            fine
warn  b            odd; do this

Elections work; 1 warning.
"
        );
        let unhealthy = Report(vec![
            Finding::fail("a", "bad"),
            Finding::fail("b", "bad"),
            Finding::skipped("c"),
        ]);
        assert!(!unhealthy.is_healthy());
        assert_eq!(
            unhealthy.to_string(),
            "\
FAIL  a            bad
FAIL  b            bad
-     c            not checked, because of what failed

2 failed.
"
        );
    }

    #[test]
    fn report_fits_80_columns() {
        let mut election = LeaderElectionConfig::new("a");
        election.lease_duration = Duration::from_millis(1_234_567);
        let report = Report(vec![
            times(&election, Some(Duration::from_millis(1_234))),
            record_finding(&refused(Refusal::NotARecord)),
            record_finding(&foreign(
                "a candidate with a rather long name of several words",
                4,
            )),
        ])
        .to_string();
        assert!(report.lines().count() > 6, "{report}");
        for line in report.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
            assert!(
                line.len() < 18 || line[16..].starts_with("  ") || line.ends_with('.'),
                "{line}"
            );
        }
    }

    #[test]
    fn refused_record_fails_and_foreign_warns() {
        for (record, level) in [
            (inspected("napoleon", 4), Level::Ok),
            (inspected("", 4), Level::Ok),
            (refused(NEWER), Level::Fail),
            (foreign("me", 4), Level::Warn),
            (content(Content::Corrupt("x".into())), Level::Warn),
            (content(Content::NeverWritten), Level::Ok),
            (refused(Refusal::NotARecord), Level::Fail),
        ] {
            let found = record_finding(&record);
            assert_eq!(found.level, level, "{}", found.text);
        }
        let found = record_finding(&inspected("napoleon", 4));
        assert_eq!(
            found.text,
            "napoleon leads, fencing token 3, renewed 4s ago"
        );
    }
}
