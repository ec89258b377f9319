//! Isolated functions: native or hostile work runs in child processes of the same program, so that its death costs one call.
//!
//! An [`Isolated`] names a function and its types. The program registers what stands behind the name in [`Functions`] and
//! hands control to [`child_main`] when it was started with [`CHILD_ARGUMENT`]; a [`ChildPool`] starts such children, sends
//! them calls over a socket pair, and kills, replaces and recycles them. What a child may do is its [`Sandbox`].
//!
//! # Celery
//! Answers to `celery.concurrency.prefork` and billiard's pool. Differences: children are started anew instead of forked
//! (the worker is threaded), only the named functions run in them (tasks themselves stay in the worker), they are sandboxed,
//! and a call can prefer the child that served the same key before.

mod calls;
mod child;
mod dispatch;
mod ends;
mod error;
mod frame;
mod function;
mod options;
mod process;
mod sandbox;
mod system_calls;

pub use calls::{ChildInfo, ChildPool};
pub use child::{CHILD_ARGUMENT, child_main};
pub use error::{CallError, Failure};
pub use function::{Functions, Isolated, Setup};
pub use options::{CallOptions, ChildPoolOptions, Settings};
pub use sandbox::Sandbox;
