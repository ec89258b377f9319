//! Why the desk does not do what it was asked.

use std::time::Duration;

use celeriac_tasks::error::{Code, DocumentError};

/// A refusal, in words for whoever asked.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such thing.
    NotFound(String),
    /// It was there, and is not kept any more.
    Gone(String),
    /// It cannot be done in the state it is in.
    Conflict(String),
    /// What was asked makes no sense; what, why, what to do.
    Invalid(String),
    /// It is larger than this service takes.
    TooLarge(String),
    /// Not now; later it may be.
    Busy(String, Duration),
    /// Something this service stands on cannot be reached.
    Unavailable(String),
}

impl Refusal {
    pub(crate) fn unknown(job_id: &str) -> Self {
        Self::NotFound(format!("there is no job {job_id}"))
    }

    pub(crate) fn pages_gone(job_id: &str) -> Self {
        Self::Gone(format!("what there was of the pages of job {job_id} is not kept any more"))
    }

    pub(crate) fn other_words(job_id: &str) -> Self {
        Self::Conflict(format!("job {job_id} was asked for in other words; take another id, or none, or delete it first"))
    }

    /// The words.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::NotFound(text)
            | Self::Gone(text)
            | Self::Conflict(text)
            | Self::Invalid(text)
            | Self::TooLarge(text)
            | Self::Busy(text, _)
            | Self::Unavailable(text) => text,
        }
    }
}

impl From<DocumentError> for Refusal {
    fn from(error: DocumentError) -> Self {
        match error.code {
            Code::SourceTooLarge => Self::TooLarge(error.message),
            Code::SourceMissing => Self::NotFound(error.message),
            Code::StorageFailed | Code::Internal => Self::Unavailable(error.message),
            _ => Self::Invalid(error.message),
        }
    }
}

impl From<celeriac::Error> for Refusal {
    fn from(error: celeriac::Error) -> Self {
        Self::Unavailable(format!("the broker or the result backend cannot be reached: {error}"))
    }
}
