//! The worker's side of chords: the part a finished task reports, the body when all parts are in, and who fails with whom.
//!
//! # Celery
//! `on_chord_part_return` of `backends/redis.py`, `mark_as_failure` and `chord_error_from_stack` of `backends/base.py`.

use std::collections::HashMap;

use super::inherit::{listed, parts};
use super::{Applied, Ids, Plan, apply, errbacks};
use crate::error::{Error, Result};
use crate::protocol::meta::ChordEntry;
use crate::protocol::{Exception, Message, Meta, ResultTuple, Signature, State, Timestamp, Value};

/// What a finished member of a header reports to.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The header's group id.
    pub group_id: String,
    /// The member that finished.
    pub task_id: String,
    /// Its place in the header.
    pub group_index: Option<i64>,
    /// The chord's body.
    pub body: Signature,
}

impl Part {
    /// What it reports.
    pub fn entry(&self, status: State, result: Value) -> ChordEntry {
        ChordEntry { task_id: self.task_id.clone(), status, result }
    }
}

/// The part a task reports when it ends, if it is in a chord's header.
pub fn part_of(message: &Message) -> Option<Part> {
    Some(Part {
        group_id: message.headers.group.clone()?,
        task_id: message.headers.id.clone(),
        group_index: message.headers.group_index,
        body: message.embed.chord.as_deref()?.clone(),
    })
}

/// Why a chord's body is not run.
#[derive(Debug, Clone, PartialEq)]
pub struct ChordFailure {
    /// The exception of the member that failed first in order, if one did.
    pub cause: Option<Box<Exception>>,
    /// What the body fails with: a `ChordError`.
    pub error: Exception,
}

impl ChordFailure {
    /// The parts could not be put together.
    pub fn join(message: impl std::fmt::Display) -> Self {
        Self { cause: None, error: Exception::chord_error(format!("Join error: {message}")) }
    }

    /// The body could not be published.
    pub fn callback(message: impl std::fmt::Display) -> Self {
        Self { cause: None, error: Exception::chord_error(format!("Callback error: {message}")) }
    }

    fn dependency(entry: &ChordEntry) -> Self {
        let cause = Exception::from_value(&entry.result)
            .unwrap_or_else(|| Exception::new("builtins", "Exception", vec![entry.result.clone()]));
        let error = Exception::chord_error(format!("Dependency {} raised {cause}", entry.task_id));
        Self { cause: Some(Box::new(cause)), error }
    }
}

/// The values of a complete header: in the order of its parts, or in the nesting of its `structure` where it has groups at its ends.
pub fn join(entries: &[ChordEntry], structure: Option<&ResultTuple>) -> Result<Vec<Value>, ChordFailure> {
    if let Some(failed) = entries.iter().find(|entry| entry.status.propagates()) {
        return Err(ChordFailure::dependency(failed));
    }
    let Some(structure) = structure else {
        return Ok(entries.iter().map(|entry| entry.result.clone()).collect());
    };
    let by_id: HashMap<&str, &Value> = entries.iter().map(|entry| (entry.task_id.as_str(), &entry.result)).collect();
    structure.children.iter().flatten().map(|member| value_of(member, &by_id)).collect()
}

fn value_of(member: &ResultTuple, by_id: &HashMap<&str, &Value>) -> Result<Value, ChordFailure> {
    match &member.children {
        Some(children) => children.iter().map(|child| value_of(child, by_id)).collect::<Result<Vec<_>, _>>().map(Value::List),
        None => by_id
            .get(member.id.as_str())
            .map(|value| (*value).clone())
            .ok_or_else(|| ChordFailure::join(format!("no part of {}", member.id))),
    }
}

/// The body of a complete chord, applied with the list of its header's values. `applied` is of the member that finished last.
pub fn chord_body(body: Signature, values: Vec<Value>, applied: &Applied, ids: Ids<'_>) -> Result<Plan> {
    apply(body, &applied.clone().with_previous(Value::List(values)), ids)
}

