//! What a run can end in: one closed enum, and the error type by which a task says everything but success.
//!
//! # Celery
//! `app/trace.py`'s states and the exceptions `Retry`, `Reject`, `Ignore`. Difference: control flow is data, not an exception.

use std::error::Error as StdError;
use std::panic::Location;

use super::retry::Retry;
use crate::pool::CallError;
use crate::protocol::exception::Exception;
use crate::protocol::signature::Signature;
use crate::protocol::value::Value;
use crate::result::GetError;
use crate::traces::Ended;

/// The module under which Rust errors travel: no Python process can import it, so Python makes a class of the error's name.
pub const ERRORS_MODULE: &str = "celeriac.errors";

/// A task's failure: the exception that goes on the wire, with a traceback that helps.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// What Python callers see raised.
    pub exception: Exception,
    /// The chain of causes, outermost first.
    pub traceback: Option<String>,
    /// It would have been retried, but may not be any more.
    pub exhausted: bool,
}

impl Failure {
    /// A failure without a traceback.
    pub fn new(exception: Exception) -> Self {
        Self { exception, traceback: None, exhausted: false }
    }

    fn traced(exception: Exception, traceback: String) -> Self {
        Self { traceback: Some(traceback), ..Self::new(exception) }
    }
}

/// How a task ends when it does not return a value.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskError {
    /// It failed.
    Failure(Box<Failure>),
    /// The child process it ran in died.
    WorkerLost(Box<Failure>),
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
    /// A failure by this exception, raised where this is called.
    #[track_caller]
    pub fn failure(exception: Exception) -> Self {
        let shown = match exception.exc_module.as_str() {
            "builtins" => exception.exc_type.clone(),
            module => format!("{module}.{}", exception.exc_type),
        };
        let traceback = traceback(Location::caller(), &format!("{shown}: {}", exception.message()), &[]);
        Self::Failure(Box::new(Failure::traced(exception, traceback)))
    }

    /// A failure of the Python class `exc_type` of `builtins`, raised where this is called.
    #[track_caller]
    pub fn builtin(exc_type: &str, message: impl Into<String>) -> Self {
        Self::failure(Exception::new("builtins", exc_type, vec![Value::from(message.into())]))
    }

    /// The failure in it, if it is one.
    pub fn into_failure(self) -> Option<Failure> {
        match self {
            Self::Failure(failure) | Self::WorkerLost(failure) => Some(*failure),
            _ => None,
        }
    }
}

impl<E: StdError + 'static> From<E> for TaskError {
    /// What `?` does with any error: an exception of its type's name, whose traceback says where and why.
    #[track_caller]
    fn from(error: E) -> Self {
        let place = Location::caller();
        let any: &dyn std::any::Any = &error;
        // What another task failed with is handed on as that task's worker stored it.
        if let Some(GetError::Failed(other)) = any.downcast_ref() {
            let failure = Failure { traceback: other.traceback.clone(), ..Failure::new(other.exception.clone()) };
            return Self::Failure(Box::new(failure));
        }
        match any.downcast_ref::<CallError>() {
            Some(error @ CallError::WorkerLost { .. }) => Self::WorkerLost(Box::new(failed_call(error, place))),
            Some(error) => Self::Failure(Box::new(failed_call(error, place))),
            None => Self::Failure(Box::new(failure_at(&error, type_name::<E>(), place))),
        }
    }
}

/// A failed isolated call in billiard's classes, as Python callers expect them.
fn failed_call(error: &CallError, place: &Location<'_>) -> Failure {
    let exception = match error {
        CallError::Failed(failure) => Exception::new(ERRORS_MODULE, &failure.exc_type, vec![Value::from(&failure.message)]),
        CallError::TimeLimit(limit) => Exception::time_limit_exceeded(limit.as_secs_f64()),
        CallError::Cancelled => Exception::soft_time_limit_exceeded(),
        CallError::WorkerLost { .. } => Exception::worker_lost(error.to_string()),
        other => Exception::runtime_error(other.to_string()),
    };
    let traceback = traceback(place, &format!("{}.{}: {error}", exception.exc_module, exception.exc_type), &[]);
    Failure::traced(exception, traceback)
}

/// The failure an error becomes on the wire, under this class name.
fn failure_at(error: &(dyn StdError + 'static), exc_type: &str, place: &Location<'_>) -> Failure {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    let traceback = traceback(place, &format!("{ERRORS_MODULE}.{exc_type}: {error}"), &causes);
    let message = std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ");
    Failure::traced(Exception::new(ERRORS_MODULE, exc_type, vec![Value::from(message)]), traceback)
}

/// A traceback as Python prints one: the place where the error left the task's code, the error, and its causes.
fn traceback(place: &Location<'_>, error: &str, causes: &[String]) -> String {
    let place = format!("  File \"{}\", line {}", place.file(), place.line());
    let mut lines = vec!["Traceback (most recent call last):".to_owned(), place, error.to_owned()];
    lines.extend(causes.iter().map(|cause| format!("  caused by: {cause}")));
    lines.join("\n")
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
    /// It runs again: after the countdown, which is set here, or at the time it names.
    Retry(Box<Retry>),
    /// The child process it ran in died, and its message goes back to its queue to be run again.
    Lost(Failure),
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

impl Outcome {
    /// What a span says of it.
    pub(crate) fn ended(&self) -> Ended<'_> {
        let state = match self {
            Self::Success(_) => "SUCCESS",
            Self::Failure(_) | Self::Lost(_) => "FAILURE",
            Self::Retry(_) => "RETRY",
            Self::Reject { .. } => "REJECTED",
            Self::Ignore | Self::Replace(_) => "IGNORED",
            Self::Revoked(_) | Self::Abandoned => "REVOKED",
        };
        let failure = match self {
            Self::Failure(failure) | Self::Lost(failure) => Some((&failure.exception, failure.traceback.as_deref())),
            _ => None,
        };
        let retry = match self {
            Self::Retry(retry) => retry.cause.as_ref().map(|cause| &cause.exception),
            _ => None,
        };
        Ended { state, failure, retry }
    }
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
        let traceback = failure.traceback.unwrap();
        let lines: Vec<&str> = traceback.lines().collect();
        assert!(lines[1].starts_with("  File \"src/task/outcome.rs\", line "), "{traceback}");
        assert_eq!(lines[2..], ["celeriac.errors.BlankPage: page 3 is blank", "  caused by: invalid digit found in string"]);
    }

    #[test]
    fn a_question_mark_says_where_it_stands() {
        fn fails() -> Result<u32, TaskError> {
            Ok("x".parse::<u32>()?)
        }
        let line = line!() - 2;
        let traceback = fails().unwrap_err().into_failure().unwrap().traceback.unwrap();
        assert!(traceback.contains(&format!("outcome.rs\", line {line}")), "{traceback}");
    }
}
