//! The tasks every worker knows, because canvases on the wire call them.
//!
//! # Celery
//! `app/builtins.py`. So far `celery.accumulate` only, which ends a group that takes a task's place.

use super::arguments::Arguments;
use super::context::Context;
use super::outcome::TaskError;
use crate::protocol::value::Value;

/// The name of [`accumulate`].
pub(crate) const ACCUMULATE: &str = "celery.accumulate";

/// `celery.accumulate(*args, index=None)`: its arguments as a list, or the one at `index`.
pub(crate) async fn accumulate(_: Context, call: Arguments) -> Result<Value, TaskError> {
    let Some(index) = call.kwargs.get("index").filter(|index| !index.is_null()) else {
        return Ok(Value::List(call.args));
    };
    let place = index.as_i64().and_then(|index| usize::try_from(index).ok());
    let found = place.and_then(|place| call.args.into_iter().nth(place));
    found.ok_or_else(|| TaskError::builtin("IndexError", "tuple index out of range"))
}
