//! Changes a seed a little, as bytes or as the JSON it is: what a fuzzer does, bounded and the same in every run.

use celeriac::protocol::{Map, Value, json};
use fastrand::Rng;

/// Words of the wire, and numbers at the edges; `scripts/fuzz` gives them to libFuzzer as its dictionary.
pub(crate) const TOKENS: [&str; 44] = [
    "null",
    "true",
    "NaN",
    "-Infinity",
    "1e308",
    "1e16",
    "-1",
    "9223372036854775808",
    "18446744073709551616",
    "0.5",
    "[]",
    "{}",
    "\"\"",
    "\"chain\"",
    "\"group\"",
    "\"chord\"",
    "\"chunks\"",
    "\"xstarmap\"",
    "\"tasks\"",
    "\"task\"",
    "\"args\"",
    "\"kwargs\"",
    "\"options\"",
    "\"header\"",
    "\"body\"",
    "\"link\"",
    "\"link_error\"",
    "\"subtask_type\"",
    "\"immutable\"",
    "\"task_id\"",
    "\"group_id\"",
    "\"group_index\"",
    "\"countdown\"",
    "\"eta\"",
    "\"expires\"",
    "\"stamped_headers\"",
    "\"__type__\"",
    "\"__value__\"",
    "\"datetime\"",
    "\"2026-11-22T00:34:31.065160+00:00\"",
    "\"headers\"",
    "\"compression\"",
    "\"application/x-msgpack\"",
    "\\ud800",
];

/// One to four changes. A byte that no UTF-8 contains parts a seed in two, and one of them is changed.
pub(crate) fn mutate(random: &mut Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    if let Some(at) = seed.iter().position(|byte| *byte == 0xff) {
        let (first, second) = (&seed[..at], &seed[at + 1..]);
        let (first, second) = if random.bool() {
            (mutate(random, first, other), second.to_vec())
        } else {
            (first.to_vec(), mutate(random, second, other))
        };
        return [first.as_slice(), b"\xff", &second].concat();
    }
    let mut data = seed.to_vec();
    for _ in 0..random.usize(1..=4) {
        data = match json::parse(&data) {
            Ok(mut value) if random.u8(..) < 200 => {
                change_value(random, &mut value, &json::parse(other).unwrap_or_default());
                json::write(&value).into_bytes()
            }
            _ => change_bytes(random, data, other),
        };
    }
    data
}

fn change_bytes(random: &mut Rng, mut data: Vec<u8>, other: &[u8]) -> Vec<u8> {
    let from = random.usize(..=data.len());
    let to = random.usize(from..=data.len()).min(from + 64);
    match random.u8(..6) {
        0 => data.drain(from..to).for_each(drop),
        1 => drop(data.splice(from..from, random.choice(TOKENS).unwrap_or_default().bytes())),
        2 => drop(data.splice(from..to, random.choice(TOKENS).unwrap_or_default().bytes())),
        3 => data = [&data[..from], &other[random.usize(..=other.len())..]].concat(),
        4 => data = [&data[..to], &data[from..]].concat(),
        _ => data.get_mut(from).into_iter().for_each(|byte| *byte ^= 1 << random.u8(..8)),
    }
    data
}

/// Walks down at random and changes what it comes to.
fn change_value(random: &mut Rng, value: &mut Value, other: &Value) {
    let deeper = random.u8(..10) < 8;
    match value {
        Value::List(values) if deeper && !values.is_empty() => {
            let place = random.usize(..values.len());
            match random.u8(..12) {
                0 => drop(values.remove(place)),
                1 => values.push(values[place].clone()),
                _ => change_value(random, &mut values[place], other),
            }
        }
        Value::Map(map) if deeper && !map.is_empty() => {
            let place = random.usize(..map.len());
            match random.u8(..12) {
                0 => drop(map.shift_remove_index(place)),
                1 => drop(map.insert(word(random), odd(random, other))),
                _ => change_value(random, &mut map[place], other),
            }
        }
        Value::String(text) if deeper => text.push_str(&word(random)),
        value => *value = odd(random, other),
    }
}

fn word(random: &mut Rng) -> String {
    random.choice(TOKENS).unwrap_or_default().trim_matches('"').to_owned()
}

/// A value that is seldom what is expected.
fn odd(random: &mut Rng, other: &Value) -> Value {
    match random.u8(..10) {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => Value::Int(random.i64(..)),
        3 => Value::Float(f64::from_bits(random.u64(..))),
        4 => Value::BigInt("9".repeat(random.usize(20..60))),
        5 => Value::String(word(random)),
        6 => Value::List(vec![part_of(random, other)]),
        7 => Value::Map(Map::from_iter([(word(random), part_of(random, other))])),
        8 => (0..random.usize(..60)).fold(Value::Null, |inner, _| Value::List(vec![inner])),
        _ => part_of(random, other),
    }
}

/// A part of another seed.
fn part_of(random: &mut Rng, value: &Value) -> Value {
    let parts: Vec<&Value> = match value {
        Value::List(values) => values.iter().collect(),
        Value::Map(map) => map.values().collect(),
        _ => Vec::new(),
    };
    match random.choice(parts) {
        Some(part) if random.u8(..4) > 0 => part_of(random, part),
        _ => value.clone(),
    }
}
