//! Trace is responsible for running the user's code once, under its limits, to a closed [`Outcome`].
//!
//! It stores nothing, publishes nothing and acks nothing.
//!
//! # Celery
//! `app/trace.py` without what follows the run. Differences: the soft limit is told through [`Context::cancelled`] (an async function
//! cannot be interrupted by an exception); one that has not ended [`SOFT_GRACE`] later, or at its hard limit, is dropped.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep_until};

use crate::protocol::exception::Exception;
use crate::protocol::value::Value;
use crate::task::context::Stops;
use crate::task::handler::Run;
use crate::task::outcome::{Failure, Outcome, Retry, TaskError};
use crate::task::registry::Task;
use crate::task::request::RequestInfo;

/// How long a task without a hard limit may go on after its soft one.
pub(super) const SOFT_GRACE: Duration = Duration::from_secs(5);
/// Celery's default for `max_retries`.
const MAX_RETRIES: u32 = 3;

/// The time limits of one run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) soft: Option<Duration>,
    pub(super) hard: Option<Duration>,
}

impl Limits {
    /// When the run is dropped, if ever.
    fn last(&self) -> Option<Duration> {
        self.hard.or(self.soft.map(|soft| soft + SOFT_GRACE))
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
    task: &Task,
    request: &RequestInfo,
    limits: Limits,
    stops: &Stops,
    abandon: impl Future<Output = ()>,
) -> Outcome {
    let begun = Instant::now();
    let far = begun + Duration::from_secs(86_400 * 365 * 30);
    let at = |limit: Option<Duration>| limit.map_or(far, |limit| begun + limit);
    let mut run = std::pin::pin!(AssertUnwindSafe(run).catch_unwind());
    let mut abandon = std::pin::pin!(abandon);
    let mut soft = std::pin::pin!(sleep_until(at(limits.soft)));
    loop {
        tokio::select! {
            biased;
            ended = &mut run => return conclude(ended.unwrap_or_else(|panic| Err(panicked(&*panic))), task, request),
            () = &mut abandon => {
                stops.cancelled.cancel();
                return Outcome::Abandoned;
            }
            () = sleep_until(at(limits.last())) => {
                stops.cancelled.cancel();
                return Outcome::Failure(Failure::new(limits.exceeded()));
            }
            () = &mut soft, if !stops.soft_limit.is_cancelled() => {
                tracing::warn!("Soft time limit ({}s) exceeded", limits.soft.unwrap_or_default().as_secs_f64());
                stops.soft_limit.cancel();
                stops.cancelled.cancel();
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

fn conclude(ended: Result<Value, TaskError>, task: &Task, request: &RequestInfo) -> Outcome {
    match ended {
        Ok(value) => Outcome::Success(value),
        Err(TaskError::Failure(failure)) => Outcome::Failure(*failure),
        Err(TaskError::Retry(retry)) => retry_or_fail(*retry, task, request),
        Err(TaskError::Reject { requeue, reason }) => Outcome::Reject { requeue, reason },
        Err(TaskError::Ignore) => Outcome::Ignore,
        Err(TaskError::Replace(signature)) => Outcome::Replace(signature),
    }
}

fn retry_or_fail(retry: Retry, task: &Task, request: &RequestInfo) -> Outcome {
    let options = &task.options;
    let limit = retry.max_retries.or(options.max_retries).unwrap_or(MAX_RETRIES);
    if request.retries() >= limit {
        return Outcome::Failure(retry.cause.unwrap_or_else(|| {
            let message = format!("Can't retry {}[{}]", request.task(), request.id());
            Failure::new(Exception::new("celery.exceptions", "MaxRetriesExceededError", vec![message.into()]))
        }));
    }
    let backed_off = || match options.default_retry_delay {
        Some(delay) if options.backoff.is_none() => delay,
        _ => options.backoff.unwrap_or_default().delay(request.retries(), fastrand::f64()),
    };
    let delay = retry.countdown.unwrap_or_else(backed_off);
    Outcome::Retry { cause: retry.cause, delay }
}
