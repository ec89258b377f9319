//! Trace is responsible for running the user's code once, under its limits, to a closed [`Outcome`].
//!
//! It stores nothing, publishes nothing and acks nothing.
//!
//! # Celery
//! `app/trace.py` without what follows the run. Differences: the soft limit is told through [`Context::cancelled`] (an async function
//! cannot be interrupted by an exception); one that has not ended [`SOFT_GRACE`] later, or at its hard limit, is dropped.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep_until};

use crate::canvas;
use crate::protocol::exception::Exception;
use crate::protocol::headers::TimeLimit;
use crate::protocol::repr;
use crate::protocol::signature::Signature;
use crate::protocol::value::Value;
use crate::task::context::Stops;
use crate::task::handler::Run;
use crate::task::outcome::{Failure, Outcome, TaskError};
use crate::task::registry::Task;
use crate::task::request::RequestInfo;
use crate::task::retry::Retry;

/// How long a task without a hard limit may go on after its soft one.
pub(super) const SOFT_GRACE: Duration = Duration::from_secs(5);
/// Celery's default for `max_retries`.
const MAX_RETRIES: u32 = 3;
/// Celery's default for `default_retry_delay`.
const RETRY_DELAY: Duration = Duration::from_secs(180);

/// What becomes of a run whose child process died.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct OnWorkerLost {
    /// Its message is run again: acked late, with `reject_on_worker_lost`.
    pub(super) reject: bool,
    /// It is retried with a new message: `retry_on_worker_lost`.
    pub(super) retry: bool,
}

/// The time limits of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) soft: Option<Duration>,
    pub(super) hard: Option<Duration>,
}

impl Limits {
    /// When the run is dropped, if ever.
    fn last(&self) -> Option<Duration> {
        self.hard.or(self.soft.map(|soft| soft.saturating_add(SOFT_GRACE)))
    }

    /// As a request shows them.
    pub(super) fn header(&self) -> TimeLimit {
        TimeLimit { hard: self.hard.map(|limit| limit.as_secs_f64()), soft: self.soft.map(|limit| limit.as_secs_f64()) }
    }

    fn log_last(&self, run: &Concluding<'_>) {
        match self.hard {
            Some(hard) => tracing::error!("Hard time limit ({}s) exceeded for {run}", hard.as_secs_f64()),
            None => tracing::error!("Soft time limit exceeded for {run}, which has not ended within {}s", SOFT_GRACE.as_secs_f64()),
        }
    }

    fn exceeded(&self) -> Exception {
        match (self.hard, self.soft) {
            (Some(hard), _) => Exception::time_limit_exceeded(hard.as_secs_f64()),
            (None, _) => Exception::soft_time_limit_exceeded(),
        }
    }
}

/// Runs `run` to its outcome; `abandon` drops it (cold stop, lost lease).
pub(super) async fn trace(
    run: Run,
    ending: Concluding<'_>,
    limits: Limits,
    stops: &Stops,
    abandon: impl Future<Output = ()>,
) -> Outcome {
    let begun = Instant::now();
    let far = begun + Duration::from_secs(86_400 * 365 * 30);
    // A message may ask for more seconds than a clock has.
    let at = |limit: Option<Duration>| limit.and_then(|limit| begun.checked_add(limit)).unwrap_or(far);
    let mut run = std::pin::pin!(AssertUnwindSafe(run).catch_unwind());
    let mut abandon = std::pin::pin!(abandon);
    let mut soft = std::pin::pin!(sleep_until(at(limits.soft)));
    let mut last = std::pin::pin!(sleep_until(at(limits.last())));
    let mut told = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut run => return ending.conclude(ended.unwrap_or_else(|panic| Err(panicked(&*panic)))),
            () = &mut abandon => {
                stops.cancelled.cancel();
                return Outcome::Abandoned;
            }
            () = &mut last => {
                stops.cancelled.cancel();
                limits.log_last(&ending);
                return Outcome::Failure(Failure::new(limits.exceeded()));
            }
            () = &mut soft, if !stops.soft_limit.is_cancelled() => {
                tracing::warn!("Soft time limit ({}s) exceeded for {ending}", limits.soft.unwrap_or_default().as_secs_f64());
                stops.soft_limit.cancel();
            }
            // By the timer above, or by SIGUSR1 before its time.
            () = stops.soft_limit.cancelled(), if !told => {
                told = true;
                stops.cancelled.cancel();
                if limits.hard.is_none() {
                    last.as_mut().reset(Instant::now() + SOFT_GRACE);
                }
            }
        }
    }
}

