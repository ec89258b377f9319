//! Which part of a composition an option of the whole belongs to.
//!
//! # Celery
//! Spread over `freeze`, `prepare_steps`, `run` and `_prepared` of `canvas.py`: the id of a chain is its last step's, that of a chord its
//! body's; a chord reports to an outer chord by its body, a chain by its last step.

use super::builder::group;
use crate::error::{Error, Result};
use crate::protocol::{Signature, Value};

/// Options that belong to the part whose end is the end of the whole.
const OF_THE_END: [&str; 7] = ["task_id", "group_id", "group_index", "chord", "link", "link_error", "chain"];

/// Header and body of a chord.
pub(super) fn parts(chord: &Signature) -> Result<(Signature, Signature)> {
    let header = match chord.kwargs.get("header").cloned().unwrap_or_default() {
        Value::List(tasks) => group(tasks.into_iter().map(Signature::from_value).collect::<Result<Vec<_>, _>>()?),
        header => Signature::from_value(header)?,
    };
    let header = if header.is_group() { header } else { group([header]) };
    let body = chord.kwargs.get("body").cloned().unwrap_or_default();
    let body = Signature::from_value(body).map_err(|_| Error::protocol("a chord without a body"))?;
    Ok((header, body))
}

/// Gives a part an option of its whole. Its own id and group stay what they are; callbacks are added; the rest of a chain comes after its own.
pub(super) fn inherit(part: &mut Signature, name: &str, value: Value) {
    give(part, name, value, false);
}

/// Gives a part an option whatever it had.
pub(super) fn force(part: &mut Signature, name: &str, value: Value) {
    give(part, name, value, true);
}

fn give(part: &mut Signature, name: &str, value: Value, force: bool) {
    let of_the_end = OF_THE_END.contains(&name);
    // What comes after a chord stays with the chord itself: a Python worker that fails a chord whose body is this chord looks there.
    if part.is_chord() && of_the_end && name != "chain" {
        if let Ok((_, mut body)) = parts(part) {
            give(&mut body, name, value, force);
            part.kwargs.insert("body".to_owned(), body.into_value());
        }
    } else if part.is_chain() && of_the_end && name != "chain" {
        let mut steps = part.tasks();
        if name == "link_error" {
            steps.iter_mut().for_each(|step| give(step, name, value.clone(), force));
        } else if let Some(last) = steps.last_mut() {
            give(last, name, value, force);
        }
        *part = std::mem::take(part).with_tasks(steps);
    } else if part.is_group() && matches!(name, "link" | "link_error") || part.is_group() && name == "group_id" && force {
        let mut members = part.tasks();
        let reached = if name == "link" { members.len().min(1) } else { members.len() };
        members.iter_mut().take(reached).for_each(|member| give(member, name, value.clone(), force));
        *part = std::mem::take(part).with_tasks(members);
        if name == "group_id" {
            part.set_option(name, value);
        }
    } else {
        set(part, name, value, force);
    }
}

fn set(part: &mut Signature, name: &str, value: Value, force: bool) {
    match name {
        "link" | "link_error" if !value.is_truthy() => {}
        "link" | "link_error" => part.extend_option(name, listed(value)),
        "chain" => {
            let mut rest = listed(value);
            rest.extend(part.options.shift_remove(name).map(listed).unwrap_or_default());
            part.set_option(name, Value::List(rest));
        }
        "task_id" | "group_id" if !force && part.options.contains_key(name) => {}
        _ => part.set_option(name, value),
    }
}

/// An option that may be null, one, or a list, as a list.
pub(super) fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::List(values) => values,
        one => vec![one],
    }
}

/// Gives a part every option of its whole that `wanted` names; nulls say nothing.
pub(super) fn inherit_all(part: &mut Signature, whole: &Signature, wanted: impl Fn(&str) -> bool) {
    for (name, value) in &whole.options {
        if !value.is_null() && wanted(name) {
            inherit(part, name, value.clone());
        }
    }
}

/// How many completions a chord waits for because of this member of its header.
pub(super) fn size(member: &Signature) -> u64 {
    if member.is_group() {
        member.tasks().iter().map(size).sum()
    } else if member.is_chain() {
        member.tasks().iter().rev().map(size).find(|size| *size > 0).unwrap_or(0)
    } else if member.is_chord() {
        parts(member).map_or(0, |(_, body)| size(&body))
    } else {
        1
    }
}
