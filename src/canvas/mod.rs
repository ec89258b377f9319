//! Compositions of tasks — chain, group, chord — as data, and what applying them means, without I/O and without a clock.
//!
//! [`apply`] turns a signature of any kind into a [`Plan`]: the messages to publish and what must be written first. What follows a
//! finished task ([`follow`]) and a finished header ([`chord_part`]) are functions of the same kind; the worker only carries plans out.
//!
//! # Celery
//! `canvas.py`, the second half of `app/trace.py`, and the chord part of `backends/redis.py`. Differences:
//! - a group of one stays a group: Celery unrolls it inside a chain, and the next task then gets a value instead of a list;
//! - nested groups keep their order (Celery reverses a flattened group when it freezes it);
//! - a failed chord that is itself part of a chord reports its part, so that the outer chord ends too.

pub mod apply;
pub mod builder;
pub mod call;
pub mod chord_part;
pub mod chunks;
pub mod follow;
pub mod freeze;
mod inherit;
pub mod limits;
pub mod links;
mod options;
pub mod replace;
pub mod stamp;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::protocol::{Compression, EncodeOptions, Envelope, Map, Message, ResultTuple, Serializer, Value};
use crate::settlement::Write;

pub use apply::apply;
pub use builder::{chain, chord, group};
pub use chord_part::{ChordEnd, ChordFailure, Failed, FailedTask, Part, Told, chord_body, chord_failure, join, part_of, propagate};
pub use follow::{Retry, callbacks, errbacks, next_in_chain, retry};
pub use freeze::freeze;
pub use replace::{chord_member, not_a_replacement, replace};
pub use stamp::StampingVisitor;

/// Where fresh ids come from.
pub type Ids<'a> = &'a mut dyn FnMut() -> String;

/// What a signature is applied with.
#[derive(Debug, Clone)]
pub struct Applied {
    /// The value of the task before it: put in front of its arguments unless it is immutable.
    pub previous: Option<Value>,
    /// The first task of the workflow; `None` where this is the first.
    pub root_id: Option<String>,
    /// The task that sends it.
    pub parent_id: Option<String>,
    /// The time, for countdowns and expiry.
    pub now: DateTime<Utc>,
    /// The sender's priority, with `task_inherit_parent_priority`.
    pub priority: Option<i64>,
    /// The sender's id, where the signature names none.
    pub reply_to: Option<String>,
    /// Who sends it: `gen<pid>@<host>`.
    pub origin: Option<String>,
    /// The trace it belongs to: headers of each of its messages that names no trace of its own.
    pub trace: Map,
    /// `result_expires`: how long a chord's keys are kept.
    pub ttl: Option<u64>,
    /// `celeriac.max_chord_parts`.
    pub max_chord_parts: u64,
    /// `result_serializer`, for a group's structure.
    pub result_serializer: Serializer,
    /// `task_allow_error_cb_on_chord_header`: the errbacks of a chord are linked to the tasks of its header, too.
    pub errbacks_on_header: bool,
}

impl Applied {
    /// A client's: no task before it.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self {
            previous: None,
            root_id: None,
            parent_id: None,
            now,
            priority: None,
            reply_to: None,
            origin: None,
            trace: Map::default(),
            ttl: None,
            max_chord_parts: limits::MAX_MESSAGES,
            result_serializer: Serializer::Json,
            errbacks_on_header: false,
        }
    }

    /// From inside of a task: its root and itself as the parent.
    pub fn within(message: &Message, now: DateTime<Utc>) -> Self {
        let headers = &message.headers;
        let root_id = headers.root_id.clone().unwrap_or_else(|| headers.id.clone());
        Self { root_id: Some(root_id), parent_id: Some(headers.id.clone()), ..Self::at(now) }
    }

    /// The same with a value of the task before it.
    #[must_use]
    pub fn with_previous(mut self, value: Value) -> Self {
        self.previous = Some(value);
        self
    }
}

/// A message to publish, and what its signature says of how; what is `None` the router fills in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Publish {
    /// The message.
    pub message: Message,
    /// The queue.
    pub queue: Option<String>,
    /// The exchange.
    pub exchange: Option<String>,
    /// The routing key.
    pub routing_key: Option<String>,
    /// The priority.
    pub priority: Option<i64>,
    /// How the body is written.
    pub serializer: Option<Serializer>,
    /// How the body is compressed.
    pub compression: Option<Compression>,
}

impl Publish {
    /// The envelope for a queue, its priority and serializer defaulted; a named exchange of the signature is kept as information only.
    pub fn envelope(&self, queue: &str, delivery_tag: impl Into<String>, serializer: Serializer) -> Result<Envelope> {
        let options = EncodeOptions {
            serializer: self.serializer.unwrap_or(serializer),
            compression: self.compression,
            ..EncodeOptions::to_queue(queue, delivery_tag)
        };
        let mut message = self.message.clone();
        message.properties.priority = self.priority.unwrap_or(message.properties.priority);
        message.encode(&options)
    }
}

/// What applying a signature comes to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// What must be stored before anything is published.
    pub writes: Vec<Write>,
    /// What is published, in this order.
    pub messages: Vec<Publish>,
    /// The id a caller waits for: of the task, the last of the chain, the chord's body, or the group.
    pub id: String,
    /// The result, with what came before it and what belongs to it.
    pub result: ResultTuple,
    /// What the sending task lists among its children.
    pub children: Vec<ResultTuple>,
}

impl Plan {
    /// Both, one after the other; the id and result stay the first's unless it was empty.
    #[must_use]
    pub fn and(mut self, other: Plan) -> Self {
        if self.id.is_empty() {
            self.id = other.id;
            self.result = other.result;
        }
        self.writes.extend(other.writes);
        self.messages.extend(other.messages);
        self.children.extend(other.children);
        self
    }
}
