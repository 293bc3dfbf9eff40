//! Who led when, as the commits of a branch tell it. Pure.

use std::time::Duration;

use super::object::{Commit, ObjectId, ObjectKind, Tree};
use super::pack::{Limits, Objects};
use crate::fmt::unix_time;
use crate::lock::cas::origin::Stored;
use crate::lock::stored::TermIds;
use crate::lock::term_history::{Entry, Gap, PastTerm, TermEnd, TermHistory};

/// Most commits that are listed.
pub const DEPTH: usize = 3_000;

/// Bounds of the objects of these commits.
pub const LIMITS: Limits = Limits {
    objects: 4 * DEPTH,
    object: 1024 * 1024,
    total: 32 * 1024 * 1024,
};

/// Commit with what its file holds.
#[derive(Clone, Debug)]
struct Revision {
    id: ObjectId,
    commit: Commit,
    stored: Stored,
}

/// Returns the terms in the commits from `newest` backwards. `now` is the server's time.
#[must_use]
pub fn terms(objects: &Objects, newest: ObjectId, file: &str, now: Option<i64>) -> TermHistory {
    let mut revisions = Vec::new();
    let mut next = Some(newest);
    while let Some((id, commit)) = next.and_then(|id| Some((id, commit(objects, id)?))) {
        if revisions.len() == DEPTH {
            break;
        }
        next = commit.parent;
        revisions.push(Revision {
            stored: stored(objects, &commit, file),
            id,
            commit,
        });
    }
    revisions.reverse();
    let oldest = revisions.first();
    let mut history = TermHistory {
        revisions: revisions.len(),
        complete: oldest.is_some_and(|oldest| oldest.commit.parent.is_none()),
        oldest: oldest.map(|oldest| oldest.commit.time),
        newest: revisions.last().map(|newest| newest.commit.time),
        now,
        ..TermHistory::default()
    };
    let mut scan = Scan::default();
    for revision in &revisions {
        scan.take(revision);
    }
    scan.finish(now);
    history.entries = scan.entries;
    history
}

fn commit(objects: &Objects, id: ObjectId) -> Option<Commit> {
    Commit::parse(objects.get(ObjectKind::Commit, id)?)
}

/// Returns what the file holds in a commit.
fn stored(objects: &Objects, commit: &Commit, file: &str) -> Stored {
    let tree = objects.get(ObjectKind::Tree, commit.tree);
    let tree = tree.and_then(Tree::parse).unwrap_or_default();
    let Some(entry) = tree.entry(file) else {
        return Stored::Blank;
    };
    let value = objects.get(ObjectKind::Blob, entry.id);
    match value.and_then(|value| std::str::from_utf8(value).ok()) {
        Some(text) => Stored::parse(text),
        None => Stored::Unrelated("it cannot be read".into()),
    }
}

/// Terms so far, the oldest first.
#[derive(Debug, Default)]
struct Scan {
    entries: Vec<Entry>,
    /// Term that has not ended.
    term: Option<PastTerm>,
    /// Time at which the lease became free, unless a candidate holds it.
    free: Option<i64>,
    /// Whether a revision was taken.
    begun: bool,
}

