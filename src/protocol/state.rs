//! The states a task goes through, in the wire's spelling.
//!
//! # Celery
//! `states.py`.

use std::fmt;

/// The state of a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing is known of it.
    Pending,
    /// A worker has it; in events only.
    Received,
    /// It runs; stored with `task_track_started`.
    Started,
    /// It returned.
    Success,
    /// It raised.
    Failure,
    /// It will be run again.
    Retry,
    /// It was revoked, or expired.
    Revoked,
    /// It was rejected; in events only.
    Rejected,
    /// It asked that nothing be stored; never stored.
    Ignored,
    /// A state of the task's own, such as `PROGRESS`.
    Custom(String),
}

impl State {
    /// The wire's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::Received => "RECEIVED",
            Self::Started => "STARTED",
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
            Self::Retry => "RETRY",
            Self::Revoked => "REVOKED",
            Self::Rejected => "REJECTED",
            Self::Ignored => "IGNORED",
            Self::Custom(name) => name,
        }
    }

    /// True when no other state follows: success, failure, revoked.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Revoked)
    }

    /// True when the stored result is an exception.
    pub fn is_exception(&self) -> bool {
        matches!(self, Self::Failure | Self::Retry | Self::Revoked)
    }

    /// True when a waiting caller would have to raise: failure, revoked.
    pub fn propagates(&self) -> bool {
        matches!(self, Self::Failure | Self::Revoked)
    }
}

impl From<&str> for State {
    fn from(name: &str) -> Self {
        match name {
            "PENDING" => Self::Pending,
            "RECEIVED" => Self::Received,
            "STARTED" => Self::Started,
            "SUCCESS" => Self::Success,
            "FAILURE" => Self::Failure,
            "RETRY" => Self::Retry,
            "REVOKED" => Self::Revoked,
            "REJECTED" => Self::Rejected,
            "IGNORED" => Self::Ignored,
            other => Self::Custom(other.to_owned()),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
