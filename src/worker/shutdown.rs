//! What a program tells a worker that runs: how to stop, to fetch no more, and to write down its state; and why a worker's run ended.
//!
//! # Celery
//! `apps/worker.py`'s signal handlers and `worker/state.py: should_stop`. Differences: the library installs no signal handler, the program
//! hands in a [`Shutdown`] and says when; a second TERM during a warm stop makes it cold (Celery ignores it); a worker can be quiet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How far a stop has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// No stop has begun.
    #[default]
    Running,
    /// It fetches nothing more, finishes what it has, and goes on answering.
    Quiet,
    /// It ends as soon as what runs is finished; what has not begun is handed back.
    Warm,
    /// What runs has `worker_soft_shutdown_timeout` left, then the stop is cold.
    Soft,
    /// What runs is cut off, and what is acked late is handed back.
    Cold,
    /// The process leaves, whatever it holds: its leases run out by themselves.
    Hard,
}

/// The handle of a stop. Clones are one handle.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stage: Mutex<(Stage, Told)>,
    /// Nothing more is fetched.
    quiet: CancellationToken,
    warm: CancellationToken,
    /// A cold stop was asked for: the soft one begins, if there is one.
    soft: CancellationToken,
    cold: CancellationToken,
    hard: CancellationToken,
    dump: Notify,
}

/// What was told beside the stage.
#[derive(Debug, Default)]
struct Told {
    /// The process is to begin anew after the stop.
    restart: bool,
}

impl Shutdown {
    /// Nothing begun yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Fetch nothing more; finish what is held, and go on answering until a stop.
    pub fn quiet(&self) {
        self.reach(Stage::Quiet);
    }

    /// Fetch nothing more, hand back what has not begun, finish what runs. A restart that was asked for becomes a stop.
    pub fn warm(&self) {
        self.lock().1.restart = false;
        self.reach(Stage::Warm);
    }

    /// As [`Self::warm`], to begin anew after it: [`StopReason::Restart`]. A stop that has begun stays one.
    pub fn restart(&self) {
        {
            let (stage, told) = &mut *self.lock();
            told.restart |= *stage < Stage::Warm;
        }
        self.reach(Stage::Warm);
    }

    /// Cut off what runs, too, and hand back what is acked late: after `worker_soft_shutdown_timeout`, or at once if that time has begun.
    pub fn cold(&self) {
        self.lock().1.restart = false;
        let next = if self.stage() >= Stage::Soft { Stage::Cold } else { Stage::Soft };
        self.reach(next);
    }

    /// Leave at once, whatever is held.
    pub fn hard(&self) {
        self.reach(Stage::Hard);
    }

    /// The next stage of a stop: warm, then soft or cold, then cold, then hard. What it was told.
    pub fn escalate(&self) -> Stage {
        let restarts = self.restarts();
        match self.stage() {
            Stage::Running | Stage::Quiet => self.warm(),
            // It was to begin anew, and is now to end: that is the first it hears of a stop.
            Stage::Warm if restarts => self.warm(),
            Stage::Warm | Stage::Soft => self.cold(),
            Stage::Cold | Stage::Hard => self.hard(),
        }
        self.stage()
    }

    /// Writes what the worker does to the log.
    pub fn dump(&self) {
        self.shared.dump.notify_one();
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.lock().0
    }

    /// Cancelled when nothing more is to be fetched.
    pub fn quieted(&self) -> &CancellationToken {
        &self.shared.quiet
    }

    /// Cancelled by every stop.
    pub fn stopping(&self) -> &CancellationToken {
        &self.shared.warm
    }

    /// Cancelled by a cold stop when its soft time is over.
    pub fn cut_off(&self) -> &CancellationToken {
        &self.shared.cold
    }

    /// Cancelled when the process is to leave at once.
    pub fn leaving(&self) -> &CancellationToken {
        &self.shared.hard
    }

    /// Cancelled when a cold stop was asked for.
    pub(super) fn softened(&self) -> &CancellationToken {
        &self.shared.soft
    }

    /// Whether the process is to begin anew.
    pub(crate) fn restarts(&self) -> bool {
        self.lock().1.restart
    }

    /// The soft time is over, or there is none.
    pub(super) fn cut(&self) {
        self.reach(Stage::Cold);
    }

    /// Ends when the state is asked for.
    pub(super) async fn dumped(&self) {
        self.shared.dump.notified().await;
    }

    /// Goes on to a stage and through all before it; never back.
    fn reach(&self, stage: Stage) {
        {
            let (now, _) = &mut *self.lock();
            *now = stage.max(*now);
        }
        let Shared { quiet, warm, soft, cold, hard, .. } = &*self.shared;
        let tokens = [(Stage::Quiet, quiet), (Stage::Warm, warm), (Stage::Soft, soft), (Stage::Cold, cold), (Stage::Hard, hard)];
        tokens.into_iter().filter(|(at, _)| *at <= stage).for_each(|(_, token)| token.cancel());
    }

    fn lock(&self) -> MutexGuard<'_, (Stage, Told)> {
        self.shared.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a worker's run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// It was told to, and everything it ran is finished.
    Warm,
    /// It was told to, and some of what it ran was cut off.
    Cold,
    /// It was told to begin anew, and everything it ran is finished.
    Restart,
    /// It was told to leave at once, or its grace was over: what it held comes back when its leases have run out.
    Hard,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_signal_takes_a_stop_one_stage_further() {
        let shutdown = Shutdown::new();
        shutdown.quiet();
        assert!(shutdown.quieted().is_cancelled() && !shutdown.stopping().is_cancelled());
        let stages: Vec<Stage> = (0..5).map(|_| shutdown.escalate()).collect();
        assert_eq!(stages, [Stage::Warm, Stage::Soft, Stage::Cold, Stage::Hard, Stage::Hard]);
        shutdown.quiet();
        assert_eq!(shutdown.stage(), Stage::Hard, "never back");
    }

    #[test]
    fn a_stop_wins_over_a_restart() {
        let shutdown = Shutdown::new();
        shutdown.restart();
        assert!(shutdown.restarts() && shutdown.stopping().is_cancelled());
        assert_eq!(shutdown.escalate(), Stage::Warm);
        assert!(!shutdown.restarts());
        shutdown.restart();
        assert!(!shutdown.restarts(), "it had begun to stop");
    }

    #[test]
    fn a_cold_stop_goes_through_a_warm_one() {
        let shutdown = Shutdown::new();
        shutdown.cold();
        assert!(shutdown.stopping().is_cancelled() && shutdown.softened().is_cancelled() && !shutdown.cut_off().is_cancelled());
        shutdown.cold();
        assert!(shutdown.cut_off().is_cancelled() && !shutdown.leaving().is_cancelled());
    }
}
