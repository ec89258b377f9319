//! The headers of a task message: what a worker must know before it reads the arguments.
//!
//! # Celery
//! `app/amqp.py` (`as_task_v2`). Custom headers lie flat among the others; those nobody knows are kept in [`Headers::custom`].

use super::envelope::{DELIVERY_COUNT, REDELIVERED, RUN_ALONE, TURN};
use super::message::{DecodeError, SHOWN};
use super::repr;
use super::time::Timestamp;
use super::value::{Map, Value};

/// The custom header whose text makes a task the only one of its name with it.
pub const UNIQUE_KEY: &str = "unique_key";
/// The custom header that says for how many seconds at the longest.
pub const UNIQUE_FOR: &str = "unique_for";

/// How long a task may run, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TimeLimit {
    /// Then its process is killed.
    pub hard: Option<f64>,
    /// Then it is asked to end.
    pub soft: Option<f64>,
}

/// The headers of a task message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Headers {
    /// The sender's language; nobody looks at it.
    pub lang: Option<String>,
    /// The registered name.
    pub task: String,
    /// The task's id.
    pub id: String,
    /// The name shown in logs and events instead.
    pub shadow: Option<String>,
    /// Not before.
    pub eta: Option<Timestamp>,
    /// Not after.
    pub expires: Option<Timestamp>,
    /// The group it belongs to.
    pub group: Option<String>,
    /// Its place in the group; decides the order of a chord's results.
    pub group_index: Option<i64>,
    /// How often it was retried.
    pub retries: u32,
    /// Its time limits.
    pub timelimit: TimeLimit,
    /// The first task of the workflow.
    pub root_id: Option<String>,
    /// The task that sent it.
    pub parent_id: Option<String>,
    /// The positional arguments as text; made from the arguments when absent.
    pub argsrepr: Option<String>,
    /// The keyword arguments as text; made from the arguments when absent.
    pub kwargsrepr: Option<String>,
    /// Who sent it: `gen<pid>@<host>`.
    pub origin: Option<String>,
    /// Overrides the task's own setting.
    pub ignore_result: Option<bool>,
    /// How many replacements led to it.
    pub replaced_task_nesting: u32,
    /// The names of its stamps.
    pub stamped_headers: Option<Vec<String>>,
    /// Its stamps.
    pub stamps: Map,
    /// Headers nobody knows, kept.
    pub custom: Map,
}

impl Headers {
    /// Headers of a new task.
    pub fn new(task: impl Into<String>, id: impl Into<String>) -> Self {
        Self { task: task.into(), id: id.into(), ..Self::default() }
    }

    /// The name shown to people: the shadow, or the name.
    pub fn shown_name(&self) -> &str {
        self.shadow.as_deref().filter(|shadow| !shadow.is_empty()).unwrap_or(&self.task)
    }

    pub(super) fn read(map: Map) -> Result<Self, DecodeError> {
        let mut headers = Self::default();
        let (mut task, mut id, mut eta, mut expires) = (None, None, Value::Null, Value::Null);
        for (name, value) in map {
            match name.as_str() {
                "lang" => headers.lang = text(value),
                "task" => task = text(value),
                "id" => id = text(value),
                "shadow" => headers.shadow = text(value),
                "eta" => eta = value,
                "expires" => expires = value,
                "group" => headers.group = text(value),
                "group_index" => headers.group_index = value.as_i64(),
                "retries" => headers.retries = count(&value),
                "timelimit" => headers.timelimit = limits(&value),
                "root_id" => headers.root_id = text(value),
                "parent_id" => headers.parent_id = text(value),
                "argsrepr" => headers.argsrepr = text(value),
                "kwargsrepr" => headers.kwargsrepr = text(value),
                "origin" => headers.origin = text(value),
                "ignore_result" => headers.ignore_result = (!value.is_null()).then(|| value.is_truthy()),
                "replaced_task_nesting" => headers.replaced_task_nesting = count(&value),
                "stamped_headers" => headers.stamped_headers = names(&value),
                "stamps" => headers.stamps = object(value),
                // What the transport and the serializer add does not belong to the task.
                "compression" | REDELIVERED | DELIVERY_COUNT | RUN_ALONE | TURN => {}
                _ => drop(headers.custom.insert(name, value)),
            }
        }
        headers.task = task.ok_or(DecodeError::NotATask)?;
        headers.id = id.ok_or(DecodeError::NotATask)?;
        headers.eta = time("eta", &eta)?;
        headers.expires = time("expires", &expires)?;
        Ok(headers)
    }

    /// As an object, in Python's order.
    pub(super) fn write(&self) -> Map {
        let mut map = Map::with_capacity_and_hasher(20 + self.custom.len(), Default::default());
        let mut set = |name: &str, value: Value| map.insert(name.to_owned(), value);
        set("lang", self.lang.as_deref().unwrap_or("rust").into());
        set("task", Value::from(&self.task));
        set("id", Value::from(&self.id));
        set("shadow", self.shadow.clone().into());
        set("eta", self.eta.map(|time| time.to_string()).into());
        set("expires", self.expires.map(|time| time.to_string()).into());
        set("group", self.group.clone().into());
        set("group_index", self.group_index.into());
        set("retries", self.retries.into());
        set("timelimit", Value::List(vec![seconds(self.timelimit.hard), seconds(self.timelimit.soft)]));
        set("root_id", self.root_id.clone().into());
        set("parent_id", self.parent_id.clone().into());
        set("argsrepr", self.argsrepr.clone().into());
        set("kwargsrepr", self.kwargsrepr.clone().into());
        set("origin", self.origin.clone().into());
        set("ignore_result", self.ignore_result.into());
        set("replaced_task_nesting", self.replaced_task_nesting.into());
        set("stamped_headers", self.stamped_headers.clone().into());
        set("stamps", Value::Map(self.stamps.clone()));
        for (name, value) in &self.custom {
            map.insert(name.clone(), value.clone());
        }
        map
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn count(value: &Value) -> u32 {
    value.as_i64().map_or(0, |value| u32::try_from(value.max(0)).unwrap_or(u32::MAX))
}

fn time(header: &'static str, value: &Value) -> Result<Option<Timestamp>, DecodeError> {
    if !value.is_truthy() {
        return Ok(None);
    }
    match value.as_str().map(Timestamp::parse) {
        Some(Ok(time)) => Ok(Some(time)),
        _ => Err(DecodeError::BadTime { header, value: repr::value(value, SHOWN) }),
    }
}

fn limits(value: &Value) -> TimeLimit {
    let part = |place: usize| value.as_list()?.get(place)?.as_f64();
    TimeLimit { hard: part(0), soft: part(1) }
}

/// Whole seconds are written without a fraction, as a Python caller writes them.
fn seconds(limit: Option<f64>) -> Value {
    limit.map_or(Value::Null, |limit| {
        let value = Value::Float(limit);
        value.as_i64().map_or(value, Value::Int)
    })
}

fn names(values: &Value) -> Option<Vec<String>> {
    Some(values.as_list()?.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect())
}

fn object(value: Value) -> Map {
    match value {
        Value::Map(found) => found,
        _ => Map::default(),
    }
}
