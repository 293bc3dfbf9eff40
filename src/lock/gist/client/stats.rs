//! What the client has sent and heard, for those who look in from outside.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::lock::gist::wire::RateLimit;
use crate::lock::gist::wire::request::Method;
use crate::lock::gist::wire::status::Head;

/// What was sent and heard so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many answers there were, by method and status; a body that was then unusable counts too.
    pub answers: BTreeMap<(Method, u16), u64>,
    /// How many requests got no answer.
    pub unanswered: u64,
    /// How many calls were answered `Throttled` without anything being sent.
    pub held_back: u64,
    /// The primary rate limit, as last heard of.
    pub rate: Option<RateLimit>,
    /// What the token may do, as last heard of.
    pub scopes: Option<Arc<str>>,
}

impl Stats {
    /// How many answers were 304s, which cost nothing.
    #[must_use]
    pub fn not_modified(&self) -> u64 {
        self.answers.get(&(Method::Get, 304)).copied().unwrap_or(0)
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
