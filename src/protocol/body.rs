//! The body of a task message: arguments, and what follows the task.
//!
//! # Celery
//! `app/amqp.py` (`as_task_v2`), and `worker/strategy.py` for the two older shapes, which are read but never written.

use super::message::DecodeError;
use super::signature::Signature;
use super::value::{Map, Value};

/// What follows a task, as its message carries it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embed {
    /// Called with the return value on success (`link`).
    pub callbacks: Option<Vec<Signature>>,
    /// Called on failure (`link_error`).
    pub errbacks: Option<Vec<Signature>>,
    /// What still has to run, in reverse: the **last** element is next. `Some` and empty on the last task of a chain.
    pub chain: Option<Vec<Signature>>,
    /// The body of the chord this task is a part of.
    pub chord: Option<Box<Signature>>,
    /// Keys nobody knows, kept.
    pub extra: Map,
}

impl Embed {
    fn read(value: Value) -> Result<Self, DecodeError> {
        let map = match value {
            Value::Map(map) => map,
            Value::Null => Map::default(),
            _ => return Err(DecodeError::bad_body("embed is not an object")),
        };
        let mut embed = Self::default();
        for (name, value) in map {
            match name.as_str() {
                "callbacks" => embed.callbacks = signatures(value)?,
                "errbacks" => embed.errbacks = signatures(value)?,
                "chain" => embed.chain = signatures(value)?,
                "chord" if value.is_null() => {}
                "chord" => embed.chord = Some(Box::new(signature(value)?)),
                _ => drop(embed.extra.insert(name, value)),
            }
        }
        Ok(embed)
    }

    fn write(&self) -> Value {
        let list = |signatures: &Option<Vec<Signature>>| match signatures {
            Some(signatures) => Value::List(signatures.iter().map(Signature::to_value).collect()),
            None => Value::Null,
        };
        let mut map = Map::with_capacity_and_hasher(4 + self.extra.len(), Default::default());
        map.insert("callbacks".to_owned(), list(&self.callbacks));
        map.insert("errbacks".to_owned(), list(&self.errbacks));
        map.insert("chain".to_owned(), list(&self.chain));
        map.insert("chord".to_owned(), self.chord.as_ref().map_or(Value::Null, |chord| chord.to_value()));
        map.extend(self.extra.clone());
        Value::Map(map)
    }
}

/// The arguments and what follows.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Body {
    pub(super) args: Vec<Value>,
    pub(super) kwargs: Map,
    pub(super) embed: Embed,
}

impl Body {
    /// Reads protocol 2's list of three.
    pub(super) fn read_list(values: Vec<Value>) -> Result<Self, DecodeError> {
        let Ok([args, kwargs, embed]) = <[Value; 3]>::try_from(values) else {
            return Err(DecodeError::bad_body("not a list of three"));
        };
        Ok(Self { args: list(args)?, kwargs: kwargs_map(kwargs)?, embed: Embed::read(embed)? })
    }

    /// Reads protocol 1's object, and returns what belongs into the headers.
    pub(super) fn read_map(mut map: Map) -> Result<(Self, Map), DecodeError> {
        let args = list(map.shift_remove("args").unwrap_or_default())?;
        let kwargs = kwargs_map(map.shift_remove("kwargs").unwrap_or_default())?;
        let mut embed = Map::default();
        for name in ["callbacks", "errbacks", "chord"] {
            embed.insert(name.to_owned(), map.shift_remove(name).unwrap_or_default());
        }
        let taskset = map.shift_remove("taskset").filter(|taskset| !taskset.is_null() || !map.contains_key("group"));
        if let Some(taskset) = taskset {
            map.insert("group".to_owned(), taskset);
        }
        map.shift_remove("utc");
        Ok((Self { args, kwargs, embed: Embed::read(Value::Map(embed))? }, map))
    }
}

/// The list of three, for writing.
pub(super) fn write(args: &[Value], kwargs: &Map, embed: &Embed) -> Value {
    Value::List(vec![Value::List(args.to_vec()), Value::Map(kwargs.clone()), embed.write()])
}

fn list(value: Value) -> Result<Vec<Value>, DecodeError> {
    match value {
        Value::List(values) => Ok(values),
        Value::Null => Ok(Vec::new()),
        _ => Err(DecodeError::bad_body("args are not a list")),
    }
}

fn kwargs_map(value: Value) -> Result<Map, DecodeError> {
    match value {
        Value::Map(map) => Ok(map),
        Value::Null => Ok(Map::default()),
        _ => Err(DecodeError::KwargsNotAMap),
    }
}

fn signature(value: Value) -> Result<Signature, DecodeError> {
    Signature::from_value(value).map_err(|error| DecodeError::bad_body(error.to_string()))
}

/// One signature alone counts as a list of one, as older senders wrote it.
fn signatures(value: Value) -> Result<Option<Vec<Signature>>, DecodeError> {
    match value {
        Value::Null => Ok(None),
        Value::List(values) => values.into_iter().map(signature).collect::<Result<_, _>>().map(Some),
        one => Ok(Some(vec![signature(one)?])),
    }
}
