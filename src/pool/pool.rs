//! The pool as its callers see it.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::CallError;
use super::function::Isolated;
use super::options::{CallOptions, ChildPoolOptions};

/// Runs isolated functions in child processes.
///
/// Calls wait, first come first served, for an idle child; children start when they are needed, up to the pool's size. A
/// child serves one call at a time. Its death is an error of that call alone. Dropping the pool kills its children.
#[derive(Debug)]
pub struct ChildPool {
    options: ChildPoolOptions,
}

/// A child as `inspect` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildInfo {
    /// Its process id.
    pub pid: u32,
    /// Calls it has served.
    pub runs: u64,
    /// The function it is running now.
    pub running: Option<String>,
}

impl ChildPool {
    /// A pool without children yet.
    pub fn new(options: ChildPoolOptions) -> Self {
        Self { options }
    }

    /// Calls `function` in a child. Dropping the future kills the child if the call has begun.
    pub async fn call<A, R>(&self, _function: &Isolated<A, R>, _args: &A, _options: CallOptions) -> Result<R, CallError>
    where
        A: Serialize,
        R: DeserializeOwned,
    {
        let _ = &self.options;
        Err(CallError::Closed)
    }

    /// The children that live.
    pub async fn children(&self) -> Vec<ChildInfo> {
        Vec::new()
    }

    /// Changes how many children there may be; those too many end when they are idle.
    pub async fn resize(&self, _size: usize) {}

    /// Ends the pool: calls that wait fail at once with [`CallError::Closed`], those that run have until `grace` has passed.
    /// Every child is gone when this returns.
    pub async fn close(&self, _grace: Duration) {}
}
