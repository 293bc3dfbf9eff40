//! The log filter, in the syntax of `RUST_LOG`: `warn`, or `info,ureq=debug`.

use env_filter::{Builder, Filter};
use log::LevelFilter;

use super::line::OWN_TARGET;
use crate::lock::settings::shown;

/// Targets of which only warnings are logged, unless the filter names them. Why: at debug, ureq logs
/// ten lines per request. A prefix counts (`ureq_proto`).
const CHATTY_TARGETS: &[&str] = &["rustls", "ureq"];

/// Parses a filter; an empty one means `info`. Also returns a warning if the text is probably a mistake.
///
/// If a part of the text means nothing, `info` replaces the whole text. If the text has no level for
/// elector, `info` is added.
pub(super) fn parse(text: &str) -> (Filter, Option<String>) {
    let info = || {
        let mut builder = Builder::new();
        for target in CHATTY_TARGETS {
            builder.filter_module(target, LevelFilter::Warn);
        }
        builder.filter_level(LevelFilter::Info);
        builder
    };
    if text.trim().is_empty() {
        return (info().build(), None);
    }
    let mut parsed = info();
    let problem = match (unknown(text), parsed.try_parse(text)) {
        (Some(unknown), _) => unknown,
        (None, Err(_)) => format!("{} is not a log filter", shown(text)),
        (None, Ok(_)) => {
            let names_own = directives(text).any(|(target, _)| OWN_TARGET.starts_with(target));
            let problem = format!("{} has no level for elector itself", shown(text));
            return (parsed.build(), (!names_own).then(|| warning(&problem)));
        }
    };
    (info().build(), Some(warning(&problem)))
}

fn warning(problem: &str) -> String {
    format!("RUST_LOG: {problem}, so info is logged; write it like warn or info,ureq=debug")
}

/// Splits a filter into targets and levels. A level without a target counts for every target, as an
/// empty one does.
fn directives(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let directives = text.split('/').next().unwrap_or_default().split(',');
    let directives = directives.map(str::trim).filter(|part| !part.is_empty());
    directives.map(|part| match part.split_once('=') {
        Some((target, level)) => (target, level.trim()),
        None if is_crate(part) => (part, "trace"),
        None => ("", part),
    })
}

/// Returns whether a word without a level names what logs here.
fn is_crate(word: &str) -> bool {
    word == OWN_TARGET || CHATTY_TARGETS.iter().any(|target| word.starts_with(target))
}

/// Returns what is wrong with the first directive that means nothing.
fn unknown(text: &str) -> Option<String> {
    let is_level = |level: &str| level.parse::<LevelFilter>().is_ok();
    let (_, level) = directives(text).find(|(_, level)| !is_level(level))?;
    Some(format!("{} is not a level", shown(level)))
}

#[cfg(test)]
mod tests {
    use log::{Level, Metadata, Record};

    use super::*;

    /// Returns the level at which elector logs, and the warning.
    fn parsed(text: &str) -> (Option<Level>, String) {
        let (filter, warning) = parse(text);
        let target = format!("{OWN_TARGET}::runtime::election");
        let logs = |level: &Level| {
            let metadata = Metadata::builder().level(*level).target(&target).build();
            filter.enabled(&metadata)
        };
        (
            Level::iter().filter(logs).last(),
            warning.unwrap_or_default(),
        )
    }

    #[test]
    fn unknown_directive_keeps_info() {
        for (text, part) in [
            ("verbose", "`verbose` is not a level"),
            ("Warning", "`Warning` is not a level"),
            ("2", "`2` is not a level"),
            ("elector=loud", "`loud` is not a level"),
            ("elector=", "`` is not a level"),
            ("elector:debug", "`elector:debug` is not a level"),
            ("a=b", "`b` is not a level"),
            ("a=b=c", "`b=c` is not a level"),
            ("error,a=b=c", "`b=c` is not a level"),
            ("error,loud", "`loud` is not a level"),
            ("loud,debug", "`loud` is not a level"),
            ("info;debug", "`info;debug` is not a level"),
            ("error/b/c", "`error/b/c` is not a log filter"),
            ("=7x", "`7x` is not a level"),
            ("ghp_S3cr3t", "not shown"),
        ] {
            let (level, warning) = parsed(text);
            assert_eq!(level, Some(Level::Info), "{text}");
            assert!(warning.contains(part), "{text}: {warning}");
            assert!(!warning.contains("S3cr3t"), "{warning}");
        }
    }

    #[test]
    fn filter_for_other_targets_keeps_info() {
        for text in ["ureq=debug", "ureq", "my_app=trace", "ureq=off", ","] {
            let (level, warning) = parsed(text);
            assert_eq!(level, Some(Level::Info), "{text}");
            assert!(warning.contains("no level for elector"), "{text}");
        }
    }

    #[test]
    fn known_levels_are_used_without_warning() {
        for (text, expected) in [
            ("", Some(Level::Info)),
            (" ", Some(Level::Info)),
            ("info", Some(Level::Info)),
            ("WARN", Some(Level::Warn)),
            (",error", Some(Level::Error)),
            ("off", None),
            ("elector=off", None),
            ("elector=debug", Some(Level::Debug)),
            ("elector", Some(Level::Trace)),
            ("ureq=debug,error", Some(Level::Error)),
            ("ureq,error", Some(Level::Error)),
            (" my_app = trace ,warn", Some(Level::Warn)),
            ("warn/x", Some(Level::Warn)),
            ("warn,elector::runtime=debug", Some(Level::Debug)),
        ] {
            let (level, warning) = parsed(text);
            assert_eq!((level, warning.as_str()), (expected, ""), "{text}");
        }
    }

    #[test]
    fn ureq_logs_debug_only_on_request() {
        for (text, logged) in [
            ("debug", false),
            ("trace", false),
            ("debug,ureq=debug", true),
            ("info,ureq_proto=debug", true),
            ("ureq=warn,debug", false),
        ] {
            let (filter, _) = parse(text);
            let mut record = Record::builder();
            let record = record.level(Level::Debug).target("ureq_proto::client");
            assert_eq!(filter.matches(&record.build()), logged, "{text}");
        }
    }
}
