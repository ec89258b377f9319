//! A task message, decoded: headers, arguments, what follows, and how it was published.
//!
//! # Celery
//! `app/amqp.py` writes it, `worker/strategy.py` and `worker/request.py` read it. Protocol 2 is written; protocol 1 and the hybrid of both
//! are read. Argument lists are never looked into here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::body::{self, Body, Embed};
use super::compression::{Compression, DecompressError};
use super::envelope::{DeliveryInfo, Envelope};
use super::headers::Headers;
use super::repr;
use super::serializer::Serializer;
use super::special;
use super::value::{Map, Value};
use crate::error::{Error, Result};

/// A task message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// What a worker must know of the task.
    pub headers: Headers,
    /// Positional arguments.
    pub args: Vec<Value>,
    /// Keyword arguments.
    pub kwargs: Map,
    /// What follows it.
    pub embed: Embed,
    /// How it travels.
    pub properties: Properties,
}

/// How a message travels.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// The task's id; taken from the headers when absent.
    pub correlation_id: Option<String>,
    /// The sender's id, for the `rpc://` backend of Python.
    pub reply_to: Option<String>,
    /// 0 is served first, 9 last; not clamped here.
    pub priority: i64,
    /// 2 is persistent, 1 transient; without effect on Redis.
    pub delivery_mode: Option<i64>,
    /// Remaining milliseconds as text, when the task expires; without effect on Redis.
    pub expiration: Option<String>,
    /// Where it was published to.
    pub delivery_info: DeliveryInfo,
    /// Unique among unacked messages.
    pub delivery_tag: Option<String>,
    /// True when it was delivered before.
    pub redelivered: bool,
    /// How often a delivery of it ended with its worker.
    pub delivery_count: u32,
    /// True when the last of these deaths came of it, and of nothing that ran beside it.
    pub died_alone: bool,
    /// True when it waited for its turn under a rate limit, and has it.
    pub has_turn: bool,
    /// Properties nobody knows, kept.
    pub extra: Map,
}

/// What to accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeOptions {
    /// `accept_content`: what is not in it is refused.
    pub accept: Vec<Serializer>,
    /// How large a body may be, unpacked.
    pub max_body_bytes: usize,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self { accept: vec![Serializer::Json], max_body_bytes: 64 << 20 }
    }
}

/// How to write and where to publish.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncodeOptions {
    /// How the body is written.
    pub serializer: Serializer,
    /// How the body is compressed.
    pub compression: Option<Compression>,
    /// A fresh uuid; every publish has its own.
    pub delivery_tag: String,
    /// The exchange; empty is straight onto the queue named by the routing key.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
    /// How large the body may be before it is compressed; none: as large as it is.
    pub max_body_bytes: Option<usize>,
}

impl EncodeOptions {
    /// Plain JSON straight onto a queue.
    pub fn to_queue(queue: impl Into<String>, delivery_tag: impl Into<String>) -> Self {
        Self { routing_key: queue.into(), delivery_tag: delivery_tag.into(), ..Self::default() }
    }
}

/// Why an envelope is no task we can run. None of these stores a result: the message is dropped and logged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It names no task or no id.
    #[error("not a task message")]
    NotATask,
    /// Its content type is not accepted.
    #[error("refusing content of type {content_type:?}")]
    ContentRefused {
        /// The content type.
        content_type: String,
    },
    /// Its body does not mean what the protocol says it must.
    #[error("the body does not decode: {message}")]
    BadBody {
        /// What is wrong.
        message: String,
    },
    /// Its compression is unknown, or its body is damaged.
    #[error("the body does not unpack: {message}")]
    BadCompression {
        /// What is wrong.
        message: String,
    },
    /// Its body is too large.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The most that is allowed.
        limit: usize,
    },
    /// A time in its headers is not readable.
    #[error("{header} is no time: {value}")]
    BadTime {
        /// `eta` or `expires`.
        header: &'static str,
        /// What stands there, as Python shows it, cut short.
        value: String,
    },
    /// Its keyword arguments are no object.
    #[error("keyword arguments are not a mapping")]
    KwargsNotAMap,
}

/// How much of what a message says its refusal repeats: reasons are logged and kept.
pub(super) const SHOWN: usize = 100;

impl DecodeError {
    pub(super) fn bad_body(message: impl Into<String>) -> Self {
        Self::BadBody { message: message.into() }
    }
}

impl Message {
    /// A new message of protocol 2.
    pub fn new(task: impl Into<String>, id: impl Into<String>) -> Self {
        Self { headers: Headers::new(task, id), ..Self::default() }
    }

    /// Reads a message from its envelope.
    pub fn decode(mut envelope: Envelope, options: &DecodeOptions) -> Result<Self, DecodeError> {
        let body = decode_body(&envelope, options)?;
        let properties = Properties::read(&mut envelope);
        let mut headers = envelope.headers;
        let body = match body {
            Value::List(values) if headers.get("task").is_some() => Body::read_list(values)?,
            Value::Map(map) if headers.get("task").is_some() && map.contains_key("args") || map.contains_key("task") => {
                let (body, older) = Body::read_map(map)?;
                for (name, value) in older {
                    headers.entry(name).or_insert(value);
                }
                body
            }
            _ if headers.get("task").is_some() => return Err(DecodeError::bad_body("not a list of three")),
            _ => return Err(DecodeError::NotATask),
        };
        let headers = Headers::read(headers)?;
        Ok(Self { headers, args: body.args, kwargs: body.kwargs, embed: body.embed, properties })
    }

