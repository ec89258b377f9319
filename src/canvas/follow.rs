//! What follows a task: its callbacks, the next step of its chain, its errbacks as messages, or another try.
//!
//! # Celery
//! The second half of `app/trace.py`, `Task.retry` of `app/task.py`, and the old-style half of `_call_task_errbacks` of `backends/base.py`.

use super::builder::group;
use super::inherit::inherit;
use super::{Applied, Ids, Plan, Publish, apply};
use crate::error::Result;
use crate::protocol::{Map, Message, Properties, Signature, Timestamp, Value};

/// The next step of the chain, applied with the value; `None` where the chain ends.
pub fn next_in_chain(message: &Message, value: &Value, applied: &Applied, ids: Ids<'_>) -> Result<Option<Plan>> {
    let mut rest = message.embed.chain.clone().unwrap_or_default();
    let Some(mut next) = rest.pop() else { return Ok(None) };
    inherit(&mut next, "chain", rest.into_iter().map(Signature::into_value).collect());
    apply(next, &applied.clone().with_previous(value.clone()), ids).map(Some)
}

/// The callbacks, each with the value: one alone as it is, several plain ones together as a group.
pub fn callbacks(message: &Message, value: &Value, applied: &Applied, ids: Ids<'_>) -> Result<Plan> {
    let applied = applied.clone().with_previous(value.clone());
    let callbacks = message.embed.callbacks.clone().unwrap_or_default();
    if callbacks.len() == 1 {
        return callbacks.into_iter().try_fold(Plan::default(), |plan, callback| Ok(plan.and(apply(callback, &applied, ids)?)));
    }
    let (groups, plain): (Vec<_>, Vec<_>) = callbacks.into_iter().partition(Signature::is_group);
    let together = (!plain.is_empty()).then(|| group(plain));
    groups.into_iter().chain(together).try_fold(Plan::default(), |plan, callback| Ok(plan.and(apply(callback, &applied, ids)?)))
}

/// The errbacks of a failed task, as one group of messages with its id.
pub fn errbacks(errbacks: &[Signature], task_id: &str, applied: &Applied, ids: Ids<'_>) -> Result<Plan> {
    if errbacks.is_empty() {
        return Ok(Plan::default());
    }
    let mut applied = applied.clone().with_previous(task_id.into());
    applied.root_id.get_or_insert_with(|| task_id.to_owned());
    applied.parent_id = Some(task_id.to_owned());
    apply(group(errbacks.iter().cloned()), &applied, ids)
}

/// How to try again.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Retry {
    /// Not before.
    pub eta: Option<Timestamp>,
    /// Other positional arguments.
    pub args: Option<Vec<Value>>,
    /// Other keyword arguments.
    pub kwargs: Option<Map>,
    /// Another expiry; `Some(None)` takes it away.
    pub expires: Option<Option<Timestamp>>,
    /// Another queue.
    pub queue: Option<String>,
    /// Another priority.
    pub priority: Option<i64>,
}

/// The message of another try: the same id, one retry more, everything else kept.
///
/// A task without a parent becomes its own, as in Celery.
pub fn retry(message: &Message, retry: Retry) -> Publish {
    let mut next = message.clone();
    let headers = &mut next.headers;
    headers.retries = headers.retries.saturating_add(1);
    headers.eta = retry.eta;
    headers.parent_id.get_or_insert_with(|| headers.id.clone());
    headers.root_id.get_or_insert_with(|| headers.id.clone());
    if let Some(expires) = retry.expires {
        headers.expires = expires;
        next.properties.expiration = None;
    }
    if let Some(args) = retry.args {
        headers.argsrepr = None;
        next.args = args;
    }
    if let Some(kwargs) = retry.kwargs {
        headers.kwargsrepr = None;
        next.kwargs = kwargs;
    }
    let info = next.properties.delivery_info.clone();
    next.properties = Properties {
        delivery_tag: None,
        redelivered: false,
        delivery_count: 0,
        died_alone: false,
        has_turn: false,
        ..next.properties
    };
    let straight = info.exchange.is_empty() || retry.queue.is_some();
    Publish {
        priority: Some(retry.priority.unwrap_or(next.properties.priority)),
        message: next,
        queue: retry.queue.or_else(|| straight.then(|| info.routing_key.clone()).filter(|queue| !queue.is_empty())),
        exchange: (!straight).then_some(info.exchange),
        routing_key: (!straight).then_some(info.routing_key),
        ..Publish::default()
    }
}
