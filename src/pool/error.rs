//! How an isolated call can end other than well: the function's own failure, or what became of its child.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What an isolated function says went wrong. It crosses the process border as text; a caller that must tell cases apart
/// looks at `exc_type`, or lets the function return a `Result` of its own as its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind, as a Celery result names it.
    pub exc_type: String,
    /// The text for people.
    pub message: String,
}

impl Failure {
    /// A failure of this kind with this text.
    pub fn new(exc_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self { exc_type: exc_type.into(), message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.exc_type, self.message)
    }
}

/// `?` works in an isolated function: the kind is the error type's own name, the text its whole chain.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let full = std::any::type_name::<E>();
        let path = full.split('<').next().unwrap_or(full);
        let exc_type = path.rsplit("::").next().unwrap_or(path);
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            message = format!("{message}: {next}");
            cause = next.source();
        }
        Self::new(exc_type, message)
    }
}

/// Why an isolated call has no value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The function ran and failed; the child lives on.
    #[error("{0}")]
    Failed(Failure),
    /// The child died under the call: a crash, an abort, the memory limit, somebody's kill. Worded as billiard words it.
    #[error("Worker exited prematurely: {status} Job: {job}.")]
    WorkerLost {
        /// `signal 9 (SIGKILL)` or `exitcode 1`.
        status: String,
        /// The call's number in its pool.
        job: u64,
    },
    /// The call ran longer than its time limit; its child was killed. Worded as billiard words it.
    #[error("TimeLimitExceeded({},)", .0.as_secs_f64())]
    TimeLimit(Duration),
    /// The caller's token was cancelled; if the call had begun, its child was killed.
    #[error("the isolated call was cancelled")]
    Cancelled,
    /// The pool is closed, or was closed before the call ended.
    #[error("the pool of isolated children is closed")]
    Closed,
    /// No child could be started, or the function's set-up failed in it.
    #[error("isolated child cannot start: {0}")]
    Start(String),
    /// No function of this name is registered in the children.
    #[error("no isolated function is named {0}")]
    NotRegistered(String),
    /// Arguments or value are larger than a frame may be.
    #[error("{bytes} bytes are more than an isolated call may carry ({limit})")]
    TooLarge {
        /// The size met.
        bytes: u64,
        /// The size allowed.
        limit: u64,
    },
    /// Arguments or value cannot be encoded, or are not what the other side expects.
    #[error("isolated call: {0}")]
    Codec(String),
}

impl CallError {
    /// The exception name under which a Celery client knows this.
    pub fn exc_type(&self) -> &str {
        match self {
            Self::Failed(failure) => &failure.exc_type,
            Self::WorkerLost { .. } | Self::Start(_) => "WorkerLostError",
            Self::TimeLimit(_) => "TimeLimitExceeded",
            Self::Cancelled => "TaskRevokedError",
            Self::Closed => "WorkerShutdown",
            Self::NotRegistered(_) => "NotRegistered",
            Self::TooLarge { .. } | Self::Codec(_) => "EncodeError",
        }
    }

    /// True when the same call may succeed in another child without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::WorkerLost { .. } | Self::TimeLimit(_) | Self::Closed | Self::Start(_))
    }

    pub(super) fn lost(status: Option<ExitStatus>, job: u64) -> Self {
        Self::WorkerLost { status: human_status(status), job }
    }
}

/// billiard's `human_status`.
pub(super) fn human_status(status: Option<ExitStatus>) -> String {
    let Some(status) = status else { return "exitcode None".to_owned() };
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("signal {signal} ({})", signal_name(signal)),
        (None, Some(code)) => format!("exitcode {code}"),
        (None, None) => "exitcode None".to_owned(),
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_reads_as_billiard_writes_it() {
        let killed = CallError::lost(Some(ExitStatus::from_raw(9)), 0);
        assert_eq!(killed.to_string(), "Worker exited prematurely: signal 9 (SIGKILL) Job: 0.");
        let exited = CallError::lost(Some(ExitStatus::from_raw(3 << 8)), 7);
        assert_eq!(exited.to_string(), "Worker exited prematurely: exitcode 3 Job: 7.");
        assert_eq!(CallError::TimeLimit(Duration::from_secs(300)).to_string(), "TimeLimitExceeded(300,)");
        assert_eq!(CallError::TimeLimit(Duration::from_millis(1500)).to_string(), "TimeLimitExceeded(1.5,)");
    }

    #[test]
    fn an_error_becomes_a_failure_of_its_own_name_with_its_causes() {
        let failure = Failure::from(crate::Error::connection("fetch", std::io::Error::other("reset")));
        assert_eq!(failure, Failure::new("Error", "connection: fetch: reset"));
    }
}
