//! The files of a gist in an answer's body.

use std::fmt;

use serde::Deserialize;
use serde::de::{Error, MapAccess, Visitor};
use serde_json::Value;

use super::object::Object;
use super::state::{NAMES_KEPT, State};
use crate::lock::gist::stored::Stored;
use crate::lock::gist::wire::Text;

/// Longest content of another file that is searched for a record. A record has some 400 bytes.
const LONGEST_RECORD: usize = 64 * 1024;

/// Other files that are named if the gist holds too much.
const LARGEST_NAMED: usize = 3;

/// A file in the API's format.
#[derive(Deserialize)]
struct File {
    content: Option<String>,
    truncated: Option<bool>,
}

impl From<File> for Text {
    fn from(file: File) -> Text {
        match (file.content, file.truncated) {
            (Some(content), None | Some(false)) => Text::Whole(content.into()),
            // A file without content in the answer still exists.
            (content, _) => Text::Cut(content.unwrap_or_default().into()),
        }
    }
}

/// Reader of the files: the lock's own, and of the others what messages need.
pub(super) struct FilesVisitor<'s, 'a>(pub(super) &'s mut State<'a>);

impl<'de> Visitor<'de> for FilesVisitor<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the files of a gist")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let state = self.0;
        while let Some(name) = map.next_key::<String>()? {
            if state.is_ours(&name) {
                if state.text_read {
                    return Err(A::Error::custom("a file is listed twice"));
                }
                state.page.text = map.next_value::<Object<File>>()?.0.into();
                state.text_read = true;
                state.go_on()?;
            } else {
                // For messages only, so any value is accepted.
                let other: Value = map.next_value()?;
                state.take_other(&name, &other);
            }
            state.listed += 1;
            if state.page.files.len() < NAMES_KEPT {
                state.page.files.push(name);
            }
        }
        state.files_read = true;
        Ok(())
    }
}

impl State<'_> {
    /// Takes what messages need of another file than the lock's.
    fn take_other(&mut self, name: &str, file: &Value) {
        let content = file.get("content").and_then(Value::as_str).unwrap_or("");
        let page = &mut self.page;
        if content.len() <= LONGEST_RECORD
            && page.elections.len() < NAMES_KEPT
            && Stored::read(&Text::Whole(content.into())).is_election()
        {
            page.elections.push(name.to_owned());
        }
        let size = file.get("size").and_then(Value::as_u64).unwrap_or(0);
        if size > 0 {
            let after = page.largest.partition_point(|(_, larger)| *larger >= size);
            page.largest.insert(after, (name.to_owned(), size));
            page.largest.truncate(LARGEST_NAMED);
        }
    }
}
