//! `elector doctor`: whether an election can work with these settings, and what to do where not. It
//! writes nothing.
//!
//! This file gathers what is to be known, in the order in which one thing depends on another. What it
//! means stands in `checks.rs` and `limits.rs`, how it is told in `report.rs`; these are pure.

mod checks;
mod limits;
mod report;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use self::report::{Finding, Report, fail, ok, skipped, warn};
use super::gist::{self, Gist};
use super::help;
use super::settings::Settings;
use super::standing::Standing;
use super::usage::{self, UsageError};
use crate::election::config::LeaderElectionConfig;
use crate::election::lock::LockError;
use crate::fmt;
use crate::lock::gist::client::ClientError;
use crate::lock::gist::look::Looked;
use crate::net::{AccessTokenSource, SetupError};

/// What is to be known of it, for the help.
pub(super) const DETAILS: &str = "\
Checks, with a handful of requests and without writing anything: the settings, the
token and what it may do, the gist and the file, the record, how long the history
has become, the limits against the settings, and this machine's clock. Each line is
`ok`, `warn` (it works, but should be known or changed) or `FAIL` (there can be no
election until it is mended), and says what to do. Run it where the elector runs,
with the same settings.

Exit codes: 0 no FAIL; 1 at least one; 2 wrong usage or settings.";

const NAME: &str = "doctor";

/// How many entries a page of the history has at the most.
const PAGE: usize = 100;

/// What the few requests of a takeover take, about.
const REQUESTS: Duration = Duration::from_millis(500);

/// Runs it; `args` is what follows the subcommand's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match parse(args) {
        Ok(true) => {}
        Ok(false) => return gist::print(NAME, &help::text(help::topic(NAME)), ExitCode::SUCCESS),
        Err(error) => return usage::refuse(NAME, &error),
    }
    let settings = match gist::settings(NAME) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let report = examine(&settings);
    let code = match report.is_well() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    gist::print(NAME, &report.to_string(), code)
}

/// Whether to run; false is a wish for help.
fn parse(args: impl IntoIterator<Item = OsString>) -> Result<bool, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    match parser.next()? {
        None => Ok(true),
        Some(Short('h') | Long("help")) => Ok(false),
        Some(arg) => Err(usage::unexpected(&arg, &["--help"])),
    }
}

fn examine(settings: &Settings) -> Report {
    let mut findings = vec![times(&settings.election, settings.gist.confirm_delay)];
    let warnings = settings.warnings().iter();
    findings.extend(warnings.map(|warning| warn("settings", warning.as_str())));
    match Gist::open(settings) {
        Ok(gist) => findings.extend(Examination::make(gist, settings)),
        Err(error) => {
            let at_fault = file_at_fault(&error);
            findings.push(fail(at_fault, error.to_string()));
            let others = ALL.into_iter().filter(|check| *check != at_fault);
            findings.extend(others.map(skipped));
        }
    }
    Report(findings)
}

/// All that needs the gist service.
const ALL: [&str; 9] = [
    "connection",
    "token",
    "rights",
    "gist",
    "file",
    "record",
    "history",
    "limit",
    "clock",
];

/// Which check an unusable file or variable belongs to.
fn file_at_fault(error: &ClientError) -> &'static str {
    match error {
        ClientError::AccessToken(_) => "token",
        ClientError::Setup(SetupError::Roots(_)) => "tls",
        ClientError::Setup(SetupError::Proxy(_)) => "proxy",
        _ => "settings",
    }
}

/// The times, and what they make of a takeover.
fn times(election: &LeaderElectionConfig, confirm_delay: Duration) -> Finding {
    let polite = election.poll_period + election.takeover_stagger + confirm_delay;
    let crash = election.lease_duration + polite;
    ok(
        "settings",
        format!(
            "LEASE_DURATION={:?}, CONFIRM_DELAY={:?}: another one leads within about {} of a crash, {} of \
             a polite stop",
            election.lease_duration,
            confirm_delay,
            fmt::span(fmt::round_up(crash + REQUESTS)),
            fmt::span(fmt::round_up(polite + REQUESTS)),
        ),
    )
}

/// What the gist service was asked, and what came of it.
struct Examination<'a> {
    gist: Gist,
    settings: &'a Settings,
    looked: Result<Looked, LockError>,
    /// How many requests the look took, as a candidate's first one would.
    start: u32,
    findings: Vec<Finding>,
}

