//! How a step of the pipeline ends when it cannot do its work: tried again where that may help, else a failure that callers can read.

use celeriac::protocol::exception::Exception;
use celeriac::protocol::value::{Value, to_value};
use celeriac::task::outcome::ERRORS_MODULE;
use celeriac::task::{Context, FailedCall, Failure, RequestInfo, TaskError};
use chrono::Utc;

use super::aggregate::OfJob;
use super::documents::Documents;
use super::{BACKOFF, RETRIES};
use crate::error::{Code, DocumentError, Stage};

/// How often work is put off, because a provider is left alone, before it has failed: an hour, where that is asked every 30 s.
const WAITS: u32 = 120;
/// The keyword argument in which a message says how often it was put off; its tries are counted without.
const WAITED: &str = "waited";

/// How often the work was put off before.
fn waited(request: &RequestInfo) -> u32 {
    let waited = request.message.kwargs.get(WAITED).and_then(Value::as_i64);
    waited.and_then(|waited| u32::try_from(waited).ok()).unwrap_or(0).min(request.retries())
}

/// How often the work was tried, this time included.
pub(super) fn tries(ctx: &Context) -> u32 {
    tries_of(ctx.request())
}

fn tries_of(request: &RequestInfo) -> u32 {
    request.retries() - waited(request) + 1
}

/// Whether the work is done again after this error.
pub(super) fn again(ctx: &Context, error: &DocumentError) -> bool {
    error.retryable() && if error.tried() { tries(ctx) <= RETRIES } else { waited(ctx.request()) < WAITS }
}

/// The outcome an error becomes: a retry where that may help, and a failure otherwise. A retry that is one too many is the runtime's to
/// refuse, which may keep the message as a dead letter.
pub(super) fn failed(ctx: &Context, error: DocumentError) -> TaskError {
    let (again, tried, after) = (again(ctx, &error), error.tried(), error.retry_after());
    let (retryable, waited) = (error.retryable(), waited(ctx.request()));
    let failure = processing_error(ctx, error);
    if !retryable {
        return failure;
    }
    let retry = match after {
        None => ctx.retry(failure).countdown(BACKOFF.delay(tries(ctx) - 1, fastrand::f64())),
        Some(after) if tried => ctx.retry(failure).countdown(after),
        // All that waits must not come back in one moment, only for one of it to be let through.
        Some(after) => {
            let mut kwargs = ctx.request().message.kwargs.clone();
            kwargs.insert(WAITED.to_owned(), (waited + 1).into());
            ctx.retry(failure).countdown(after.mul_f64(1.0 + fastrand::f64() / 2.0)).kwargs(kwargs)
        }
    };
    // The task's own limit counts tries; what was put off is none.
    if waited > 0 || !tried { retry.max_retries(ctx.request().retries() + u32::from(again)) } else { retry }
}

/// The same for a task on which the whole job depends: when it fails for good, the job has.
pub(super) async fn job_failed(ctx: &Context, documents: &Documents, job_id: &str, error: DocumentError) -> TaskError {
    if !again(ctx, &error) {
        documents.give_up(job_id, error.record(tries(ctx), Utc::now())).await;
    }
    failed(ctx, error)
}

/// `tasks.document_failed`: some task of the job failed, and what was to follow it does not.
pub(super) async fn document_failed(ctx: Context, call: FailedCall, OfJob { job_id, .. }: OfJob) -> Result<(), TaskError> {
    let documents = ctx.state::<Documents>()?;
    let message = format!("{} failed: {}", call.request.task(), call.exception);
    let error = DocumentError::new(Code::WorkerLost, Stage::Aggregate, message);
    documents.give_up(&job_id, error.record(tries_of(&call.request), Utc::now())).await;
    Ok(())
}

/// `DocumentProcessingError("text", {details})`: Python makes a class of that name.
fn processing_error(ctx: &Context, error: DocumentError) -> TaskError {
    let message = Value::from(error.to_string());
    let details = to_value(&error.record(tries(ctx), Utc::now())).unwrap_or_default();
    TaskError::Failure(Box::new(Failure::new(Exception::new(ERRORS_MODULE, "DocumentProcessingError", vec![message, details]))))
}
