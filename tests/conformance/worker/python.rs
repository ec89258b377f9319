//! What Python's operators do with the values of a message.

use celeriac::protocol::{Map, Signature, Value};
use celeriac::task::TaskError;
use celeriac::task::arguments::bind;
use serde::de::DeserializeOwned;

/// Positional arguments of any number, and none by keyword: `*args`.
pub(crate) type Args = Vec<Value>;

/// The keyword arguments of a task that takes any number of positional ones: `*args, name=default`.
pub(crate) fn keywords<T: DeserializeOwned>(kwargs: Map) -> Result<T, TaskError> {
    bind(Vec::new(), kwargs).map_err(|error| TaskError::builtin("TypeError", error.to_string()))
}

/// A signature of one of the suite's tasks.
pub(crate) fn task(task: &str) -> Signature {
    Signature::new(crate::name(task))
}

/// `x + y`.
pub(crate) fn add(x: Value, y: Value) -> Result<Value, TaskError> {
    match (x, y) {
        (Value::String(x), Value::String(y)) => Ok(Value::String(x + &y)),
        (Value::List(x), Value::List(y)) => Ok(Value::List([x, y].concat())),
        (x, y) => match (integer(&x), integer(&y)) {
            (Some(x), Some(y)) => Ok(Value::from(x + y)),
            _ => match (x.as_f64(), y.as_f64()) {
                (Some(x), Some(y)) => Ok(Value::Float(x + y)),
                _ => Err(unsupported("+", &x, &y)),
            },
        },
    }
}

/// `x * y` of numbers.
pub(crate) fn multiply(x: &Value, y: &Value) -> Result<Value, TaskError> {
    match (integer(x), integer(y)) {
        (Some(x), Some(y)) => Ok(Value::from(x * y)),
        _ => x.as_f64().zip(y.as_f64()).map(|(x, y)| Value::Float(x * y)).ok_or_else(|| unsupported("*", x, y)),
    }
}

/// `sum(values)`.
pub(crate) fn sum(values: impl IntoIterator<Item = Value>) -> Result<Value, TaskError> {
    values.into_iter().try_fold(Value::Int(0), add)
}

/// The elements of an iterable.
pub(crate) fn iterate(value: Value) -> Result<Vec<Value>, TaskError> {
    match value {
        Value::List(values) => Ok(values),
        Value::String(text) => Ok(text.chars().map(|character| Value::from(character.to_string())).collect()),
        Value::Map(map) => Ok(map.into_keys().map(Value::from).collect()),
        other => Err(TaskError::builtin("TypeError", format!("'{}' object is not iterable", other.type_name()))),
    }
}

/// A whole number; a bool is one.
fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Bool(value) => Some(i128::from(*value)),
        Value::Int(value) => Some(i128::from(*value)),
        Value::BigInt(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn unsupported(operator: &str, x: &Value, y: &Value) -> TaskError {
    let message = format!("unsupported operand type(s) for {operator}: '{}' and '{}'", x.type_name(), y.type_name());
    TaskError::builtin("TypeError", message)
}
