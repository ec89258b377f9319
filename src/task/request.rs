//! What a task can know about the call it is running for.
//!
//! # Celery
//! `app/task.py: Context` (`self.request`).

use chrono::{DateTime, Utc};

use crate::protocol::envelope::DeliveryInfo;
use crate::protocol::headers::{Headers, TimeLimit};
use crate::protocol::message::{Message, Properties};
use crate::protocol::value::Map;

/// The call a task is running for.
#[derive(Debug, Clone)]
pub struct RequestInfo {
    /// The message as it was decoded: headers, arguments, embed, properties.
    pub message: Message,
    /// The queue it came from.
    pub queue: String,
    /// The node that runs it.
    pub hostname: String,
    /// Its time limits: the message's, else the task's own, else the settings'.
    pub timelimit: TimeLimit,
}

impl RequestInfo {
    /// The task's id.
    pub fn id(&self) -> &str {
        &self.message.headers.id
    }

    /// The task's name.
    pub fn task(&self) -> &str {
        &self.message.headers.task
    }

    /// The first task of the workflow.
    pub fn root_id(&self) -> &str {
        self.message.headers.root_id.as_deref().unwrap_or_else(|| self.id())
    }

    /// The task that sent this one.
    pub fn parent_id(&self) -> Option<&str> {
        self.message.headers.parent_id.as_deref()
    }

    /// The group or chord header it belongs to.
    pub fn group_id(&self) -> Option<&str> {
        self.message.headers.group.as_deref()
    }

    /// Whether it was delivered before.
    pub fn redelivered(&self) -> bool {
        self.message.properties.redelivered
    }

    /// How often its process died while it was leased.
    pub fn lost_deliveries(&self) -> u32 {
        self.message.properties.delivery_count
    }

    /// Whether the last of these deaths came of this message.
    pub(crate) fn died_alone(&self) -> bool {
        self.message.properties.died_alone
    }

    /// Whether it came too late.
    pub fn expired(&self, now: DateTime<Utc>) -> bool {
        self.message.headers.expires.is_some_and(|expires| expires.moment() <= now)
    }

    /// Not to be run before this.
    pub fn eta(&self) -> Option<DateTime<Utc>> {
        self.message.headers.eta.map(|eta| eta.moment())
    }

    /// How often it was retried before.
    pub fn retries(&self) -> u32 {
        self.message.headers.retries
    }

    /// All its headers that Celery knows: `eta`, `expires`, `origin`, `shadow`, `argsrepr` and so on.
    pub fn headers(&self) -> &Headers {
        &self.message.headers
    }

    /// The headers that its caller made up.
    pub fn custom_headers(&self) -> &Map {
        &self.message.headers.custom
    }

    /// How it travelled: `reply_to`, `correlation_id`, and what its caller added.
    pub fn properties(&self) -> &Properties {
        &self.message.properties
    }

    /// The exchange and routing key it was published with.
    pub fn delivery_info(&self) -> &DeliveryInfo {
        &self.message.properties.delivery_info
    }

    /// The priority it was published with; 0 is served first.
    pub fn priority(&self) -> i64 {
        self.message.properties.priority
    }

    /// Its place in its group.
    pub fn group_index(&self) -> Option<i64> {
        self.message.headers.group_index
    }

    /// How many replacements led to it.
    pub fn replaced_task_nesting(&self) -> u32 {
        self.message.headers.replaced_task_nesting
    }

    /// Its stamps, by their names.
    pub fn stamps(&self) -> &Map {
        &self.message.headers.stamps
    }

    /// Whether it is a part of a chord's header.
    pub fn is_chord_part(&self) -> bool {
        self.message.embed.chord.is_some() && self.group_id().is_some()
    }
}
