//! Giving every task of a canvas its id before anything is sent, and what its result will look like.
//!
//! # Celery
//! `Signature.freeze` and its overrides in `canvas.py`. Ids that are there already are kept: a worker applies canvases a client froze.

use super::Ids;
use super::builder::{chord_of, group};
use super::inherit::{inherit, inherit_all, listed, parts};
use crate::error::{Error, Result};
use crate::protocol::{ResultTuple, Signature, Value};

/// Freezes a signature of any kind and returns its result.
pub fn freeze(signature: &mut Signature, ids: Ids<'_>) -> Result<ResultTuple> {
    if signature.subtask_type.as_deref() == Some("chunks") {
        *signature = chunks(signature)?;
    }
    if signature.is_chain() {
        freeze_chain(signature, ids)
    } else if signature.is_group() {
        freeze_group(signature, ids)
    } else if signature.is_chord() {
        freeze_chord(signature, ids)
    } else {
        Ok(ResultTuple::task(id_of(signature, ids)))
    }
}

fn id_of(signature: &mut Signature, ids: Ids<'_>) -> String {
    if let Some(id) = signature.task_id() {
        return id.to_owned();
    }
    let id = ids();
    signature.set_option("task_id", id.clone());
    id
}

/// The steps of a chain in order: nested chains spliced in, a group with something after it made a chord, and what belongs to the end of
/// the whole given to its last step. Links stay with the chain until it is sent, so that whoever fails it as a whole finds them.
pub(super) fn steps(chain: &mut Signature) -> Result<Vec<Signature>> {
    let mut steps: Vec<Signature> = Vec::new();
    for step in chain.tasks() {
        splice(&mut steps, step)?;
    }
    let Some(last) = steps.last_mut() else {
        return Err(Error::protocol("an empty chain cannot be applied"));
    };
    for name in ["task_id", "group_id", "group_index", "chord"] {
        if let Some(value) = chain.options.shift_remove(name).filter(|value| !value.is_null()) {
            inherit(last, name, value);
        }
    }
    if let Some(nesting) = chain.options.get("replaced_task_nesting") {
        steps.iter_mut().for_each(|step| step.set_option("replaced_task_nesting", nesting.clone()));
    }
    Ok(steps)
}

/// The same with the links of the chain: callbacks belong to its last step, errbacks to each.
pub(super) fn linked_steps(chain: &mut Signature) -> Result<Vec<Signature>> {
    let mut steps = steps(chain)?;
    if let (Some(last), Some(callbacks)) = (steps.last_mut(), chain.options.shift_remove("link")) {
        inherit(last, "link", callbacks);
    }
    if let Some(errbacks) = chain.options.shift_remove("link_error") {
        steps.iter_mut().for_each(|step| inherit(step, "link_error", errbacks.clone()));
    }
    Ok(steps)
}

fn splice(steps: &mut Vec<Signature>, mut step: Signature) -> Result<()> {
    if step.is_chain() {
        let rest = listed(step.options.shift_remove("chain").unwrap_or_default());
        let mut inner = linked_steps(&mut step)?;
        if let Some(first) = inner.first_mut() {
            inherit_all(first, &step, |_| true);
        }
        inner.into_iter().try_for_each(|step| splice(steps, step))?;
        return rest.into_iter().rev().try_for_each(|step| splice(steps, Signature::from_value(step)?));
    }
    match steps.pop() {
        Some(before) if before.is_group() => steps.push(chord_of(before, step)),
        Some(before) => steps.extend([before, step]),
        None => steps.push(step),
    }
    Ok(())
}

fn freeze_chain(chain: &mut Signature, ids: Ids<'_>) -> Result<ResultTuple> {
    let mut steps = steps(chain)?;
    let mut results = Vec::with_capacity(steps.len());
    for step in steps.iter_mut().rev() {
        results.push(freeze(step, ids)?);
    }
    let in_order = results.into_iter().rev().reduce(|before, mut result| {
        result.follows(before);
        result
    });
    let result = in_order.unwrap_or_default();
    chain.set_option("task_id", result.id.clone());
    *chain = std::mem::take(chain).with_tasks(steps);
    Ok(result)
}

fn freeze_group(group: &mut Signature, ids: Ids<'_>) -> Result<ResultTuple> {
    let mut members = flat(group.tasks());
    let mut results = Vec::with_capacity(members.len());
    for (index, member) in members.iter_mut().enumerate() {
        inherit_all(member, group, |name| matches!(name, "group_id" | "chord"));
        inherit(member, "group_index", Value::from(index));
        results.push(freeze(member, ids)?);
    }
    let id = id_of(group, ids);
    *group = std::mem::take(group).with_tasks(members);
    Ok(ResultTuple::group(id, results))
}

/// Members of a group with those of groups in it, in their order.
fn flat(members: Vec<Signature>) -> Vec<Signature> {
    let flatten = |member: Signature| if member.is_group() { flat(member.tasks()) } else { vec![member] };
    members.into_iter().flat_map(flatten).collect()
}

/// The option `task_id` of a chord is its header's group id; its own id is its body's.
fn freeze_chord(chord: &mut Signature, ids: Ids<'_>) -> Result<ResultTuple> {
    let (mut header, mut body) = parts(chord)?;
    if let Some(id) = chord.task_id().map(str::to_owned) {
        inherit(&mut header, "task_id", id.into());
    }
    for name in ["group_id", "group_index", "chord"] {
        if let Some(value) = chord.options.shift_remove(name) {
            inherit(&mut body, name, value);
        }
    }
    let header_result = freeze(&mut header, ids)?;
    let mut result = freeze(&mut body, ids)?;
    chord.set_option("task_id", header_result.id.clone());
    chord.kwargs.insert("header".to_owned(), header.into_value());
    chord.kwargs.insert("body".to_owned(), body.into_value());
    result.follows(header_result);
    Ok(result)
}

/// `chunks` of Celery: a group of `celery.starmap` over so many argument lists each.
fn chunks(signature: &Signature) -> Result<Signature> {
    let bad = || Error::protocol("chunks without task, it and n");
    let task = signature.kwargs.get("task").ok_or_else(bad)?;
    let arguments = signature.kwargs.get("it").and_then(Value::as_list).ok_or_else(bad)?;
    let size = signature.kwargs.get("n").and_then(Value::as_i64).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let starmap = |part: &[Value]| Signature {
        subtask_type: Some("xstarmap".to_owned()),
        immutable: true,
        ..Signature::new("celery.starmap").kwarg("task", task.clone()).kwarg("it", part.to_vec())
    };
    let mut whole = group(arguments.chunks(size.ok_or_else(bad)?).map(starmap));
    whole.options = signature.options.clone();
    Ok(whole)
}
