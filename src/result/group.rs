//! The results of a group: many at once, in the group's order.
//!
//! # Celery
//! `result.py: GroupResult` and `ResultSet`, which are one here: a set of unrelated results is a group that was not sent as one.

use std::time::Duration;

use serde::de::DeserializeOwned;

use super::wait::leaves;
use super::{AsyncResult, GetError, Results};
use crate::error::{Error, Result};
use crate::protocol::meta::{ResultTuple, group_key};
use crate::protocol::{State, Value, from_value};

/// The results of a group.
#[derive(Debug, Clone)]
pub struct GroupResult {
    whole: AsyncResult,
    members: Vec<AsyncResult>,
}

impl GroupResult {
    /// Results under an id of the caller's, be they sent together or not.
    pub fn new(id: impl Into<String>, members: Vec<AsyncResult>, results: Results) -> Self {
        let tuple = ResultTuple::group(id, members.iter().map(|member| member.tuple.clone()).collect());
        Self { whole: AsyncResult::new(tuple, results), members }
    }

    pub(super) fn from_tuple(tuple: ResultTuple, results: Results) -> Option<Self> {
        let members = tuple.children.clone()?.into_iter().map(|child| AsyncResult::new(child, results.clone())).collect();
        Some(Self { whole: AsyncResult::new(tuple, results), members })
    }

    /// The group's id.
    pub fn id(&self) -> &str {
        self.whole.id()
    }

    /// Its structure.
    pub fn as_tuple(&self) -> &ResultTuple {
        self.whole.as_tuple()
    }

    /// What came before the group.
    pub fn parent(&self) -> Option<AsyncResult> {
        self.whole.parent()
    }

    /// Its members, in order.
    pub fn results(&self) -> &[AsyncResult] {
        &self.members
    }

    /// How many members it has.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True for a group without members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Waits until all have ended; their values in order, or the failure that was seen first.
    pub async fn get<T: DeserializeOwned>(&self, timeout: Duration) -> Result<Vec<T>, GetError> {
        let values = self.join(timeout).await?;
        values
            .into_iter()
            .map(|value| from_value(value).map_err(|source| GetError::Unfit { id: self.id().to_owned(), source }))
            .collect()
    }

    /// The same with the values as they are: a list for a member that is itself a group.
    pub async fn join(&self, timeout: Duration) -> Result<Vec<Value>, GetError> {
        match self.whole.get_value(timeout).await? {
            Value::List(values) => Ok(values),
            other => Ok(vec![other]),
        }
    }

    /// How many of its tasks have succeeded.
    pub async fn completed_count(&self) -> Result<usize> {
        let metas = self.whole.results.metas(&leaves(&self.whole.tuple)).await?;
        Ok(metas.iter().flatten().filter(|meta| meta.status == State::Success).count())
    }

    /// True when every member has ended.
    pub async fn ready(&self) -> Result<bool> {
        self.whole.ready().await
    }

    /// True when a member has not ended.
    pub async fn waiting(&self) -> Result<bool> {
        Ok(!self.ready().await?)
    }

    /// True when every member has succeeded.
    pub async fn successful(&self) -> Result<bool> {
        self.whole.successful().await
    }

    /// True when a member has failed.
    pub async fn failed(&self) -> Result<bool> {
        self.whole.failed().await
    }

    /// Revokes every member, see [`AsyncResult::revoke`].
    pub async fn revoke(&self) -> Result<()> {
        self.whole.revoke().await
    }

    /// Revokes every member and kills those that run, see [`AsyncResult::terminate`].
    pub async fn terminate(&self, signal: &str) -> Result<()> {
        self.whole.terminate(signal).await
    }

    /// Removes what is stored of every member. A saved structure stays, see [`GroupResult::delete`].
    pub async fn forget(&self) -> Result<()> {
        let keys: Vec<String> = leaves(&self.whole.tuple).into_iter().map(crate::protocol::meta_key).collect();
        self.whole.results.backend.forget(&keys).await
    }

    /// Keeps its structure in the backend under its id, for as long as results are kept, so that any process can restore it.
    pub async fn save(&self) -> Result<()> {
        let Results { backend, options, .. } = &self.whole.results;
        backend.apply(&[options.group(&self.whole.tuple)?]).await
    }

    /// Takes the saved structure away.
    pub async fn delete(&self) -> Result<()> {
        self.whole.results.backend.forget(&[group_key(self.id())]).await
    }

    /// A group that was saved under this id, by us or by Python; `None`: none was.
    pub async fn restore(id: &str, results: Results) -> Result<Option<Self>> {
        let Some(data) = results.backend.get(&[group_key(id)]).await?.pop().flatten() else { return Ok(None) };
        let tuple = results.options.decode_group(&data)?;
        let group = Self::from_tuple(tuple, results);
        group.map(Some).ok_or_else(|| Error::protocol(format!("what is saved as group {id} is one task's result")))
    }
}

impl From<GroupResult> for AsyncResult {
    fn from(group: GroupResult) -> Self {
        group.whole
    }
}
