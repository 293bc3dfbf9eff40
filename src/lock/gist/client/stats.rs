//! What the client has sent and heard, for those who look in from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::lock::gist::wire::request::Method;
use crate::lock::gist::wire::status::Head;
use crate::lock::gist::wire::{RateLimit, Request};

/// What was sent and heard so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many answers there were, by method and status; a body that was then unusable counts too.
    pub answers: BTreeMap<(Method, u16), u64>,
    /// How many requests got no answer.
    pub unanswered: u64,
    /// How many calls asked for a revision, which a walk through the history does.
    pub revisions: u64,
    /// How many calls asked for a page of the history.
    pub pages: u64,
    /// How many calls were answered `RateLimited` without anything being sent.
    pub held_back: u64,
    /// The primary rate limit, as last heard of.
    pub rate: Option<RateLimit>,
    /// What the token may do, as last heard of.
    pub scopes: Option<Arc<str>>,
}

/// Shows what a client has sent and heard, from any thread.
#[derive(Clone, Debug, Default)]
pub struct StatsHandle(Arc<Mutex<Stats>>);

impl StatsHandle {
    /// What was sent and heard so far.
    #[must_use]
    pub fn get(&self) -> Stats {
        self.lock().clone()
    }

    /// For notes, each of which is short: nobody waits for the network here.
    pub(super) fn lock(&self) -> MutexGuard<'_, Stats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stats {
    /// How many answers were 304s, which cost nothing.
    #[must_use]
    pub fn not_modified(&self) -> u64 {
        self.answers.get(&(Method::Get, 304)).copied().unwrap_or(0)
    }

    /// Notes that a call is made.
    pub(super) fn asked(&mut self, request: &Request) {
        match request {
            Request::Revision(_) => self.revisions += 1,
            Request::Commits { .. } => self.pages += 1,
            Request::Gist { .. }
            | Request::History
            | Request::Write { .. }
            | Request::Create { .. } => {}
        }
    }

    /// Notes an answer. HTTP statuses are three digits, so that this cannot grow without bound.
    pub(super) fn heard(&mut self, method: Method, head: &Head) {
        *self.answers.entry((method, head.status)).or_insert(0) += 1;
        if head.scopes.is_some() {
            self.scopes.clone_from(&head.scopes);
        }
        self.rate = head.rate().or(self.rate);
    }
}
