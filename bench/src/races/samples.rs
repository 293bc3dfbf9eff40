//! Samples of a group of elections.

/// Samples of a group of elections.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// Seconds from the earliest expiry of the lease.
    pub(super) takeovers: Vec<f64>,
    /// PATCHes that reached the gist per takeover.
    pub(super) writes: Vec<f64>,
    /// Seconds from SIGTERM.
    pub(super) handovers: Vec<f64>,
    /// Seconds from the start of three candidates on a gist that holds `{}`.
    pub(super) fresh: Vec<f64>,
    /// Longest time with two workloads, per election.
    pub(super) overlaps: Vec<f64>,
    /// Terms whose fencing token did not exceed all earlier ones, per election.
    pub(super) stale_tokens: Vec<f64>,
    /// Number of leaders that lost their lease undisturbed.
    pub(super) lost: usize,
}

impl Samples {
    pub(super) fn merge(&mut self, other: Samples) {
        self.takeovers.extend(other.takeovers);
        self.writes.extend(other.writes);
        self.handovers.extend(other.handovers);
        self.fresh.extend(other.fresh);
        self.overlaps.extend(other.overlaps);
        self.stale_tokens.extend(other.stale_tokens);
        self.lost += other.lost;
    }
}
