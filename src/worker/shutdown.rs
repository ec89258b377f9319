//! How a worker is told to stop, and why it did.
//!
//! # Celery
//! `apps/worker.py`'s signal handlers and `worker/state.py: should_stop`. Difference: the library installs no signal handler; the
//! program hands in a [`Shutdown`] and says when.

use tokio_util::sync::CancellationToken;

/// The two stages of a stop. Clones are one handle.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    warm: CancellationToken,
    cold: CancellationToken,
}

impl Shutdown {
    /// Nothing begun yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fetch nothing more, hand back what has not begun, finish what runs.
    pub fn warm(&self) {
        self.warm.cancel();
    }

    /// Cut off what runs, too, and hand back what is acked late.
    pub fn cold(&self) {
        self.warm.cancel();
        self.cold.cancel();
    }

    /// The next stage: warm, then cold.
    pub fn escalate(&self) {
        if self.warm.is_cancelled() { self.cold() } else { self.warm() }
    }

    /// Cancelled by both stages.
    pub fn stopping(&self) -> &CancellationToken {
        &self.warm
    }

    /// Cancelled by a cold stop.
    pub fn cut_off(&self) -> &CancellationToken {
        &self.cold
    }
}

/// Why a worker's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// It was told to, and everything it ran is finished.
    Warm,
    /// It was told to, and what it ran was cut off.
    Cold,
}
