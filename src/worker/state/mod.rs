//! What a worker knows of itself: its leases, its requests, what was revoked, and what was changed by remote control.
//!
//! # Celery
//! `worker/state.py`. Differences: it belongs to one worker and not to the process; tasks that succeeded are known to the backend
//! (`worker_deduplicate_successful_tasks`), not to a list here.

mod leases;
mod requests;
mod revoked;

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

pub(super) use self::leases::Leases;
pub(super) use self::requests::{Ended, Held, Phase, Requests, Tracked};
pub(super) use self::revoked::{Revoked, common};
use crate::events::Clock;
use crate::worker::rates::Rates;

/// The time limits that remote control set for a task: soft, then hard.
pub(super) type ChangedLimits = (Option<Duration>, Option<Duration>);

/// What a worker knows of itself.
#[derive(Debug)]
pub(super) struct WorkerState {
    pub(super) clock: Arc<Clock>,
    pub(super) requests: Arc<Requests>,
    /// What is consumed; the fetcher follows it.
    pub(super) queues: watch::Sender<Vec<String>>,
    pub(super) rates: Rates,
    revoked: Mutex<Revoked>,
    /// By the task's name; in place of its own and the settings'.
    time_limits: Mutex<HashMap<String, ChangedLimits>>,
    /// How many runs a stop cut off.
    pub(super) cut_off: AtomicUsize,
    started: Instant,
}

impl WorkerState {
    /// Nothing received yet.
    pub(super) fn new(clock: Arc<Clock>, queues: Vec<String>, revoked: Revoked) -> Self {
        Self {
            clock,
            requests: Arc::default(),
            queues: watch::Sender::new(queues),
            rates: Rates::default(),
            revoked: Mutex::new(revoked),
            time_limits: Mutex::default(),
            cut_off: AtomicUsize::new(0),
            started: Instant::now(),
        }
    }

    /// How long it has run.
    pub(super) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// What was revoked, to be asked or added to.
    pub(super) fn revoked(&self) -> MutexGuard<'_, Revoked> {
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits that were set for a task by remote control, if any were.
    pub(super) fn time_limits(&self, task: &str) -> Option<ChangedLimits> {
        self.limits().get(task).copied()
    }

    /// Sets the limits of a task for runs that begin from now on.
    pub(super) fn set_time_limits(&self, task: &str, limits: ChangedLimits) {
        self.limits().insert(task.to_owned(), limits);
    }

    fn limits(&self) -> MutexGuard<'_, HashMap<String, ChangedLimits>> {
        self.time_limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
