//! Whole electors on a Lease, steered by the commands for operators.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::spec;
use crate::elections::Hub;
use crate::support::process::steering::{
    FROM_GIST, Place, moves_and_returns, pauses_and_resumes, switches_over,
};
use crate::support::process::{CAS_TIMES, Fixture};

const LEASE: Duration = Duration::from_secs(3);

fn place(hub: &Hub) -> Place<'_> {
    let port = hub.server.address.port();
    let text = |name| hub.file(name).into_os_string().into_string().unwrap();
    let mut settings = CAS_TIMES
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec();
    settings.extend([
        ("LOCK", format!("lease://localhost:{port}/jobs/report")),
        ("LOCK_TOKEN_FILE", text("token")),
        ("LOCK_CA_FILE", text("ca.crt")),
    ]);
    Place::new(settings, || record(hub))
}

/// Returns the record in the annotation of the Lease; null for none.
fn record(hub: &Hub) -> Value {
    let object = hub.server.with(|leases| leases.object("report"));
    let text = object["metadata"]["annotations"]["elector/record"].as_str();
    serde_json::from_str(text.unwrap_or_default()).unwrap_or_default()
}

#[test]
fn named_candidate_leads_next() {
    let hub = Hub::new();
    switches_over(&place(&hub));
}

#[test]
fn nobody_leads_until_resumed() {
    let hub = Hub::new();
    pauses_and_resumes(&place(&hub), LEASE);
}

#[test]
fn client_go_leader_refuses_handover() {
    let hub = Hub::new();
    let foreign = json!({
        "holderIdentity": "client-go",
        "leaseDurationSeconds": 3,
        "acquireTime": "2026-11-22T10:00:00.123456Z",
        "renewTime": "2026-11-22T10:00:00.123456Z",
        "leaseTransitions": 5,
    });
    hub.server.with(|leases| {
        leases.edit("report", |object| {
            object["metadata"]["name"] = "report".into();
            object["spec"] = foreign.clone();
        });
    });
    place(&hub)
        .run(&["switchover"])
        .failed("it can only be paused");
    assert_eq!(spec(&hub.server), foreign);
    assert!(record(&hub).is_null());
}

#[test]
fn election_moves_from_gist_and_back() {
    let (fixture, hub) = (Fixture::new(), Hub::new());
    let (gist, lease) = (Place::gist(&fixture), place(&hub));
    let from_lease = ["LOCK_TOKEN_FILE", "LOCK_CA_FILE"];
    moves_and_returns((&gist, &FROM_GIST), (&lease, &from_lease));
}

#[test]
fn election_moves_between_clusters() {
    let hubs = [Hub::new(), Hub::new()];
    let places = hubs.each_ref().map(place);
    let from = ["LOCK_CA_FILE"];
    moves_and_returns((&places[0], &from), (&places[1], &from));
}
