//! client-go candidates in the same election: their lock reads the record, compares it, and
//! overwrites it: unconditionally in a gist, by compare-and-swap in a cell. They lead immediately, which no elector can prevent. The electors
//! must keep their promises among themselves.

use std::time::Duration;

use elector::emulator::Edit;
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::Text;
use elector::lock::store;

use super::{Event, Requester, Run, Sender};
use crate::clock::Time;
use crate::lock::Request;
use crate::service::FILE;
use crate::tally::Kind;

/// Settings of client-go's example.
const LEASE: u64 = 15;
const RETRY_PERIOD: f64 = 2.0;

/// A client-go candidate.
#[derive(Debug)]
pub(super) struct ClientGo {
    /// Text read last, and when it was first read.
    observed: String,
    since: Time,
    /// Time of its last write.
    pub(super) renewed: Option<Time>,
    pub(super) stopped: bool,
}

impl Run {
    pub(super) fn add_client_go(&mut self) {
        for index in 0..self.scenario.client_go {
            self.client_go.push(ClientGo {
                observed: String::new(),
                since: Time(0),
                renewed: None,
                stopped: false,
            });
            let first = self.seconds(0.0, RETRY_PERIOD);
            self.after(first, Event::ClientGo { index });
        }
        if self.scenario.client_go > 0 {
            self.longest_foreign = Duration::from_secs(LEASE);
        }
    }

    /// Polls, and writes if it holds the lease or considers the lease expired.
    pub(super) fn client_go_polls(&mut self, index: usize) {
        if self.client_go[index].stopped {
            return;
        }
        let next = self.seconds(RETRY_PERIOD, RETRY_PERIOD * 1.2);
        self.after(next, Event::ClientGo { index });
        let fails = self.rng.u8(..4) == 0 && self.recovery.is_none();
        if self.outage || fails {
            return;
        }
        let text = match &self.cell {
            Some(cell) => cell.text(),
            None => self.service.head_text(),
        };
        let text = text.unwrap_or_default();
        let now = self.now;
        let client_go = &mut self.client_go[index];
        if client_go.observed != *text {
            client_go.observed = text.to_string();
            client_go.since = now;
        }
        let stored = Stored::read(&Text::Whole(text.clone()));
        let record = stored.record().map(|stored| &stored.record);
        let (holder, fencing_token) = record.map_or(("", 0), |record| {
            (record.holder_identity.as_str(), record.leader_transitions)
        });
        let name = format!("legacy-{index}");
        let free = holder.is_empty() || now.since(client_go.since) > Duration::from_secs(LEASE);
        if holder != name && !free {
            return;
        }
        let fencing_token = fencing_token + u64::from(holder != name);
        let kept = self.fields_kept(&text);
        let content = format!(
            r#"{{"holderIdentity":"{name}","leaseDurationSeconds":{LEASE},"renewTime":"{}","leaderTransitions":{fencing_token}{kept}}}"#,
            now.0
        );
        self.client_go[index].renewed = Some(now);
        self.tally.count(Kind::ClientGo);
        if self.cell.is_some() {
            return self.swap(index, &content);
        }
        if let Ok(write) = self.service.begin_write(Edit::put(FILE, content.as_str())) {
            self.begin_others(Requester::ClientGo(index), write);
        }
    }

    /// Returns the fields that a Lease's annotations keep: those of the last elector.
    fn fields_kept(&self, text: &str) -> String {
        if self.cell.is_none() {
            return String::new();
        }
        let field = |name: &str| {
            let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
            let (value, _) = rest.split_once('"')?;
            Some(format!(r#","{name}":"{value}""#))
        };
        let fields = ["writeId", "check"].into_iter().filter_map(field);
        fields.collect()
    }

    /// Sends a compare-and-swap on the present version.
    fn swap(&mut self, index: usize, content: &str) {
        let Some(cell) = &self.cell else { return };
        let request = store::Request::write("PUT", "/", content.into());
        let request = match cell.text() {
            Some(_) => request.header("if-match", cell.version().to_string()),
            None => request.header("if-none-match", "*"),
        };
        let from = Sender {
            requester: Requester::ClientGo(index),
            generation: 0,
            request: 0,
            process: 0,
            sent: self.now,
            back: None,
        };
        let way = self.way(0.0, Kind::SlowRequest);
        let request = Box::new(Request::Cell(request));
        self.after(way, Event::Arrive { from, request });
    }

    /// Returns whether a client-go candidate holds the lease and renews it.
    pub(super) fn client_go_leads(&self) -> bool {
        self.client_go.iter().any(|client_go| {
            !client_go.stopped
                && client_go
                    .renewed
                    .is_some_and(|at| self.now.since(at) < Duration::from_secs(LEASE))
        })
    }
}
