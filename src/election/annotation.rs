//! Annotations: fields of a record by which operators and preferred candidates steer an election.
//!
//! A write that changes only such fields leaves the term, its lease and its fencing token as they are.

use serde_json::{Map, Value};

use super::record::LeaderElectionRecord;

/// Field with the name of the candidate that the leader must hand over to.
pub const PREFERRED_HOLDER: &str = "preferredHolder";

/// Field that asks the leader to hand over: who asked, and when.
pub const HANDOVER: &str = "handover";

/// Field of a leader that other preferred candidates let lead.
pub const HOLDER_PREFERRED: &str = "holderPreferred";

/// Field that stops the election: who paused it, when, and why.
pub const PAUSED: &str = "paused";

/// Field with the lock that replaces this one. It stops the election like [`PAUSED`].
pub const MOVED_TO: &str = "movedTo";

/// Fields that a claim does not keep: the requests to the leader before.
pub const REQUESTS: [&str; 2] = [PREFERRED_HOLDER, HANDOVER];

/// Fields of requests that are in force. A write keeps them only if its writer has read them in a record.
pub const IN_FORCE: [&str; 4] = [PREFERRED_HOLDER, HANDOVER, PAUSED, MOVED_TO];

/// Fields to change, by name. Null removes a field.
pub type Annotation = Map<String, Value>;

impl LeaderElectionRecord {
    /// Returns whether nobody may lead.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.annotation(PAUSED).is_some() || self.annotation(MOVED_TO).is_some()
    }

    /// Returns who paused the election, when and why, or where it moved, in one clause; `None` if it is not
    /// paused. The text comes from the store.
    #[must_use]
    pub fn pause(&self) -> Option<String> {
        if let Some(lock) = self.annotation(MOVED_TO) {
            return Some(format!(
                "moved to {}",
                lock.as_str().unwrap_or("another lock")
            ));
        }
        self.annotation(PAUSED)?;
        let part = |name| self.annotation_text(PAUSED, name);
        let clause = |before: &str, text: &str| match text {
            "" => String::new(),
            text => format!("{before}{text}"),
        };
        Some(format!(
            "paused{}{}{}",
            clause(" by ", part("by")),
            clause(" at ", part("at")),
            clause(": ", part("reason"))
        ))
    }

    /// Returns what operators or preferred candidates ask of the election, in one clause. The text comes from
    /// the store.
    #[must_use]
    pub fn request(&self) -> Option<String> {
        if let Some(pause) = self.pause() {
            return Some(pause);
        }
        if self.holder_identity.is_empty() || !self.asks_for_handover() {
            return None;
        }
        let to = match self.preferred_holder() {
            "" => "another candidate",
            to => to,
        };
        let by = match self.annotation_text(HANDOVER, "by") {
            "" => String::new(),
            by => format!(" by {by}"),
        };
        Some(format!("asked{by} to hand over to {to}"))
    }

    /// Returns whether the leader must hand over to another candidate.
    #[must_use]
    pub fn asks_for_handover(&self) -> bool {
        let preferred = self.preferred_holder();
        match preferred {
            "" => self.annotation(HANDOVER).is_some(),
            preferred => preferred != self.holder_identity,
        }
    }

    /// Returns the name of the candidate that must lead next; empty for none.
    #[must_use]
    pub fn preferred_holder(&self) -> &str {
        let name = self.other.get(PREFERRED_HOLDER);
        name.and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns whether the holder is a preferred candidate.
    #[must_use]
    pub fn is_holder_preferred(&self) -> bool {
        self.annotation(HOLDER_PREFERRED).is_some()
    }

    /// Returns the value of a field, unless it is null or false.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Option<&Value> {
        let value = self.other.get(name)?;
        (!matches!(value, Value::Null | Value::Bool(false))).then_some(value)
    }

    /// Returns a text within an annotation, such as `reason` in [`PAUSED`]; empty for none.
    #[must_use]
    pub fn annotation_text(&self, name: &str, part: &str) -> &str {
        let text = self.annotation(name).and_then(|value| value.get(part));
        text.and_then(Value::as_str).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &str) -> LeaderElectionRecord {
        let json = format!(r#"{{"holderIdentity":"napoleon"{fields}}}"#);
        LeaderElectionRecord::from_json(&json).unwrap()
    }

    #[test]
    fn every_value_but_false_pauses() {
        for fields in ["", r#","paused":null"#, r#","paused":false,"movedTo":null"#] {
            assert!(!record(fields).is_paused(), "{fields}");
        }
        for value in ["true", "0", r#""""#, "{}", r#"{"reason":"x"}"#, "[]"] {
            assert!(record(&format!(r#","paused":{value}"#)).is_paused());
            assert!(record(&format!(r#","movedTo":{value}"#)).is_paused());
        }
    }

    #[test]
    fn handover_names_another_or_anybody() {
        for (fields, asks) in [
            ("", false),
            (r#","handover":{"by":"x"}"#, true),
            (r#","preferredHolder":"cleopatra""#, true),
            (r#","preferredHolder":"napoleon""#, false),
            (
                r#","preferredHolder":"napoleon","handover":{"by":"x"}"#,
                false,
            ),
            (r#","preferredHolder":"""#, false),
        ] {
            assert_eq!(record(fields).asks_for_handover(), asks, "{fields}");
        }
        let paused = record(r#","paused":{"reason":"migration"}"#);
        assert_eq!(paused.annotation_text(PAUSED, "reason"), "migration");
        assert_eq!(paused.annotation_text(PAUSED, "by"), "");
    }
}
