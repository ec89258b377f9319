//! What a backend stores of a task or a group, and the part a task reports to its chord.
//!
//! # Celery
//! `backends/base.py` (`_get_result_meta`, `encode_result`) and `result.py` (`as_tuple`).

use std::collections::HashSet;

use super::compression::{Compression, DecompressError};
use super::exception::Exception;
use super::serializer::Serializer;
use super::state::State;
use super::time::Timestamp;
use super::value::{Map, Value};
use crate::error::{Error, Result};

/// The prefix of a compressed value.
const COMPRESSED: &[u8] = b"\0celery-compressed\0";

/// How many results before it a result names. Each lies two levels deeper on the wire, where [`super::json::MAX_DEPTH`] ends, and a chain
/// of a million steps would be a million levels of the stack.
pub const MAX_ANCESTORS: usize = 128;

/// The key of a task's meta, which is also the channel of its announcements.
pub fn meta_key(task_id: &str) -> String {
    format!("celery-task-meta-{task_id}")
}

/// The key of a group's structure, and the stem of a chord's keys.
pub fn group_key(group_id: &str) -> String {
    format!("celery-taskset-meta-{group_id}")
}

/// A result as data: whose it is, what came before, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResultTuple {
    /// The id of the task or group.
    pub id: String,
    /// The result it followed from.
    pub parent: Option<Box<ResultTuple>>,
    /// The members of a group; `None` for a task.
    pub children: Option<Vec<ResultTuple>>,
}

impl ResultTuple {
    /// The result of a task.
    pub fn task(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// The result of a group.
    pub fn group(id: impl Into<String>, children: Vec<ResultTuple>) -> Self {
        Self { id: id.into(), parent: None, children: Some(children) }
    }

    /// Puts `before` in front of everything it is known to have followed from; what lies more than [`MAX_ANCESTORS`] steps back is
    /// forgotten.
    pub fn follows(&mut self, before: ResultTuple) {
        let mut slot = &mut self.parent;
        let mut before = Some(Box::new(before));
        for _ in 0..MAX_ANCESTORS {
            slot = match slot {
                Some(parent) => &mut parent.parent,
                None => match before.take() {
                    Some(before) => &mut slot.insert(before).parent,
                    None => return,
                },
            };
        }
        *slot = None;
    }

    /// `[[id, parent], children]`.
    pub fn to_value(&self) -> Value {
        let parent = self.parent.as_ref().map_or(Value::Null, |parent| parent.to_value());
        let children = match &self.children {
            Some(children) => children.iter().map(ResultTuple::to_value).collect(),
            None => Value::Null,
        };
        Value::List(vec![Value::List(vec![Value::from(&self.id), parent]), children])
    }

    /// Reads `[[id, parent], children]`, or a bare id.
    pub fn from_value(value: &Value) -> Option<Self> {
        if let Some(id) = value.as_str() {
            return Some(Self::task(id));
        }
        let [head, children] = value.as_list()? else { return None };
        let (id, parent) = match head {
            Value::String(id) => (id.clone(), None),
            Value::List(pair) => (pair.first()?.as_str()?.to_owned(), pair.get(1).filter(|parent| !parent.is_null())),
            _ => return None,
        };
        let parent = match parent {
            Some(parent) => Some(Box::new(Self::from_value(parent)?)),
            None => None,
        };
        let children = match children {
            Value::List(children) => Some(children.iter().map(Self::from_value).collect::<Option<_>>()?),
            _ => None,
        };
        Some(Self { id, parent, children })
    }
}

/// A task that returns a result returns its tuple, as Python's tasks do with an `AsyncResult`.
impl serde::Serialize for ResultTuple {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

/// What `result_extended` adds to a meta.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Extended {
    /// The task's name.
    pub name: String,
    /// Its positional arguments.
    pub args: Value,
    /// Its keyword arguments.
    pub kwargs: Value,
    /// The node that ran it.
    pub worker: String,
    /// How often it was retried.
    pub retries: u32,
    /// The routing key it came by.
    pub queue: Option<String>,
    /// The names of its stamps, and each stamp as a key of its own.
    pub stamps: Option<(Vec<String>, Map)>,
}

/// The state of a task as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta {
    /// Its state.
    pub status: State,
    /// The return value, the exception, or the state's own data.
    pub result: Value,
    /// The traceback of an exception.
    pub traceback: Option<String>,
    /// What the task published; `None` when no request is known.
    pub children: Option<Vec<ResultTuple>>,
    /// When it ended.
    pub date_done: Option<Timestamp>,
    /// What `result_extended` adds.
    pub extended: Option<Box<Extended>>,
    /// The group it belongs to.
    pub group_id: Option<String>,
    /// The task that sent it.
    pub parent_id: Option<String>,
    /// Its id.
    pub task_id: String,
    /// Keys nobody knows, kept.
    pub extra: Map,
}

