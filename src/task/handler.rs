//! A task's code behind one object-safe trait: typed on the author's side, values on the worker's.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{Arguments, bind};
use super::context::Context;
use super::outcome::TaskError;
use crate::protocol::value::{Value, to_value};

/// The future of a run.
pub type Run = Pin<Box<dyn Future<Output = Result<Value, TaskError>> + Send>>;

/// A task's code.
pub trait Handler: Send + Sync {
    /// Begins a run; arguments that do not fit end it with Python's `TypeError`.
    fn call(&self, context: Context, call: Arguments) -> Run;
}

/// An `async fn(Context, A) -> Result<R, TaskError>` as a handler.
pub(crate) struct AsyncFn<F, A> {
    name: String,
    function: F,
    arguments: PhantomData<fn(A)>,
}

impl<F, A> AsyncFn<F, A> {
    pub(crate) fn new(name: &str, function: F) -> Self {
        Self { name: name.to_owned(), function, arguments: PhantomData }
    }
}

impl<F, A> fmt::Debug for AsyncFn<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncFn({})", self.name)
    }
}

impl<F, A, R, Fut> Handler for AsyncFn<F, A>
where
    F: Fn(Context, A) -> Fut + Send + Sync,
    A: DeserializeOwned,
    R: Serialize,
    Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
{
    fn call(&self, context: Context, call: Arguments) -> Run {
        let arguments = match bind::<A>(call.args, call.kwargs) {
            Ok(arguments) => arguments,
            Err(error) => {
                let failure = TaskError::builtin("TypeError", format!("{}() {error}", self.name));
                return Box::pin(async move { Err(failure) });
            }
        };
        let run = (self.function)(context, arguments);
        Box::pin(async move {
            let returned = run.await?;
            to_value(&returned).map_err(|error| {
                let message = format!("the return value cannot be serialized: {error}");
                TaskError::failure(crate::protocol::exception::Exception::new(
                    "kombu.exceptions",
                    "EncodeError",
                    vec![message.into()],
                ))
            })
        })
    }
}