impl<'a> Examination<'a> {
    fn make(mut gist: Gist, settings: &'a Settings) -> Vec<Finding> {
        let looked = gist.look();
        let mut examination = Examination {
            start: gist.requests(),
            gist,
            settings,
            looked,
            findings: Vec::new(),
        };
        examination.check_connection();
        examination.check_token();
        examination.check_gist();
        examination.check_limits();
        examination.findings
    }

    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn skip(&mut self, checks: &[&'static str]) {
        self.findings.extend(checks.iter().copied().map(skipped));
    }

    /// The error of the look, if it is one of these.
    fn error(&self, of: impl Fn(&LockError) -> bool) -> Option<String> {
        let error = self.looked.as_ref().err();
        error.filter(|error| of(error)).map(LockError::to_string)
    }

    fn answered(&self, status: impl Fn(u16) -> bool) -> bool {
        let stats = self.gist.stats();
        let mut answers = stats.answers.keys();
        answers.any(|(_, answered)| status(*answered))
    }

    fn check_connection(&mut self) {
        let unavailable = self.error(|error| matches!(error, LockError::Unavailable(_)));
        if let Some(error) = unavailable {
            return self.add(fail("connection", error));
        }
        let api = &self.settings.gist.api_url;
        let way = match self.gist.client().proxy() {
            Some(proxy) => format!("through the proxy {proxy}"),
            None => "without a proxy".to_owned(),
        };
        self.add(ok("connection", format!("{api} answers, {way}")));
    }

    fn check_token(&mut self) {
        let kind = self.gist.client().access_token_kind();
        let source = source(&self.settings.gist.access_token);
        let refused = self.error(|error| matches!(error, LockError::Unauthorized(_)));
        let form = checks::token(kind, &source);
        // 401 says that the token is none, other refusals that it is not enough.
        let unknown = self.answered(|status| status == 401);
        match (&refused, checks::stops(&form)) {
            (_, true) => {
                self.add(form);
                return self.skip(&["rights"]);
            }
            (Some(error), false) if unknown => {
                self.add(fail("token", error.as_str()));
                return self.skip(&["rights"]);
            }
            (None, false) if !self.answered(|status| status < 500 && status != 401) => {
                return self.skip(&["token", "rights"]);
            }
            _ => self.add(form),
        }
        let rights = match refused {
            Some(error) => fail("rights", error),
            None => checks::rights(kind, self.gist.client().scopes()),
        };
        self.add(rights);
    }

    fn check_gist(&mut self) {
        if let Some(error) = self.error(|error| matches!(error, LockError::NotFound(_))) {
            self.add(fail("gist", error));
            return self.skip(&["file", "record", "history"]);
        }
        let refused = self.error(|error| matches!(error, LockError::Refused(_)));
        if refused.is_none() && self.gist.looker().newest().is_none() {
            return self.skip(&["gist", "file", "record", "history"]);
        }
        self.add(checks::gist(self.gist.looker().about()));
        if let Some(error) = refused {
            self.add(fail("file", error));
            return self.skip(&["record", "history"]);
        }
        self.check_file();
    }

    fn check_file(&mut self) {
        let looker = self.gist.looker();
        let name = looker.file().unwrap_or_default();
        let named = self.settings.gist.file.is_some();
        let file = checks::file(name, named, looker.files(), looker.newest());
        self.add(file);
        match &self.looked {
            Err(LockError::Unfinished(error)) => {
                let why = format!(
                    "{error}, after {} requests: elector init --from moves the lock to a new gist",
                    self.start
                );
                self.skip(&["record"]);
                self.add(fail("history", why));
            }
            Err(_) => self.skip(&["record", "history"]),
            Ok(looked) => {
                let whole = looked.effect.settled;
                let record = checks::record(&Standing::of(looked));
                self.add(record);
                let gist = &mut self.gist;
                let length = checks::length(|page| Ok(gist.commits(page, PAGE)?.len()));
                let length = length.map_err(|_: LockError| ()).ok();
                self.add(checks::history(self.start, whole, length));
            }
        }
    }

    fn check_limits(&mut self) {
        let election = &self.settings.election;
        let github = self.settings.gist.api_url.is_github_com();
        let rate = self.gist.client().rate_limit();
        let mut found = vec![
            limits::writes(election, github),
            limits::requests(election, rate.as_ref(), github),
            limits::polls(election, github),
        ];
        let throttled = self.error(|error| matches!(error, LockError::RateLimited { .. }));
        let answered = self.answered(|_| true);
        found.push(match throttled {
            Some(error) => fail("limit", error),
            None if answered => limits::remaining(rate.as_ref()),
            None => skipped("limit"),
        });
        found.push(match answered {
            true => checks::clock(self.gist.clocks()),
            false => skipped("clock"),
        });
        self.findings.append(&mut found);
    }
}

/// Where the token comes from, for people.
fn source(token: &AccessTokenSource) -> String {
    match token {
        AccessTokenSource::Value(_) => "GITHUB_API_TOKEN".to_owned(),
        AccessTokenSource::File(path) => format!("{path:?} (GITHUB_API_TOKEN_FILE)"),
    }
}
