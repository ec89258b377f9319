//! Remote control: a request to workers, which of them it concerns, and their replies.
//!
//! # Celery
//! kombu's `pidbox.py` and `matcher.py`. Difference: a pattern that does not compile, or is very long, concerns nobody.

use regex::Regex;

use super::envelope::Envelope;
use super::glob;
use super::json;
use super::message::DecodeOptions;
use super::value::{Map, Value};
use crate::error::{Error, Result};

/// How long a pattern of node names may be: what it compiles to grows faster than it.
const MAX_PATTERN: usize = 1024;

/// A request to workers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The command.
    pub method: String,
    /// Its keyword arguments.
    pub arguments: Map,
    /// The nodes it is for; empty: all, unless there is a pattern.
    pub destination: Vec<String>,
    /// Which nodes it is for, and how that is meant: `glob` or `pcre`.
    pub pattern: Option<(String, String)>,
    /// What the replies must bear, so that the sender knows them.
    pub ticket: Option<String>,
    /// Where replies go; `None`: nobody waits for one.
    pub reply_to: Option<ReplyTo>,
    /// The sender's logical clock.
    pub clock: u64,
}

/// Where replies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// A direct exchange.
    pub exchange: String,
    /// The sender's own key in it.
    pub routing_key: String,
}

impl Request {
    /// Reads a request from its envelope.
    pub fn decode(data: &[u8], options: &DecodeOptions) -> Result<Self> {
        Self::read(&Envelope::parse(data)?, options)
    }

    /// What an envelope holds.
    pub fn read(envelope: &Envelope, options: &DecodeOptions) -> Result<Self> {
        let Value::Map(mut body) = envelope.content(&options.accept)? else {
            return Err(Error::protocol("a remote control request is an object"));
        };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let Some(method) = text(body.get("method")) else {
            return Err(Error::protocol("a remote control request without a method"));
        };
        let destination = body.get("destination").and_then(Value::as_list).unwrap_or_default();
        let reply_to = body
            .get("reply_to")
            .and_then(|to| Some(ReplyTo { exchange: text(to.get("exchange"))?, routing_key: text(to.get("routing_key"))? }));
        Ok(Self {
            method,
            destination: destination.iter().filter_map(|node| text(Some(node))).collect(),
            pattern: text(body.get("pattern")).zip(text(body.get("matcher"))).filter(|(pattern, _)| !pattern.is_empty()),
            ticket: text(body.get("ticket")),
            reply_to,
            clock: clock(envelope),
            arguments: match body.shift_remove("arguments") {
                Some(Value::Map(arguments)) => arguments,
                _ => Map::default(),
            },
        })
    }

    /// The request as it is broadcast, in the order of kombu's fields; `expires` is when nobody waits for replies any more, seconds since 1970.
    pub fn envelope(&self, exchange: &str, expires: Option<f64>, delivery_tag: String) -> Envelope {
        let destination = if self.destination.is_empty() { Value::Null } else { self.destination.clone().into() };
        let (pattern, matcher) = self.pattern.clone().unzip();
        let mut body = vec![
            ("method", Value::from(self.method.as_str())),
            ("arguments", Value::Map(self.arguments.clone())),
            ("destination", destination),
            ("pattern", pattern.into()),
            ("matcher", matcher.into()),
        ];
        if let (Some(ticket), Some(to)) = (&self.ticket, &self.reply_to) {
            let to = [("exchange", to.exchange.as_str().into()), ("routing_key", to.routing_key.as_str().into())];
            body.extend([("ticket", ticket.as_str().into()), ("reply_to", Value::Map(named(to)))]);
        }
        let headers = named([("clock", self.clock.into()), ("expires", expires.map_or(Value::Int(0), Value::Float))]);
        let mut envelope = Envelope::transient(exchange, "", headers, &json::write(&Value::Map(named(body))), delivery_tag);
        // Requests are sent as persistent, whatever it means for a fanout exchange.
        envelope.properties.insert("delivery_mode".to_owned(), Value::Int(2));
        envelope
    }

    /// Whether every node is meant.
    pub fn is_for_all(&self) -> bool {
        self.destination.is_empty() && self.pattern.is_none()
    }

    /// Whether a node is meant.
    pub fn concerns(&self, nodename: &str) -> bool {
        match &self.pattern {
            _ if !self.destination.is_empty() => self.destination.iter().any(|node| node == nodename),
            Some((pattern, _)) if pattern.len() > MAX_PATTERN => false,
            // Python's `re.match`: anchored at the start only.
            Some((pattern, matcher)) if matcher == "pcre" => {
                Regex::new(&format!("^(?:{pattern})")).is_ok_and(|regex| regex.is_match(nodename))
            }
            Some((pattern, _)) => glob::matches(pattern, nodename),
            None => true,
        }
    }
}

fn named<'a>(members: impl IntoIterator<Item = (&'a str, Value)>) -> Map {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A reply to a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// What each node said; in practice one.
    pub nodes: Map,
    /// The request it answers.
    pub ticket: Option<String>,
    /// The node's logical clock.
    pub clock: u64,
}

impl Reply {
    /// Reads a reply from its envelope.
    pub fn decode(data: &[u8], options: &DecodeOptions) -> Result<Self> {
        let envelope = Envelope::parse(data)?;
        let Value::Map(nodes) = envelope.content(&options.accept)? else {
            return Err(Error::protocol("a reply to a remote control request is an object"));
        };
        let ticket = envelope.headers.get("ticket").and_then(Value::as_str).map(str::to_owned);
        Ok(Self { nodes, ticket, clock: clock(&envelope) })
    }
}

fn clock(envelope: &Envelope) -> u64 {
    envelope.headers.get("clock").and_then(Value::as_i64).and_then(|clock| u64::try_from(clock).ok()).unwrap_or(0)
}

impl ReplyTo {
    /// The reply of one node.
    pub fn envelope(&self, nodename: &str, value: Value, ticket: Option<&str>, clock: u64, delivery_tag: String) -> Envelope {
        let headers =
            Map::from_iter([("ticket".to_owned(), Value::from(ticket.map(str::to_owned))), ("clock".to_owned(), clock.into())]);
        let body = Value::Map(Map::from_iter([(nodename.to_owned(), value)]));
        Envelope::transient(&self.exchange, &self.routing_key, headers, &json::write(&body), delivery_tag)
    }
}
