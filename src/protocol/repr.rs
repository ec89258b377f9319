//! Values as Python's `repr` shows them, cut short: what operators read in `argsrepr`, events and `inspect`.
//!
//! # Celery
//! `utils/saferepr.py` with its limits: 1024 characters in all, three levels of nesting. It is text for people; nobody parses it.

use std::fmt::Write as _;

use super::special;
use super::value::{Map, Value};

/// How long an `argsrepr` or `kwargsrepr` may be.
pub const MAX_LENGTH: usize = 1024;
const MAX_LEVELS: usize = 3;

/// Positional arguments as a tuple: `(1, 'two')`, `(1,)`, `()`.
pub fn args(values: &[Value]) -> String {
    let mut out = Repr::new(MAX_LENGTH);
    out.list(values, "(", if values.len() == 1 { ",)" } else { ")" }, 0);
    out.finish()
}

/// Keyword arguments as a dict: `{'y': 2}`.
pub fn kwargs(map: &Map) -> String {
    let mut out = Repr::new(MAX_LENGTH);
    out.map(map, 0);
    out.finish()
}

/// A value as Python prints it: a text as it is, everything else as `repr` shows it, whole.
pub fn display(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let mut out = Repr { levels: usize::MAX, ..Repr::new(usize::MAX - 1) };
            out.value(other, 0);
            out.finish()
        }
    }
}

/// One value, in at most `limit` characters.
pub fn value(value: &Value, limit: usize) -> String {
    let mut out = Repr::new(limit);
    out.value(value, 0);
    out.finish()
}

/// A text as Python quotes it, in at most `limit` characters: for sentences about what somebody else sent.
pub fn text(text: &str, limit: usize) -> String {
    let mut out = Repr::new(limit);
    out.text(text);
    out.finish()
}

/// A float as Python's `repr` writes it: `1.0`, `1e+16`, `1e-05`, `inf`, `nan`.
pub fn float(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let mut out = String::new();
    push_float(&mut out, value);
    out
}

/// Writes a finite float. Rust's `Debug` has Python's digits and changes to an exponent where Python does.
pub(super) fn push_float(out: &mut String, value: f64) {
    let start = out.len();
    let _ = write!(out, "{value:?}");
    let Some(at) = out[start..].find('e') else { return };
    let exponent: i32 = out[start + at + 1..].parse().unwrap_or(0);
    out.truncate(start + at);
    let sign = if exponent < 0 { '-' } else { '+' };
    let _ = write!(out, "e{sign}{:02}", exponent.abs());
}

/// A text as Python quotes it: single quotes unless it holds one and no double quote.
pub fn string(text: &str) -> String {
    quoted(text, "")
}

fn quoted(text: &str, prefix: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2 + prefix.len());
    out.push_str(prefix);
    out.push(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char == quote => out.extend(['\\', quote]),
            char if char.is_control() || char.is_whitespace() && char != ' ' => out.push_str(&escape(char)),
            char => out.push(char),
        }
    }
    out.push(quote);
    out
}

fn escape(char: char) -> String {
    match u32::from(char) {
        code @ ..=0xff => format!("\\x{code:02x}"),
        code @ ..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// Bytes as Python shows them: `b'…'`.
pub fn bytes(value: &[u8]) -> String {
    let quote = if value.contains(&b'\'') && !value.contains(&b'"') { b'"' } else { b'\'' };
    let mut out = format!("b{}", quote as char);
    for &byte in value {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if byte == quote => out.extend(['\\', quote as char]),
            b' '..=b'~' => out.push(byte as char),
            byte => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push(quote as char);
    out
}

struct Repr {
    out: String,
    left: usize,
    /// How deep it is shown.
    levels: usize,
}

impl Repr {
    fn new(limit: usize) -> Self {
        Self { out: String::new(), left: limit, levels: MAX_LEVELS }
    }

    fn finish(self) -> String {
        self.out
    }

    fn full(&self) -> bool {
        self.left == 0
    }

    fn push(&mut self, text: &str) {
        if self.full() {
            return;
        }
        let length = text.chars().count();
        if length <= self.left {
            self.out.push_str(text);
            self.left -= length;
        } else {
            self.out.extend(text.chars().take(self.left));
            self.out.push_str("...");
            self.left = 0;
        }
    }

    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Null => self.push("None"),
            Value::Bool(true) => self.push("True"),
            Value::Bool(false) => self.push("False"),
            Value::Int(value) => self.push(&value.to_string()),
            Value::BigInt(digits) => self.push(digits),
            Value::Float(value) => self.push(&float(*value)),
            Value::String(text) => self.text(text),
            Value::List(values) => self.list(values, "[", "]", level),
            Value::Map(map) => match special::as_bytes(value) {
                Some(Ok(value)) => self.push(&bytes(&value)),
                _ => self.map(map, level),
            },
        }
    }

    fn text(&mut self, text: &str) {
        let cut: String = text.chars().take(self.left + 1).collect();
        self.push(&string(&cut));
    }

    fn list(&mut self, values: &[Value], open: &str, close: &str, level: usize) {
        self.push(open);
        if level >= self.levels && !values.is_empty() {
            self.push("...");
        } else {
            for (place, value) in values.iter().enumerate() {
                if self.full() {
                    return;
                }
                self.push(if place == 0 { "" } else { ", " });
                self.value(value, level + 1);
            }
        }
        self.push(close);
    }

    fn map(&mut self, map: &Map, level: usize) {
        self.push("{");
        if level >= self.levels && !map.is_empty() {
            self.push("...");
        } else {
            for (place, (key, value)) in map.iter().enumerate() {
                if self.full() {
                    return;
                }
                self.push(if place == 0 { "" } else { ", " });
                self.text(key);
                self.push(": ");
                self.value(value, level + 1);
            }
        }
        self.push("}");
    }
}
