//! What a run can end in: one closed enum, and the error type by which a task says everything but success.
//!
//! # Celery
//! `app/trace.py`'s states and the exceptions `Retry`, `Reject`, `Ignore`. Difference: control flow is data, not an exception.

use std::error::Error as StdError;
use std::time::Duration;

use crate::pool::CallError;
use crate::protocol::exception::Exception;
use crate::protocol::signature::Signature;
use crate::protocol::value::Value;

/// The module under which Rust errors travel: no Python process can import it, so Python makes a class of the error's name.
pub const ERRORS_MODULE: &str = "celeriac.errors";

/// A task's failure: the exception that goes on the wire, with a traceback that helps.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What Python callers see raised.
    pub exception: Exception,
    /// The chain of causes, outermost first.
    pub traceback: Option<String>,
}

impl Failure {
    /// A failure without a traceback.
    pub fn new(exception: Exception) -> Self {
        Self { exception, traceback: None }
    }
}

/// A task asks to be run again.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Why; `None` when the task only wants to wait.
    pub cause: Option<Failure>,
    /// How long to wait; `None` uses the task's back-off.
    pub countdown: Option<Duration>,
    /// Overrides the task's limit for this retry.
    pub max_retries: Option<u32>,
}

/// How a task ends when it does not return a value.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskError {
    /// It failed.
    Failure(Box<Failure>),
    /// It wants to run again later.
    Retry(Box<Retry>),
    /// It refuses the message: back to the queue, or away.
    Reject {
        /// Put it back to the tail of its queue.
        requeue: bool,
        /// For the log.
        reason: String,
    },
    /// It leaves no result.
    Ignore,
    /// Another signature takes its place: its id, its chain, its chord.
    Replace(Box<Signature>),
}

impl TaskError {
    /// A failure by this exception.
    pub fn failure(exception: Exception) -> Self {
        Self::Failure(Box::new(Failure::new(exception)))
    }

    /// A failure of the Python class `exc_type` of `builtins`.
    pub fn builtin(exc_type: &str, message: impl Into<String>) -> Self {
        Self::failure(Exception::new("builtins", exc_type, vec![Value::from(message.into())]))
    }

    /// Sets the countdown of a [`TaskError::Retry`]; anything else stays as it is.
    #[must_use]
    pub fn countdown(mut self, countdown: Duration) -> Self {
        if let Self::Retry(retry) = &mut self {
            retry.countdown = Some(countdown);
        }
        self
    }

    /// Sets the limit of a [`TaskError::Retry`]; anything else stays as it is.
    #[must_use]
    pub fn max_retries(mut self, limit: u32) -> Self {
        if let Self::Retry(retry) = &mut self {
            retry.max_retries = Some(limit);
        }
        self
    }

    /// The failure in it, if it is one.
    pub fn into_failure(self) -> Option<Failure> {
        match self {
            Self::Failure(failure) => Some(*failure),
            _ => None,
        }
    }
}

impl<E: StdError + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        let call: Option<&CallError> = (&error as &dyn std::any::Any).downcast_ref();
        let failure = call.map_or_else(|| failure_of(&error, type_name::<E>()), failed_call);
        Self::Failure(Box::new(failure))
    }
}

/// A failed isolated call in billiard's classes, as Python callers expect them.
fn failed_call(error: &CallError) -> Failure {
    Failure::new(match error {
        CallError::Failed(failure) => Exception::new(ERRORS_MODULE, &failure.exc_type, vec![Value::from(&failure.message)]),
        CallError::TimeLimit(limit) => Exception::time_limit_exceeded(limit.as_secs_f64()),
        CallError::Cancelled => Exception::soft_time_limit_exceeded(),
        CallError::WorkerLost { .. } => Exception::worker_lost(error.to_string()),
        other => Exception::runtime_error(other.to_string()),
    })
}

/// The failure an error becomes on the wire, under this class name.
pub fn failure_of(error: &(dyn StdError + 'static), exc_type: &str) -> Failure {
    let mut chain = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        chain.push(error.to_string());
        cause = error.source();
    }
    let traceback = format!("{exc_type}: {}", chain.join("\n  caused by: "));
    let exception = Exception::new(ERRORS_MODULE, exc_type, vec![Value::from(chain.join(": "))]);
    Failure { exception, traceback: Some(traceback) }
}

/// The last name of a type's path, without its parameters.
fn type_name<E>() -> &'static str {
    let full = std::any::type_name::<E>();
    let plain = full.split('<').next().unwrap_or(full);
    plain.rsplit("::").next().unwrap_or(plain)
}

/// What a run ended in.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It returned a value.
    Success(Value),
    /// It failed for good.
    Failure(Failure),
    /// It runs again after the delay.
    Retry {
        /// Why.
        cause: Option<Failure>,
        /// How long to wait.
        delay: Duration,
    },
    /// Its message is refused.
    Reject {
        /// Back to the queue's tail.
        requeue: bool,
        /// For the log.
        reason: String,
    },
    /// It leaves no result.
    Ignore,
    /// Another signature takes its place.
    Replace(Box<Signature>),
    /// It was revoked: `revoked`, `expired` or `terminated`.
    Revoked(&'static str),
    /// A cold stop or a lost lease cut it off: nothing is settled.
    Abandoned,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("page {0} is blank")]
    struct BlankPage(u32, #[source] std::num::ParseIntError);

    #[test]
    fn an_error_becomes_an_exception_of_its_name_with_its_causes() {
        let cause = "x".parse::<u32>().unwrap_err();
        let failure = TaskError::from(BlankPage(3, cause)).into_failure().unwrap();
        assert_eq!(failure.exception.exc_type, "BlankPage");
        assert_eq!(failure.exception.exc_message, [Value::from("page 3 is blank: invalid digit found in string")]);
        assert_eq!(failure.traceback.unwrap(), "BlankPage: page 3 is blank\n  caused by: invalid digit found in string");
    }
}
