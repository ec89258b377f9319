//! What takes a running task's place, and what a running part of a chord adds beside itself.
//!
//! # Celery
//! `Task.replace` and `Task.add_to_chord` of `app/task.py`. Difference: the stamps of a replaced task pass to everything that replaces it, so
//! that a revoke by stamp still finds it (Celery's documentation promises it, 5.7 does it only for what its visitor stamps again).

use super::inherit::{force, inherit, parts};
use super::{Applied, Ids, Plan, apply, limits};
use crate::error::{Error, Result};
use crate::protocol::{Exception, Headers, Message, Signature, Value};

/// What a running part of a chord's header adds to the header: it reports where the part does, at the part's place.
pub fn chord_member(message: &Message, mut signature: Signature, applied: &Applied, ids: Ids<'_>) -> Result<Plan> {
    let Message { headers, embed, .. } = message;
    force(&mut signature, "group_id", headers.group.clone().into());
    force(&mut signature, "group_index", headers.group_index.into());
    force(&mut signature, "chord", embed.chord.as_ref().map_or(Value::Null, |chord| chord.to_value()));
    apply(signature, &Applied { previous: None, ..applied.clone() }, ids)
}

/// Why a signature cannot take a task's place, as the exception the task then fails with.
pub fn not_a_replacement(signature: &Signature) -> Option<Exception> {
    if signature.options.contains_key("chord") {
        return Some(Exception::improperly_configured("A signature replacing a task must not be part of a chord"));
    }
    (signature.is_chain() && signature.tasks().is_empty())
        .then(|| Exception::improperly_configured("Cannot replace with an empty chain"))
}

/// Stamps a signature and all its parts with the stamps of a task, except for those it has itself.
fn stamp(signature: &mut Signature, headers: &Headers) {
    let Some(names) = &headers.stamped_headers else { return };
    if signature.is_chord() {
        if let Ok((mut header, mut body)) = parts(signature) {
            stamp(&mut header, headers);
            stamp(&mut body, headers);
            signature.kwargs.insert("header".to_owned(), header.into_value());
            signature.kwargs.insert("body".to_owned(), body.into_value());
        }
    } else if signature.is_chain() || signature.is_group() {
        let mut tasks = signature.tasks();
        tasks.iter_mut().for_each(|task| stamp(task, headers));
        *signature = std::mem::take(signature).with_tasks(tasks);
    } else {
        let there: Vec<&String> = names.iter().filter(|name| headers.stamps.contains_key(*name)).collect();
        if !there.is_empty() {
            signature.extend_option("stamped_headers", there.iter().copied().map(Value::from));
        }
        for name in there {
            signature.options.entry(name.clone()).or_insert_with(|| headers.stamps.get(name).cloned().unwrap_or_default());
        }
    }
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
    if let Some(exception) = not_a_replacement(&signature) {
        return Err(Error::protocol(exception.message()));
    }
    limits::check(&signature, limits::carried(message))?;
    let mut signature = signature;
    stamp(&mut signature, &message.headers);
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
