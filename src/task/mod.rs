//! What a task's author writes against: handlers, arguments, the context, outcomes, options and the registry.
//!
//! # Celery
//! `app/task.py`. Difference: no base class and no macro: a task is an `async fn(Context, Args) -> Result<T, TaskError>`, and serde
//! fills `Args` from Python's positional and keyword arguments.

pub mod arguments;
pub(crate) mod builtin;
pub mod context;
pub mod errback;
pub mod handler;
pub mod options;
pub mod outcome;
mod parameters;
pub mod registry;
pub mod request;
pub mod retry;
pub mod short_cut;

pub use arguments::Arguments;
pub use context::Context;
pub use errback::FailedCall;
pub use options::TaskOptions;
pub use outcome::{Failure, Outcome, TaskError};
pub use registry::Registry;
pub use request::RequestInfo;
pub use retry::{Backoff, Retry};
pub use short_cut::ShortCut;
