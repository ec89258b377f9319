//! Applying a signature of any kind: the messages it comes to and what must be written before them.
//!
//! # Celery
//! `apply_async` and `run` of each class in `canvas.py`. A chord's size is written before its first header task is published (Celery: before
//! its last): a header that finishes at once finds it.

use super::builder::chord_of;
use super::freeze::{freeze, linked_steps};
use super::inherit::{force, inherit, inherit_all, listed, parts, size};
use super::{Applied, Ids, Plan, limits, options};
use crate::error::{Error, Result};
use crate::protocol::{ResultTuple, Signature, Value, group_key, meta};
use crate::settlement::Write;

/// Options of a whole that say who it is or where it stands, and so never pass to its parts.
const OWN: [&str; 7] = ["task_id", "group_id", "group_index", "root_id", "parent_id", "link", "link_error"];

/// What applying a signature comes to; an error if a part of it is no signature, or if that is more than [`limits`] allows.
pub fn apply(mut signature: Signature, applied: &Applied, ids: Ids<'_>) -> Result<Plan> {
    limits::check(&signature, applied.previous.as_ref().map_or(0, limits::size))?;
    let result = freeze(&mut signature, ids)?;
    let mut plan = Plan { id: result.id.clone(), result, ..Plan::default() };
    let child = send(&mut plan, signature, applied, ids)?;
    plan.children.push(child);
    Ok(plan)
}

/// Plans a frozen signature and returns what the sender lists among its children.
fn send(plan: &mut Plan, signature: Signature, applied: &Applied, ids: Ids<'_>) -> Result<ResultTuple> {
    if signature.immutable && applied.previous.is_some() {
        // Of a whole it holds for all its parts: they have nothing before them.
        return send(plan, signature, &Applied { previous: None, ..applied.clone() }, ids);
    }
    if signature.is_chain() {
        send_chain(plan, signature, applied, ids)
    } else if signature.is_group() {
        send_group(plan, signature, applied, ids)
    } else if signature.is_chord() {
        send_chord(plan, signature, applied, ids)
    } else {
        let publish = options::publish(signature, applied)?;
        let child = ResultTuple::task(&publish.message.headers.id);
        plan.messages.push(publish);
        Ok(child)
    }
}

/// Only the first step is sent; the others travel with it, in reverse, before what follows the chain itself.
fn send_chain(plan: &mut Plan, mut chain: Signature, applied: &Applied, ids: Ids<'_>) -> Result<ResultTuple> {
    let outer = chain.options.shift_remove("chain");
    let mut steps = linked_steps(&mut chain)?;
    let rest = steps.split_off(1);
    let mut first = steps.pop().ok_or_else(|| Error::protocol("an empty chain cannot be applied"))?;
    if outer.is_some() || !rest.is_empty() {
        let rest = rest.into_iter().rev().map(Signature::into_value);
        let rest = listed(outer.unwrap_or_default()).into_iter().chain(rest).collect();
        inherit(&mut first, "chain", Value::List(rest));
    }
    inherit_all(&mut first, &chain, |name| !OWN.contains(&name));
    first.args.splice(0..0, chain.args);
    send(plan, first, applied, ids)
}

fn send_group(plan: &mut Plan, mut group: Signature, applied: &Applied, ids: Ids<'_>) -> Result<ResultTuple> {
    if let Some(body) = group.options.get("chain").cloned().map(listed).filter(|rest| !rest.is_empty()) {
        group.options.shift_remove("chain");
        return send_chord(plan, followed(group, body, ids)?, applied, ids);
    }
    let result = freeze(&mut group, ids)?;
    for name in ["link", "link_error"] {
        if let Some(value) = group.options.shift_remove(name) {
            inherit(&mut group, name, value);
        }
    }
    for mut member in group.tasks() {
        inherit_all(&mut member, &group, |name| !OWN.contains(&name));
        inherit(&mut member, "group_id", result.id.clone().into());
        member.args.splice(0..0, given(&member, &group.args));
        send(plan, member, applied, ids)?;
    }
    Ok(result)
}

/// Arguments of a whole for one of its parts: none if the part is immutable.
fn given(part: &Signature, args: &[Value]) -> Vec<Value> {
    if part.immutable { Vec::new() } else { args.to_vec() }
}

/// A group with something after it is a chord, whose body is the next step and carries the steps after that.
fn followed(group: Signature, mut rest: Vec<Value>, ids: Ids<'_>) -> Result<Signature> {
    let mut body = Signature::from_value(rest.pop().unwrap_or_default())?;
    if !rest.is_empty() {
        inherit(&mut body, "chain", Value::List(rest));
    }
    let mut chord = chord_of(group, body);
    freeze(&mut chord, ids)?;
    Ok(chord)
}

fn send_chord(plan: &mut Plan, chord: Signature, applied: &Applied, ids: Ids<'_>) -> Result<ResultTuple> {
    let (mut header, mut body) = parts(&chord)?;
    let extra = chord.kwargs.get("kwargs").and_then(Value::as_map).cloned().unwrap_or_default();
    let result = freeze(&mut header, ids)?;
    let group_id = Value::from(&result.id);
    inherit_all(&mut body, &chord, |name| !matches!(name, "task_id" | "root_id" | "parent_id" | "countdown" | "eta"));
    let body = closed(body, &group_id, ids)?;
    let members = header.tasks();
    if members.is_empty() {
        return send(plan, body, &applied.clone().with_previous(Value::List(Vec::new())), ids);
    }
    write_start(plan, &result, members.iter().map(size).sum(), applied)?;
    let body = body.into_value();
    let errbacks = chord.option_signatures("link_error")?.into_iter().map(Signature::immutable).map(Signature::into_value);
    let errbacks: Value = errbacks.collect();
    for mut member in members {
        let passes = |name: &str| !OWN.contains(&name) && !matches!(name, "chord" | "chain");
        inherit_all(&mut member, &header, passes);
        inherit_all(&mut member, &chord, passes);
        force(&mut member, "group_id", group_id.clone());
        inherit(&mut member, "chord", body.clone());
        if applied.errbacks_on_header {
            inherit(&mut member, "link_error", errbacks.clone());
        }
        member.args.splice(0..0, given(&member, &chord.args));
        member.kwargs.extend(extra.clone());
        freeze(&mut member, ids)?;
        send(plan, member, applied, ids)?;
    }
    Ok(result)
}

/// A body as header tasks carry it: its group is the header's unless it has one of its own (Celery's quirk, kept), and a group with
/// something after it is made a chord now, because a Python worker would run the rest once for each member.
fn closed(mut body: Signature, group_id: &Value, ids: Ids<'_>) -> Result<Signature> {
    if body.is_group() {
        let rest = listed(body.options.shift_remove("chain").unwrap_or_default());
        if !rest.is_empty() {
            body = followed(body, rest, ids)?;
        }
    }
    inherit(&mut body, "group_id", group_id.clone());
    freeze(&mut body, ids)?;
    Ok(body)
}

fn write_start(plan: &mut Plan, header: &ResultTuple, size: u64, applied: &Applied) -> Result<()> {
    limits::check_chord(size, applied.max_chord_parts)?;
    let nested = header.children.iter().flatten().any(|member| member.children.is_some());
    if nested {
        let value = meta::encode_stored(&meta::group_meta(header), applied.result_serializer, None)?;
        plan.writes.push(Write::State { key: group_key(&header.id), value, ttl: applied.ttl });
    }
    plan.writes.push(Write::ChordStart { group_id: header.id.clone(), size, ttl: applied.ttl });
    Ok(())
}
