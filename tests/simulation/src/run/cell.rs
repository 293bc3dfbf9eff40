//! A cell as requests reach it, and what operators do to it.

use elector::lock::store::{Request, Response};

use super::operators::{plain, without_origin};
use super::{Event, Requester, Run, Sender};
use crate::cell_service::{CellLanded, CellService};
use crate::lock::Reply;
use crate::node::{Node, Power};
use crate::service::{Sent, is_annotation};
use crate::tally::Kind;

impl Run {
    pub(super) fn arrive_at_cell(&mut self, from: Sender, request: &Request) {
        if self.fault(self.faults.throttled, Kind::RateLimited) {
            let seconds = self.rng.u64(1..60);
            let headers = vec![("retry-after".to_owned(), seconds.to_string())];
            return self.answer_status(from, 429, headers);
        }
        let error = self.fault(self.faults.server_errors, Kind::ServerError);
        if error && self.rng.bool() {
            return self.answer_status(from, 502, Vec::new());
        }
        let refused = request.writes && self.fault(self.faults.wrong_refusals, Kind::WrongRefusal);
        if refused && self.rng.bool() {
            return self.answer_status(from, 412, Vec::new());
        }
        let Some(mut response) = self.carry_out(from, request) else {
            return;
        };
        if refused && let Some(second) = self.carry_out(from, request) {
            response = second;
        }
        if error {
            return self.answer_status(from, 502, Vec::new());
        }
        self.answer(from, Reply::Cell(Ok(response)));
    }

    fn answer_status(&mut self, from: Sender, status: u16, headers: Vec<(String, String)>) {
        let response = Response {
            status,
            headers,
            ..Response::default()
        };
        self.answer(from, Reply::Cell(Ok(response)));
    }

    /// Carries out a request. Returns the answer; `None` for a request that must not arrive.
    fn carry_out(&mut self, from: Sender, request: &Request) -> Option<Response> {
        let now = self.now;
        let cell = self.cell.as_mut()?;
        if cell.is_bare() && cell.is_late_creation(request, from.sent) {
            return None;
        }
        let sent = matches!(from.requester, Requester::Candidate(_)).then_some(Sent {
            process: from.process,
            at: from.sent,
        });
        let empty = cell.text().is_none();
        let (response, landed) = cell.respond(request, now, sent);
        match landed {
            Some(landed) => self.note_cell_landing(from, &landed, empty),
            None if request.writes => {
                self.note(|run| format!("a write of {} is REFUSED", run.name_of(from.requester)));
            }
            None => self.note_bare(from),
        }
        Some(response)
    }

    /// Notes that a read was answered with an empty place.
    fn note_bare(&mut self, from: Sender) {
        let bare = self.cell.as_ref().is_some_and(CellService::is_bare);
        if let (Requester::Candidate(node), true) = (from.requester, bare) {
            self.nodes[node].known.nothing = true;
        }
    }

    /// Notes a write that landed; `empty` says that it replaced nothing.
    fn note_cell_landing(&mut self, from: Sender, landed: &CellLanded, empty: bool) {
        self.note(|run| {
            format!(
                "a write of {}, sent at {:.3}s, LANDS: {:?}",
                run.name_of(from.requester),
                from.sent.seconds(),
                landed.write_id
            )
        });
        self.note_broken(landed.broken.as_deref());
        let Requester::Candidate(node) = from.requester else {
            return;
        };
        if landed.write_id.as_deref().is_some_and(is_annotation) {
            return;
        }
        let Some(id) = &landed.write_id else {
            // The record was deleted while it was probed.
            if !empty {
                self.break_rule(|run| format!("the probe of {} lands", run.nodes[node].name()));
            }
            return;
        };
        if self.conflicts.contains(id) {
            self.break_rule(|_| format!("the write {id} lands after a conflict was reported"));
        }
        self.note_disturbance(node, from);
        if self.is_disturbed() {
            self.nodes[node].takeover_from = None;
        } else {
            self.check_landing(node, from, landed.before);
        }
        if self.nodes[node].process == from.process {
            let mut writes = self.nodes[node].term.1.iter_mut();
            if let Some(write) = writes.find(|write| write.id == *id) {
                write.landed.push(landed.revision);
                write.confirmed = true;
            }
        }
    }

    /// Checks the result of a write that a candidate's lock reports.
    pub(super) fn check_reported(&mut self, node: usize, success: bool, conflict: bool) {
        if self.cell.is_none() {
            return;
        }
        let Some(write) = self.nodes[node].term.1.last() else {
            return;
        };
        let (id, landed) = (write.id.clone(), !write.landed.is_empty());
        if success && !landed {
            self.break_rule(|_| {
                format!("the write {id} is reported as a success and never landed")
            });
        }
        if conflict {
            self.conflicts.insert(id);
        }
    }

    // ---- operators ----