impl Meta {
    /// A meta without anything but state and result.
    pub fn new(task_id: impl Into<String>, status: State, result: Value) -> Self {
        Self {
            status,
            result,
            traceback: None,
            children: Some(Vec::new()),
            date_done: None,
            extended: None,
            group_id: None,
            parent_id: None,
            task_id: task_id.into(),
            extra: Map::default(),
        }
    }

    /// The exception of a failed, retried or revoked task.
    pub fn exception(&self) -> Option<Exception> {
        if self.status.is_exception() { Exception::from_value(&self.result) } else { None }
    }

    /// As an object, in Python's order.
    pub fn to_value(&self) -> Value {
        let mut map = Map::default();
        let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
        set("status", self.status.as_str().into());
        set("result", self.result.clone());
        set("traceback", self.traceback.clone().into());
        set("children", self.children.as_ref().map_or(Value::Null, |list| list.iter().map(ResultTuple::to_value).collect()));
        set("date_done", self.date_done.map(|time| time.to_string()).into());
        if let Some(group_id) = &self.group_id {
            set("group_id", group_id.into());
        }
        if let Some(parent_id) = &self.parent_id {
            set("parent_id", parent_id.into());
        }
        if let Some(extended) = &self.extended {
            extended.write(&mut map);
        }
        map.extend(self.extra.clone());
        map.insert("task_id".to_owned(), Value::from(&self.task_id));
        Value::Map(map)
    }

    /// Reads a stored meta.
    pub fn from_value(value: Value) -> Result<Self> {
        let Value::Map(mut map) = value else { return Err(Error::protocol("a meta is an object")) };
        let mut take = |name: &str| map.shift_remove(name).filter(|value| !value.is_null());
        let text = |value: Option<Value>| value.and_then(|value| value.as_str().map(str::to_owned));
        let status = take("status").as_ref().and_then(Value::as_str).map(State::from);
        let status = status.ok_or_else(|| Error::protocol("a meta without a status"))?;
        let result = take("result").unwrap_or_default();
        let traceback = text(take("traceback"));
        let children = take("children").and_then(|list| list.as_list()?.iter().map(ResultTuple::from_value).collect());
        let date_done = text(take("date_done")).map(|text| Timestamp::parse(&text)).transpose()?;
        let group_id = text(take("group_id"));
        let parent_id = text(take("parent_id"));
        let task_id = text(take("task_id")).unwrap_or_default();
        let extended = Extended::read(&mut map).map(Box::new);
        Ok(Self { status, result, traceback, children, date_done, extended, group_id, parent_id, task_id, extra: map })
    }

    /// Reads the stored bytes, compressed or not.
    pub fn decode(data: &[u8], serializer: Serializer, limit: usize) -> Result<Self> {
        Self::from_value(decode_stored(data, serializer, limit)?)
    }

    /// Writes the bytes to be stored.
    pub fn encode(&self, serializer: Serializer, compression: Option<Compression>) -> Result<Vec<u8>> {
        encode_stored(&self.to_value(), serializer, compression)
    }
}

impl Extended {
    fn write(&self, map: &mut Map) {
        let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
        set("name", Value::from(&self.name));
        set("args", self.args.clone());
        set("kwargs", self.kwargs.clone());
        set("worker", Value::from(&self.worker));
        set("retries", self.retries.into());
        set("queue", self.queue.clone().into());
        if let Some((names, stamps)) = &self.stamps {
            set("stamped_headers", names.clone().into());
            map.extend(stamps.clone());
        }
    }

