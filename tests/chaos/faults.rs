//! What the service can be made to do wrong for a time, by name.
//!
//! Where writes make others vanish, they do so only within `race_limit_ms`, however slow this machine
//! is: what is promised rests on that being less than `CONFIRM_DELAY`. Where a limit is reached, the
//! service says when to come back, so that nobody waits for long after it is lifted.

/// A name and the faults, for `PUT /_faults`.
pub(crate) const FAULTS: [(&str, &str); 20] = [
    ("an outage", r#"{"outage":true}"#),
    ("dropped requests", r#"{"drop":0.4}"#),
    ("errors 5xx", r#"{"error_5xx":0.4,"error_status":502}"#),
    (
        "errors 5xx of which writes land",
        r#"{"error_5xx":0.4,"error_status":500,"error_write_landed":0.6}"#,
    ),
    ("lost answers", r#"{"lost_answers":0.5}"#),
    ("cut answers", r#"{"truncated_answers":0.4}"#),
    ("late writes", r#"{"late_writes":0.4,"late_ms":[200,4000]}"#),
    (
        "doubled writes",
        r#"{"duplicate_writes":0.6,"duplicate_ms":[0,1500]}"#,
    ),
    (
        "hung requests",
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
        "races that end with 409",
        r#"{"race":"conflict","race_window_ms":[50,250]}"#,
    ),
    (
        "races that stack",
        r#"{"race":"stack","race_window_ms":[50,250]}"#,
    ),
    (
        "races that make writes vanish",
        r#"{"race":"vanish","race_window_ms":[60,150],"race_limit_ms":200}"#,
    ),
    (
        "vanishing, late and stale at once",
        r#"{"race":"vanish","race_window_ms":[60,150],"race_limit_ms":200,"late_writes":0.2,
            "late_ms":[100,2000],"lost_answers":0.2,"stale_reads":0.3,"stale_age_ms":[50,2000],
            "duplicate_writes":0.2,"duplicate_ms":[0,800]}"#,
    ),
    (
        "the limit of writes a minute",
        r#"{"secondary_per_minute":6,"retry_after_s":2,"secondary_status":429}"#,
    ),
    (
        "the limit of requests",
        r#"{"primary_limit":30,"primary_window_s":3}"#,
    ),
    (
        "rights that are denied now and then",
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
