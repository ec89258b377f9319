//! The options of a task, with Celery's names; what a task leaves open is the configuration's to say.
//!
//! # Celery
//! The attributes of `app/task.py: Task`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::context::Context;
use super::request::RequestInfo;
use super::retry::Backoff;
use super::short_cut::ShortCut;
use crate::config::{Annotation, Rate, RateScope, Seconds};
use crate::protocol::exception::Exception;
use crate::protocol::signature::Signature;

type Replacing = dyn Fn(&RequestInfo, Signature) -> Signature + Send + Sync;

/// Changes a signature that is about to take a task's place.
#[derive(Clone)]
pub struct ReplaceHook(Arc<Replacing>);

impl ReplaceHook {
    pub(crate) fn apply(&self, request: &RequestInfo, signature: Signature) -> Signature {
        (self.0)(request, signature)
    }
}

impl fmt::Debug for ReplaceHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplaceHook")
    }
}

impl PartialEq for ReplaceHook {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// How a task is run. `None` means: as the settings say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskOptions {
    /// The queue calls of this task go to when no route says otherwise.
    pub queue: Option<String>,
    /// Ack after the result is settled instead of before the run.
    pub acks_late: Option<bool>,
    /// With `acks_late`: run the same message again when the child process that ran it died, instead of failing.
    pub reject_on_worker_lost: Option<bool>,
    /// Retry with a new message when the child process that ran it died, instead of failing.
    pub retry_on_worker_lost: Option<bool>,
    /// With `acks_late`: ack after the hard time limit, too; `false` puts the message back to its queue.
    pub acks_on_timeout: Option<bool>,
    /// How often it may be retried; Celery's default is 3.
    pub max_retries: Option<u32>,
    /// Keep its message as a dead letter when its retries are used up.
    pub dead_letter_exhausted: Option<bool>,
    /// The back-off of its retries.
    pub backoff: Option<Backoff>,
    /// The delay of a retry that names none, where there is no back-off; Celery's default is 180 s.
    pub default_retry_delay: Option<Duration>,
    /// Exceptions after which it is retried by itself, see [`Self::autoretry_for`].
    pub autoretry_for: Vec<String>,
    /// Exceptions after which it is not, whatever [`Self::autoretry_for`] says.
    pub dont_autoretry_for: Vec<String>,
    /// What becomes of a signature that takes its place.
    pub on_replace: Option<ReplaceHook>,
    /// Knows the results of some calls without running them.
    pub short_cut: Option<ShortCut>,
    /// After this it is cut off.
    pub time_limit: Option<Duration>,
    /// After this it is told to stop.
    pub soft_time_limit: Option<Duration>,
    /// How often it may begin.
    pub rate_limit: Option<Rate>,
    /// Whose runs that counts.
    pub rate_limit_scope: Option<RateScope>,
    /// Refuse a call while another with the same arguments is queued or running.
    pub unique: Option<bool>,
    /// How long one that is unique keeps others out at the longest; a day where nobody says so.
    pub unique_for: Option<Duration>,
    /// Store no result.
    pub ignore_result: Option<bool>,
    /// Store failures even so.
    pub store_errors_even_if_ignored: Option<bool>,
    /// Store `STARTED` when it begins.
    pub track_started: Option<bool>,
    /// Send events of it, where the worker sends events of tasks.
    pub send_events: Option<bool>,
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

    /// Runs the same message again when its child process died.
    pub fn reject_on_worker_lost(&mut self) -> &mut Self {
        self.reject_on_worker_lost = Some(true);
        self
    }

    /// Retries with a new message when its child process died.
    pub fn retry_on_worker_lost(&mut self) -> &mut Self {
        self.retry_on_worker_lost = Some(true);
        self
    }

    /// Whether a late ack also follows a hard time limit.
    pub fn acks_on_timeout(&mut self, acks: bool) -> &mut Self {
        self.acks_on_timeout = Some(acks);
        self
    }

    /// Retries by itself after exceptions of these classes, named by their class (`ValueError`, or the name of a Rust error's type) or
    /// with their module before it; `Exception` is all of them. Subclasses have to be named themselves.
    pub fn autoretry_for<N: Into<String>>(&mut self, names: impl IntoIterator<Item = N>) -> &mut Self {
        self.autoretry_for = names.into_iter().map(Into::into).collect();
        self
    }

