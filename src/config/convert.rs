//! From what was written to a value of the right kind, or to a sentence that says what was expected.

use serde_json::{Number, Value as Json};

use super::names::nearest;
use super::table::{Kind, Setting};

/// A value from a file: typed, but a text (perhaps from `${VAR}`) is read as the environment's.
pub(super) fn value(setting: &Setting, value: Json) -> Result<Json, String> {
    let typed = match (setting.kind, value) {
        (_, Json::Null) => Json::Null,
        (_, Json::String(written)) => return text(setting, &written),
        (Kind::Flag, value @ Json::Bool(_)) => value,
        (Kind::Integer(min, max), Json::Number(number)) => integer(&number, min, max)?,
        (Kind::Seconds | Kind::Number, Json::Number(number)) => positive(&number)?,
        (Kind::Names, value @ Json::Array(_)) => value,
        (Kind::Integers, Json::Array(values)) => {
            Json::Array(values.into_iter().map(|value| integer_of(&value)).collect::<Result<_, _>>()?)
        }
        (Kind::Concurrency | Kind::Rate, value @ Json::Number(_)) => value,
        (Kind::Autoscale, Json::Number(number)) => number.to_string().into(),
        (Kind::Mapping, value @ Json::Object(_)) => value,
        (Kind::Any, value) => value,
        (kind, value) => return Err(format!("{} is not {}", brief(&value), kind.describe())),
    };
    checked(setting, typed)
}

/// A value from the environment or the command line.
pub(super) fn text(setting: &Setting, written: &str) -> Result<Json, String> {
    let written = written.trim();
    let is_text = matches!(setting.kind, Kind::Text);
    let means_none = written.is_empty() || (!is_text && ["none", "null"].contains(&written.to_lowercase().as_str()));
    if means_none && setting.is_optional() {
        return Ok(Json::Null);
    }
    let wrong = || format!("{written:?} is not {}", setting.kind.describe());
    let typed = match setting.kind {
        Kind::Flag => match written.to_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Json::Bool(true),
            "false" | "no" | "off" | "0" => Json::Bool(false),
            _ => return Err(wrong()),
        },
        Kind::Integer(min, max) => integer(&number(written).ok_or_else(wrong)?, min, max)?,
        Kind::Seconds | Kind::Number => positive(&number(written).ok_or_else(wrong)?)?,
        Kind::Choice(words) => choice(words, written)?,
        Kind::Names => written.split(',').map(str::trim).filter(|name| !name.is_empty()).collect(),
        Kind::Integers => {
            let part = |part: &str| number(part.trim()).map(Json::Number).ok_or_else(wrong);
            Json::Array(written.split(',').map(part).collect::<Result<_, _>>()?)
        }
        Kind::Concurrency => number(written).map_or_else(|| written.to_lowercase().into(), Json::Number),
        Kind::Text | Kind::Url | Kind::Rate | Kind::Autoscale => written.into(),
        Kind::Mapping => serde_json::from_str(written).map_err(|_| format!("{written:?} is not a table written as JSON"))?,
        Kind::Any => serde_json::from_str(written).unwrap_or_else(|_| written.into()),
    };
    checked(setting, typed)
}

fn checked(setting: &Setting, value: Json) -> Result<Json, String> {
    (setting.check)(&value).map_err(|error| match value {
        Json::Null => format!("it needs a value: {}", setting.kind.describe()),
        _ => error,
    })?;
    Ok(value)
}

fn number(text: &str) -> Option<Number> {
    match text.parse::<i64>() {
        Ok(whole) => Some(whole.into()),
        Err(_) => text.parse::<f64>().ok().and_then(Number::from_f64),
    }
}

fn integer_of(value: &Json) -> Result<Json, String> {
    match value.as_i64() {
        Some(whole) => Ok(whole.into()),
        None => Err(format!("{} is not a whole number", brief(value))),
    }
}

fn integer(number: &Number, min: i64, max: i64) -> Result<Json, String> {
    match number.as_i64() {
        Some(whole) if (min..=max).contains(&whole) => Ok(whole.into()),
        _ => Err(format!("{number} is not {}", Kind::Integer(min, max).describe())),
    }
}

fn positive(number: &Number) -> Result<Json, String> {
    match number.as_f64() {
        Some(value) if value >= 0.0 => Ok(number.clone().into()),
        _ => Err(format!("{number} is less than nothing")),
    }
}

fn choice(words: &'static [&'static str], written: &str) -> Result<Json, String> {
    let lower = written.to_lowercase();
    if words.contains(&lower.as_str()) {
        return Ok(lower.into());
    }
    let hint = nearest(&lower, words.iter().copied()).map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
    Err(format!("{written:?} is not {}{hint}", Kind::Choice(words).describe()))
}

fn brief(value: &Json) -> String {
    match value {
        Json::Object(_) => "a table".into(),
        Json::Array(_) => "a list".into(),
        other => other.to_string(),
    }
}