impl Scan {
    fn take(&mut self, revision: &Revision) {
        let time = revision.commit.time;
        let elected = revision.stored.origin().is_some();
        let stored = revision.stored.record();
        let record = stored.map(|stored| &stored.record);
        let ids = stored.and_then(|stored| stored.term.as_ref());
        let holder = record.map_or("", |record| record.holder_identity.as_str());
        let token = revision.stored.token().unwrap_or_default();
        match &mut self.term {
            Some(term)
                if term.holder == holder
                    && (term.fencing_token, term.elected) == (token, elected) =>
            {
                match record.filter(|_| revision.stored.is_annotation()) {
                    Some(record) => term.renewed = unix_time(&record.renew_time).or(term.renewed),
                    None => term.renewed = Some(time),
                }
                term.confirmed |= ids.is_none_or(TermIds::is_confirmed);
                term.versions.1 = revision.id.to_string();
            }
            _ => {
                let (end, reason) = match (holder, elected) {
                    ("", true) => (TermEnd::Released, record.map(|it| it.stop_reason())),
                    ("", false) => (TermEnd::Deposed, None),
                    (_, false) => (TermEnd::Overwritten, None),
                    (_, true) => match revision.commit.previous_term() {
                        Some(("released", reason)) => (TermEnd::Released, Some(reason)),
                        Some(("expired", _)) => (TermEnd::Expired, None),
                        _ => (TermEnd::NotSettled, None),
                    },
                };
                let reason = reason.filter(|reason| !reason.is_empty());
                self.end(end, reason.map(str::to_owned), time);
                if !holder.is_empty() {
                    self.begin(revision, holder, token, elected);
                }
            }
        }
        self.begun = true;
    }

    /// Ends the term at the latest at `time`.
    fn end(&mut self, end: TermEnd, stop_reason: Option<String>, time: i64) {
        let Some(mut term) = self.term.take() else {
            self.free.get_or_insert(time);
            return;
        };
        // The next term's claim removed the term's renewals.
        if term.versions.0 == term.versions.1 {
            term.renewed = None;
            term.confirmed = true;
        }
        let expiry = term
            .renewed
            .map(|renewed| renewed.saturating_add(seconds(term.lease)));
        let to = match (end, expiry) {
            (TermEnd::Expired, Some(expiry)) => expiry.min(time),
            _ => time,
        };
        term.to = Some(to);
        term.end = end;
        term.stop_reason = stop_reason;
        self.free = Some(to);
        self.entries.push(Entry::Term(Box::new(term)));
    }

    fn begin(&mut self, revision: &Revision, holder: &str, token: u64, elected: bool) {
        let time = revision.commit.time;
        let commit = &revision.commit;
        let begins = self.begun || commit.parent.is_none() || commit.base().is_none();
        if let Some(from) = self.free.take()
            && from < time
        {
            self.entries.push(Entry::Gap(Gap {
                from,
                to: Some(time),
            }));
        }
        self.term = Some(PastTerm {
            holder: holder.to_owned(),
            fencing_token: token,
            elected,
            from: Some(time),
            begins,
            renewed: Some(time),
            to: None,
            end: TermEnd::Alive,
            stop_reason: None,
            confirmed: !begins,
            assumed: false,
            lease: revision.stored.lease().unwrap_or_default(),
            versions: (revision.id.to_string(), revision.id.to_string()),
        });
    }

