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
use super::parameters;
use crate::protocol::exception::Exception;
use crate::protocol::value::{Value, to_value};

/// The future of a run.
pub type Run = Pin<Box<dyn Future<Output = Result<Value, TaskError>> + Send>>;

/// A task's code.
pub trait Handler: Send + Sync {
    /// Begins a run; arguments that do not fit end it with Python's `TypeError`.
    fn call(&self, context: Context, call: Arguments) -> Run;

    /// The names of its parameters in their order, where it has names for them.
    fn parameters(&self) -> Option<&'static [&'static str]> {
        None
    }
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
        match bound(&self.name, call) {
            Ok(arguments) => running((self.function)(context, arguments)),
            Err(error) => Box::pin(async move { Err(error) }),
        }
    }

    fn parameters(&self) -> Option<&'static [&'static str]> {
        parameters::names::<A>()
    }
}

/// The arguments of a call of the function `name`, or Python's `TypeError`.
pub(super) fn bound<A: DeserializeOwned>(name: &str, call: Arguments) -> Result<A, TaskError> {
    bind(call.args, call.kwargs).map_err(|error| TaskError::builtin("TypeError", format!("{name}() {error}")))
}

/// A run whose return value becomes one of the wire.
pub(super) fn running<R, Fut>(run: Fut) -> Run
where
    R: Serialize,
    Fut: Future<Output = Result<R, TaskError>> + Send + 'static,
{
    Box::pin(async move {
        to_value(&run.await?)
            .map_err(|error| TaskError::failure(Exception::encode_error(format!("the return value cannot be serialized: {error}"))))
    })
}