    fn read(map: &mut Map) -> Option<Self> {
        if !map.contains_key("name") || !map.contains_key("worker") {
            return None;
        }
        let mut take = |name: &str| map.shift_remove(name).unwrap_or_default();
        let text = |value: Value| value.as_str().map(str::to_owned);
        let mut extended = Self {
            name: text(take("name")).unwrap_or_default(),
            args: take("args"),
            kwargs: take("kwargs"),
            worker: text(take("worker")).unwrap_or_default(),
            retries: take("retries").as_i64().and_then(|value| u32::try_from(value).ok()).unwrap_or(0),
            queue: text(take("queue")),
            stamps: None,
        };
        if let Some(names) = map.shift_remove("stamped_headers").filter(|names| !names.is_null()) {
            let names: Vec<String> = names.as_list()?.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
            // In one pass: taking many names out one by one moves the rest of the map each time.
            let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
            let (stamps, rest) = std::mem::take(map).into_iter().partition(|(name, _)| wanted.contains(name.as_str()));
            *map = rest;
            extended.stamps = Some((names, stamps));
        }
        Some(extended)
    }
}

/// One part of a chord as it is stored: `[1, id, status, result]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChordEntry {
    /// The task that finished.
    pub task_id: String,
    /// How it finished.
    pub status: State,
    /// Its return value or exception.
    pub result: Value,
}

impl ChordEntry {
    /// As it is stored.
    pub fn to_value(&self) -> Value {
        Value::List(vec![Value::Int(1), Value::from(&self.task_id), self.status.as_str().into(), self.result.clone()])
    }

    /// Reads a stored part.
    pub fn from_value(value: Value) -> Result<Self> {
        let bad = || Error::protocol("a chord part is [1, id, status, result]");
        let Value::List(values) = value else { return Err(bad()) };
        let [_, task_id, status, result] = <[Value; 4]>::try_from(values).map_err(|_| bad())?;
        let (Some(task_id), Some(status)) = (task_id.as_str(), status.as_str()) else { return Err(bad()) };
        Ok(Self { task_id: task_id.to_owned(), status: State::from(status), result })
    }
}

/// The structure of a group as it is stored: `{"result": [[gid, parent], [tuples]]}`.
pub fn group_meta(result: &ResultTuple) -> Value {
    Value::Map(Map::from_iter([("result".to_owned(), result.to_value())]))
}

/// Reads a stored structure of a group.
pub fn read_group_meta(value: &Value) -> Option<ResultTuple> {
    ResultTuple::from_value(value.get("result")?)
}

/// Writes what a backend stores: the bare serialization, behind a prefix when compressed.
pub fn encode_stored(value: &Value, serializer: Serializer, compression: Option<Compression>) -> Result<Vec<u8>> {
    let data = serializer.write(value)?;
    let Some(compression) = compression else { return Ok(data) };
    let mut out = [COMPRESSED, compression.content_type().as_bytes(), b"\0"].concat();
    out.extend(compression.compress(&data)?);
    Ok(out)
}

/// Reads what a backend stored, unpacking at most `limit` bytes; compression is recognised by its prefix.
pub fn decode_stored(data: &[u8], serializer: Serializer, limit: usize) -> Result<Value> {
    let Some(rest) = data.strip_prefix(COMPRESSED) else {
        return serializer.read(data);
    };
    let split = rest.iter().position(|byte| *byte == 0).ok_or_else(|| Error::protocol("a compressed result without a type"))?;
    let (name, packed) = rest.split_at(split);
    let compression = std::str::from_utf8(name).ok().and_then(Compression::from_name);
    let compression = compression.ok_or_else(|| Error::protocol("a result of unknown compression"))?;
    let unpacked = compression
        .decompress(packed.get(1..).unwrap_or_default(), limit)
        .map_err(|error: DecompressError| Error::protocol(format!("a stored result: {error}")))?;
    serializer.read(&unpacked)
}