    /// Writes the message into an envelope of protocol 2, its headers in Python's order.
    pub fn encode(&self, options: &EncodeOptions) -> Result<Envelope> {
        let body = options.serializer.write(&body::write(&self.args, &self.kwargs, &self.embed))?;
        if let Some(most) = options.max_body_bytes.filter(|most| body.len() > *most) {
            let (task, size) = (&self.headers.task, body.len());
            return Err(Error::too_large(format!(
                "the arguments of {task} have {size} bytes; a worker reads at most {most} (celeriac.max_body_bytes): pass a reference to large data"
            )));
        }
        let body = match options.compression {
            Some(compression) => compression.compress(&body)?,
            None => body,
        };
        let mut headers = self.headers.clone();
        headers.argsrepr.get_or_insert_with(|| repr::args(&self.args));
        headers.kwargsrepr.get_or_insert_with(|| repr::kwargs(&self.kwargs));
        let mut headers = headers.write();
        if let Some(compression) = options.compression {
            headers.insert("compression".to_owned(), compression.content_type().into());
        }
        Ok(Envelope {
            body: STANDARD.encode(body),
            content_type: Some(options.serializer.content_type().to_owned()),
            content_encoding: Some(options.serializer.content_encoding().to_owned()),
            headers,
            properties: self.properties.write(&self.headers.id, options),
            extra: Map::default(),
        })
    }
}

fn decode_body(envelope: &Envelope, options: &DecodeOptions) -> Result<Value, DecodeError> {
    let content_type = envelope.content_type.as_deref().unwrap_or("application/data");
    let serializer = Serializer::from_name(content_type).filter(|serializer| options.accept.contains(serializer));
    let serializer = serializer.ok_or_else(|| DecodeError::ContentRefused { content_type: shown(content_type) })?;
    let limit = options.max_body_bytes;
    if envelope.body.len() / 4 > limit / 3 + 1 {
        return Err(DecodeError::TooLarge { limit });
    }
    let bytes = envelope.body_bytes().map_err(|error| DecodeError::bad_body(error.to_string()))?;
    let bytes = match envelope.headers.get("compression").filter(|value| value.is_truthy()) {
        Some(name) => unpack(name, &bytes, limit)?,
        None => bytes,
    };
    if bytes.len() > limit {
        return Err(DecodeError::TooLarge { limit });
    }
    let value = serializer.read(&bytes).map_err(|error| DecodeError::bad_body(error.to_string()))?;
    if serializer == Serializer::Json {
        special::check(&value).map_err(|error| DecodeError::bad_body(error.to_string()))?;
    }
    Ok(value)
}

/// As much of a text as a reason says.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn unpack(name: &Value, bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let compression = name.as_str().and_then(Compression::from_name);
    let compression = compression
        .ok_or_else(|| DecodeError::BadCompression { message: format!("unknown compression {}", repr::value(name, SHOWN)) })?;
    compression.decompress(bytes, limit).map_err(|error| match error {
        DecompressError::TooLarge(limit) => DecodeError::TooLarge { limit },
        DecompressError::Damaged(_) => DecodeError::BadCompression { message: error.to_string() },
    })
}

impl Properties {
    /// Takes them out of an envelope, whose headers say a part of it.
    fn read(envelope: &mut Envelope) -> Self {
        let mut properties = Self {
            priority: envelope.priority(),
            delivery_info: envelope.delivery_info().unwrap_or_default(),
            redelivered: envelope.redelivered(),
            delivery_count: envelope.delivery_count(),
            died_alone: envelope.died_alone(),
            has_turn: envelope.has_turn(),
            ..Self::default()
        };
        let text = |value: Value| value.as_str().map(str::to_owned);
        for (name, value) in std::mem::take(&mut envelope.properties) {
            match name.as_str() {
                "correlation_id" => properties.correlation_id = text(value),
                "reply_to" => properties.reply_to = text(value),
                "expiration" => properties.expiration = text(value),
                "delivery_tag" => properties.delivery_tag = text(value),
                "delivery_mode" => properties.delivery_mode = value.as_i64(),
                "delivery_info" | "priority" | "body_encoding" | "redelivered" => {}
                _ => drop(properties.extra.insert(name, value)),
            }
        }
        properties
    }

    fn write(&self, task_id: &str, options: &EncodeOptions) -> Map {
        let mut map = Map::with_capacity_and_hasher(8 + self.extra.len(), Default::default());
        map.insert("correlation_id".to_owned(), self.correlation_id.as_deref().unwrap_or(task_id).into());
        map.insert("reply_to".to_owned(), self.reply_to.clone().into());
        map.extend(self.extra.clone());
        map.insert("delivery_mode".to_owned(), self.delivery_mode.unwrap_or(2).into());
        if let Some(expiration) = &self.expiration {
            map.insert("expiration".to_owned(), expiration.into());
        }
        let info = [("exchange", &options.exchange), ("routing_key", &options.routing_key)];
        let info = info.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
        map.insert("delivery_info".to_owned(), Value::Map(info));
        map.insert("priority".to_owned(), self.priority.into());
        map.insert("body_encoding".to_owned(), "base64".into());
        map.insert("delivery_tag".to_owned(), Value::from(&options.delivery_tag));
        map
    }
}
