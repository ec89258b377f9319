//! The recordings in `tests/fixtures/vectors`, and messages reduced to what two runs of the same canvas have in common.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use celeriac::protocol::{DecodeOptions, Envelope, Map, Message, Serializer, Value, json};

/// One recording.
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) value: Value,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/vectors")
}

pub(crate) fn load(name: &str) -> Vector {
    let data = fs::read(folder().join(format!("{name}.json"))).unwrap();
    Vector { name: name.to_owned(), value: json::parse(&data).unwrap() }
}

/// All recordings whose name begins so.
pub(crate) fn all(prefixes: &[&str]) -> Vec<Vector> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect();
    names.retain(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    names.sort();
    assert!(!names.is_empty());
    names.iter().map(|name| load(name)).collect()
}

/// Text or `{"__b64__": …}` as bytes.
pub(crate) fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        other => Some(STANDARD.decode(other.get("__b64__")?.as_str()?).unwrap()),
    }
}

impl Vector {
    fn raws(&self, key: &str) -> Vec<String> {
        let list = self.value.get(key).and_then(Value::as_list).unwrap_or_default();
        list.iter().map(|entry| entry.get("raw").unwrap().as_str().unwrap().to_owned()).collect()
    }

    /// The messages of a recording of kind `message`.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.raws("captured")
    }

    /// What was pushed before the worker started.
    pub(crate) fn pushed(&self) -> Vec<String> {
        self.raws("pushed")
    }

    /// The commands of a recording of kind `monitor`.
    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        let list = self.value.get("decoded").unwrap().as_list().unwrap();
        let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
        list.iter().map(|command| command.get("args").unwrap().as_list().unwrap().iter().map(text).collect()).collect()
    }

    /// Every message that was pushed while the recording ran.
    pub(crate) fn published(&self) -> Vec<Message> {
        let commands = self.commands();
        commands.iter().filter(|command| command[0] == "LPUSH").map(|command| decode(&command[2])).collect()
    }

    /// Every task meta that was stored, in order, as (id, meta).
    pub(crate) fn stored(&self) -> Vec<(String, Value)> {
        let commands = self.commands();
        let stores = commands.iter().filter(|command| command[0] == "SETEX");
        stores
            .filter_map(|command| {
                Some((command[1].strip_prefix("celery-task-meta-")?.to_owned(), json::parse(command[3].as_bytes()).unwrap()))
            })
            .collect()
    }
}

pub(crate) fn decode(raw: &str) -> Message {
    let options = DecodeOptions { accept: vec![Serializer::Json, Serializer::Msgpack], ..DecodeOptions::default() };
    Message::decode(Envelope::parse(raw.as_bytes()).unwrap(), &options).unwrap()
}

/// A message without what differs between two runs or is only looks: tags, senders, exact times.
pub(crate) fn shape(message: &Message, queue: Option<&str>, priority: Option<i64>) -> Value {
    let headers = &message.headers;
    let embed = &message.embed;
    let list = |signatures: &Option<Vec<celeriac::protocol::Signature>>| -> Value {
        signatures.as_ref().map(|list| list.iter().map(|one| one.to_value()).collect::<Value>()).into()
    };
    let fields: [(&str, Value); 19] = [
        ("task", (&headers.task).into()),
        ("id", (&headers.id).into()),
        ("group", headers.group.clone().into()),
        ("group_index", headers.group_index.into()),
        ("root_id", headers.root_id.clone().into()),
        ("parent_id", headers.parent_id.clone().into()),
        ("retries", headers.retries.into()),
        ("has_eta", headers.eta.is_some().into()),
        ("nesting", headers.replaced_task_nesting.into()),
        ("stamps", headers.stamps.clone().into()),
        ("stamped_headers", headers.stamped_headers.clone().into()),
        ("queue", queue.unwrap_or("celery").into()),
        ("priority", priority.unwrap_or(0).into()),
        ("args", message.args.clone().into()),
        ("kwargs", message.kwargs.clone().into()),
        ("callbacks", list(&embed.callbacks)),
        ("errbacks", list(&embed.errbacks)),
        ("chain", list(&embed.chain)),
        ("chord", embed.chord.as_ref().map(|chord| chord.to_value()).into()),
    ];
    strip(Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()))
}

/// The same of a message as it was recorded.
pub(crate) fn recorded_shape(message: &Message) -> Value {
    shape(message, Some(&message.properties.delivery_info.routing_key), Some(message.properties.priority))
}

/// Sorts keys and leaves out of every signature's options what says nothing: nulls, `reply_to`, `add_to_parent`, and a `root_id` that Celery
/// copies into a chord's body although the worker overrides it.
fn strip(value: Value) -> Value {
    match value {
        Value::List(values) => values.into_iter().map(strip).collect(),
        Value::Map(mut map) => {
            if let (true, Some(options)) = (map.contains_key("subtask_type"), map.get_mut("options").and_then(Value::as_map_mut)) {
                options
                    .retain(|name, value| !value.is_null() && !matches!(name.as_str(), "reply_to" | "add_to_parent" | "root_id"));
            }
            map.sort_keys();
            Value::Map(map.into_iter().map(|(key, value)| (key, strip(value))).collect())
        }
        other => other,
    }
}

/// Names every id by the order in which it first appears.
#[derive(Default)]
pub(crate) struct Names(HashMap<String, String>);

impl Names {
    pub(crate) fn rename(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.rename_text(text)),
            Value::List(values) => values.iter().map(|value| self.rename(value)).collect(),
            Value::Map(map) => {
                let renamed: Map = map.iter().map(|(key, value)| (self.rename_text(key), self.rename(value))).collect();
                Value::Map(renamed)
            }
            other => other.clone(),
        }
    }

    fn rename_text(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = find_id(rest) {
            let id = &rest[at..at + 36];
            let next = format!("#{}", self.0.len());
            out.push_str(&rest[..at]);
            out.push_str(self.0.entry(id.to_owned()).or_insert(next));
            rest = &rest[at + 36..];
        }
        out + rest
    }
}

fn find_id(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..(bytes.len() + 1).saturating_sub(36)).find(|&at| {
        bytes[at..at + 36].iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_alphanumeric(),
        })
    })
}

/// Fresh ids that look like uuids and are the same in every run.
pub(crate) fn ids() -> impl FnMut() -> String {
    let mut count = 0u64;
    move || {
        count += 1;
        format!("00000000-0000-4000-8000-{count:012x}")
    }
}
