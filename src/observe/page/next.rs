//! What happens next in the election, in one or two sentences.

use super::format::{countdown, moment, name};
use crate::election::annotation::MOVED_TO;
use crate::election::lock::Content;
use crate::election::record::LeaderElectionRecord;
use crate::election::status::RoleName;
use crate::observe::knowledge::Leader;
use crate::observe::snapshot::Snapshot;

/// Describes what this candidate and the leader do next, as HTML.
pub(super) fn sentence(snapshot: &Snapshot) -> String {
    match snapshot.status.role {
        RoleName::Finished => "This candidate has left the election.".to_owned(),
        RoleName::Leaving => {
            let next = successor(snapshot);
            format!("This candidate releases the lease. Then {next}.")
        }
        RoleName::Acquiring => match snapshot.candidate.confirm_delay {
            Some(_) => {
                "This candidate leads as soon as a second write confirms its claim.".to_owned()
            }
            None => "This candidate leads as soon as the store confirms its claim.".to_owned(),
        },
        RoleName::Leader => of_leader(snapshot),
        RoleName::Candidate => of_standby(snapshot),
    }
}

fn of_leader(snapshot: &Snapshot) -> String {
    let next = successor(snapshot);
    if snapshot.status.stopping {
        return format!(
            "This candidate renews the lease until its workload has stopped. Then it releases the lease, \
             and {next}."
        );
    }
    match snapshot.leadership() {
        Some(leadership) => format!(
            "This candidate leads for {} more unless it renews the lease. Then it stops, and {next}.",
            countdown(leadership.time_left)
        ),
        None => format!("This candidate stops its workload. Then {next}."),
    }
}

fn of_standby(snapshot: &Snapshot) -> String {
    if let (Leader::Known(_), Some(lease)) = (snapshot.leader(), snapshot.lease()) {
        if snapshot.request().is_some() {
            let next = successor(snapshot);
            return format!("The leader stops its workload and releases the lease. Then {next}.");
        }
        let left = countdown(lease.valid_until.since(snapshot.now));
        let next = own_chance(snapshot);
        return format!("The leader leads for {left} more unless it renews. Then {next}.");
    }
    if snapshot.is_paused() {
        let next = successor(snapshot);
        return format!("{}{}.", next[..1].to_uppercase(), &next[1..]);
    }
    let Some(acquire_at) = snapshot.acquire_at() else {
        return match snapshot.status.stopping {
            true => "This candidate does not acquire the lease: it stops.".to_owned(),
            false => {
                "This candidate reads the record. Then it acquires the lease if nobody holds it."
                    .to_owned()
            }
        };
    };
    if let Some(until) = snapshot.stepped_down_until() {
        let until = moment(snapshot, until);
        return format!(
            "This candidate acquires the lease at {until} at the earliest, because it was stepped down. \
             Another standby may acquire it before."
        );
    }
    let open_at = acquire_at.max(snapshot.status.rate_limited_until);
    let is_unknown = matches!(snapshot.leader(), Leader::Unknown { .. });
    if (snapshot.status.failures > 0 || is_unknown) && !is_rate_limited(snapshot) {
        return "This candidate acquires the lease as soon as the store answers, unless another candidate \
                leads by then."
            .to_owned();
    }
    match open_at > snapshot.now {
        true => format!(
            "This candidate acquires the lease in {}, at {}, unless another candidate does.",
            countdown(open_at.since(snapshot.now)),
            moment(snapshot, open_at)
        ),
        false => "This candidate acquires the lease now.".to_owned(),
    }
}

/// Describes the next acquisition after the present leader's term, as a clause.
fn own_chance(snapshot: &Snapshot) -> String {
    let status = &snapshot.status;
    let Some(acquire_at) = snapshot.acquire_at() else {
        return "another standby acquires the lease; this candidate stops".to_owned();
    };
    if status.failures > 0 && !is_rate_limited(snapshot) {
        return "a standby acquires the lease, this one as soon as the store answers".to_owned();
    }
    let at = moment(snapshot, acquire_at.max(status.rate_limited_until));
    match snapshot.stepped_down_until() {
        Some(_) => format!(
            "a standby acquires the lease, this one at {at} at the earliest, because it was stepped down"
        ),
        None => format!("a standby acquires the lease, this one at {at}"),
    }
}

fn is_rate_limited(snapshot: &Snapshot) -> bool {
    snapshot.status.rate_limited_until > snapshot.now
}

