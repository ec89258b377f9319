//! Values to bytes and back, by content type: JSON always, msgpack where it is accepted.
//!
//! # Celery
//! `kombu/serialization.py`. Pickle and yaml are never read, whatever `accept_content` says.

use std::io::Cursor;

use super::json;
use super::value::{self, Value};
use crate::error::{Error, Result};

/// How a body or a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Serializer {
    /// `application/json`.
    #[default]
    Json,
    /// `application/x-msgpack`.
    Msgpack,
}

impl Serializer {
    /// By its name in settings (`json`) or its content type.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" | "application/json" => Some(Self::Json),
            "msgpack" | "application/x-msgpack" => Some(Self::Msgpack),
            _ => None,
        }
    }

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Msgpack => "msgpack",
        }
    }

    /// The content type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Msgpack => "application/x-msgpack",
        }
    }

    /// The content encoding.
    pub fn content_encoding(self) -> &'static str {
        match self {
            Self::Json => "utf-8",
            Self::Msgpack => "binary",
        }
    }

    /// Writes a value; an error if it is nested deeper than [`Self::read`] reads.
    pub fn write(self, value: &Value) -> Result<Vec<u8>> {
        if !nests_at_most(value, json::MAX_DEPTH) {
            return Err(Error::too_large(format!("a value nested deeper than {}; nobody could read it", json::MAX_DEPTH)));
        }
        match self {
            Self::Json => Ok(json::write(value).into_bytes()),
            Self::Msgpack => write_msgpack(value),
        }
    }

    /// Reads a value, which must be all there is.
    pub fn read(self, data: &[u8]) -> Result<Value> {
        match self {
            Self::Json => json::parse(data),
            Self::Msgpack => read_msgpack(data),
        }
    }
}

fn nests_at_most(value: &Value, levels: usize) -> bool {
    let fits = |inner: &Value| levels > 0 && nests_at_most(inner, levels - 1);
    match value {
        Value::List(values) => values.iter().all(fits),
        Value::Map(map) => map.values().all(fits),
        _ => true,
    }
}

/// An integer beyond 64 bits is refused, as Python's msgpack refuses it: it would be written as bytes.
fn write_msgpack(value: &Value) -> Result<Vec<u8>> {
    if beyond_msgpack(value) {
        return Err(Error::protocol("msgpack: an integer beyond 64 bits"));
    }
    rmp_serde::to_vec_named(value).map_err(|error| Error::protocol(format!("msgpack: {error}")))
}

fn beyond_msgpack(value: &Value) -> bool {
    match value {
        Value::BigInt(digits) => digits.parse::<u64>().is_err(),
        Value::List(values) => values.iter().any(beyond_msgpack),
        Value::Map(map) => map.values().any(beyond_msgpack),
        _ => false,
    }
}

fn read_msgpack(data: &[u8]) -> Result<Value> {
    let mut reader = rmp_serde::Deserializer::new(Cursor::new(data));
    reader.set_max_depth(json::MAX_DEPTH);
    let value =
        value::read_at_most(&mut reader, value::MAX_VALUES).map_err(|error| Error::protocol(format!("msgpack: {error}")))?;
    if reader.position() == data.len() as u64 { Ok(value) } else { Err(Error::protocol("msgpack: more than one value")) }
}
