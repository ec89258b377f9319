//! What a running task can do: report progress, send, replace itself, retry, notice that it is to stop, call isolated functions.
//!
//! # Celery
//! The methods of `app/task.py: Task` that only work inside a run. Difference: `retry` and `replace` make a value to return, and raise
//! nothing.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::outcome::{Retry, TaskError};
use super::request::RequestInfo;
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::pool::{CallError, CallOptions, ChildPool, Isolated};
use crate::producer::{Origin, Producer};
use crate::protocol::meta::{Meta, ResultTuple};
use crate::protocol::signature::Signature;
use crate::protocol::state::State;
use crate::protocol::value::to_value;
use crate::result::ResultOptions;

/// Values a program hands to its tasks, one of each type.
#[derive(Clone, Default)]
pub struct States {
    values: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl States {
    /// Adds a value, replacing one of the same type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.values.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        Arc::clone(self.values.get(&TypeId::of::<T>())?).downcast().ok()
    }
}

impl fmt::Debug for States {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "States({})", self.values.len())
    }
}

/// What all runs of a worker share.
#[derive(Debug)]
pub struct Environment {
    /// Sends tasks.
    pub producer: Producer,
    /// Keeps states.
    pub backend: Arc<dyn Backend>,
    /// Runs isolated functions, if the program has any.
    pub children: Option<Arc<ChildPool>>,
    /// What the program handed in.
    pub states: States,
    /// How states are written.
    pub results: ResultOptions,
}

/// What stops a run before it is done.
#[derive(Debug, Clone, Default)]
pub struct Stops {
    /// The run should end: soft time limit, revoked, cold stop, lost lease.
    pub cancelled: CancellationToken,
    /// The soft time limit passed.
    pub soft_limit: CancellationToken,
}

struct Inner {
    request: RequestInfo,
    environment: Arc<Environment>,
    stops: Stops,
    /// The results of what this run sent.
    children: Mutex<Vec<ResultTuple>>,
}

/// A running task's view of the world. Clones are one context.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("task", &self.request().task()).field("id", &self.request().id()).finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(request: RequestInfo, environment: Arc<Environment>, stops: Stops) -> Self {
        Self { inner: Arc::new(Inner { request, environment, stops, children: Mutex::default() }) }
    }

    /// The call this run is for.
    pub fn request(&self) -> &RequestInfo {
        &self.inner.request
    }

    /// What the program handed to its tasks; an error names the type that is missing.
    pub fn state<T: Send + Sync + 'static>(&self) -> Result<Arc<T>, TaskError> {
        self.inner.environment.states.get().ok_or_else(|| {
            TaskError::builtin("RuntimeError", format!("the program handed no {} to its tasks", std::any::type_name::<T>()))
        })
    }

    /// Cancelled when this run should end: soft time limit, revoked, cold stop, lost lease.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.inner.stops.cancelled
    }

    /// Stores the state `PROGRESS` with this meta.
    pub async fn progress(&self, progress: &(impl Serialize + Sync)) -> Result<()> {
        self.update_state("PROGRESS", progress).await
    }

    /// Stores a custom state of this task.
    pub async fn update_state(&self, status: &str, progress: &(impl Serialize + Sync)) -> Result<()> {
        self.update_state_of(self.request().id(), status, progress).await
    }

    /// Stores a custom state of another task, which keeps a `SUCCESS` it has.
    pub async fn update_state_of(&self, task_id: &str, status: &str, progress: &(impl Serialize + Sync)) -> Result<()> {
        let result = to_value(progress).map_err(|error| Error::protocol(format!("a state's meta: {error}")))?;
        let meta = Meta::new(task_id, State::from(status), result);
        self.environment().backend.apply(&[self.environment().results.state(&meta)?]).await
    }

    /// Sets marks in a row that all workers share, and returns the whole row; see [`Backend::mark`].
    pub async fn mark(&self, key: &str, marks: &[(usize, u8)]) -> Result<Vec<u8>> {
        let environment = self.environment();
        environment.backend.mark(key, marks, environment.results.expires).await
    }

    /// Sends a task or canvas at once, as a child of this run; its id.
    pub async fn send(&self, signature: impl Into<Signature>) -> Result<String> {
        let request = self.request();
        let origin = Origin { root_id: Some(request.root_id().to_owned()), parent_id: Some(request.id().to_owned()) };
        let sent = self.environment().producer.send(signature.into(), origin).await?;
        self.inner.children.lock().unwrap_or_else(PoisonError::into_inner).push(sent.result);
        Ok(sent.id)
    }

    /// Return this as the error: another task or canvas takes this one's place, with its id, chain and chord.
    pub fn replace(&self, signature: impl Into<Signature>) -> TaskError {
        TaskError::Replace(Box::new(signature.into()))
    }

    /// Return this as the error: the task runs again after its back-off; when its retries are used up it fails with `cause`.
    pub fn retry(&self, cause: impl Into<TaskError>) -> TaskError {
        let cause = cause.into().into_failure();
        TaskError::Retry(Box::new(Retry { cause, countdown: None, max_retries: None }))
    }

    /// Calls a function in a child process.
    pub fn isolated<A, R>(&self, function: &Isolated<A, R>, arguments: A) -> IsolatedCall<'_, A, R> {
        let options = CallOptions::default().cancel(self.cancelled().clone());
        IsolatedCall { context: self, function: function.clone(), arguments, options }
    }

    pub(crate) fn children(&self) -> Vec<ResultTuple> {
        self.inner.children.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn environment(&self) -> &Environment {
        &self.inner.environment
    }
}

/// A call of an isolated function, not yet made.
#[derive(Debug)]
#[must_use = "a call is made when it is awaited"]
pub struct IsolatedCall<'a, A, R> {
    context: &'a Context,
    function: Isolated<A, R>,
    arguments: A,
    options: CallOptions,
}

impl<A, R> IsolatedCall<'_, A, R> {
    /// Prefers a child that served this key last: it may still hold what the key names.
    pub fn affinity(mut self, key: impl Into<String>) -> Self {
        self.options = self.options.affinity(key);
        self
    }

    /// Kills the child after this time.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.options = self.options.time_limit(limit);
        self
    }
}

impl<'a, A, R> IntoFuture for IsolatedCall<'a, A, R>
where
    A: Serialize + Send + Sync + 'a,
    R: DeserializeOwned + Send + 'a,
{
    type Output = Result<R, CallError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match &self.context.environment().children {
                Some(pool) => pool.call(&self.function, self.arguments, self.options).await,
                None => Err(CallError::NotRegistered(self.function.name().to_owned())),
            }
        })
    }
}