/// A task that fails without having run, because of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTask {
    /// Its id.
    pub task_id: String,
    /// The group it belongs to.
    pub group_id: Option<String>,
    /// What was sent in its name: the errbacks of a chord's body.
    pub children: Vec<ResultTuple>,
}

impl FailedTask {
    /// What is stored of it.
    pub fn meta(&self, exception: &Exception, traceback: Option<String>, now: Timestamp) -> Meta {
        Meta {
            traceback,
            children: Some(self.children.clone()),
            date_done: Some(now),
            group_id: self.group_id.clone(),
            ..Meta::new(&self.task_id, State::Failure, exception.to_value())
        }
    }
}

/// What fails along with a failed task or chord.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Failed {
    /// Tasks whose state becomes the failure.
    pub tasks: Vec<FailedTask>,
    /// Parts to be reported as failed, each with the same exception: the outer chords must end as well.
    pub parts: Vec<Part>,
}

impl Failed {
    /// Everything a signature that will not run takes with it: of a chord its body, of a chain every step, and what comes after.
    fn add(&mut self, signature: &Signature) -> Result<()> {
        if signature.is_chain() || signature.is_group() {
            signature.tasks().iter().try_for_each(|part| self.add(part))?;
        } else if signature.is_chord() {
            self.add(&parts(signature)?.1)?;
        } else {
            self.add_plain(signature)?;
        }
        let rest = listed(signature.options.get("chain").cloned().unwrap_or_default());
        rest.into_iter().rev().try_for_each(|step| self.add(&Signature::from_value(step)?))
    }

    fn add_plain(&mut self, signature: &Signature) -> Result<()> {
        let Some(task_id) = signature.task_id().map(str::to_owned) else { return Ok(()) };
        let group_id = signature.group_id().map(str::to_owned);
        if let (Some(body), Some(group_id)) = (signature.chord()?, &group_id) {
            let part = Part { group_id: group_id.clone(), task_id: task_id.clone(), group_index: signature.group_index(), body };
            self.parts.push(part);
        }
        self.tasks.push(FailedTask { task_id, group_id, children: Vec::new() });
        Ok(())
    }
}

/// What fails with a failed task: every step that was still to come. Its own part is not in it.
pub fn propagate(message: &Message) -> Result<Failed> {
    let mut failed = Failed::default();
    message.embed.chain.iter().flatten().rev().try_for_each(|step| failed.add(step))?;
    Ok(failed)
}

/// What a chord comes to whose body will not run: the body's errbacks as messages, and everything that fails with it. Where the body is a
/// group its tasks fail with the member's own exception, as in Celery; [`Failed`] goes with the returned exception.
pub fn chord_failure(
    body: &Signature,
    failure: &ChordFailure,
    applied: &Applied,
    ids: Ids<'_>,
) -> Result<(Exception, Failed, Plan)> {
    let mut failed = Failed::default();
    failed.add(body)?;
    let end = end_of(body)?;
    let exception = match &failure.cause {
        Some(cause) if body.is_group() => cause.as_ref().clone(),
        _ => failure.error.clone(),
    };
    let id = end.task_id().ok_or_else(|| Error::protocol("a chord's body without an id"))?.to_owned();
    let errors = end.option_signatures("link_error")?;
    let applied = Applied { root_id: Some(id.clone()), ..applied.clone() };
    let plan = errbacks(&errors, &id, &applied, ids)?;
    if let Some(end) = failed.tasks.iter_mut().find(|task| task.task_id == id) {
        end.group_id = None;
        end.children.clone_from(&plan.children);
    }
    Ok((exception, failed, plan))
}

/// The task whose end is the end of the body: where its errbacks and id are.
fn end_of(body: &Signature) -> Result<Signature> {
    if body.is_chord() {
        return end_of(&parts(body)?.1);
    }
    match body.tasks().last() {
        Some(last) if body.is_chain() => end_of(last),
        _ => Ok(body.clone()),
    }
}