/// What a panic becomes.
fn panicked(panic: &(dyn std::any::Any + Send)) -> TaskError {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    TaskError::failure(Exception::new(
        crate::task::outcome::ERRORS_MODULE,
        "Panic",
        vec![Value::from(message.unwrap_or("task panicked"))],
    ))
}

/// What the outcome of a run depends on beside what its code returned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Concluding<'a> {
    pub(super) task: &'a Task,
    pub(super) request: &'a RequestInfo,
    pub(super) on_worker_lost: OnWorkerLost,
}

/// As Celery names a run.
impl fmt::Display for Concluding<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.request.task(), self.request.id())
    }
}

impl Concluding<'_> {
    fn conclude(self, ended: Result<Value, TaskError>) -> Outcome {
        match ended {
            Ok(value) => Outcome::Success(value),
            Err(TaskError::Failure(failure)) if self.task.options.autoretries(&failure.exception) => self.retry_for(*failure),
            Err(TaskError::Failure(failure)) => Outcome::Failure(*failure),
            Err(TaskError::WorkerLost(failure)) => self.worker_lost(*failure),
            Err(TaskError::Retry(retry)) => self.retry_or_fail(*retry),
            Err(TaskError::Reject { requeue, reason }) => Outcome::Reject { requeue, reason },
            Err(TaskError::Ignore) => Outcome::Ignore,
            Err(TaskError::Replace(signature)) => self.replace(*signature),
        }
    }

    fn replace(self, signature: Signature) -> Outcome {
        if let Some(exception) = canvas::not_a_replacement(&signature) {
            return Outcome::Failure(Failure::new(exception));
        }
        let hook = self.task.options.on_replace.as_ref();
        Outcome::Replace(Box::new(match hook {
            Some(hook) => hook.apply(self.request, signature),
            None => signature,
        }))
    }

    fn worker_lost(self, failure: Failure) -> Outcome {
        let OnWorkerLost { reject, retry } = self.on_worker_lost;
        if retry && !self.exhausted(&Retry::default()) {
            return self.retry_for(failure);
        }
        if reject { Outcome::Lost(failure) } else { Outcome::Failure(Failure { exhausted: retry, ..failure }) }
    }

    fn retry_for(self, failure: Failure) -> Outcome {
        self.retry_or_fail(Retry { cause: Some(failure), ..Retry::default() })
    }

    fn exhausted(self, retry: &Retry) -> bool {
        self.request.retries() >= retry.max_retries.or(self.task.options.max_retries).unwrap_or(MAX_RETRIES)
    }

    fn retry_or_fail(self, mut retry: Retry) -> Outcome {
        let Self { task, request, .. } = self;
        retry.bind(&request.message, task.handler.parameters());
        if self.exhausted(&retry) {
            let failure = retry.cause.take().unwrap_or_else(|| exceeded(&retry, request));
            return Outcome::Failure(Failure { exhausted: true, ..failure });
        }
        if retry.eta.is_none() && retry.countdown.is_none() {
            let backoff = task.options.backoff.map(|backoff| backoff.delay(request.retries(), fastrand::f64()));
            retry.countdown = backoff.or(task.options.default_retry_delay).or(Some(RETRY_DELAY));
        }
        Outcome::Retry(Box::new(retry))
    }
}

/// What a retry without a cause fails with when there may be no more.
fn exceeded(retry: &Retry, request: &RequestInfo) -> Failure {
    let (args, kwargs) = (&request.message.args, &request.message.kwargs);
    let args = repr::args(retry.args.as_ref().unwrap_or(args));
    let kwargs = repr::kwargs(retry.kwargs.as_ref().unwrap_or(kwargs));
    let message = format!("Can't retry {}[{}] args:{args} kwargs:{kwargs}", request.task(), request.id());
    Failure::new(Exception::max_retries_exceeded(message))
}
