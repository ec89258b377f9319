//! How a step of the pipeline ends when it cannot do its work: tried again where that may help, else a failure that callers can read.

use celeriac::protocol::exception::Exception;
use celeriac::protocol::value::{Value, to_value};
use celeriac::task::outcome::ERRORS_MODULE;
use celeriac::task::{Context, Failure, TaskError};
use chrono::Utc;

use crate::error::DocumentError;

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

/// `DocumentProcessingError("text", {details})`: Python makes a class of that name.
fn processing_error(ctx: &Context, error: DocumentError) -> TaskError {
    let message = Value::from(error.to_string());
    let details = to_value(&error.record(ctx.request().retries() + 1, Utc::now())).unwrap_or_default();
    TaskError::Failure(Box::new(Failure::new(Exception::new(ERRORS_MODULE, "DocumentProcessingError", vec![message, details]))))
}
