//! Where mutation begins: everything Celery was recorded to write, taken out of `tests/fixtures/vectors`, and what nobody sends in peace.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use celeriac::protocol::{Compression, Envelope, Serializer, Value, json};

use crate::targets;

/// A fuzz target: its name in `fuzz/`, and its body.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const TARGETS: [Target; 7] = [
    ("envelope", targets::envelope::check),
    ("unacked", targets::unacked::check),
    ("message", targets::message::check),
    ("canvas", targets::canvas::check),
    ("control", targets::control::check),
    ("results", targets::results::check),
    ("values", targets::values::check),
];

/// What was recorded, by the target it is for.
#[derive(Debug, Default)]
pub(crate) struct Seeds {
    pub(crate) envelopes: BTreeSet<Vec<u8>>,
    pub(crate) bodies: BTreeSet<Vec<u8>>,
    pub(crate) results: BTreeSet<Vec<u8>>,
}

impl Seeds {
    /// Reads all recordings.
    pub(crate) fn recorded() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vectors");
        let mut seeds = Self::default();
        for file in fs::read_dir(folder).unwrap() {
            seeds.collect(&json::parse(&fs::read(file.unwrap().path()).unwrap()).unwrap());
        }
        let found = (seeds.envelopes.len(), seeds.results.len());
        assert!(found.0 > 100 && found.1 > 100, "the recordings are not where they were: {found:?}");
        seeds
    }

    /// Every text of a recording that is one of these, however deep.
    fn collect(&mut self, value: &Value) {
        match value {
            Value::List(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Map(map) => match map.get("__b64__").and_then(Value::as_str) {
                Some(text) => self.take(&STANDARD.decode(text).unwrap()),
                None => map.values().for_each(|value| self.collect(value)),
            },
            Value::String(text) => self.take(text.as_bytes()),
            _ => {}
        }
    }

    fn take(&mut self, data: &[u8]) {
        let stored: [&[u8]; 4] = [b"\0celery-compressed", b"{\"status\"", b"{\"result\"", b"[1, \""];
        if stored.iter().any(|start| data.starts_with(start)) {
            self.results.insert(data.to_vec());
        } else if let Ok(envelope) = Envelope::parse(data) {
            self.envelopes.insert(data.to_vec());
            self.bodies.extend(envelope.body_bytes());
        }
    }

    /// What a target begins with.
    pub(crate) fn of(&self, target: &str) -> Vec<Vec<u8>> {
        let envelopes = || self.envelopes.iter().cloned();
        let seeds: Vec<Vec<u8>> = match target {
            "envelope" | "control" => envelopes().collect(),
            "unacked" => {
                let entry = |text: Vec<u8>| [b"[", text.as_slice(), b", \"\", \"celery\"]"].concat();
                let torn = [&b"{}, \"\", \"x\"], [1"[..], b"{}, \"\", \"x\", \"y\"", b"", b"[", b"no json", b"{} "];
                envelopes().map(entry).chain(envelopes()).chain(torn.map(<[u8]>::to_vec)).collect()
            }
            "message" => envelopes().chain(envelopes().filter_map(|text| apart(&text))).collect(),
            "canvas" => self.bodies.iter().cloned().chain(self.signatures()).collect(),
            "results" => self.results.iter().cloned().collect(),
            "values" => {
                let packed = self.packed();
                self.bodies.iter().cloned().chain(packed).chain(ODD_VALUES.iter().map(|text| text.as_bytes().to_vec())).collect()
            }
            other => panic!("no target {other}"),
        };
        assert!(!seeds.is_empty());
        seeds
    }

    /// Every signature in a body, by itself.
    fn signatures(&self) -> BTreeSet<Vec<u8>> {
        fn collect(found: &mut BTreeSet<Vec<u8>>, value: &Value) {
            match value {
                Value::List(values) => values.iter().for_each(|value| collect(found, value)),
                Value::Map(map) => {
                    if map.contains_key("task") && map.contains_key("options") {
                        found.insert(json::write(value).into_bytes());
                    }
                    map.values().for_each(|value| collect(found, value));
                }
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        self.bodies.iter().filter_map(|body| json::parse(body).ok()).for_each(|body| collect(&mut found, &body));
        found
    }

    /// Some bodies in each compression, and in msgpack.
    fn packed(&self) -> Vec<Vec<u8>> {
        let mut packed = Vec::new();
        for body in self.bodies.iter().step_by(20) {
            let value = json::parse(body).ok();
            packed.extend(value.and_then(|value| Serializer::Msgpack.write(&value).ok()));
            packed.extend(targets::values::COMPRESSIONS.map(|compression: Compression| compression.compress(body).unwrap()));
        }
        packed
    }
}

/// An envelope without its body, a byte no UTF-8 contains, and the body's bytes.
fn apart(text: &[u8]) -> Option<Vec<u8>> {
    let mut envelope = Envelope::parse(text).ok()?;
    let body = envelope.body_bytes().ok()?;
    envelope.body.clear();
    Some([envelope.write().as_bytes(), b"\xff", &body].concat())
}

/// Values nobody sends in peace.
const ODD_VALUES: [&str; 16] = [
    "[NaN, -Infinity, 1e999, -0.0, 0.1]",
    "123456789012345678901234567890123456789012345678901234567890",
    "[9223372036854775808, 18446744073709551615, 170141183460469231731687303715884105727]",
    r#"{"__type__": "datetime", "__value__": "2026-11-22T23:59:60.5+23:59:59"}"#,
    r#"{"__type__": "bytes", "__value__": 1}"#,
    r#"{"__type__": "base64", "__value__": "/w=="}"#,
    r#"{"__type__": "uuid", "__value__": {"hex": "x"}}"#,
    r#"{"__type__": "decimal", "__value__": "NaN"}"#,
    r#"{"__type__": "date", "__value__": "+12345-1-1"}"#,
    r#""\ud83d\ude00 \u0000 \u2028""#,
    r#"{"a": 1, "a": 2}"#,
    "0001-01-01T00:00:00+23:59",
    "9999-12-31 23:59:60.999999999-23:59:59",
    "-001-01-01T00:00",
    "+99999-1-1",
    "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
];
