//! What was found out, as JSON. Times are RFC 3339 text in UTC, `null` where they are not known.

use serde_json::{Value, json};

use super::Found;
use crate::fmt::utc;
use crate::lock::gist::terms::{End, Gap, Term, Unsettled};

/// The whole of it, on one line. Its keys stand in the help.
pub(super) fn text(found: &Found) -> String {
    let report = &found.report;
    let moved_to = report.moved_to.as_ref();
    let moved_to = moved_to.map(|place| json!({"gist": place.gist.as_str(), "file": &*place.file}));
    let all = json!({
        "gist": found.gist,
        "file": found.file,
        "revisions": report.revisions,
        "complete": report.complete,
        "from": time(report.oldest),
        "to": time(report.newest),
        "now": time(report.now),
        "requests": found.requests,
        "stopped": found.stopped,
        "terms": report.terms().map(term).collect::<Vec<_>>(),
        "gaps": report.gaps().map(gap).collect::<Vec<_>>(),
        "unsettled": report.unsettled().map(unsettled).collect::<Vec<_>>(),
        "movedTo": moved_to,
    });
    format!("{all}\n")
}

fn time(unix: Option<i64>) -> Value {
    unix.and_then(utc).into()
}

fn term(term: &Term) -> Value {
    json!({
        "leader": term.holder,
        "token": term.token,
        "elected": term.elected,
        "confirmed": term.confirmed,
        "from": time(term.from),
        "fromSettled": term.begins,
        "to": time(term.to),
        "renewedAt": time(term.renewed),
        "leaseSeconds": term.lease.as_secs(),
        "end": end(term.end),
        "assumed": term.assumed,
        "firstRevision": term.revisions.0.to_string(),
        "lastRevision": term.revisions.1.to_string(),
    })
}

fn end(end: End) -> &'static str {
    match end {
        End::Alive => "alive",
        End::Released => "released",
        End::RanOut => "ranOut",
        End::ClaimedAgain => "claimedAgain",
        End::Deposed => "deposed",
        End::Overwritten => "overwritten",
        End::Moved => "moved",
        End::NotSettled => "notSettled",
    }
}

fn gap(gap: Gap) -> Value {
    json!({"from": time(Some(gap.from)), "to": time(gap.to)})
}

fn unsettled(span: Unsettled) -> Value {
    json!({"from": time(span.from), "to": time(span.to), "revisions": span.revisions})
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::found;
    use super::*;

    #[test]
    fn it_reads_back_with_times_in_utc() {
        let json: Value = serde_json::from_str(&text(&found())).unwrap();
        assert_eq!(json["gist"], "aa5a");
        assert_eq!(json["terms"][0]["leader"], "napoleon");
        assert_eq!(json["terms"][0]["from"], "2027-01-15T08:00:03Z");
        assert_eq!(json["terms"][1]["to"], Value::Null);
        assert_eq!(json["terms"][1]["end"], "alive");
        assert_eq!(json["gaps"][0]["to"], "2027-01-15T09:00:02Z");
    }
}
