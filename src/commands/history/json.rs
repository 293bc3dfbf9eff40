//! History as JSON. Times are RFC 3339 text in UTC, or `null` if unknown.

use serde_json::{Value, json};

use super::Scanned;
use crate::fmt::utc;
use crate::lock::term_history::{Gap, PastTerm, TermEnd, Unsettled};

/// Returns the history on one line. The help of the command lists its keys.
pub(super) fn text(scanned: &Scanned) -> String {
    let history = &scanned.history;
    let all = json!({
        "lock": scanned.lock,
        "revisions": history.revisions,
        "complete": history.complete,
        "from": time(history.oldest),
        "to": time(history.newest),
        "since": time(history.since),
        "time": time(history.now),
        "requests": history.requests,
        "stopped": scanned.stopped,
        "terms": history.terms().map(term).collect::<Vec<_>>(),
        "gaps": history.gaps().map(gap).collect::<Vec<_>>(),
        "unsettled": history.unsettled().map(unsettled).collect::<Vec<_>>(),
    });
    format!("{all}\n")
}

fn time(unix: Option<i64>) -> Value {
    unix.and_then(utc).into()
}

fn term(term: &PastTerm) -> Value {
    json!({
        "holder": term.holder,
        "fencingToken": term.fencing_token,
        "elected": term.elected,
        "confirmed": term.confirmed,
        "from": time(term.from),
        "fromSettled": term.begins,
        "to": time(term.to),
        "renewedAt": time(term.renewed),
        "leaseSeconds": term.lease.as_secs(),
        "endReason": (term.end != TermEnd::Alive).then_some(term.end),
        "stopReason": term.stop_reason,
        "assumed": term.assumed,
        "firstVersion": term.versions.0,
        "lastVersion": term.versions.1,
    })
}

fn gap(gap: Gap) -> Value {
    json!({"from": time(Some(gap.from)), "to": time(gap.to)})
}

fn unsettled(span: Unsettled) -> Value {
    json!({"from": time(span.from), "to": time(span.to), "revisions": span.revisions})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::history::table::tests::scanned;

    #[test]
    fn times_are_in_utc() {
        let json: Value = serde_json::from_str(&text(&scanned())).unwrap();
        assert_eq!(json["lock"], "gist aa5a");
        assert_eq!(json["terms"][0]["holder"], "napoleon");
        assert_eq!(json["terms"][0]["from"], "2027-01-15T08:00:03Z");
        assert_eq!(json["terms"][1]["to"], Value::Null);
        assert_eq!(json["terms"][1]["endReason"], Value::Null);
        assert_eq!(json["terms"][0]["stopReason"], "stopped");
        assert_eq!(json["terms"][1]["stopReason"], Value::Null);
        assert_eq!(json["since"], Value::Null);
        assert_eq!(json["gaps"][0]["to"], "2027-01-15T09:00:02Z");
    }
}
