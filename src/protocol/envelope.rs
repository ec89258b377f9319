//! The envelope: the JSON object that lies in a queue's list, with the body still packed.
//!
//! # Celery
//! kombu's `transport/virtual/base.py`. Fields nobody knows are kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json;
use super::repr;
use super::serializer::Serializer;
use super::value::{Map, Value};
use crate::error::{Error, Result};

/// The header in which a message's deliveries are counted.
pub const DELIVERY_COUNT: &str = "x-delivery-count";
/// The header of a rate-limited message whose turn has been given to it.
pub const TURN: &str = "x-rate-limit-turn";
/// The header that says at which count of deliveries a message last ran so that a death of its process would be its own.
pub const RUN_ALONE: &str = "x-run-alone";
/// The header, and field of the delivery info, of a message that was delivered before.
pub const REDELIVERED: &str = "redelivered";

/// What lies in a queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Envelope {
    /// The body's text: base64 if `properties.body_encoding` says so.
    pub body: String,
    /// How the body is serialized.
    pub content_type: Option<String>,
    /// `utf-8` or `binary`.
    pub content_encoding: Option<String>,
    /// The task's headers.
    pub headers: Map,
    /// The transport's properties.
    pub properties: Map,
    /// Fields nobody knows, kept.
    pub extra: Map,
}

/// Where a message was published to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeliveryInfo {
    /// The exchange; empty is straight onto the queue named by the routing key.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
}

impl Envelope {
    /// Reads an envelope from the bytes in a queue.
    pub fn parse(data: &[u8]) -> Result<Self> {
        let Value::Map(map) = json::parse(data)? else {
            return Err(Error::protocol("an envelope is an object"));
        };
        let (mut envelope, mut body) = (Self::default(), None);
        for (name, value) in map {
            match name.as_str() {
                "body" => body = text(value),
                "content-encoding" => envelope.content_encoding = text(value),
                "content-type" => envelope.content_type = text(value),
                "headers" => envelope.headers = object("headers", value)?,
                "properties" => envelope.properties = object("properties", value)?,
                _ => drop(envelope.extra.insert(name, value)),
            }
        }
        envelope.body = body.ok_or_else(|| Error::protocol("an envelope without a body"))?;
        Ok(envelope)
    }

    /// An envelope of events and remote control: a body of JSON, transient, of no priority; `delivery_tag` is a fresh uuid.
    pub fn transient(exchange: &str, routing_key: &str, headers: Map, body: &str, delivery_tag: String) -> Self {
        let object =
            |members: Vec<(&str, Value)>| Map::from_iter(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let info = object(vec![("exchange", exchange.into()), ("routing_key", routing_key.into())]);
        Self {
            body: STANDARD.encode(body),
            content_type: Some("application/json".to_owned()),
            content_encoding: Some("utf-8".to_owned()),
            headers,
            properties: object(vec![
                ("delivery_mode", Value::Int(1)),
                ("delivery_info", Value::Map(info)),
                ("priority", Value::Int(0)),
                ("body_encoding", "base64".into()),
                ("delivery_tag", delivery_tag.into()),
            ]),
            extra: Map::default(),
        }
    }

    /// The JSON text, as Python writes it.
    pub fn write(&self) -> String {
        let mut out = String::with_capacity(self.body.len() + 1024);
        out.push_str("{\"body\": ");
        json::write_string(&mut out, &self.body);
        for (name, value) in [("content-encoding", &self.content_encoding), ("content-type", &self.content_type)] {
            if let Some(value) = value {
                out.push_str(", \"");
                out.push_str(name);
                out.push_str("\": ");
                json::write_string(&mut out, value);
            }
        }
        out.push_str(", \"headers\": ");
        json::write_map(&mut out, &self.headers);
        out.push_str(", \"properties\": ");
        json::write_map(&mut out, &self.properties);
        for (key, value) in &self.extra {
            out.push_str(", ");
            json::write_string(&mut out, key);
            out.push_str(": ");
            out.push_str(&json::write(value));
        }
        out.push('}');
        out
    }

    /// The body's bytes, without the base64 around them.
    pub fn body_bytes(&self) -> Result<Vec<u8>> {
        match self.properties.get("body_encoding").and_then(Value::as_str) {
            Some("base64") => STANDARD.decode(&self.body).map_err(|error| Error::protocol(format!("the body's base64: {error}"))),
            _ => Ok(self.body.as_bytes().to_vec()),
        }
    }

    /// The body as a value, for messages that are no tasks; none of a type that is not accepted.
    pub fn content(&self, accept: &[Serializer]) -> Result<Value> {
        let content_type = self.content_type.as_deref().unwrap_or("application/data");
        let serializer = Serializer::from_name(content_type).filter(|serializer| accept.contains(serializer));
        let serializer =
            serializer.ok_or_else(|| Error::protocol(format!("refusing content of type {}", repr::text(content_type, 100))))?;
        serializer.read(&self.body_bytes()?)
    }

    /// The task's name, where the headers say it (protocol 1 says it in the body).
    pub fn task_name(&self) -> Option<&str> {
        self.headers.get("task").and_then(Value::as_str)
    }

    /// The task's id, where the headers say it.
    pub fn task_id(&self) -> Option<&str> {
        self.headers.get("id").and_then(Value::as_str)
    }

    /// Unique among unacked messages.
    pub fn delivery_tag(&self) -> Option<&str> {
        self.properties.get("delivery_tag").and_then(Value::as_str)
    }

    /// Where it was published to; `None` where a Python consumer would raise.
    pub fn delivery_info(&self) -> Option<DeliveryInfo> {
        let info = self.properties.get("delivery_info")?;
        let part = |name| info.get(name).map(|value| value.as_str().unwrap_or_default().to_owned());
        Some(DeliveryInfo { exchange: part("exchange")?, routing_key: part("routing_key")? })
    }

    /// The priority, unclamped; 0 if there is none.
    pub fn priority(&self) -> i64 {
        self.properties.get("priority").map_or(0, |value| match value {
            Value::String(text) => text.trim().parse().unwrap_or(0),
            #[allow(clippy::cast_possible_truncation)]
            other => other.as_f64().map_or(0, |number| number as i64),
        })
    }

    /// True when it was delivered before.
    pub fn redelivered(&self) -> bool {
        let marked = |value: Option<&Value>| value.is_some_and(Value::is_truthy);
        marked(self.headers.get(REDELIVERED)) || marked(self.properties.get("delivery_info").and_then(|info| info.get(REDELIVERED)))
    }

    /// How often a delivery of it ended with its worker.
    pub fn delivery_count(&self) -> u32 {
        let count = self.headers.get(DELIVERY_COUNT).and_then(Value::as_i64).unwrap_or(0);
        u32::try_from(count.max(0)).unwrap_or(u32::MAX)
    }

    /// Whether the last of these deliveries died of this message, for nothing else could have been the cause.
    pub fn died_alone(&self) -> bool {
        let count = i64::from(self.delivery_count());
        self.headers.get(RUN_ALONE).and_then(Value::as_i64).is_some_and(|at| at.saturating_add(1) == count)
    }

    /// Whether it waited for its turn, and has it.
    pub fn has_turn(&self) -> bool {
        self.headers.contains_key(TURN)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn object(name: &str, value: Value) -> Result<Map> {
    match value {
        Value::Map(found) => Ok(found),
        Value::Null => Ok(Map::default()),
        _ => Err(Error::protocol(format!("an envelope's {name} are an object"))),
    }
}