    /// Leaves exceptions of these classes out of [`Self::autoretry_for`].
    pub fn dont_autoretry_for<N: Into<String>>(&mut self, names: impl IntoIterator<Item = N>) -> &mut Self {
        self.dont_autoretry_for = names.into_iter().map(Into::into).collect();
        self
    }

    /// Changes every signature that takes this task's place, before it does; for example to stamp it.
    pub fn on_replace(&mut self, hook: impl Fn(&RequestInfo, Signature) -> Signature + Send + Sync + 'static) -> &mut Self {
        self.on_replace = Some(ReplaceHook(Arc::new(hook)));
        self
    }

    /// Asks for the result of each call as soon as its message is received, before it waits for a turn or a slot: where there is one, the
    /// task has succeeded with it and is not run. For work that has become needless while it waited.
    pub fn short_cut<F, A, R, Fut>(&mut self, answer: F) -> &mut Self
    where
        F: Fn(Context, A) -> Fut + Send + Sync + 'static,
        A: DeserializeOwned,
        R: Serialize,
        Fut: Future<Output = Option<R>> + Send + 'static,
    {
        self.short_cut = Some(ShortCut::new(answer));
        self
    }

    /// Sets the number of retries.
    pub fn max_retries(&mut self, limit: u32) -> &mut Self {
        self.max_retries = Some(limit);
        self
    }

    /// Retries without end.
    pub fn unlimited_retries(&mut self) -> &mut Self {
        self.max_retries(u32::MAX)
    }

    /// Whether its message is kept as a dead letter when its retries are used up.
    pub fn dead_letter_exhausted(&mut self, keeps: bool) -> &mut Self {
        self.dead_letter_exhausted = Some(keeps);
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

    /// Sets how often it may begin, on each worker by itself or on all together.
    pub fn rate_limit(&mut self, rate: Rate, scope: RateScope) -> &mut Self {
        (self.rate_limit, self.rate_limit_scope) = (Some(rate), Some(scope));
        self
    }

    /// Refuses a call while another with the same arguments is queued or running, or another with the same `unique_key` where callers give
    /// one: its result is a failure, Celery's `Reject`, that names the other.
    pub fn unique(&mut self) -> &mut Self {
        self.unique = Some(true);
        self
    }

    /// Sets how long one that is unique keeps others out at the longest, counted from when a worker last received it; its ETA is added.
    pub fn unique_for(&mut self, longest: Duration) -> &mut Self {
        self.unique_for = Some(longest);
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

    /// Whether events of it are sent.
    pub fn send_events(&mut self, sends: bool) -> &mut Self {
        self.send_events = Some(sends);
        self
    }

    /// Stores `STARTED`.
    pub fn track_started(&mut self) -> &mut Self {
        self.track_started = Some(true);
        self
    }
}

impl TaskOptions {
    /// Whether a failure is retried by itself.
    pub(crate) fn autoretries(&self, exception: &Exception) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == "Exception" || exception.is_a(name));
        named(&self.autoretry_for) && !named(&self.dont_autoretry_for)
    }

    /// What a deployment says about the task wins over its author.
    pub(crate) fn annotate(&mut self, annotation: &Annotation) {
        fn set<T>(mine: &mut Option<T>, theirs: Option<T>) {
            if theirs.is_some() {
                *mine = theirs;
            }
        }
        set(&mut self.max_retries, annotation.max_retries);
        set(&mut self.dead_letter_exhausted, annotation.dead_letter_exhausted);
        set(&mut self.default_retry_delay, annotation.default_retry_delay.map(Seconds::duration));
        set(&mut self.rate_limit, annotation.rate_limit.clone());
        set(&mut self.rate_limit_scope, annotation.rate_limit_scope);
        set(&mut self.time_limit, annotation.time_limit.map(Seconds::duration));
        set(&mut self.soft_time_limit, annotation.soft_time_limit.map(Seconds::duration));
        set(&mut self.acks_late, annotation.acks_late);
        set(&mut self.reject_on_worker_lost, annotation.reject_on_worker_lost);
        set(&mut self.acks_on_timeout, annotation.acks_on_failure_or_timeout);
        set(&mut self.unique, annotation.unique);
        set(&mut self.unique_for, annotation.unique_for.map(Seconds::duration));
        set(&mut self.ignore_result, annotation.ignore_result);
        set(&mut self.store_errors_even_if_ignored, annotation.store_errors_even_if_ignored);
        set(&mut self.track_started, annotation.track_started);
    }
}
