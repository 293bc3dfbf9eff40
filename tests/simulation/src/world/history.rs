//! What `elector history` says of a world, held against what truly was in effect.

use std::collections::HashMap;

use elector::lock::gist::revision::Revision;
use elector::lock::gist::scan::{HistoryScan, Leadership};
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::Text;

use super::World;
use crate::service::FILE;

/// Requests of a scan, as the command makes them by default.
const REQUESTS: u32 = 100;

impl World {
    /// Checks that a history scan tells only the truth.
    pub(super) fn check_history(&mut self) {
        let mut scan = HistoryScan::new(Some(crate::service::FILE.to_owned()), REQUESTS);
        while let Some(request) = scan.poll_request() {
            let answer = self
                .service
                .read(&request, self.now, self.now, usize::MAX, FILE);
            if let Err(error) = scan.handle_answer(answer) {
                return self.break_rule(|_| format!("the history cannot be read: {error}"));
            }
        }
        // What is given up is left open; what is said must be so.
        let pieces = scan.pieces();
        let holdings = self.holdings();
        for piece in pieces.iter().filter(|piece| !piece.assumed) {
            let Some(said) = &piece.leadership else {
                continue;
            };
            let mut truths = holdings[piece.newest..=piece.oldest].iter();
            if let Some(truth) = truths.find(|truth| *truth != said) {
                let told = format!("the history tells {piece:?}, but there is {truth:?}");
                return self.break_rule(|_| told);
            }
        }
    }

    /// Who leads at each revision by the full rule, newest first.
    fn holdings(&self) -> Vec<Leadership> {
        let revisions = self.service.revisions();
        let texts: HashMap<_, _> = revisions.iter().cloned().collect();
        let mut last: Option<(Revision, Leadership)> = None;
        let of = |(revision, _): &(Revision, Text)| {
            let effect = self.service.effect_at(*revision);
            let effect = effect.map_or(*revision, |standing| standing.revision);
            match &last {
                Some((same, holding)) if *same == effect => holding.clone(),
                _ => {
                    let holding = Leadership::of(&Stored::read(&texts[&effect]));
                    last = Some((effect, holding.clone()));
                    holding
                }
            }
        };
        revisions.iter().map(of).collect()
    }
}
