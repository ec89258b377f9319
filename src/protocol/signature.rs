//! A call as data: the task's name, its arguments, and how to publish it.
//!
//! # Celery
//! `canvas.py`'s `Signature` is a dict with behaviour; here the data stands alone and [`crate::canvas`] gives it behaviour.

use super::value::{Map, Value, ValueError};

/// A call of a task, or of a composition of tasks, as data.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Signature {
    /// The task's name.
    pub task: String,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments; of a composition, its parts.
    pub kwargs: Map,
    /// How to publish it: `task_id`, `queue`, `link`, `chord` …
    pub options: Map,
    /// What kind of composition it is: `chain`, `group`, `chord`, `xmap` …; `None` is a plain task.
    pub subtask_type: Option<String>,
    /// True when it takes no value from the task before it.
    pub immutable: bool,
    /// Keys this version does not know, kept.
    pub extra: Map,
}

impl Signature {
    /// A call of the task `name` without arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self { task: name.into(), ..Self::default() }
    }

    /// Reads a signature from its object.
    pub fn from_value(value: Value) -> Result<Self, ValueError> {
        let Value::Map(mut map) = value else {
            return Err(ValueError::new("a signature is an object"));
        };
        let task = match map.shift_remove("task") {
            Some(Value::String(task)) => task,
            _ => return Err(ValueError::new("a signature without a task")),
        };
        let args = match map.shift_remove("args") {
            Some(Value::List(args)) => args,
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return Err(ValueError::new("a signature's args are a list")),
        };
        let kwargs = object(&mut map, "kwargs")?;
        let options = object(&mut map, "options")?;
        let subtask_type = map.shift_remove("subtask_type").and_then(|kind| kind.as_str().map(str::to_owned));
        let immutable = map.shift_remove("immutable").is_some_and(|value| value.is_truthy());
        Ok(Self { task, args, kwargs, options, subtask_type, immutable, extra: map })
    }

    /// Its object, in Python's order.
    pub fn to_value(&self) -> Value {
        self.clone().into_value()
    }

    /// Its object, in Python's order, without copying.
    pub fn into_value(self) -> Value {
        let mut map = Map::with_capacity_and_hasher(6 + self.extra.len(), Default::default());
        map.insert("task".to_owned(), Value::String(self.task));
        map.insert("args".to_owned(), Value::List(self.args));
        map.insert("kwargs".to_owned(), Value::Map(self.kwargs));
        map.insert("options".to_owned(), Value::Map(self.options));
        map.insert("subtask_type".to_owned(), self.subtask_type.into());
        map.insert("immutable".to_owned(), Value::Bool(self.immutable));
        map.extend(self.extra);
        Value::Map(map)
    }

    /// An option's value, unless it is absent or null.
    pub fn option(&self, name: &str) -> Option<&Value> {
        self.options.get(name).filter(|value| !value.is_null())
    }

    /// An option's text.
    pub fn option_str(&self, name: &str) -> Option<&str> {
        self.option(name).and_then(Value::as_str)
    }

    /// Sets an option.
    pub fn set_option(&mut self, name: &str, value: impl Into<Value>) {
        self.options.insert(name.to_owned(), value.into());
    }

    /// The id its message will have, if it was given one.
    pub fn task_id(&self) -> Option<&str> {
        self.option_str("task_id")
    }

    /// The group it belongs to.
    pub fn group_id(&self) -> Option<&str> {
        self.option_str("group_id")
    }

    /// Its place in the group.
    pub fn group_index(&self) -> Option<i64> {
        self.option("group_index").and_then(Value::as_i64)
    }

    /// The queue it names.
    pub fn queue_name(&self) -> Option<&str> {
        self.option_str("queue")
    }

    /// The signatures of an option that holds one or a list: `link`, `link_error`, `chain`.
    pub fn option_signatures(&self, name: &str) -> Result<Vec<Signature>, ValueError> {
        match self.option(name) {
            None => Ok(Vec::new()),
            Some(Value::List(values)) => values.iter().cloned().map(Signature::from_value).collect(),
            Some(one) => Ok(vec![Signature::from_value(one.clone())?]),
        }
    }

    /// The body of the chord it is a part of.
    pub fn chord(&self) -> Result<Option<Signature>, ValueError> {
        self.option("chord").cloned().map(Signature::from_value).transpose()
    }
}

fn object(map: &mut Map, key: &str) -> Result<Map, ValueError> {
    match map.shift_remove(key) {
        Some(Value::Map(found)) => Ok(found),
        None | Some(Value::Null) => Ok(Map::default()),
        Some(_) => Err(ValueError::new(format!("a signature's {key} are an object"))),
    }
}

impl From<Signature> for Value {
    fn from(signature: Signature) -> Self {
        signature.into_value()
    }
}

impl serde::Serialize for Signature {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Signature {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_value(Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
