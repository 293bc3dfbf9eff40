//! The state of a candidate in one line, for service managers.

use super::knowledge::Leader;
use super::snapshot::Snapshot;
use crate::election::status::RoleName;
use crate::fmt::one_line;

impl Snapshot {
    /// Returns the state in one line, such as `leads with fencing token 7`. It changes only when something
    /// happens, not with time alone.
    #[must_use]
    pub fn status_line(&self) -> String {
        let status = &self.status;
        if let Some(leadership) = self.leadership() {
            return format!("leads with fencing token {}", leadership.fencing_token);
        }
        match status.role {
            RoleName::Leader if status.stopping => "stops its workload".to_owned(),
            RoleName::Leader => "is past its leadership deadline".to_owned(),
            RoleName::Leaving => "releases the lease".to_owned(),
            RoleName::Acquiring => "acquires the lease".to_owned(),
            RoleName::Finished => "has left the election".to_owned(),
            RoleName::Candidate if status.finishing => "leaves the election".to_owned(),
            RoleName::Candidate => self.standby_line(),
        }
    }

    fn standby_line(&self) -> String {
        let mut line = match self.leader() {
            Leader::Known(name) => format!("standby, {} leads", one_line(name)),
            Leader::Nobody => "standby, nobody leads".to_owned(),
            Leader::Unknown { .. } => "standby, leader unknown".to_owned(),
        };
        if self.is_paused() {
            line.push_str(", election paused");
        }
        if self.stepped_down_until().is_some() {
            line.push_str(", stepped down");
        }
        if self.unreachable_since().is_some() {
            line.push_str(", store does not answer");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::snapshot::tests::{at, lead_until, read, record, snapshot};

    #[test]
    fn line_follows_role_and_knowledge() {
        let mut snapshot = snapshot();
        assert_eq!(snapshot.status_line(), "standby, leader unknown");
        read(&mut snapshot, at(59_000), &record("other", 7));
        assert_eq!(snapshot.status_line(), "standby, other leads");
        snapshot.status.failures = 3;
        snapshot.now = at(88_999);
        let unreachable = "standby, other leads, store does not answer";
        assert_eq!(snapshot.status_line(), unreachable);
        lead_until(&mut snapshot, at(99_000));
        let token = snapshot.leadership().unwrap().fencing_token;
        assert_eq!(
            snapshot.status_line(),
            format!("leads with fencing token {token}")
        );
        snapshot.status.stopping = true;
        assert_eq!(snapshot.status_line(), "stops its workload");
        snapshot.status.role = RoleName::Leaving;
        assert_eq!(snapshot.status_line(), "releases the lease");
    }
}
