//! How a step of the pipeline ends when it cannot do its work: tried again where that may help, else a failure that callers can read.

use celeriac::protocol::exception::Exception;
use celeriac::protocol::value::{Value, to_value};
use celeriac::task::outcome::ERRORS_MODULE;
use celeriac::task::{Context, FailedCall, Failure, TaskError};
use chrono::Utc;

use super::RETRIES;
use super::aggregate::OfJob;
use super::documents::Documents;
use crate::error::{Code, DocumentError, Stage};

/// The outcome an error becomes: a retry where that may help, a failure otherwise and when retries are used up.
pub(super) fn failed(ctx: &Context, error: DocumentError) -> TaskError {
    let (retryable, after) = (error.retryable(), error.retry_after());
    let failure = processing_error(ctx, error);
    match (retryable, after) {
        (false, _) => failure,
        (true, None) => ctx.retry(failure),
        // A provider that says how long to wait knows better than our back-off.
        (true, Some(after)) => ctx.retry(failure).countdown(after),
    }
}

/// The same for a task on which the whole job depends: when it fails for good, the job has.
pub(super) async fn job_failed(ctx: &Context, documents: &Documents, job_id: &str, error: DocumentError) -> TaskError {
    if !error.retryable() || ctx.request().retries() >= RETRIES {
        documents.give_up(job_id, error.record(ctx.request().retries() + 1, Utc::now())).await;
    }
    failed(ctx, error)
}

/// `tasks.document_failed`: some task of the job failed, and what was to follow it does not.
pub(super) async fn document_failed(ctx: Context, call: FailedCall, OfJob { job_id }: OfJob) -> Result<(), TaskError> {
    let documents = ctx.state::<Documents>()?;
    let message = format!("{} failed: {}", call.request.task(), call.exception);
    let error = DocumentError::new(Code::WorkerLost, Stage::Aggregate, message);
    documents.give_up(&job_id, error.record(call.request.retries() + 1, Utc::now())).await;
    Ok(())
}

/// `DocumentProcessingError("text", {details})`: Python makes a class of that name.
fn processing_error(ctx: &Context, error: DocumentError) -> TaskError {
    let message = Value::from(error.to_string());
    let details = to_value(&error.record(ctx.request().retries() + 1, Utc::now())).unwrap_or_default();
    TaskError::Failure(Box::new(Failure::new(Exception::new(ERRORS_MODULE, "DocumentProcessingError", vec![message, details]))))
}
