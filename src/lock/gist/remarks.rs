//! Log lines about the place of the record, each written once.

use std::collections::BTreeSet;

use super::protocol::GistProtocol;
use super::stored::PROTOCOL;
use crate::fmt::one_line;

/// Remarks that were made.
#[derive(Debug, Default)]
pub(super) struct Remarks(BTreeSet<&'static str>);

impl Remarks {
    /// Makes those that the last answer gives reason for, unless they were made before.
    pub(super) fn warn(&mut self, protocol: &GistProtocol) {
        for (event, text) in found(protocol) {
            if self.0.insert(event) {
                log::warn!(event; "{text}");
            }
        }
    }
}

fn found(protocol: &GistProtocol) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(what_to_delete) = protocol.too_much() {
        let text = format!("{what_to_delete}, because each new revision costs another request");
        found.push(("gist_too_large", text));
    }
    if let Some(file) = protocol.unnamed_file() {
        let file = one_line(file);
        found.push((
            "file_not_named",
            format!(
                "GIST_FILE: not set, but the gist now has several files, so no candidate can start; set \
                 GIST_FILE={file}"
            ),
        ));
    }
    if let Some(older) = protocol.older_protocol() {
        found.push(("protocol_differs", older_protocol(older)));
    }
    found
}

/// Returns the warning about a record of an older protocol.
pub(super) fn older_protocol(older: u64) -> String {
    format!(
        "the record follows protocol {older}, and this elector protocol {PROTOCOL}; use the same version \
         for all candidates"
    )
}
