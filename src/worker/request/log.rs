//! What the log says of an end.
//!
//! # Celery
//! The formats of `app/trace.py` and `worker/request.py`. Difference: what a task returned is not written.

use std::time::Duration;

use crate::task::outcome::Outcome;
use crate::task::request::RequestInfo;

/// Celery's words for how a run ended.
pub(super) fn log_outcome(info: &RequestInfo, outcome: &Outcome, runtime: Duration) {
    let (name, id, runtime) = (info.task(), info.id(), runtime.as_secs_f64());
    match outcome {
        // What it returned is nobody's business but the caller's, who may have hidden the arguments it was made of.
        Outcome::Success(_) => tracing::info!("Task {name}[{id}] succeeded in {runtime}s"),
        Outcome::Failure(failure) => {
            tracing::error!(traceback = failure.traceback, "Task {name}[{id}] raised unexpected: {}", failure.exception);
        }
        Outcome::Retry(retry) => {
            let cause = retry.cause.as_ref().map(|failure| failure.exception.to_string()).unwrap_or_default();
            match (&retry.eta, retry.countdown) {
                (Some(eta), _) => tracing::info!("Task {name}[{id}] retry: Retry at {eta}: {cause}"),
                (None, wait) => {
                    tracing::info!("Task {name}[{id}] retry: Retry in {}s: {cause}", wait.unwrap_or_default().as_secs_f64())
                }
            }
        }
        Outcome::Lost(failure) => tracing::error!("Task {name}[{id}] goes back to its queue: {}", failure.exception),
        Outcome::Reject { requeue, reason } => tracing::warn!(requeue, "Task {name}[{id}] rejected: {reason}"),
        Outcome::Ignore => tracing::info!("Task {name}[{id}] ignored"),
        Outcome::Replace(signature) => tracing::info!("Task {name}[{id}] replaced by {} in {runtime}s", signature.task),
        Outcome::Revoked(reason) => tracing::info!("Discarding {reason} task: {name}[{id}]"),
        Outcome::Abandoned => {}
    }
}
