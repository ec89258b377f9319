//! How often children ended, by the reason.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of a pool.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Replaced in good order: enough runs, too much memory, a panic.
    pub(super) retired: AtomicU64,
    /// Killed, because a call had its time or was given up.
    pub(super) killed: AtomicU64,
    /// Died by themselves.
    pub(super) died: AtomicU64,
}

impl Ends {
    pub(super) fn count(reason: &AtomicU64) {
        reason.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
        let reasons = [("retired", &self.retired), ("killed", &self.killed), ("died", &self.died)];
        reasons.into_iter().map(|(reason, count)| (reason, count.load(Ordering::Relaxed))).collect()
    }
}
