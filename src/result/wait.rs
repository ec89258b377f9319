//! Waiting for a result of any shape: one task, or a group with groups in it, and whatever had to come before.
//!
//! # Celery
//! `AsyncResult.get`, `_maybe_reraise_parent_error`, `ResultSet.join` and `join_native` of `result.py`. Differences: one subscription for
//! all; the first task of a set that fails ends the wait; a failed parent counts only when the result itself stays silent.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::{GetError, ResultOptions, Results, TaskFailure};
use crate::backend::Seen;
use crate::error::Error;
use crate::protocol::meta::{ResultTuple, meta_key};
use crate::protocol::{State, Value};
use crate::spill;

/// How long a result may stay silent after something before it failed: the worker stores the failure of what follows a moment later, and a
/// chord's own error says more than its part's.
const SILENCE: Duration = Duration::from_secs(1);

/// The tasks a result consists of: itself, or the members of a group.
pub(super) fn leaves(result: &ResultTuple) -> Vec<&str> {
    match &result.children {
        None => vec![&result.id],
        Some(children) => children.iter().flat_map(leaves).collect(),
    }
}

/// The tasks that had to come before it.
pub(super) fn ancestors(result: &ResultTuple) -> Vec<&str> {
    std::iter::successors(result.parent.as_deref(), |parent| parent.parent.as_deref()).flat_map(leaves).collect()
}

/// The values, in the shape of the result.
fn shaped(result: &ResultTuple, values: &HashMap<&str, Value>) -> Value {
    match &result.children {
        None => values.get(result.id.as_str()).cloned().unwrap_or_default(),
        Some(children) => children.iter().map(|child| shaped(child, values)).collect(),
    }
}

/// What a wait has come to.
#[derive(Debug)]
struct Found<'a> {
    options: &'a ResultOptions,
    /// Tasks of the result itself that have not succeeded yet.
    missing: HashSet<&'a str>,
    values: HashMap<&'a str, Value>,
    failure: Option<Box<TaskFailure>>,
    /// A failure of a task before it.
    before: Option<Box<TaskFailure>>,
    unreadable: Option<Error>,
}

impl<'a> Found<'a> {
    fn look(&mut self, id: &'a str, data: &[u8]) -> Seen {
        let meta = match self.options.decode(data) {
            Ok(meta) => meta,
            Err(error) => {
                self.unreadable = Some(error);
                return Seen::Enough;
            }
        };
        let own = self.missing.contains(id);
        match TaskFailure::of(id, &meta) {
            Some(failure) if own => self.failure = Some(failure),
            Some(failure) => self.before = Some(failure),
            None if meta.status != State::Success => return Seen::Open,
            None if own => {
                self.missing.remove(id);
                self.values.insert(id, meta.result);
                return if self.missing.is_empty() { Seen::Enough } else { Seen::Settled };
            }
            None => return Seen::Settled,
        }
        Seen::Enough
    }

    /// Looks until all has succeeded, anything has failed, or the time is up.
    async fn watch(&mut self, results: &Results, before: &[&'a str], timeout: Duration) -> Result<(), GetError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = self.missing.iter().chain(before).copied().collect();
        let keys: Vec<String> = ids.iter().map(|id| meta_key(id)).collect();
        match results.backend.watch(&keys, timeout, &mut |place, data| self.look(ids[place], data)).await {
            Ok(()) | Err(Error::Timeout { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Results {
    /// The value of a result, in its shape, once all of it has succeeded.
    pub(super) async fn value(&self, result: &ResultTuple, timeout: Duration) -> Result<Value, GetError> {
        let start = Instant::now();
        let mut found = Found {
            options: &self.options,
            missing: leaves(result).into_iter().collect(),
            values: HashMap::new(),
            failure: None,
            before: None,
            unreadable: None,
        };
        found.watch(self, &ancestors(result), timeout).await?;
        if found.before.is_some() && found.failure.is_none() {
            found.watch(self, &[], timeout.saturating_sub(start.elapsed()).min(SILENCE)).await?;
        }
        if let Some(error) = found.unreadable {
            return Err(error.into());
        }
        if let Some(failure) = found.failure {
            return Err(failure.into());
        }
        if found.missing.is_empty() {
            for value in found.values.values_mut() {
                *value = spill::resolve(self.spill.as_ref(), std::mem::take(value)).await?;
            }
            return Ok(shaped(result, &found.values));
        }
        Err(found.before.map_or_else(|| GetError::Timeout { id: result.id.clone(), waited: timeout }, GetError::Failed))
    }
}
