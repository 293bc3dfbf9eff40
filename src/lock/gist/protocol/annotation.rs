//! Annotations of the effective record.

use std::sync::Arc;

use super::{GistProtocol, Step, wrote};
use crate::election::annotation::Annotation;
use crate::election::lock::{LockError, Written};
use crate::election::time::Instant;
use crate::lock::gist::reader::Read;
use crate::lock::gist::revision::Revision;
use crate::lock::gist::stored::{self, Origin, Stored};

impl GistProtocol {
    /// Begins an `annotate`.
    pub fn start_annotate(&mut self, annotation: &Annotation) -> Step {
        self.annotations += 1;
        let effective = match self.writable() {
            Ok(effective) => effective,
            Err(error) => return wrote(Err(error)),
        };
        let supersedes = effective.commit.revision;
        let Some(stored) = effective.stored.record() else {
            return wrote(Err(LockError::Refused(
                "the gist holds no record to annotate".to_owned(),
            )));
        };
        let record = match stored.annotated(annotation, "the gist") {
            Ok(record) => record,
            Err(error) => return wrote(Err(error)),
        };
        let origin = Origin {
            write_id: self.builder.ids.annotation(self.annotations),
            supersedes,
        };
        let own = stored.origin.as_ref().map(|_| &origin);
        let content = stored::to_annotated_text(record, own);
        let foreign = own.is_none().then(|| Arc::new(Stored::parse(&content)));
        self.send(content, origin, foreign)
    }

    /// Finds out whether an annotated foreign record is effective. A write that changes nothing makes no
    /// revision.
    pub(super) fn judge_foreign(
        &mut self,
        now: Instant,
        newest: Option<(Revision, Instant)>,
        written: &Stored,
    ) -> Result<Step, LockError> {
        let effective = match self.reader.read_head(now, true)? {
            Read::Known(effective) => effective,
            Read::Ask(request) => return Ok(Step::Ask(request)),
        };
        let revision = effective.commit.revision;
        let lands = *effective.stored == *written;
        self.reader.settle(now, effective)?;
        self.call = None;
        if !lands {
            // Without an id it cannot be found below another write.
            self.serve_next = true;
            return Ok(wrote(Err(LockError::OutcomeUnknown(
                "another write came before or after it".to_owned(),
            ))));
        }
        let parent = self.reader.parent(revision);
        let undisturbed =
            newest.filter(|(newest, _)| [Some(revision), parent].contains(&Some(*newest)));
        Ok(wrote(Ok(Written {
            head_known_since: undisturbed.map(|(_, since)| since),
        })))
    }
}