    pub(super) fn version_change(&mut self) {
        if let Some(cell) = &mut self.cell {
            cell.change_version();
            self.tally.count(Kind::VersionChange);
            self.note(|_| "the VERSION changes".into());
        }
    }

    /// Edits or deletes the record. No edit restores a record that an elector wrote.
    pub(super) fn edit_cell(&mut self) {
        let Some(cell) = &self.cell else { return };
        let head = cell.text().unwrap_or_default();
        let highest = self.highest_fencing_token.unwrap_or(0);
        // A token above the clock would be above those of newcomers too.
        let token = (highest + 5).min(cell.token_by_date(self.now));
        let what = self.rng.u8(..13);
        let back = self.rng.usize(1..400);
        let old = cell
            .old_value(back)
            .map(|(_, text)| text)
            .unwrap_or_default();
        let text = match what {
            0 | 1 => None,
            2 => Some("corrupt".to_owned()),
            3 => Some(plain("", 0, 3)),
            4 => Some(plain("", 1, 0)),
            5 => Some(plain("somebody", 60, 1)),
            6 => Some(without_origin(&old)),
            7 => Some(head.replace("holderIdentity\":\"c", "holderIdentity\":\"d")),
            8 => Some(head.replace("holderIdentity\":\"c", "holderIdentity\":\"\",\"was\":\"c")),
            9 => Some(plain("somebody", 0, token)),
            10 => Some(without_origin(&head)),
            11 => Some(without_origin(&head).replace("holderIdentity\":\"c", "was\":\"")),
            _ => Some("{}".to_owned()),
        };
        if text.as_deref() == Some("") || (text.is_none() && !self.may_delete()) {
            return;
        }
        self.steering.forget_pause();
        self.tally.count(Kind::OperatorEdit);
        self.note(|_| format!("an OPERATOR writes {text:?}"));
        self.note_foreign(text.as_deref());
        let now = self.now;
        if let Some(cell) = &mut self.cell {
            match cell.is_own_record(text.as_deref()) {
                // The same bytes are the same write of an elector.
                true => cell.change_version(),
                false => cell.edit_by_hand(text.as_deref(), now),
            }
        }
    }

    /// Returns whether no candidate confuses the deletion with an earlier one. Why: without a version of an
    /// empty place it cannot know that a record was there in between, and nothing is promised.
    fn may_delete(&self) -> bool {
        let knows = |node: &Node| node.power == Power::Off || !node.known.nothing;
        self.nodes.iter().all(knows)
    }

    // ---- restores ----

    pub(super) fn restore(&mut self) {
        let back = self.rng.usize(2..60);
        let now = self.now;
        let Some(cell) = &mut self.cell else { return };
        let Some((original, text)) = cell.old_value(back) else {
            return;
        };
        self.steering.forget_pause();
        cell.restore(original, &text, now);
        let version = cell.version();
        self.tally.count(Kind::Restore);
        self.note(|_| format!("RESTORED, version {version} is that of {original}: {text}"));
        for node in &mut self.nodes {
            node.known.before_restore = node.known.version;
        }
    }

    /// Notes the version that an answer shows to a candidate.
    pub(super) fn note_shown(&mut self, node: usize, reply: &Reply) {
        if let Reply::Cell(Ok(response)) = reply {
            let version = response.header("etag").and_then(|etag| etag.parse().ok());
            let known = &mut self.nodes[node].known;
            known.shown = version.or(known.shown);
        }
    }

    /// Notes that a candidate's lock has taken in what the last answer showed.
    pub(super) fn note_known(&mut self, node: usize) {
        let restore = self.cell.as_ref().and_then(|cell| cell.restore);
        let known = &mut self.nodes[node].known;
        let version = known.shown;
        known.version = known.version.max(version);
        if restore.is_none_or(|restore| version < Some(restore.version)) {
            known.before_restore = known.before_restore.max(version);
        }
    }

    /// Notes a write of a process that knows nothing newer than what the last restore brought back.
    fn note_disturbance(&mut self, node: usize, from: Sender) {
        let node = &self.nodes[node];
        let known = node
            .known
            .before_restore
            .filter(|_| node.process == from.process);
        if let Some(restore) = self.cell.as_mut().and_then(|cell| cell.restore.as_mut()) {
            restore.disturbed |= known <= Some(restore.original);
        }
    }

    /// Returns whether two candidates may lead because of a restore that not every process can notice.
    pub(super) fn is_disturbed(&self) -> bool {
        let restore = self.cell.as_ref().and_then(|cell| cell.restore);
        let wait = self.scenario.longest_lease() * 2;
        restore.is_some_and(|last| last.disturbed && self.now.since(last.at) < wait)
    }

    pub(super) fn plan_cell_faults(&mut self) {
        if self.cell.is_none() {
            return;
        }
        for at in self.moments(self.faults.version_changes) {
            self.at(at, Event::VersionChange);
        }
        for at in self.moments(self.faults.restores) {
            self.at(at, Event::Restore);
        }
    }
}
