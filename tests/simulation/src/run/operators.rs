//! Operators who edit the gist on the web and rewrite its history.

use std::time::Duration;

use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::Text;

use super::Run;
use crate::tally::Kind;

impl Run {
    pub(super) fn operator_edit(&mut self) {
        if self.cell.is_some() {
            return self.edit_cell();
        }
        self.tally.count(Kind::OperatorEdit);
        let head = self.service.head_text().unwrap_or_default();
        let fencing_token = self.highest_fencing_token.unwrap_or(0);
        let what = self.rng.u8(..12);
        let back = self.rng.usize(1..400);
        let text = match what {
            0 => None,
            1 => Some("corrupt".to_owned()),
            2 => Some(plain("", 0, 3)),
            3 => Some(plain("", 1, 0)),
            4 => Some(plain("somebody", 60, 1)),
            5 => self.service.old_text(back).map(|text| text.to_string()),
            6 => Some(head.replace("holderIdentity\":\"c", "holderIdentity\":\"d")),
            7 => Some(head.replace("supersedes", "superseded")),
            8 => Some(plain("somebody", 0, fencing_token + 5)),
            9 => Some(without_origin(&head)),
            10 => Some(without_origin(&head).replace("holderIdentity\":\"c", "was\":\"")),
            _ => Some("{}".to_owned()),
        };
        if text.as_deref() == Some("") {
            return;
        }
        self.steering.forget_pause();
        self.note(|_| format!("an OPERATOR writes {text:?}"));
        self.note_foreign(text.as_deref());
        let forged = self.faults.forged_dates;
        self.service.edit_by_hand(text.as_deref(), self.now, forged);
    }

    /// Records the longest lease of a foreign write.
    pub(super) fn note_foreign(&mut self, text: Option<&str>) {
        let stored = Stored::read(&text.map_or(Text::Missing, |text| Text::Whole(text.into())));
        let lease = stored.lease().unwrap_or(Duration::ZERO);
        self.longest_foreign = self.longest_foreign.max(lease);
    }

    pub(super) fn rewrite(&mut self) {
        self.steering.forget_pause();
        let count = self.rng.usize(1..6);
        self.note(|_| format!("an operator REMOVES the newest {count} revisions"));
        self.service.rewrite(count, self.now);
    }
}

/// Returns a record as an operator writes it.
pub(super) fn plain(holder: &str, lease: u64, fencing_token: u64) -> String {
    format!(
        r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":{lease},"leaderTransitions":{fencing_token}}}"#
    )
}

/// Returns the text without the fields of the protocol.
pub(super) fn without_origin(text: &str) -> String {
    text.replace("writeId", "wasWriteId")
        .replace("supersedes", "superseded")
}
