//! New-style errbacks: called in the worker that saw a task fail, at once and without a message, with all that is known of the failure.
//!
//! # Celery
//! `_call_task_errbacks` of `backends/base.py`, for functions `errback(request, exc, traceback, …)`. Differences: the style is declared
//! ([`crate::app::AppBuilder::errback`]) instead of counted from the function's parameters; an immutable signature is called with what
//! it holds and can still look at the failure (Celery's call fails for want of arguments). A task registered the ordinary way is an
//! old-style errback: it is sent as a message with the failed task's id.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::Arguments;
use super::context::Context;
use super::handler::{Handler, Run, bound, running};
use super::outcome::TaskError;
use super::request::RequestInfo;
use crate::protocol::exception::Exception;

/// A call that failed, as a new-style errback sees it.
#[derive(Debug, Clone)]
pub struct FailedCall {
    /// The call. Of a chord's body that will not run because of its header it has the id, the name and the arguments of the signature.
    pub request: RequestInfo,
    /// What it raised; for a chord's body a `ChordError`.
    pub exception: Exception,
    /// Where, as text.
    pub traceback: Option<String>,
}

/// The code of a new-style errback.
pub(crate) trait Errback: Send + Sync {
    /// Begins a run with the failure and the arguments the signature holds.
    fn call(&self, context: Context, failed: FailedCall, call: Arguments) -> Run;
}

/// An `async fn(Context, FailedCall, A) -> Result<R, TaskError>` as an errback.
pub(crate) struct ErrbackFn<F, A> {
    name: String,
    function: F,
    arguments: PhantomData<fn(A)>,
}

impl<F, A> ErrbackFn<F, A> {
    pub(crate) fn new(name: &str, function: F) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), function, arguments: PhantomData })
    }
}

impl<F, A, R, Fut> Errback for ErrbackFn<F, A>
where
    F: Fn(Context, FailedCall, A) -> Fut + Send + Sync,
    A: DeserializeOwned,
    R: Serialize,
    Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
{
    fn call(&self, context: Context, failed: FailedCall, call: Arguments) -> Run {
        match bound(&self.name, call) {
            Ok(arguments) => running((self.function)(context, failed, arguments)),
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }
}

/// What a message for a new-style errback comes to, as in Python: whoever sent it has no failure to hand over.
impl<F, A> Handler for ErrbackFn<F, A>
where
    F: Send + Sync,
{
    fn call(&self, _: Context, _: Arguments) -> Run {
        let message = format!("{}() missing 2 required positional arguments: 'exc' and 'traceback'", self.name);
        Box::pin(async move { Err(TaskError::builtin("TypeError", message)) })
    }
}
