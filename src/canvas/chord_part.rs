//! The worker's side of chords: the part a finished task reports, the body when all parts are in, and who fails with whom.
//!
//! # Celery
//! `on_chord_part_return` of `backends/redis.py`, `mark_as_failure` and `chord_error_from_stack` of `backends/base.py`.

use std::collections::{HashMap, HashSet};

use super::inherit::{listed, parts};
use super::limits::MAX_MESSAGES;
use super::{Applied, Ids, Plan, apply};
use crate::error::{Error, Result};
use crate::protocol::json;
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

    /// A part's exception came up while they were put together: a `ChordError` is passed on as it is.
    fn raised(exception: Exception) -> Self {
        if exception.exc_module == "celery.exceptions" && exception.exc_type == "ChordError" {
            return Self { cause: None, error: exception };
        }
        Self::join(exception)
    }

    /// The body could not be published.
    pub fn callback(message: impl std::fmt::Display) -> Self {
        Self { cause: None, error: Exception::chord_error(format!("Callback error: {message}")) }
    }

    fn dependency(entry: &ChordEntry) -> Self {
        let cause = exception_of(entry);
        let error = Exception::chord_error(format!("Dependency {} raised {cause}", entry.task_id));
        Self { cause: Some(Box::new(cause)), error }
    }
}

/// The exception of a part that failed.
fn exception_of(entry: &ChordEntry) -> Exception {
    Exception::from_value(&entry.result).unwrap_or_else(|| Exception::new("builtins", "Exception", vec![entry.result.clone()]))
}

/// The values of a complete header: in the order of its parts, or in the nesting of its `structure` where it has groups at its ends.
///
/// Celery joins a header with a structure from the states of its members, where a failure is raised as it is: it names no dependency then.
pub fn join(entries: &[ChordEntry], structure: Option<&ResultTuple>) -> Result<Vec<Value>, ChordFailure> {
    if let Some(failed) = entries.iter().find(|entry| entry.status.propagates()) {
        return Err(match structure {
            Some(_) => ChordFailure::raised(exception_of(failed)),
            None => ChordFailure::dependency(failed),
        });
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
    /// What was sent in its name: its errbacks, see [`Failed::sent_for`].
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
    /// Notes what was sent in the name of a task that fails.
    pub fn sent_for(&mut self, task_id: &str, children: &[ResultTuple]) {
        if let Some(task) = self.tasks.iter_mut().find(|task| task.task_id == task_id) {
            task.children.extend_from_slice(children);
        }
    }

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
        if self.tasks.len() as u64 >= MAX_MESSAGES {
            return Err(Error::protocol(format!("more than {MAX_MESSAGES} tasks would fail with one")));
        }
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

/// A task that fails without having run and whose errbacks are called for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The task.
    pub task: Signature,
    /// Its id.
    pub task_id: String,
    /// Its errbacks, each once.
    pub errbacks: Vec<Signature>,
}

/// What a chord comes to whose body will not run.
#[derive(Debug, Clone, PartialEq)]
pub struct ChordEnd {
    /// What everything in it fails with.
    pub exception: Exception,
    /// What fails.
    pub failed: Failed,
    /// Whose errbacks are called.
    pub told: Vec<Told>,
}

/// What a chord comes to whose body will not run. Where the body is a group, each of its tasks fails with the member's own exception and
/// calls its own errbacks and those of the group, as in Celery; else the body fails with a `ChordError`.
pub fn chord_failure(body: &Signature, failure: &ChordFailure) -> Result<ChordEnd> {
    let mut failed = Failed::default();
    failed.add(body)?;
    if !body.is_group() {
        let (task, errbacks) = result_errbacks(body)?;
        // Celery gives a chain that ends in a group an id, and the group none.
        let task_id = task.task_id().or(body.task_id()).unwrap_or_default().to_owned();
        if let Some(end) = failed.tasks.iter_mut().find(|task| task.task_id == task_id) {
            end.group_id = None;
        }
        let errbacks = but_those_of_outer(&task, errbacks)?;
        return Ok(ChordEnd { exception: failure.error.clone(), failed, told: vec![Told { task, task_id, errbacks }] });
    }
    let exception = failure.cause.as_deref().unwrap_or(&failure.error).clone();
    let shared = body.option_signatures("link_error")?;
    let mut told = Vec::new();
    for member in body.tasks() {
        let (task, mut errbacks) = result_errbacks(&member)?;
        add_new(&mut errbacks, shared.clone());
        let errbacks = but_those_of_outer(&task, errbacks)?;
        let Some(task_id) = task.task_id().map(str::to_owned) else { continue };
        told.push(Told { task, task_id, errbacks });
    }
    if let Some(task_id) = body.task_id().map(str::to_owned) {
        failed.tasks.push(FailedTask { task_id, group_id: None, children: Vec::new() });
    }
    Ok(ChordEnd { exception, failed, told })
}

/// The task whose end is the end of a signature, and the errbacks of the whole: of a chord its own and its body's, of a chain its own and
/// its last step's, of a group in it those of its members, too.
fn result_errbacks(signature: &Signature) -> Result<(Signature, Vec<Signature>)> {
    let mut errbacks = signature.option_signatures("link_error")?;
    let inner = match signature {
        chord if chord.is_chord() => vec![parts(chord)?.1],
        chain if chain.is_chain() => chain.tasks().pop().into_iter().collect(),
        group if group.is_group() => group.tasks(),
        _ => Vec::new(),
    };
    let mut end = signature.clone();
    for part in inner {
        let (task, more) = result_errbacks(&part)?;
        add_new(&mut errbacks, more);
        if !signature.is_group() {
            end = task;
        }
    }
    Ok((end, errbacks))
}

/// Without those that the chord `end` is in a header of will call itself, because this failure ends it: a client links an errback of the
/// outermost chord to every chord in its header, too, and means one call (Celery makes one: there the outer chord never ends).
fn but_those_of_outer(end: &Signature, mut errbacks: Vec<Signature>) -> Result<Vec<Signature>> {
    if let (Some(outer), Some(_)) = (end.chord()?, end.group_id()) {
        let (_, theirs) = result_errbacks(&outer)?;
        let theirs: HashSet<String> = theirs.iter().map(as_text).collect();
        errbacks.retain(|errback| !theirs.contains(&as_text(errback)));
    }
    Ok(errbacks)
}

/// Adds those that are not there yet; by their text, because comparing each with each would take very many of them minutes.
fn add_new(errbacks: &mut Vec<Signature>, more: Vec<Signature>) {
    let mut known: HashSet<String> = errbacks.iter().map(as_text).collect();
    errbacks.extend(more.into_iter().filter(|errback| known.insert(as_text(errback))));
}

fn as_text(signature: &Signature) -> String {
    json::write(&signature.to_value())
}
