//! Comparison of the output of `elector history` with the truly effective revisions.

use std::collections::HashMap;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::scan::{HistoryScan, Leadership};
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::Text;

use super::Run;
use crate::service::FILE;

/// Requests of a history scan, the command's default.
const REQUESTS: u32 = 100;

impl Run {
    /// Checks that a history scan reports nothing untrue.
    pub(super) fn check_history(&mut self) {
        if self.cell.is_some() {
            return;
        }
        let mut scan = HistoryScan::new(Some(crate::service::FILE.to_owned()), REQUESTS);
        while let Some(request) = scan.poll_request() {
            let answer = self
                .service
                .read(&request, self.now, self.now, usize::MAX, FILE);
            if let Err(error) = scan.handle_answer(answer) {
                return self.break_rule(|_| format!("reading the history failed: {error}"));
            }
        }
        // An assumed piece may be wrong, any other piece must be true.
        let pieces = scan.pieces();
        let leaderships = self.leaderships();
        for piece in pieces.iter().filter(|piece| !piece.assumed) {
            let Some(reported) = &piece.leadership else {
                continue;
            };
            let mut truths = leaderships[piece.newest..=piece.oldest].iter();
            if let Some(truth) = truths.find(|truth| *truth != reported) {
                let what =
                    format!("the history scan reports {piece:?}, but the truth is {truth:?}");
                return self.break_rule(|_| what);
            }
        }
    }

    /// Returns the leadership at each revision by the full rule, newest first.
    fn leaderships(&self) -> Vec<Leadership> {
        let revisions = self.service.revisions();
        let texts: HashMap<_, _> = revisions.iter().cloned().collect();
        let mut last: Option<(Revision, Leadership)> = None;
        let of = |(revision, _): &(Revision, Text)| {
            let effect = self.service.effective_at(*revision);
            let effect = effect.map_or(*revision, |effective| effective.revision);
            match &last {
                Some((same, leadership)) if *same == effect => leadership.clone(),
                _ => {
                    let leadership = Leadership::of(&Stored::read(&texts[&effect]));
                    last = Some((effect, leadership.clone()));
                    leadership
                }
            }
        };
        revisions.iter().map(of).collect()
    }
}