/// Describes who acquires the lease after it was released, as a clause.
fn successor(snapshot: &Snapshot) -> String {
    let record = snapshot.content().and_then(Content::record);
    let moved = |record: &LeaderElectionRecord| record.annotation(MOVED_TO).is_some();
    match record {
        Some(record) if moved(record) => {
            "nobody acquires this lease, because the election moved".to_owned()
        }
        Some(record) if record.is_paused() => {
            "nobody acquires the lease until <code>elector&#160;resume</code>".to_owned()
        }
        Some(record) if record.asks_for_handover() && !record.preferred_holder().is_empty() => {
            format!("{} acquires it", name(record.preferred_holder()))
        }
        _ => "a standby acquires it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::observe::page::tests::annotated;
    use crate::observe::snapshot::tests::{at, lead_until, read, record, snapshot};

    /// Returns the sentence as a browser shows it.
    fn text(snapshot: &Snapshot) -> String {
        let html = sentence(snapshot);
        let parts = html.split('<').enumerate();
        let parts = parts.map(|(n, part)| match n {
            0 => part,
            _ => part.split_once('>').map_or("", |(_, text)| text),
        });
        let text: String = parts.collect();
        text.replace("&#160;", " ").replace('\u{a0}', " ")
    }

    #[test]
    fn leader_leads_unless_it_renews() {
        let mut snapshot = snapshot();
        lead_until(&mut snapshot, at(72_000));
        let leads = "This candidate leads for 12s more unless it renews the lease. Then it stops, and a \
                     standby acquires it.";
        assert_eq!(text(&snapshot), leads);
        snapshot.status.stopping = true;
        let stops = "This candidate renews the lease until its workload has stopped. Then it releases \
                     the lease, and a standby acquires it.";
        assert_eq!(text(&snapshot), stops);
        snapshot.status.role = RoleName::Leaving;
        let releases = "This candidate releases the lease. Then a standby acquires it.";
        assert_eq!(text(&snapshot), releases);
    }

    #[test]
    fn standby_acquires_after_expiry() {
        let mut snapshot = snapshot();
        read(&mut snapshot, at(42_000), &record("other", 7));
        let leads =
            "The leader leads for 12s more unless it renews. Then a standby acquires the lease, ";
        assert_eq!(text(&snapshot), format!("{leads}this one at 10:02:43 UTC."));
        snapshot.status.failures = 2;
        let unreachable = format!("{leads}this one as soon as the store answers.");
        assert_eq!(text(&snapshot), unreachable);
        snapshot.status.rate_limited_until = at(90_000);
        assert_eq!(text(&snapshot), format!("{leads}this one at 10:03:01 UTC."));
        snapshot.status.rate_limited_until = at(0);
        snapshot.now = at(80_000);
        let unknown = "This candidate acquires the lease as soon as the store answers, unless another \
                       candidate leads by then.";
        assert_eq!(text(&snapshot), unknown);
        snapshot.status.failures = 0;
        assert_eq!(text(&snapshot), unknown);
        snapshot.journal.answered_at = Some(at(80_000));
        assert_eq!(text(&snapshot), "This candidate acquires the lease now.");
    }

    #[test]
    fn free_lease_is_acquired_in_time() {
        let mut snapshot = snapshot();
        let reads =
            "This candidate reads the record. Then it acquires the lease if nobody holds it.";
        assert_eq!(text(&snapshot), reads);
        read(&mut snapshot, at(42_000), &Content::Deleted);
        let waits = "This candidate acquires the lease in 12s, at 10:02:43 UTC, unless another candidate \
                     does.";
        assert_eq!(text(&snapshot), waits);
        snapshot.status.stepped_down_until = at(100_000);
        assert!(
            text(&snapshot).starts_with("This candidate acquires the lease at 10:03:11 UTC at")
        );
        snapshot.status.role = RoleName::Acquiring;
        let confirms = "This candidate leads as soon as a second write confirms its claim.";
        assert_eq!(text(&snapshot), confirms);
        snapshot.status.role = RoleName::Finished;
        assert_eq!(text(&snapshot), "This candidate has left the election.");
    }

    #[test]
    fn paused_election_waits_for_resume() {
        let mut snapshot = snapshot();
        let paused = json!({"reason": "migration"});
        read(&mut snapshot, at(59_000), &annotated("", "paused", &paused));
        let nobody = "Nobody acquires the lease until elector resume.";
        assert_eq!(text(&snapshot), nobody);
        read(
            &mut snapshot,
            at(59_000),
            &annotated("other", "paused", &paused),
        );
        let stops = "The leader stops its workload and releases the lease. Then nobody acquires the \
                     lease until elector resume.";
        assert_eq!(text(&snapshot), stops);
        let moved = annotated("", "movedTo", &json!("git:x"));
        read(&mut snapshot, at(59_000), &moved);
        assert!(text(&snapshot).ends_with("because the election moved."));
    }

    #[test]
    fn handover_names_next_leader() {
        let mut snapshot = snapshot();
        let asked = annotated("other", "preferredHolder", &json!("third"));
        read(&mut snapshot, at(59_000), &asked);
        assert!(text(&snapshot).ends_with("Then third acquires it."));
    }
}