    /// Ends the last term if its lease has expired by now.
    fn finish(&mut self, now: Option<i64>) {
        if let Some(term) = self.term.take() {
            let expiry = term.renewed.unwrap_or_default();
            let expiry = expiry.saturating_add(seconds(term.lease));
            let expired = now.is_some_and(|now| now > expiry);
            self.free = expired.then_some(expiry);
            self.entries.push(Entry::Term(Box::new(PastTerm {
                to: expired.then_some(expiry),
                end: match expired {
                    true => TermEnd::Expired,
                    false => TermEnd::Alive,
                },
                ..term
            })));
        }
        if let Some(from) = self.free
            && !self.entries.is_empty()
            && now.is_none_or(|now| now > from)
        {
            self.entries.push(Entry::Gap(Gap { from, to: None }));
        }
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::record::LeaderElectionRecord;
    use crate::lock::cas::origin::{to_foreign_text, to_text};
    use crate::lock::git::object::{claim_message, renewal_message};
    use crate::lock::git::pack;

    const FILE: &str = "leader.json";

    /// Branch that is written commit by commit.
    #[derive(Default)]
    struct Branch {
        objects: Vec<(ObjectKind, Vec<u8>)>,
        newest: Option<ObjectId>,
    }

    impl Branch {
        fn add(&mut self, time: i64, text: &str, message: String) -> ObjectId {
            let blob = ObjectId::of(ObjectKind::Blob, text.as_bytes());
            let tree = Tree::default().with_file(FILE, blob).to_bytes();
            let commit = Commit {
                tree: ObjectId::of(ObjectKind::Tree, &tree),
                parent: self.newest,
                time,
                by_elector: true,
                message,
            };
            let commit = commit.to_bytes();
            let id = ObjectId::of(ObjectKind::Commit, &commit);
            self.newest = Some(id);
            self.objects.extend([
                (ObjectKind::Blob, text.as_bytes().to_vec()),
                (ObjectKind::Tree, tree),
                (ObjectKind::Commit, commit),
            ]);
            id
        }

        fn claim(&mut self, time: i64, holder: &str, token: u64, previous: Option<&str>) {
            let text = to_text(&record(holder, token), None, &format!("p-{time}"), false);
            self.add(time, &text, claim_message("x", previous));
        }

        fn renew(&mut self, time: i64, holder: &str, token: u64) {
            let text = to_text(&record(holder, token), None, &format!("p-{time}"), false);
            self.add(time, &text, renewal_message("x", self.newest.unwrap()));
        }

        /// Adds a write of token 2 with additional fields.
        fn put(&mut self, time: i64, renewed: &str, holder: &str, fields: &[(&str, &str)]) {
            let mut record = record(holder, 2);
            record.renew_time = renewed.to_owned();
            for (name, value) in fields {
                record.other.insert((*name).to_owned(), (*value).into());
            }
            let text = to_text(&record, None, &format!("p-{time}"), false);
            let message = match self.newest {
                Some(newest) => renewal_message("x", newest),
                None => claim_message("x", None),
            };
            self.add(time, &text, message);
        }

        fn terms(&self, now: i64) -> TermHistory {
            let objects = self.objects.iter();
            let objects: Vec<_> = objects.map(|(kind, content)| (*kind, &**content)).collect();
            let objects = pack::read(&pack::write(&objects), LIMITS).unwrap();
            terms(&objects, self.newest.unwrap(), FILE, Some(now))
        }
    }

    fn record(holder: &str, token: u64) -> LeaderElectionRecord {
        LeaderElectionRecord {
            holder_identity: holder.to_owned(),
            lease_duration_seconds: 40,
            leader_transitions: token,
            ..LeaderElectionRecord::default()
        }
    }

    /// Holder, token, beginning, end and its reason of a term.
    type Shown<'a> = (&'a str, u64, Option<i64>, Option<i64>, TermEnd);

