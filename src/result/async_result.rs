//! The result of what was sent: a task, a chain, a chord, or a group.
//!
//! # Celery
//! `result.py: AsyncResult`.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::wait::{ancestors, leaves};
use super::{GetError, GroupResult, Results};
use crate::error::Result;
use crate::protocol::meta::{Meta, ResultTuple, group_key, meta_key};
use crate::protocol::{Exception, State, Value, from_value};

/// The result of what was sent. A handle: it holds ids, and asks the backend whenever it is asked.
///
/// Of a chain it is the result of its last task, of a chord that of its body, and [`AsyncResult::parent`] leads to what came before.
/// Of a group it is all of its members ([`AsyncResult::group`]); its value is the list of theirs.
///
/// ```no_run
/// # async fn example(app: celeriac::app::App) -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use celeriac::protocol::Signature;
///
/// let result = app.send(Signature::new("proj.add").arg(2).arg(3)).await?;
/// let sum: i64 = result.get(Duration::from_secs(10)).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct AsyncResult {
    pub(super) tuple: ResultTuple,
    pub(super) results: Results,
    /// Its sender asked that nothing be stored: there is nothing to wait for.
    ignored: bool,
}

impl AsyncResult {
    /// A result by its structure.
    pub fn new(tuple: ResultTuple, results: Results) -> Self {
        Self { tuple, results, ignored: false }
    }

    pub(crate) fn ignored(mut self, ignored: bool) -> Self {
        self.ignored = ignored;
        self
    }

    /// The task's id; of a group the group's.
    pub fn id(&self) -> &str {
        &self.tuple.id
    }

    /// Its structure: id, parents, members. As a value it is what Python calls `as_tuple`.
    pub fn as_tuple(&self) -> &ResultTuple {
        &self.tuple
    }

    /// The result of what came before it: of a chain's step the step before, of a chord its header.
    pub fn parent(&self) -> Option<AsyncResult> {
        self.tuple.parent.as_deref().map(|parent| Self::new(parent.clone(), self.results.clone()))
    }

    /// Its members, where it is the result of a group.
    pub fn group(&self) -> Option<GroupResult> {
        GroupResult::from_tuple(self.tuple.clone(), self.results.clone())
    }

    /// Waits until it has ended; its value, or why there is none.
    ///
    /// A task that failed is [`GetError::Failed`] with the exception its worker stored; so is one that cannot run any more because what
    /// had to come before it failed or was revoked. A call that was sent with `ignore_result` has the value `null` at once.
    pub async fn get<T: DeserializeOwned>(&self, timeout: Duration) -> Result<T, GetError> {
        let value = self.get_value(timeout).await?;
        from_value(value).map_err(|source| GetError::Unfit { id: self.tuple.id.clone(), source })
    }

    /// The same with the value as it is.
    pub async fn get_value(&self, timeout: Duration) -> Result<Value, GetError> {
        if self.ignored {
            return Ok(Value::Null);
        }
        self.results.value(&self.tuple, timeout).await
    }

    /// What is stored of it now; nothing of a group, which has no state of its own.
    pub async fn meta(&self) -> Result<Option<Meta>> {
        Ok(self.results.metas(&[self.id()]).await?.pop().flatten())
    }

    /// Its state now. Of a group: that of the first member that did not succeed, or `SUCCESS`.
    pub async fn state(&self) -> Result<State> {
        let metas = self.results.metas(&leaves(&self.tuple)).await?;
        let states = metas.into_iter().map(|meta| meta.map_or(State::Pending, |meta| meta.status));
        Ok(states.into_iter().find(|state| *state != State::Success).unwrap_or(State::Success))
    }

    /// What is stored beside its state: the value, the exception as an object, the meta of a state of its own; `null` if nothing is.
    pub async fn info(&self) -> Result<Value> {
        Ok(self.meta().await?.map(|meta| meta.result).unwrap_or_default())
    }

    /// The exception of a task that failed, was revoked, or will be run again.
    pub async fn exception(&self) -> Result<Option<Exception>> {
        Ok(self.meta().await?.and_then(|meta| meta.exception()))
    }

    /// The traceback of that exception.
    pub async fn traceback(&self) -> Result<Option<String>> {
        Ok(self.meta().await?.and_then(|meta| meta.traceback))
    }

    /// True when it has ended: succeeded, failed or was revoked. Of a group: when every member has.
    pub async fn ready(&self) -> Result<bool> {
        self.all(State::is_ready).await
    }

    /// True when it has succeeded. Of a group: when every member has.
    pub async fn successful(&self) -> Result<bool> {
        self.all(|state| *state == State::Success).await
    }

    /// True when it has failed. Of a group: when a member has.
    pub async fn failed(&self) -> Result<bool> {
        let metas = self.results.metas(&leaves(&self.tuple)).await?;
        Ok(metas.iter().flatten().any(|meta| meta.status == State::Failure))
    }

    async fn all(&self, wanted: impl Fn(&State) -> bool) -> Result<bool> {
        let metas = self.results.metas(&leaves(&self.tuple)).await?;
        Ok(metas.iter().all(|meta| wanted(meta.as_ref().map_or(&State::Pending, |meta| &meta.status))))
    }

    /// What it sent: its callbacks, the next step of its chain, its own tasks. Stored with its state, so empty until it has ended.
    pub async fn children(&self) -> Result<Vec<AsyncResult>> {
        let children = match &self.tuple.children {
            Some(members) => members.clone(),
            None => self.meta().await?.and_then(|meta| meta.children).unwrap_or_default(),
        };
        Ok(children.into_iter().map(|child| Self::new(child, self.results.clone())).collect())
    }

    /// Revokes it: no worker begins it any more, and it ends as `REVOKED`. If it runs already it goes on. Of a group every member; of a
    /// chain or chord only the end, see [`AsyncResult::parent`].
    pub async fn revoke(&self) -> Result<()> {
        self.results.control.revoke(&self.task_ids()).await
    }

    /// Revokes it, and kills it with a signal (`SIGTERM`, `SIGKILL`) if it runs already.
    pub async fn terminate(&self, signal: &str) -> Result<()> {
        self.results.control.terminate(&self.task_ids(), signal).await
    }

    fn task_ids(&self) -> Vec<String> {
        leaves(&self.tuple).into_iter().map(str::to_owned).collect()
    }

    /// Removes what is stored of it and of everything before it.
    pub async fn forget(&self) -> Result<()> {
        let tasks = leaves(&self.tuple).into_iter().chain(ancestors(&self.tuple)).map(meta_key);
        let parts = std::iter::successors(Some(&self.tuple), |part| part.parent.as_deref());
        let groups = parts.filter(|part| part.children.is_some()).map(|part| group_key(&part.id));
        self.results.backend.forget(&tasks.chain(groups).collect::<Vec<_>>()).await
    }
}

/// A task that returns a result returns its structure, as Python's tasks do with an `AsyncResult`.
impl serde::Serialize for AsyncResult {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serde::Serialize::serialize(&self.tuple.to_value(), serializer)
    }
}
