//! `elector step-down --wait`: polls the elector's status until it does not hold the lease.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

use crate::commands::local_endpoint::local_status;
use crate::fmt::{one_line, span};
use crate::system::clock::BootClock;

/// Interval between two requests, and the wait before the first one, in which the elector notes the step-down.
const INTERVAL: Duration = Duration::from_millis(500);

/// Settings of the elector whose sum limits the wait.
const LIMITS: [&str; 4] = [
    "stopTimeoutSeconds",
    "terminationGraceSeconds",
    "leaseDurationSeconds",
    "leaseDurationSeconds",
];

/// Waits until the elector at `address` does not hold the lease. Returns a line about the leader.
///
/// # Errors
/// Returns problem and fix if the elector does not answer, or still holds the lease at the limit.
pub(super) fn until_released(address: SocketAddr) -> Result<String, String> {
    let begun = BootClock::now();
    loop {
        thread::sleep(INTERVAL);
        let status = local_status(address);
        let status = status.map_err(|why| {
            format!("the elector here stopped answering: {why}; check its log, and elector status")
        })?;
        if holds_no_lease(&status) {
            return Ok(summary(&status));
        }
        let limit = limit(&status);
        if BootClock::now().since(begun) >= limit {
            let limit = span(limit);
            return Err(format!(
                "the elector here still holds the lease after {limit}; check its log, or use elector depose"
            ));
        }
    }
}

fn holds_no_lease(status: &Json) -> bool {
    let left = matches!(status["role"].as_str(), Some("candidate" | "finished"));
    let runs = status["workload"]["running"] == true;
    left && status["stopping"] != true && !runs && status["lease"]["holder"] != status["identity"]
}

fn summary(status: &Json) -> String {
    let leader = match status["holder"].as_str() {
        None => "the leader is unknown".to_owned(),
        Some("") => "nobody leads yet".to_owned(),
        Some(holder) => format!("{} leads", one_line(holder)),
    };
    format!("The elector does not hold the lease; {leader}.\n")
}

fn limit(status: &Json) -> Duration {
    let seconds = LIMITS.map(|name| status["settings"][name].as_f64().unwrap_or_default());
    Duration::from_secs_f64(seconds.iter().sum::<f64>().clamp(0.0, 1e6))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wait_ends_when_released() {
        let released = json!({
            "identity": "me", "role": "candidate", "stopping": false, "lease": null,
            "workload": { "running": false },
        });
        assert!(holds_no_lease(&released));
        for (field, value) in [
            ("role", json!("leader")),
            ("role", json!("leaving")),
            ("role", json!("acquiring")),
            ("stopping", json!(true)),
            ("lease", json!({ "holder": "me" })),
            ("workload", json!({ "running": true })),
        ] {
            let mut status = released.clone();
            status[field] = value;
            assert!(!holds_no_lease(&status), "{status}");
        }
        let mut other = released;
        other["lease"] = json!({ "holder": "other" });
        other["workload"] = Json::Null;
        assert!(holds_no_lease(&other));
        assert!(!holds_no_lease(&json!("hello")));
    }

    #[test]
    fn summary_names_leader() {
        for (holder, part) in [
            (json!("cleopatra\n"), "; cleopatra leads"),
            (json!(""), "; nobody leads yet"),
            (Json::Null, "; the leader is unknown"),
        ] {
            let text = summary(&json!({ "holder": holder }));
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn limit_follows_settings() {
        let status = json!({ "settings": {
            "stopTimeoutSeconds": 25.0, "terminationGraceSeconds": 5.0, "leaseDurationSeconds": 30.0,
        } });
        assert_eq!(limit(&status), Duration::from_secs(90));
        let broken = json!({ "settings": { "stopTimeoutSeconds": -1e300 } });
        assert_eq!(limit(&broken), Duration::ZERO);
    }
}
