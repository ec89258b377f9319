//! An exception as it is stored: class name, module and constructor arguments.
//!
//! # Celery
//! `backends/base.py` (`prepare_exception`, `exception_to_python`). Python re-creates the class when it can import the module, and
//! refuses a name that exists and is no exception: exceptions of our own use a module Python does not have.

use std::fmt;

use super::repr;
use super::value::{Map, Value};

/// The module of exceptions that exist only on our side.
pub const MODULE: &str = "celeriac.exceptions";

/// An exception.
#[derive(Debug, Clone, PartialEq)]
pub struct Exception {
    /// The qualified class name, e.g. `ValueError` or `Outer.InnerError`.
    pub exc_type: String,
    /// The module, `builtins` for standard ones.
    pub exc_module: String,
    /// The constructor's arguments.
    pub exc_message: Vec<Value>,
}

impl Exception {
    /// An exception of any class.
    pub fn new(exc_module: impl Into<String>, exc_type: impl Into<String>, exc_message: Vec<Value>) -> Self {
        Self { exc_type: exc_type.into(), exc_module: exc_module.into(), exc_message }
    }

    /// A standard exception with one text: `builtin("ValueError", "boom")`.
    pub fn builtin(exc_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("builtins", exc_type, vec![Value::String(message.into())])
    }

    /// An exception of `celery.exceptions` with one text.
    pub fn celery(exc_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new("celery.exceptions", exc_type, vec![Value::String(message.into())])
    }

    /// `ValueError`.
    pub fn value_error(message: impl Into<String>) -> Self {
        Self::builtin("ValueError", message)
    }

    /// `TypeError`.
    pub fn type_error(message: impl Into<String>) -> Self {
        Self::builtin("TypeError", message)
    }

    /// `RuntimeError`.
    pub fn runtime_error(message: impl Into<String>) -> Self {
        Self::builtin("RuntimeError", message)
    }

    /// `NotRegistered`: no task of that name.
    pub fn not_registered(task: impl Into<String>) -> Self {
        Self::celery("NotRegistered", task)
    }

    /// `TaskRevokedError` with `revoked`, `expired` or `terminated`.
    pub fn revoked(reason: impl Into<String>) -> Self {
        Self::celery("TaskRevokedError", reason)
    }

    /// `MaxRetriesExceededError`.
    pub fn max_retries_exceeded(message: impl Into<String>) -> Self {
        Self::celery("MaxRetriesExceededError", message)
    }

    /// `ImproperlyConfigured`: what was asked for cannot be done.
    pub fn improperly_configured(message: impl Into<String>) -> Self {
        Self::celery("ImproperlyConfigured", message)
    }

    /// `ChordError`.
    pub fn chord_error(message: impl Into<String>) -> Self {
        Self::celery("ChordError", message)
    }

    /// `Reject`, with its reason and without requeue.
    pub fn reject(reason: Value) -> Self {
        Self::new("celery.exceptions", "Reject", vec![reason, Value::Bool(false)])
    }

    /// `Retry`: what a cold shutdown stores for a task it cut off.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::celery("Retry", message)
    }

    /// `InvalidTaskError`: the message is no task.
    pub fn invalid_task(message: impl Into<String>) -> Self {
        Self::celery("InvalidTaskError", message)
    }

    /// `TimeLimitExceeded`: the hard limit.
    pub fn time_limit_exceeded(seconds: f64) -> Self {
        Self::new("billiard.exceptions", "TimeLimitExceeded", vec![number(seconds)])
    }

    /// `SoftTimeLimitExceeded`.
    pub fn soft_time_limit_exceeded() -> Self {
        Self::new("billiard.exceptions", "SoftTimeLimitExceeded", Vec::new())
    }

    /// `TooLarge`, of no class that Celery has: a result, or a message that should have followed, is larger than a setting allows.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new("celeriac.errors", "TooLarge", vec![Value::String(message.into())])
    }

    /// `WorkerLostError`: the process died.
    pub fn worker_lost(message: impl Into<String>) -> Self {
        Self::new("billiard.exceptions", "WorkerLostError", vec![Value::String(message.into())])
    }

    /// `Terminated`: killed by a signal we were asked to send.
    pub fn terminated(signal: impl Into<String>) -> Self {
        Self::new("billiard.exceptions", "Terminated", vec![Value::String(signal.into())])
    }

    /// `EncodeError`: a result that cannot be written.
    pub fn encode_error(message: impl Into<String>) -> Self {
        Self::new("kombu.exceptions", "EncodeError", vec![Value::String(message.into())])
    }

    /// `DecodeError`: a body that cannot be read.
    pub fn decode_error(message: impl Into<String>) -> Self {
        Self::new("kombu.exceptions", "DecodeError", vec![Value::String(message.into())])
    }

    /// As it is stored, in Python's order.
    pub fn to_value(&self) -> Value {
        Value::Map(Map::from_iter([
            ("exc_type".to_owned(), Value::from(&self.exc_type)),
            ("exc_message".to_owned(), Value::List(self.exc_message.clone())),
            ("exc_module".to_owned(), Value::from(&self.exc_module)),
        ]))
    }

    /// Reads a stored exception; a plain text as message counts as one argument.
    pub fn from_value(value: &Value) -> Option<Self> {
        let exc_type = value.get("exc_type")?.as_str()?;
        let exc_module = value.get("exc_module").and_then(Value::as_str).unwrap_or("builtins");
        let exc_message = match value.get("exc_message") {
            Some(Value::List(values)) => values.clone(),
            None | Some(Value::Null) => Vec::new(),
            Some(other) => vec![other.clone()],
        };
        Some(Self::new(exc_module, exc_type, exc_message))
    }

    /// Whether it is of the class `name`, given with its module (`celery.exceptions.Reject`) or without.
    pub fn is_a(&self, name: &str) -> bool {
        let own = self.exc_type.as_str();
        name == own || name.strip_suffix(own).and_then(|rest| rest.strip_suffix('.')) == Some(self.exc_module.as_str())
    }

    /// What Python's `str()` shows: the only argument, or all of them.
    pub fn message(&self) -> String {
        match self.exc_message.as_slice() {
            [] => String::new(),
            [Value::String(text)] => text.clone(),
            [only] => repr::value(only, repr::MAX_LENGTH),
            several => repr::args(several),
        }
    }
}

fn number(seconds: f64) -> Value {
    let value = Value::Float(seconds);
    value.as_i64().map_or(value, Value::Int)
}

/// As Python's `repr`: `ValueError('boom')`.
impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.exc_type.rsplit('.').next().unwrap_or(&self.exc_type);
        let shown = repr::args(&self.exc_message);
        let shown = shown.strip_suffix(",)").map_or(shown.clone(), |rest| format!("{rest})"));
        write!(f, "{name}{shown}")
    }
}

impl std::error::Error for Exception {}
