//! The record in a Lease object: its annotation, and client-go's fields of the `spec`.

use serde_json::{Map, Value, json};

use crate::fmt::unix_time;

/// Annotation with the whole record.
const ANNOTATION: &str = "elector/record";

/// Digits of a second in Kubernetes' MicroTime. With none or nine, the API server refuses the object.
const MICRO_DIGITS: usize = 6;

/// Longest text in the `spec` that is read, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// Returns the stored record as JSON text: the annotation if it belongs to the `spec`, or else what
/// client-go would read.
pub(super) fn record(object: &Value) -> String {
    let annotation = object["metadata"]["annotations"][ANNOTATION].as_str();
    let spec = &object["spec"];
    match annotation {
        Some(text) if belongs(text, spec) => text.to_owned(),
        _ => Value::Object(from_spec(spec)).to_string(),
    }
}

/// Puts a record into a Lease object. What else the object holds stays.
///
/// Returns `None` if `record` is not a JSON object.
pub(super) fn put(object: &mut Value, record: &str) -> Option<()> {
    let fields: Map<String, Value> = serde_json::from_str(record).ok()?;
    if !object["spec"].is_object() {
        object["spec"] = json!({});
    }
    for (name, field) in FIELDS {
        object["spec"][field] = spec_value(name, fields.get(name));
    }
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    object["metadata"]["annotations"][ANNOTATION] = record.into();
    Some(())
}

/// Fields of the record and of the `spec`, as in client-go's `LeaderElectionRecordToLeaseSpec`.
const FIELDS: [(&str, &str); 5] = [
    ("holderIdentity", "holderIdentity"),
    ("leaseDurationSeconds", "leaseDurationSeconds"),
    ("acquireTime", "acquireTime"),
    ("renewTime", "renewTime"),
    ("leaderTransitions", "leaseTransitions"),
];

/// Fields that an operator may set, and that start client-go's coordinated election.
const COORDINATED: [&str; 2] = ["preferredHolder", "strategy"];

/// Returns the record that client-go reads in a `spec`.
fn from_spec(spec: &Value) -> Map<String, Value> {
    let mut record = Map::new();
    for (name, field) in FIELDS {
        let value = match &spec[field] {
            Value::Null if name == "holderIdentity" => "".into(),
            Value::String(text) if text.len() > LONGEST_TEXT => Value::Bool(false),
            value => value.clone(),
        };
        record.insert(name.to_owned(), value);
    }
    for name in COORDINATED {
        if !spec[name].is_null() {
            record.insert(name.to_owned(), spec[name].clone());
        }
    }
    record
}

/// Returns whether an annotation was written together with this `spec`. Clients that do not know it
/// keep it while they change the `spec`.
fn belongs(annotation: &str, spec: &Value) -> bool {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(annotation) else {
        return false;
    };
    if COORDINATED.iter().any(|name| !spec[name].is_null()) {
        return false;
    }
    FIELDS.iter().all(|(name, field)| {
        let (ours, theirs) = (spec_value(name, fields.get(*name)), &spec[field]);
        match &ours {
            Value::String(text) if text.is_empty() => {
                theirs.is_null() || theirs.as_str() == Some("")
            }
            ours => ours == theirs,
        }
    })
}

/// Returns a field of the record as the `spec` holds it; null for a value that the API server refuses, such
/// as those of a Lease that nobody has held.
fn spec_value(name: &str, value: Option<&Value>) -> Value {
    match value {
        Some(Value::String(time)) if name.ends_with("Time") => {
            micro_time(time).map_or(Value::Null, Value::String)
        }
        Some(value) if name == "leaseDurationSeconds" && value.as_u64() == Some(0) => Value::Null,
        value => value.cloned().unwrap_or_default(),
    }
}

