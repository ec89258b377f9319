//! The group *failure*: tasks that fail with exceptions of Python, and the exceptions of the suite.

use celeriac::app::AppBuilder;
use celeriac::protocol::{Exception, Value};
use celeriac::task::{Context, TaskError};
use serde::Deserialize;

use crate::python::Args;
use crate::{MODULE, name};

pub(crate) fn register(app: &mut AppBuilder) {
    app.task(&name("fail"), fail);
    app.task(&name("raise_error"), raise_error);
    app.task(&name("fail_unpickleable"), fail_unpickleable);
    app.task(&name("return_exception"), return_exception);
}

/// `ExpectedException(*args)`.
pub(crate) fn expected(args: Vec<Value>) -> TaskError {
    TaskError::failure(Exception::new(MODULE, "ExpectedException", args))
}

/// `UnpickleableException(foo, bar)`, whose `args` are only the first of them.
pub(crate) fn unpickleable(foo: Value) -> TaskError {
    TaskError::failure(Exception::new(MODULE, "UnpickleableException", vec![foo]))
}

async fn fail(_: Context, args: Args) -> Result<(), TaskError> {
    Err(expected(std::iter::once(Value::from("Task expected to fail")).chain(args).collect()))
}

async fn raise_error(_: Context, _: Args) -> Result<(), TaskError> {
    Err(TaskError::builtin("ValueError", "deliberate error"))
}

#[derive(Deserialize)]
struct FailUnpickleable {
    foo: Value,
    #[serde(rename = "bar")]
    _bar: Value,
}

async fn fail_unpickleable(_: Context, FailUnpickleable { foo, .. }: FailUnpickleable) -> Result<(), TaskError> {
    Err(unpickleable(foo))
}

#[derive(Deserialize)]
struct ReturnException {
    e: Value,
}

async fn return_exception(_: Context, ReturnException { e }: ReturnException) -> Result<(Value, bool), TaskError> {
    Ok((e, true))
}