    fn shown(history: &TermHistory) -> Vec<Shown<'_>> {
        let show = |term: &PastTerm| (term.fencing_token, term.from, term.to, term.end);
        let terms = history.terms().map(|term| {
            let (token, from, to, end) = show(term);
            (term.holder.as_str(), token, from, to, end)
        });
        terms.collect()
    }

    #[test]
    fn kept_claims_show_terms() {
        let mut branch = Branch::default();
        branch.claim(100, "", 1, None);
        branch.claim(200, "napoleon", 2, Some("released"));
        branch.claim(500, "cleopatra", 3, Some("expired"));
        branch.claim(900, "napoleon", 4, Some("released"));
        branch.renew(912, "napoleon", 4);
        let history = branch.terms(920);
        assert_eq!(
            shown(&history),
            [
                ("napoleon", 2, Some(200), Some(500), TermEnd::Expired),
                ("cleopatra", 3, Some(500), Some(900), TermEnd::Released),
                ("napoleon", 4, Some(900), None, TermEnd::Alive),
            ]
        );
        assert!(
            history
                .terms()
                .all(|term| term.begins && term.confirmed && term.elected)
        );
        assert_eq!((history.revisions, history.complete), (5, true));
        assert_eq!((history.oldest, history.newest), (Some(100), Some(912)));
        let gaps: Vec<_> = history.gaps().collect();
        assert_eq!(
            gaps,
            [Gap {
                from: 100,
                to: Some(200)
            }]
        );
        let later = branch.terms(1_000);
        assert_eq!(
            shown(&later)[2],
            ("napoleon", 4, Some(900), Some(952), TermEnd::Expired)
        );
        assert_eq!(
            later.gaps().last(),
            Some(Gap {
                from: 952,
                to: None
            })
        );
    }

    #[test]
    fn uncut_history_shows_ends() {
        let mut branch = Branch::default();
        branch.claim(100, "napoleon", 2, None);
        branch.renew(110, "napoleon", 2);
        branch.renew(120, "", 2);
        branch.claim(150, "cleopatra", 3, Some("released"));
        branch.renew(160, "cleopatra", 3);
        branch.claim(300, "napoleon", 4, Some("expired"));
        let text = to_foreign_text(&record("", 4), false);
        branch.add(310, &text, "by hand".to_owned());
        let history = branch.terms(320);
        assert_eq!(
            shown(&history),
            [
                ("napoleon", 2, Some(100), Some(120), TermEnd::Released),
                ("cleopatra", 3, Some(150), Some(200), TermEnd::Expired),
                ("napoleon", 4, Some(300), Some(310), TermEnd::Deposed),
            ]
        );
    }

    #[test]
    fn annotation_neither_renews_nor_confirms() {
        let claimed = "1970-01-01T00:01:40Z";
        let ids = [("term", "p-100"), ("renewId", "p-100")];
        let mut branch = Branch::default();
        branch.put(100, claimed, "napoleon", &ids);
        branch.put(130, claimed, "napoleon", &ids);
        let history = branch.terms(141);
        let expired = ("napoleon", 2, Some(100), Some(140), TermEnd::Expired);
        assert_eq!(shown(&history), [expired]);
        assert!(history.terms().all(|term| !term.confirmed));
        // An annotation may have removed a renewal.
        let ids = [("term", "p-100"), ("renewId", "p-112")];
        branch.put(135, "1970-01-01T00:01:52Z", "napoleon", &ids);
        let history = branch.terms(153);
        assert_eq!(shown(&history)[0].3, Some(152));
        assert!(history.terms().all(|term| term.confirmed));
    }

    #[test]
    fn annotated_release_is_one_release() {
        let mut branch = Branch::default();
        branch.claim(100, "napoleon", 2, None);
        for time in [120, 130] {
            branch.put(time, "", "", &[("stopReason", "paused")]);
        }
        branch.claim(150, "cleopatra", 3, Some("released paused"));
        let history = branch.terms(160);
        let released = ("napoleon", 2, Some(100), Some(120), TermEnd::Released);
        assert_eq!(shown(&history)[0], released);
        let gap = Gap {
            from: 120,
            to: Some(150),
        };
        assert!(history.gaps().eq([gap]));
        let reason = |history: &TermHistory| history.terms().next().unwrap().stop_reason.clone();
        assert_eq!(reason(&history).as_deref(), Some("paused"));
        // The next claim removed the release, and tells the reason.
        let mut cut = Branch::default();
        cut.claim(100, "napoleon", 2, None);
        cut.claim(150, "cleopatra", 3, Some("released paused"));
        assert_eq!(reason(&cut.terms(160)).as_deref(), Some("paused"));
    }

    #[test]
    fn shallow_history_has_open_beginning() {
        let mut branch = Branch::default();
        branch.claim(100, "napoleon", 2, None);
        branch.renew(110, "napoleon", 2);
        branch.objects.drain(..3);
        let history = branch.terms(120);
        assert!(!history.complete);
        assert!(history.terms().all(|term| !term.begins));
        branch.add(130, "hello", "by hand".to_owned());
        let history = branch.terms(140);
        assert_eq!(shown(&history)[0].4, TermEnd::Deposed);
    }
}