/// Returns an RFC 3339 time with six digits of a second; `None` if it is none.
fn micro_time(time: &str) -> Option<String> {
    let start = time.strip_suffix('Z')?;
    unix_time(time)?;
    let (seconds, digits) = start.split_once('.').unwrap_or((start, ""));
    let digits = &digits[..digits.len().min(MICRO_DIGITS)];
    Some(format!("{seconds}.{digits:0<MICRO_DIGITS$}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::record::LeaderElectionRecord;
    use crate::lock::cas::origin::{Stored, to_foreign_text, to_text};

    fn written() -> (Value, String) {
        let record = LeaderElectionRecord {
            holder_identity: "napoleon".into(),
            lease_duration_seconds: 15,
            acquire_time: "2026-11-22T10:00:00Z".into(),
            renew_time: "2026-11-22T10:00:02.25Z".into(),
            leader_transitions: 7,
            ..LeaderElectionRecord::default()
        };
        let text = to_text(&record, None, "a-1", false);
        let mut object = json!({"metadata": {"labels": {"x": "y"}}, "spec": null});
        put(&mut object, &text).unwrap();
        (object, text)
    }

    #[test]
    fn record_round_trips_in_lease() {
        let (object, text) = written();
        assert_eq!(record(&object), text);
        assert_eq!(object["metadata"]["labels"]["x"], "y");
        assert_eq!(
            object["spec"],
            json!({
                "holderIdentity": "napoleon",
                "leaseDurationSeconds": 15,
                "acquireTime": "2026-11-22T10:00:00.000000Z",
                "renewTime": "2026-11-22T10:00:02.250000Z",
                "leaseTransitions": 7,
            })
        );
    }

    #[test]
    fn changed_spec_makes_foreign_record() {
        for (field, value) in [
            ("holderIdentity", json!("cleopatra")),
            ("holderIdentity", json!("")),
            ("holderIdentity", Value::Null),
            ("leaseDurationSeconds", json!(16)),
            ("renewTime", json!("2026-11-22T10:00:03.000000Z")),
            ("acquireTime", Value::Null),
            ("leaseTransitions", json!(8)),
            ("strategy", json!("OldestEmulationVersion")),
        ] {
            let (mut object, _) = written();
            object["spec"][field] = value.clone();
            let stored = Stored::parse(&record(&object));
            assert_eq!(stored.origin(), None, "{field}: {value}");
            assert!(stored.record().is_some(), "{field}: {value}");
        }
    }

    #[test]
    fn spec_of_client_go_is_read() {
        let object = json!({"metadata": {}, "spec": {
            "holderIdentity": "client-go",
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-11-22T10:00:00.123456Z",
            "renewTime": "2026-11-22T10:00:02.123456Z",
            "leaseTransitions": 3,
        }});
        let stored = Stored::parse(&record(&object));
        let stored = stored.record().unwrap();
        assert_eq!(stored.record.holder_identity, "client-go");
        assert_eq!(stored.record.leader_transitions, 3);
        assert_eq!(stored.record.renew_time, "2026-11-22T10:00:02.123456Z");
    }

    #[test]
    fn empty_and_odd_leases_are_read() {
        let empty = Stored::parse(&record(&json!({"spec": {}})));
        assert_eq!(empty.record().unwrap().record.holder_identity, "");
        for spec in [
            json!({"holderIdentity": 7}),
            json!({"leaseDurationSeconds": "x"}),
            json!({"renewTime": "x".repeat(LONGEST_TEXT + 1)}),
        ] {
            let stored = Stored::parse(&record(&json!({ "spec": spec })));
            assert!(matches!(stored, Stored::Corrupt { .. }), "{spec}");
        }
    }

    #[test]
    fn empty_lease_is_copied_unchanged() {
        let mut object = json!({"metadata": {}, "spec": {}});
        let stored = Stored::parse(&record(&object));
        let copy = to_foreign_text(&stored.record().unwrap().record, false);
        put(&mut object, &copy).unwrap();
        for field in ["leaseDurationSeconds", "acquireTime", "renewTime"] {
            assert_eq!(object["spec"][field], Value::Null, "{field}");
        }
        assert_eq!(Stored::parse(&record(&object)).origin(), None);
    }

    #[test]
    fn micro_time_has_six_digits() {
        for (time, micro) in [
            ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000000Z"),
            ("2026-11-22T10:00:00.5Z", "2026-11-22T10:00:00.500000Z"),
            (
                "2026-11-22T10:00:00.123456789Z",
                "2026-11-22T10:00:00.123456Z",
            ),
        ] {
            assert_eq!(micro_time(time).as_deref(), Some(micro));
        }
        for time in ["", "Z", "yesterday", "éZ"] {
            assert_eq!(micro_time(time), None);
        }
    }
}
