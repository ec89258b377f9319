//! JSON as Python's `json` reads and writes it: `NaN`, integers of any size, ASCII escapes, `", "` and `": "`.
//!
//! # Celery
//! `kombu/utils/json.py` over the standard library. Nesting is limited here: Python's own limit is its stack.

use std::fmt::Write as _;

use jiter::{Jiter, JiterError, Peek};

use super::value::{MAX_VALUES, Map, Value};
use crate::error::{Error, Result};

/// How deep lists and objects may lie in each other.
pub const MAX_DEPTH: usize = 400;
/// How many digits an integer may have, as in Python.
const MAX_DIGITS: usize = 4300;

/// Reads one JSON text, which must be all there is.
pub fn parse(data: &[u8]) -> Result<Value> {
    let mut reader = Jiter::new(data).with_allow_inf_nan();
    let mut read = || -> Result<Value, ReadError> {
        let peek = reader.peek()?;
        let mut left = MAX_VALUES;
        let value = read_value(&mut reader, peek, 0, &mut left)?;
        reader.finish()?;
        Ok(value)
    };
    read().map_err(|error| Error::protocol(format!("json: {error}")))
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{}", .0.error_type)]
    Syntax(#[from] Box<JiterError>),
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    #[error("more than {MAX_VALUES} values")]
    TooMany,
    #[error("an integer of more than {MAX_DIGITS} digits")]
    TooLong,
    #[error("not a number")]
    Number,
}

impl From<JiterError> for ReadError {
    fn from(error: JiterError) -> Self {
        Self::Syntax(Box::new(error))
    }
}

/// `left` is how many more values there may be.
fn read_value(reader: &mut Jiter<'_>, peek: Peek, depth: usize, left: &mut usize) -> Result<Value, ReadError> {
    if depth > MAX_DEPTH {
        return Err(ReadError::TooDeep);
    }
    *left = left.checked_sub(1).ok_or(ReadError::TooMany)?;
    match peek {
        Peek::Null => Ok(reader.known_null().map(|()| Value::Null)?),
        Peek::True | Peek::False => Ok(reader.known_bool(peek).map(Value::Bool)?),
        Peek::String => Ok(reader.known_str().map(Value::from)?),
        Peek::Array => read_list(reader, depth, left),
        Peek::Object => read_map(reader, depth, left),
        _ => read_number(reader.known_number_bytes(peek)?),
    }
}

fn read_list(reader: &mut Jiter<'_>, depth: usize, left: &mut usize) -> Result<Value, ReadError> {
    let mut values = Vec::new();
    let mut next = reader.known_array()?;
    while let Some(peek) = next {
        values.push(read_value(reader, peek, depth + 1, left)?);
        next = reader.array_step()?;
    }
    Ok(Value::List(values))
}

fn read_map(reader: &mut Jiter<'_>, depth: usize, left: &mut usize) -> Result<Value, ReadError> {
    let mut map = Map::default();
    let mut next = reader.known_object()?.map(str::to_owned);
    while let Some(key) = next {
        let peek = reader.peek()?;
        let value = read_value(reader, peek, depth + 1, left)?;
        map.insert(key, value);
        next = reader.next_key()?.map(str::to_owned);
    }
    Ok(Value::Map(map))
}

fn read_number(bytes: &[u8]) -> Result<Value, ReadError> {
    let text = std::str::from_utf8(bytes).map_err(|_| ReadError::Number)?;
    match text {
        "NaN" => return Ok(Value::Float(f64::NAN)),
        "Infinity" => return Ok(Value::Float(f64::INFINITY)),
        "-Infinity" => return Ok(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    if text.contains(['.', 'e', 'E']) {
        return text.parse().map(Value::Float).map_err(|_| ReadError::Number);
    }
    if text.len() > MAX_DIGITS {
        return Err(ReadError::TooLong);
    }
    Ok(text.parse().map_or_else(|_| Value::BigInt(text.to_owned()), Value::Int))
}

/// Writes a value as Python's `json.dumps` does.
pub fn write(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

pub(super) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Value::BigInt(digits) => out.push_str(digits),
        Value::Float(value) => write_float(out, *value),
        Value::String(value) => write_string(out, value),
        Value::List(values) => {
            out.push('[');
            for (place, value) in values.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { ", " });
                write_value(out, value);
            }
            out.push(']');
        }
        Value::Map(map) => write_map(out, map),
    }
}

pub(super) fn write_map(out: &mut String, map: &Map) {
    out.push('{');
    for (place, (key, value)) in map.iter().enumerate() {
        out.push_str(if place == 0 { "" } else { ", " });
        write_string(out, key);
        out.push_str(": ");
        write_value(out, value);
    }
    out.push('}');
}

fn write_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        super::repr::push_float(out, value);
    }
}

pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // What needs no escape is copied whole; mostly that is all of it.
    while let Some(at) = first_to_escape(rest.as_bytes()) {
        let (plain, other) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = other.chars();
        chars.next().into_iter().for_each(|char| escape(out, char));
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Looks at several bytes at once, as far as none is found.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<32>();
    let clean = chunks.iter().take_while(|chunk| chunk.iter().fold(true, |plain, byte| plain & is_plain(*byte))).count();
    let start = clean * 32;
    bytes[start..].iter().position(|byte| !is_plain(*byte)).map(|at| start + at)
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
}

fn escape(out: &mut String, char: char) {
    match char {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        other => {
            for unit in other.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}
