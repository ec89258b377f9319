//! What follows a task: its callbacks, the next step of its chain, its errbacks, another try, or its replacement.
//!
//! # Celery
//! The second half of `app/trace.py`, `Task.retry` and `Task.replace` of `app/task.py`, `_call_task_errbacks` of `backends/base.py`.
//! Errbacks are always sent as messages with the failed task's id; Celery calls those it knows, of more than one argument, in place.

use super::builder::group;
use super::inherit::{force, inherit, parts};
use super::{Applied, Ids, Plan, Publish, apply};
use crate::error::{Error, Result};
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
    next.properties = Properties { delivery_tag: None, redelivered: false, delivery_count: 0, ..next.properties };
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

/// What a running part of a chord's header adds to the header: it reports where the part does, at the part's place.
pub fn chord_member(message: &Message, mut signature: Signature, applied: &Applied, ids: Ids<'_>) -> Result<Plan> {
    let Message { headers, embed, .. } = message;
    force(&mut signature, "group_id", headers.group.clone().into());
    force(&mut signature, "group_index", headers.group_index.into());
    force(&mut signature, "chord", embed.chord.as_ref().map_or(Value::Null, |chord| chord.to_value()));
    apply(signature, &Applied { previous: None, ..applied.clone() }, ids)
}

/// Whether several tasks end it: none of them could bear the id of the task it replaces.
fn ends_in_group(signature: &Signature) -> bool {
    if signature.is_chord() {
        return parts(signature).is_ok_and(|(_, body)| ends_in_group(&body));
    }
    signature.is_group() || signature.is_chain() && signature.tasks().last().is_some_and(ends_in_group)
}

/// What takes a task's place: under its id, in its group and chord, before the rest of its chain, with its callbacks and errbacks.
pub fn replace(message: &Message, signature: Signature, applied: &Applied, ids: Ids<'_>) -> Result<Plan> {
    if signature.option("chord").is_some() {
        return Err(Error::protocol("a signature that replaces a task must not be part of a chord"));
    }
    let mut signature = signature;
    if ends_in_group(&signature) {
        signature = signature.then(Signature::new("celery.accumulate").kwarg("index", 0));
    }
    let Message { headers, embed, .. } = message;
    let nesting = Value::from(headers.replaced_task_nesting.saturating_add(1));
    for (name, list) in [("link", &embed.callbacks), ("link_error", &embed.errbacks)] {
        let list: Value = list.iter().flatten().map(Signature::to_value).collect();
        inherit(&mut signature, name, list);
    }
    force(&mut signature, "task_id", Value::from(&headers.id));
    force(&mut signature, "group_id", headers.group.clone().into());
    force(&mut signature, "group_index", headers.group_index.into());
    force(&mut signature, "chord", embed.chord.as_ref().map_or(Value::Null, |chord| chord.to_value()));
    force(&mut signature, "replaced_task_nesting", nesting.clone());
    let rest = embed.chain.iter().flatten().cloned().map(|step| step.set("replaced_task_nesting", nesting.clone()).into_value());
    let rest: Vec<Value> = rest.collect();
    if !rest.is_empty() {
        inherit(&mut signature, "chain", Value::List(rest));
    }
    let applied = Applied { previous: None, ..applied.clone() };
    apply(signature, &applied, ids)
}
