//! A configuration file's text as a tree of values, with the line each of them begins on.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value as Json};
use toml::de::{DeTable, DeValue};

/// A parsed file.
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) root: Map<String, Json>,
    lines: HashMap<Vec<String>, usize>,
}

impl Parsed {
    /// The line of a key; JSON files have none.
    pub(super) fn line(&self, path: &[String]) -> Option<usize> {
        self.lines.get(path).copied()
    }
}

/// Where and why a text is not a file of settings.
pub(super) struct SyntaxError {
    pub(super) line: Option<usize>,
    pub(super) message: String,
}

/// Reads a file by its name's ending: `.json` is JSON, all else TOML.
pub(super) fn parse(name: &str, text: &str) -> Result<Parsed, SyntaxError> {
    if name.ends_with(".json") {
        let root =
            serde_json::from_str(text).map_err(|error| SyntaxError { line: Some(error.line()), message: error.to_string() })?;
        return Ok(Parsed { root, lines: HashMap::new() });
    }
    let line = |range: Range<usize>| 1 + text.as_bytes()[..range.start.min(text.len())].iter().filter(|&&b| b == b'\n').count();
    let table = DeTable::parse(text)
        .map_err(|error| SyntaxError { line: error.span().map(line), message: error.message().replace('\n', ", ") })?;
    let mut lines = HashMap::new();
    let root = self::table(table.get_ref(), &mut Vec::new(), &mut |path, range| {
        lines.insert(path.to_vec(), line(range));
    });
    Ok(Parsed { root, lines })
}

fn table(table: &DeTable<'_>, path: &mut Vec<String>, seen: &mut dyn FnMut(&[String], Range<usize>)) -> Map<String, Json> {
    let mut map = Map::new();
    for (key, entry) in table {
        path.push(key.get_ref().to_string());
        seen(path, key.span());
        map.insert(key.get_ref().to_string(), value(entry.get_ref(), path, seen));
        path.pop();
    }
    map
}

fn value(written: &DeValue<'_>, path: &mut Vec<String>, seen: &mut dyn FnMut(&[String], Range<usize>)) -> Json {
    match written {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix()).map_or_else(|_| digits.into(), Json::from)
        }
        DeValue::Float(number) => number.as_str().replace('_', "").parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(time) => time.to_string().into(),
        DeValue::Array(values) => values.iter().map(|entry| value(entry.get_ref(), path, seen)).collect(),
        DeValue::Table(entries) => Json::Object(table(entries, path, seen)),
    }
}
