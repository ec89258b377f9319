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

use super::arguments::Arguments;
use super::outcome::TaskError;
use super::registry::Registry;
use super::request::RequestInfo;
use super::retry::Retry;
use crate::backend::Backend;
use crate::canvas;
use crate::error::{Error, Result};
use crate::pool::{CallError, CallOptions, ChildPool, Isolated};
use crate::producer::{Origin, Producer, Sent, fresh_id};
use crate::protocol::event::Event;
use crate::protocol::exception::Exception;
use crate::protocol::meta::{Meta, ResultTuple};
use crate::protocol::signature::Signature;
use crate::protocol::state::State;
use crate::protocol::trace::trace_headers;
use crate::protocol::value::{Value, to_value};
use crate::result::ResultOptions;
use crate::spill::{self, Spill};

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
    /// The tasks of the program.
    pub registry: Arc<Registry>,
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
    /// Where large results are kept.
    pub(crate) spill: Option<Spill>,
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
    /// What it adds to the chord it is a part of.
    added: Mutex<Vec<Signature>>,
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
        Self { inner: Arc::new(Inner { request, environment, stops, children: Mutex::default(), added: Mutex::default() }) }
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

    /// Removes large results that have expired; how many.
    pub(crate) async fn expire_results(&self) -> Result<usize> {
        let environment = self.environment();
        match (&environment.spill, environment.results.expires) {
            (Some(spill), Some(seconds)) => spill.expire(spill::age(seconds)).await,
            _ => Ok(0),
        }
    }

    /// Sends an event of this task, such as `task-progress`, to whoever watches events, whether the worker's own are switched on or not.
    pub async fn send_event(&self, kind: &str, fields: &(impl Serialize + Sync)) -> Result<()> {
        let Value::Map(fields) = to_value(fields).map_err(|error| Error::protocol(format!("an event's fields: {error}")))? else {
            return Err(Error::protocol("an event's fields are a map or a struct"));
        };
        let mut event = Event::new(kind.to_owned(), [("uuid", Value::from(self.request().id()))]);
        event.fields.extend(fields.into_iter().map(|(name, value)| (name.into(), value)));
        self.environment().producer.tell(&self.request().hostname, &event).await
    }

    /// Sets marks in a row that all workers share, and returns the whole row; see [`Backend::mark`].
    pub async fn mark(&self, key: &str, marks: &[(usize, u8)]) -> Result<Vec<u8>> {
        let environment = self.environment();
        environment.backend.mark(key, marks, environment.results.expires).await
    }

    /// Sends a task or canvas at once, as a child of this run; its id.
    pub async fn send(&self, signature: impl Into<Signature>) -> Result<String> {
        Ok(self.send_canvas(signature).await?.id)
    }

    /// Sends a task or canvas at once, as a child of this run; its id and its result, which a task may return as Python's return an
    /// `AsyncResult`.
    pub async fn send_canvas(&self, signature: impl Into<Signature>) -> Result<Sent> {
        let request = self.request();
        let origin = Origin {
            root_id: Some(request.root_id().to_owned()),
            parent_id: Some(request.id().to_owned()),
            trace: trace_headers(request.headers()),
        };
        let sent = self.environment().producer.send(signature.into(), origin).await?;
        self.inner.children.lock().unwrap_or_else(PoisonError::into_inner).push(sent.result.clone());
        Ok(sent)
    }

    /// Adds a task or canvas to the chord whose header this task is in: the body waits for its value, too. Returns its id.
    ///
    /// It is sent when this task succeeds, in one step with this task's own part, so that no crash leaves the chord waiting for a part that
    /// was never sent (Celery sends it at once). A task that fails or is retried adds nothing.
    pub fn add_to_chord(&self, signature: impl Into<Signature>) -> Result<String, TaskError> {
        if !self.request().is_chord_part() {
            return Err(TaskError::builtin("ValueError", "Current task is not member of any chord"));
        }
        let mut signature = signature.into();
        let result = canvas::freeze(&mut signature, &mut fresh_id).map_err(TaskError::from)?;
        self.inner.added.lock().unwrap_or_else(PoisonError::into_inner).push(signature);
        Ok(result.id)
    }

    /// Calls a registered task in this run, as Python calls a task as a function: without a message, without a result of its own.
    pub async fn call_directly(&self, task: &str, call: Arguments) -> Result<Value, TaskError> {
        let task = self.environment().registry.get(task).ok_or_else(|| TaskError::failure(Exception::not_registered(task)))?;
        match task.handler.call(self.clone(), call).await {
            // There is no message to be run again.
            Err(TaskError::Retry(retry)) => Err(retry.cause.map_or_else(
                || TaskError::failure(Exception::retry("Task can be retried")),
                |failure| TaskError::Failure(Box::new(failure)),
            )),
            ended => ended,
        }
    }

    /// Return this as the error: another task or canvas takes this one's place, with its id, chain and chord.
    pub fn replace(&self, signature: impl Into<Signature>) -> TaskError {
        TaskError::Replace(Box::new(signature.into()))
    }

    /// Return this as the error: the task runs again after its back-off; when its retries are used up it fails with `cause`. What else is
    /// to change is said by [`TaskError::countdown`], [`TaskError::args`] and so on.
    #[track_caller]
    pub fn retry(&self, cause: impl Into<TaskError>) -> TaskError {
        TaskError::Retry(Box::new(Retry { cause: cause.into().into_failure(), ..Retry::default() }))
    }

    /// As [`Self::retry`], for no reason that could be shown.
    pub fn retry_later(&self) -> TaskError {
        TaskError::Retry(Box::default())
    }

    /// Calls a function in a child process.
    pub fn isolated<A, R>(&self, function: &Isolated<A, R>, arguments: A) -> IsolatedCall<'_, A, R> {
        let options = CallOptions::default().cancel(self.cancelled().clone());
        IsolatedCall { context: self, function: function.clone(), arguments, options }
    }

    pub(crate) fn children(&self) -> Vec<ResultTuple> {
        self.inner.children.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn take_added(&self) -> Vec<Signature> {
        std::mem::take(&mut *self.inner.added.lock().unwrap_or_else(PoisonError::into_inner))
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
