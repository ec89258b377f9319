//! Why a result has no value.
//!
//! # Celery
//! What `AsyncResult.get` raises: the task's exception, `TimeoutError`, and the backend's own errors.

use std::time::Duration;

use crate::error::Error;
use crate::protocol::{Exception, Meta, State, ValueError};

/// A task that failed or was revoked, with the exception exactly as its worker stored it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("task {task_id} ended in {state}: {exception}")]
pub struct TaskFailure {
    /// The task.
    pub task_id: String,
    /// `FAILURE` or `REVOKED`.
    pub state: State,
    /// Class, module and arguments.
    pub exception: Exception,
    /// The traceback, as the worker printed it.
    pub traceback: Option<String>,
}

impl TaskFailure {
    /// The failure in a meta, if it is one.
    pub(super) fn of(task_id: &str, meta: &Meta) -> Option<Box<Self>> {
        if !meta.status.propagates() {
            return None;
        }
        // Whatever lies there instead of an exception, the task did not succeed.
        let exception = meta.exception().unwrap_or_else(|| Exception::new("builtins", "Exception", vec![meta.result.clone()]));
        let traceback = meta.traceback.clone();
        Some(Box::new(Self { task_id: task_id.to_owned(), state: meta.status.clone(), exception, traceback }))
    }
}

/// Why a result has no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The task failed or was revoked, or one did that had to come before it.
    #[error(transparent)]
    Failed(#[from] Box<TaskFailure>),
    /// It has not ended in time; it may still.
    #[error("the result of {id} did not come within {waited:?}")]
    Timeout {
        /// What was waited for.
        id: String,
        /// How long.
        waited: Duration,
    },
    /// It has a value, but not one of the wanted type.
    #[error("the result of {id} does not fit: {source}")]
    Unfit {
        /// Whose value it is.
        id: String,
        /// Why it does not fit.
        source: ValueError,
    },
    /// The backend cannot be asked, or holds what is no result.
    #[error(transparent)]
    Backend(#[from] Error),
}

impl GetError {
    /// The task's exception, where that is what it is.
    pub fn exception(&self) -> Option<&Exception> {
        match self {
            Self::Failed(failure) => Some(&failure.exception),
            _ => None,
        }
    }

    /// True when the time was up.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }
}
