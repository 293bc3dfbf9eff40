//! What `elector history` says of a world, held against what truly was in effect.

use std::collections::HashMap;

use multi_cluster_leader_election::lock::gist::revision::Revision;
use multi_cluster_leader_election::lock::gist::stored::Stored;
use multi_cluster_leader_election::lock::gist::terms::{Holding, Survey, USUAL_REQUESTS};
use multi_cluster_leader_election::lock::gist::wire::Text;

use super::World;

impl World {
    /// A survey of the whole history tells nothing that is not true.
    pub(super) fn check_history(&mut self) {
        let mut survey = Survey::new(Some(crate::service::FILE.to_owned()), USUAL_REQUESTS);
        while let Some(request) = survey.poll_request() {
            let answer = self.service.read(&request, self.now, self.now, usize::MAX);
            if let Err(error) = survey.handle_answer(answer) {
                return self.break_rule(|_| format!("the history cannot be read: {error}"));
            }
        }
        // What is given up is left open; what is said must be so.
        let report = survey.report();
        let holdings = self.holdings();
        for piece in report.pieces.iter().filter(|piece| !piece.assumed) {
            let covered = holdings.iter().enumerate();
            let covered = covered.take(piece.oldest + 1).skip(piece.newest);
            for (place, truth) in covered {
                if piece.holding.as_ref().is_some_and(|said| said != truth) {
                    let told = format!("the history tells {piece:?}, but at {place} is {truth:?}");
                    return self.break_rule(|_| told);
                }
            }
        }
    }

    /// Who leads at each revision by the full rule, newest first.
    fn holdings(&self) -> Vec<Holding> {
        let revisions = self.service.revisions();
        let texts: HashMap<_, _> = revisions.iter().cloned().collect();
        let mut last: Option<(Revision, Holding)> = None;
        let of = |(revision, _): &(Revision, Text)| {
            let effect = self.service.effect_at(*revision);
            let effect = effect.map_or(*revision, |standing| standing.revision);
            match &last {
                Some((same, holding)) if *same == effect => holding.clone(),
                _ => {
                    let holding = Holding::of(&Stored::read(&texts[&effect]));
                    last = Some((effect, holding.clone()));
                    holding
                }
            }
        };
        revisions.iter().map(of).collect()
    }
}
