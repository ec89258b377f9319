//! The options of a task, with Celery's names; what a task leaves open is the configuration's to say.
//!
//! # Celery
//! The attributes of `app/task.py: Task`.

use std::time::Duration;

use super::retry::Backoff;
use crate::config::{Annotation, Seconds};

/// How a task is run. `None` means: as the settings say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskOptions {
    /// The queue calls of this task go to when no route says otherwise.
    pub queue: Option<String>,
    /// Ack after the result is settled instead of before the run.
    pub acks_late: Option<bool>,
    /// With `acks_late`: run again when the process that ran it died.
    pub reject_on_worker_lost: Option<bool>,
    /// How often it may be retried; Celery's default is 3.
    pub max_retries: Option<u32>,
    /// The back-off of its retries.
    pub backoff: Option<Backoff>,
    /// A fixed delay of its retries instead.
    pub default_retry_delay: Option<Duration>,
    /// After this it is cut off.
    pub time_limit: Option<Duration>,
    /// After this it is told to stop.
    pub soft_time_limit: Option<Duration>,
    /// Store no result.
    pub ignore_result: Option<bool>,
    /// Store failures even so.
    pub store_errors_even_if_ignored: Option<bool>,
    /// Store `STARTED` when it begins.
    pub track_started: Option<bool>,
}

impl TaskOptions {
    /// Sets the queue.
    pub fn queue(&mut self, queue: impl Into<String>) -> &mut Self {
        self.queue = Some(queue.into());
        self
    }

    /// Acks late.
    pub fn acks_late(&mut self) -> &mut Self {
        self.acks_late = Some(true);
        self
    }

    /// Acks early.
    pub fn acks_early(&mut self) -> &mut Self {
        self.acks_late = Some(false);
        self
    }

    /// Runs again when its process died.
    pub fn reject_on_worker_lost(&mut self) -> &mut Self {
        self.reject_on_worker_lost = Some(true);
        self
    }

    /// Sets the number of retries.
    pub fn max_retries(&mut self, limit: u32) -> &mut Self {
        self.max_retries = Some(limit);
        self
    }

    /// Sets the back-off of retries.
    pub fn retry_backoff(&mut self, backoff: Backoff) -> &mut Self {
        self.backoff = Some(backoff);
        self
    }

    /// Sets the number of retries and their back-off.
    pub fn retries(&mut self, limit: u32, backoff: Backoff) -> &mut Self {
        self.max_retries(limit).retry_backoff(backoff)
    }

    /// Sets a fixed delay of retries.
    pub fn default_retry_delay(&mut self, delay: Duration) -> &mut Self {
        self.default_retry_delay = Some(delay);
        self
    }

    /// Sets the hard time limit.
    pub fn time_limit(&mut self, limit: Duration) -> &mut Self {
        self.time_limit = Some(limit);
        self
    }

    /// Sets the soft time limit.
    pub fn soft_time_limit(&mut self, limit: Duration) -> &mut Self {
        self.soft_time_limit = Some(limit);
        self
    }

    /// Stores no result.
    pub fn ignore_result(&mut self) -> &mut Self {
        self.ignore_result = Some(true);
        self
    }

    /// Stores failures even where results are ignored.
    pub fn store_errors_even_if_ignored(&mut self) -> &mut Self {
        self.store_errors_even_if_ignored = Some(true);
        self
    }

    /// Stores `STARTED`.
    pub fn track_started(&mut self) -> &mut Self {
        self.track_started = Some(true);
        self
    }
}

impl TaskOptions {
    /// What a deployment says about the task wins over its author.
    pub(crate) fn annotate(&mut self, annotation: &Annotation) {
        fn set<T>(mine: &mut Option<T>, theirs: Option<T>) {
            if theirs.is_some() {
                *mine = theirs;
            }
        }
        set(&mut self.max_retries, annotation.max_retries);
        set(&mut self.default_retry_delay, annotation.default_retry_delay.map(Seconds::duration));
        set(&mut self.time_limit, annotation.time_limit.map(Seconds::duration));
        set(&mut self.soft_time_limit, annotation.soft_time_limit.map(Seconds::duration));
        set(&mut self.acks_late, annotation.acks_late);
        set(&mut self.reject_on_worker_lost, annotation.reject_on_worker_lost);
        set(&mut self.ignore_result, annotation.ignore_result);
        set(&mut self.store_errors_even_if_ignored, annotation.store_errors_even_if_ignored);
        set(&mut self.track_started, annotation.track_started);
    }
}
