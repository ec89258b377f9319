//! What must hold of any bytes whatever, one function a target: the bounded run of this test and `cargo fuzz` call the same.

#![allow(dead_code, reason = "each binary of fuzz/ calls one")]

#[path = "../../../src/broker/envelope.rs"]
mod broker_envelope;
pub mod canvas;
pub mod control;
pub mod envelope;
pub mod message;
pub mod results;
pub mod unacked;
pub mod values;

use celeriac::protocol::Value;

/// How deep lists and objects lie in each other.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::List(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
