//! client-go candidates beside ours: their lock reads the record, compares, and overwrites it plainly.
//! They lead at once, which nobody can prevent; ours must keep their promises among themselves.

use std::time::Duration;

use elector::emulator::Edit;
use elector::lock::gist::stored::Stored;
use elector::lock::gist::wire::Text;

use super::{Event, Who, World};
use crate::clock::Time;
use crate::service::FILE;
use crate::tally::Kind;

/// Their settings, those of client-go's example.
const LEASE: u64 = 15;
const RETRY_PERIOD: f64 = 2.0;

/// One of them.
#[derive(Debug)]
pub(super) struct Legacy {
    /// The text last seen, and since when.
    seen: String,
    since: Time,
    /// When it last wrote.
    pub(super) renewed: Option<Time>,
    pub(super) stopped: bool,
}

impl World {
    pub(super) fn populate_legacy(&mut self) {
        for index in 0..self.scenario.legacy {
            self.legacy.push(Legacy {
                seen: String::new(),
                since: Time(0),
                renewed: None,
                stopped: false,
            });
            let first = self.seconds(0.0, RETRY_PERIOD);
            self.after(first, Event::Legacy { index });
        }
        if self.scenario.legacy > 0 {
            self.longest_foreign = Duration::from_secs(LEASE);
        }
    }

    /// It looks, and writes if it holds the lease or the lease seems to have run out.
    pub(super) fn legacy_looks(&mut self, index: usize) {
        if self.legacy[index].stopped {
            return;
        }
        let next = self.seconds(RETRY_PERIOD, RETRY_PERIOD * 1.2);
        self.after(next, Event::Legacy { index });
        let fails = self.rng.u8(..4) == 0 && self.healing.is_none();
        if self.outage || fails {
            return;
        }
        let text = self.service.head_text().unwrap_or_default();
        let now = self.now;
        let legacy = &mut self.legacy[index];
        if legacy.seen != *text {
            legacy.seen = text.to_string();
            legacy.since = now;
        }
        let stored = Stored::read(&Text::Whole(text));
        let record = stored.record().map(|stored| &stored.record);
        let (holder, token) = record.map_or(("", 0), |record| {
            (record.holder_identity.as_str(), record.leader_transitions)
        });
        let name = format!("legacy-{index}");
        let free = holder.is_empty() || now.since(legacy.since) > Duration::from_secs(LEASE);
        if holder != name && !free {
            return;
        }
        let token = token + u64::from(holder != name);
        let content = format!(
            r#"{{"holderIdentity":"{name}","leaseDurationSeconds":{LEASE},"renewTime":"{}","leaderTransitions":{token}}}"#,
            now.0
        );
        legacy.renewed = Some(now);
        self.tally.count(Kind::Legacy);
        if let Ok(write) = self.service.begin_write(Edit::put(FILE, content.as_str())) {
            self.begin_others(Who::Legacy(index), write);
        }
    }

    /// Whether one of them holds the lease and renews it.
    pub(super) fn legacy_leads(&self) -> bool {
        self.legacy.iter().any(|legacy| {
            !legacy.stopped
                && legacy
                    .renewed
                    .is_some_and(|at| self.now.since(at) < Duration::from_secs(LEASE))
        })
    }
}
