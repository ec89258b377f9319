//! Values to bytes and back, by content type: JSON always, msgpack where it is accepted.
//!
//! # Celery
//! `kombu/serialization.py`. Pickle and yaml are never read, whatever `accept_content` says.

use super::json;
use super::value::Value;
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

    /// Writes a value.
    pub fn write(self, value: &Value) -> Result<Vec<u8>> {
        match self {
            Self::Json => Ok(json::write(value).into_bytes()),
            Self::Msgpack => rmp_serde::to_vec_named(value).map_err(|error| Error::protocol(format!("msgpack: {error}"))),
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

fn read_msgpack(data: &[u8]) -> Result<Value> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(data);
    reader.set_max_depth(json::MAX_DEPTH);
    let value = serde::Deserialize::deserialize(&mut reader).map_err(|error| Error::protocol(format!("msgpack: {error}")))?;
    Ok(value)
}
