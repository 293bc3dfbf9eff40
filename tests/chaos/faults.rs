//! Faults of the gist service, by name.
//!
//! A race loses a write only within `race_limit_ms`, which must be less than `CONFIRM_DELAY`, because the
//! guarantees assume it. Rate limits come with a time to wait, so that no candidate waits long after they are
//! lifted.

/// Names of faults, with the body for `PUT /_faults`.
pub(crate) const FAULTS: [(&str, &str); 20] = [
    ("an outage", r#"{"outage":true}"#),
    ("dropped requests", r#"{"drop":0.4}"#),
    ("5xx errors", r#"{"error_5xx":0.4,"error_status":502}"#),
    (
        "5xx errors after writes",
        r#"{"error_5xx":0.4,"error_status":500,"error_write_landed":0.6}"#,
    ),
    ("lost answers", r#"{"lost_answers":0.5}"#),
    ("truncated answers", r#"{"truncated_answers":0.4}"#),
    ("late writes", r#"{"late_writes":0.4,"late_ms":[200,4000]}"#),
    (
        "duplicate writes",
        r#"{"duplicate_writes":0.6,"duplicate_ms":[0,1500]}"#,
    ),
    (
        "hanging requests",
        r#"{"hang_reads":0.3,"hang_writes":0.3,"hang_ms":3000}"#,
    ),
    ("latency", r#"{"read_ms":[0,600],"write_ms":[0,900]}"#),
    (
        "stale reads",
        r#"{"stale_reads":0.5,"stale_age_ms":[50,2500]}"#,
    ),
    (
        "very stale reads",
        r#"{"stale_reads":0.3,"stale_age_ms":[3000,15000]}"#,
    ),
    (
        "races answered with 409",
        r#"{"race":"conflict","race_window_ms":[50,250]}"#,
    ),
    (
        "races that keep both writes",
        r#"{"race":"stack","race_window_ms":[50,250]}"#,
    ),
    (
        "races that lose a write",
        r#"{"race":"lose","race_window_ms":[60,150],"race_limit_ms":200}"#,
    ),
    (
        "lost, late and stale together",
        r#"{"race":"lose","race_window_ms":[60,150],"race_limit_ms":200,"late_writes":0.2,
            "late_ms":[100,2000],"lost_answers":0.2,"stale_reads":0.3,"stale_age_ms":[50,2000],
            "duplicate_writes":0.2,"duplicate_ms":[0,800]}"#,
    ),
    (
        "the limit of writes per minute",
        r#"{"secondary_per_minute":6,"retry_after_s":2,"secondary_status":429}"#,
    ),
    (
        "the primary rate limit",
        r#"{"primary_limit":30,"primary_window_s":3}"#,
    ),
    (
        "occasional permission errors",
        r#"{"unauthorized":0.1,"forbidden_writes":0.2,"not_found_writes":0.2}"#,
    ),
    (
        "short histories without ETag",
        r#"{"history_cap":2,"per_page_cap":2,"no_etag":true,"no_date":true,
            "identical_makes_revision":true}"#,
    ),
];

#[test]
fn every_fault_is_accepted_by_service() {
    for (name, json) in FAULTS {
        let faults = elector::emulator::Faults::from_json(json.as_bytes());
        assert!(faults.is_ok(), "{name}: {faults:?}");
    }
}
