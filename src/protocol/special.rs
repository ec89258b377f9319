//! Python's special types on the wire: objects with exactly the keys `__type__` and `__value__`.
//!
//! They stay objects in a [`Value`], so that a message passes through unchanged; here they are built and read as types.
//!
//! # Celery
//! `kombu/utils/json.py`. As there, such an object with a type nobody knows is a decode error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{NaiveDate, NaiveTime};

use super::repr;
use super::time::{self, Timestamp};
use super::value::{Map, Value, ValueError};

const TYPE: &str = "__type__";
const CONTENT: &str = "__value__";
const KNOWN: [&str; 7] = ["datetime", "date", "time", "decimal", "uuid", "bytes", "base64"];

fn object(name: &str, content: Value) -> Value {
    Value::Map(Map::from_iter([(TYPE.to_owned(), name.into()), (CONTENT.to_owned(), content)]))
}

/// The type name and content of a special object; `None` for everything else.
pub fn parts(value: &Value) -> Option<(&str, &Value)> {
    let map = value.as_map().filter(|map| map.len() == 2)?;
    Some((map.get(TYPE)?.as_str()?, map.get(CONTENT)?))
}

/// Says whether every special object in it, however deep, is of a known type and readable.
pub fn check(value: &Value) -> Result<(), ValueError> {
    match value {
        Value::List(values) => values.iter().try_for_each(check),
        Value::Map(map) => match parts(value) {
            Some((name, content)) => check_one(name, content),
            None => map.values().try_for_each(check),
        },
        _ => Ok(()),
    }
}

fn check_one(name: &str, content: &Value) -> Result<(), ValueError> {
    let bad = || ValueError::new(format!("not a {name}: {}", repr::value(content, 100)));
    let text = content.as_str();
    let readable = match name {
        "datetime" => text.is_some_and(|text| Timestamp::parse(text).is_ok()),
        "date" => text.is_some_and(|text| read_date(text).is_some()),
        "time" => text.is_some_and(|text| read_time(text).is_some()),
        "uuid" => content.get("hex").and_then(Value::as_str).is_some_and(|hex| uuid::Uuid::parse_str(hex).is_ok()),
        "base64" => text.is_some_and(|text| STANDARD.decode(text).is_ok()),
        known if KNOWN.contains(&known) => text.is_some(),
        other => return Err(ValueError::new(format!("unknown special type {}", repr::text(other, 100)))),
    };
    if readable { Ok(()) } else { Err(bad()) }
}

/// A `datetime`.
pub fn datetime(value: &Timestamp) -> Value {
    object("datetime", value.to_string().into())
}

/// A `date`.
pub fn date(value: NaiveDate) -> Value {
    object("date", value.format("%Y-%m-%d").to_string().into())
}

/// A `time` without an offset.
pub fn time(value: NaiveTime) -> Value {
    object("time", value.format("%H:%M:%S%.f").to_string().into())
}

/// A `Decimal`, by its text.
pub fn decimal(text: impl Into<String>) -> Value {
    object("decimal", Value::String(text.into()))
}

/// A `UUID`.
pub fn uuid(value: &uuid::Uuid) -> Value {
    object("uuid", Value::Map(Map::from_iter([("hex".to_owned(), value.simple().to_string().into())])))
}

/// `bytes`: as text where they are UTF-8, in base64 where they are not.
pub fn bytes(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => object("bytes", text.into()),
        Err(_) => object("base64", STANDARD.encode(value).into()),
    }
}

/// The text of a special object that is written as one (all but bytes).
pub fn text(value: &Value) -> Option<&str> {
    match parts(value)? {
        ("datetime" | "date" | "time" | "decimal", content) => content.as_str(),
        ("uuid", content) => content.get("hex")?.as_str(),
        _ => None,
    }
}

/// The bytes of a special object that holds bytes; `None` for everything else.
pub fn as_bytes(value: &Value) -> Option<Result<Vec<u8>, ValueError>> {
    match parts(value)? {
        ("bytes", content) => {
            Some(content.as_str().map(|text| text.as_bytes().to_vec()).ok_or_else(|| ValueError::new("not bytes")))
        }
        ("base64", content) => {
            let decoded = content.as_str().and_then(|text| STANDARD.decode(text).ok());
            Some(decoded.ok_or_else(|| ValueError::new("not base64")))
        }
        _ => None,
    }
}

/// The moment of a `datetime`.
pub fn as_datetime(value: &Value) -> Option<Timestamp> {
    match parts(value)? {
        ("datetime", content) => Timestamp::parse(content.as_str()?).ok(),
        _ => None,
    }
}

/// The day of a `date`; a full timestamp is cut.
pub fn as_date(value: &Value) -> Option<NaiveDate> {
    match parts(value)? {
        ("date", content) => read_date(content.as_str()?),
        _ => None,
    }
}

/// The time of day of a `time`, its offset left out.
pub fn as_time(value: &Value) -> Option<NaiveTime> {
    match parts(value)? {
        ("time", content) => read_time(content.as_str()?),
        _ => None,
    }
}

/// The uuid of a `uuid`.
pub fn as_uuid(value: &Value) -> Option<uuid::Uuid> {
    match parts(value)? {
        ("uuid", content) => uuid::Uuid::parse_str(content.get("hex")?.as_str()?).ok(),
        _ => None,
    }
}

fn read_date(text: &str) -> Option<NaiveDate> {
    time::read_date(text.get(..10)?)
}

fn read_time(text: &str) -> Option<NaiveTime> {
    let end = text.find(['+', '-', 'Z']).unwrap_or(text.len());
    let local = text.get(..end)?;
    NaiveTime::parse_from_str(local, "%H:%M:%S%.f").or_else(|_| NaiveTime::parse_from_str(local, "%H:%M")).ok()
}
