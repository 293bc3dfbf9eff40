//! The rule applied to the whole history: a second, simple implementation, independent of the
//! lock's own.

use std::collections::BTreeMap;

use elector::emulator::GistRevision;
use serde_json::Value;

use crate::lock::support::{FILE, Rig};

/// A write of a lock in the history.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) id: String,
    pub(crate) supersedes: String,
}

/// The history of a file with its effective revisions.
pub(crate) struct Judged {
    /// Names and texts, oldest first.
    pub(crate) revisions: Vec<(String, Option<String>)>,
    /// Indices of the effective revisions, oldest first.
    pub(crate) effects: Vec<usize>,
}

pub(crate) fn write_of(text: Option<&str>) -> Option<Write> {
    let record: Value = serde_json::from_str(text?).ok()?;
    record.get("holderIdentity")?.as_str()?;
    let field = |name: &str| Some(record.get(name)?.as_str()?.to_owned());
    let (id, supersedes) = (field("writeId")?, field("supersedes")?);
    let hex = supersedes.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex && supersedes.len() == 40).then_some(Write { id, supersedes })
}

pub(crate) fn judge(history: &[GistRevision], file: &str) -> Judged {
    let oldest_first = history.iter().rev();
    let revisions: Vec<(String, Option<String>)> = oldest_first
        .map(|seen| (seen.revision.to_string(), seen.files.get(file).cloned()))
        .collect();
    let mut effects = vec![0];
    for index in 1..revisions.len() {
        let (below, (_, text)) = (&revisions[index - 1].1, &revisions[index]);
        if text == below {
            continue;
        }
        let effective = &revisions[effects[effects.len() - 1]].0;
        match write_of(text.as_deref()) {
            Some(write) if write.supersedes != *effective => {}
            _ => effects.push(index),
        }
    }
    Judged { revisions, effects }
}

impl Judged {
    /// Returns the effective text at the end.
    pub(crate) fn last_text(&self) -> Option<&str> {
        let last = *self.effects.last().unwrap();
        self.revisions[last].1.as_deref()
    }

    /// Returns the effective writes of locks: the superseded revision by write id.
    pub(crate) fn effective_writes(&self) -> BTreeMap<String, String> {
        let texts = self
            .effects
            .iter()
            .map(|index| self.revisions[*index].1.as_deref());
        texts
            .filter_map(write_of)
            .map(|write| (write.id, write.supersedes))
            .collect()
    }

    /// Returns the fencing tokens of the effective records, in order.
    pub(crate) fn tokens(&self) -> Vec<u64> {
        let texts = self
            .effects
            .iter()
            .filter_map(|index| self.revisions[*index].1.as_deref());
        texts
            .filter_map(|text| serde_json::from_str::<Value>(text).ok())
            .filter_map(|record| record.get("leaderTransitions")?.as_u64())
            .collect()
    }
}

/// Holder and fencing token of a record.
pub(crate) fn effective_holder(rig: &Rig) -> String {
    let judged = judge(&rig.service.history(&rig.id), FILE);
    let record: Value = serde_json::from_str(judged.last_text().unwrap()).unwrap();
    record["holderIdentity"].as_str().unwrap().to_owned()
}
