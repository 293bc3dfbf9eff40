//! The service as requests reach it: faults, races, other files, and people who edit the record.

use std::time::Duration;

use multi_cluster_leader_election::election::lock::LockError;
use multi_cluster_leader_election::emulator::{Edit, PendingWrite};
use multi_cluster_leader_election::lock::gist::wire::{Answer, Request};

use super::{Event, Sender, World, throttled};
use crate::clock::Time;
use crate::service::{FILE, OTHER_FILE};

impl World {
    pub(super) fn arrive(&mut self, from: Sender, request: Box<Request>) {
        if self.chance(self.faults.throttled) {
            let retry_after = self.seconds(1.0, 60.0);
            return self.answer_after(Duration::from_millis(50), from, Err(throttled(retry_after)));
        }
        let error = self.chance(self.faults.server_errors);
        let Request::Write { content, .. } = &*request else {
            if error {
                let failed = LockError::Unavailable("502".into());
                return self.answer_after(Duration::from_millis(50), from, Err(failed));
            }
            let stale = self.chance(self.faults.stale_reads);
            let back = if stale {
                self.faults.stale_by.as_nanos() as u64
            } else {
                0
            };
            let then = Time(self.now.0.saturating_sub(back));
            let answer = self
                .service
                .read(&request, then, self.now, self.faults.history_cap);
            return self.answer(from, answer);
        };
        if error && self.rng.bool() {
            let failed = LockError::OutcomeUnknown("502".into());
            return self.answer_after(Duration::from_millis(50), from, Err(failed));
        }
        match self.service.begin_write(Edit::put(FILE, content.as_str())) {
            Ok(write) => {
                let window = self.race_window();
                self.after(
                    window,
                    Event::Land {
                        from,
                        request,
                        write: Box::new(write),
                    },
                );
            }
            Err(error) => {
                let failed = LockError::Unavailable(format!("422: {error}"));
                self.answer_after(Duration::from_millis(50), from, Err(failed));
            }
        }
    }

    pub(super) fn race_window(&mut self) -> Duration {
        let longest = self.faults.race_window.as_secs_f64();
        self.seconds(0.0, longest)
    }

    pub(super) fn land(&mut self, from: Sender, request: &Request, write: &PendingWrite) {
        let landed = self.service.finish_write(write, self.faults.race, self.now);
        self.note(|w| format!("a write of {} lands: {landed:?}", w.nodes[from.node].name));
        let Request::Write { until, .. } = request else {
            return;
        };
        if landed.is_err() || self.chance(self.faults.server_errors / 2.0) {
            let failed = LockError::OutcomeUnknown("409 or 502".into());
            return self.answer_after(Duration::from_millis(50), from, Err(failed));
        }
        let answer = self
            .service
            .written(*until, self.now, self.faults.history_cap);
        self.answer(from, answer);
    }

    pub(super) fn answer(&mut self, from: Sender, answer: Answer) {
        if self.chance(self.faults.lost_answers) {
            return;
        }
        let way = if self.chance(self.faults.sluggish_answers) {
            self.seconds(2.0, 4.9)
        } else {
            self.way(self.faults.slow_answers)
        };
        let answer = Box::new(answer);
        self.after(way, Event::Answer { from, answer });
    }

    pub(super) fn other_file(&mut self) {
        let text = format!("{}", self.rng.u64(..));
        if let Ok(write) = self
            .service
            .begin_write(Edit::put(OTHER_FILE, text.as_str()))
        {
            let window = self.race_window();
            let request = Box::new(Request::Commits { page: 1 });
            let write = Box::new(write);
            let from = Sender {
                node: 0,
                life: u64::MAX,
                request: 0,
            };
            self.after(
                window,
                Event::Land {
                    from,
                    request,
                    write,
                },
            );
        }
    }

    /// A person edits the record on the web.
    pub(super) fn person(&mut self) {
        let head = self.service.head_text().unwrap_or_default();
        let plain = |holder: &str, lease: u64, token: u64| {
            format!(
                r#"{{"holderIdentity":"{holder}","leaseDurationSeconds":{lease},"leaderTransitions":{token}}}"#
            )
        };
        let what = self.rng.u8(..8);
        let back = self.rng.usize(1..400);
        let text = match what {
            0 => None,
            1 => Some("spoilt".to_owned()),
            2 => Some(plain("", 0, 3)),
            3 => Some(plain("", 1, 0)),
            4 => Some(plain("somebody", 60, 1)),
            5 => self.service.old_text(back).map(|text| text.to_string()),
            6 => Some(head.replace("holderIdentity\":\"c", "holderIdentity\":\"d")),
            _ => Some("{}".to_owned()),
        };
        if text.as_deref() == Some("") {
            return;
        }
        self.note(|_| format!("a PERSON writes {text:?}"));
        let forged = self.faults.forged_dates;
        self.service.edit_by_hand(text.as_deref(), self.now, forged);
    }
}
