//! The command line of a program that is built on the runtime: what `celery -A proj` is to a Python application. With the feature `cli`.
//!
//! A program hands in its tasks, and has `worker` and the commands for those who operate it:
//!
//! ```no_run
//! use celeriac::app::AppBuilder;
//! use celeriac::task::{Context, TaskError};
//!
//! async fn add(_: Context, (x, y): (i64, i64)) -> Result<i64, TaskError> {
//!     Ok(x + y)
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     celeriac::cli::main(|app: &mut AppBuilder| {
//!         app.task("proj.add", add);
//!     })
//! }
//! ```
//!
//! A program with more to say (isolated functions, tables of settings of its own, queues) makes a [`Program`]; one with commands of its
//! own flattens [`GlobalArgs`] and [`Command`] into its own tree and calls [`Program::run`].
//!
//! # Celery
//! `celery/bin`. Difference: the tasks are part of the program, so that `--app` is taken and not needed.

pub mod args;
mod beat;
mod bindings;
mod call;
mod client;
mod dlq;
mod events;
pub mod exit;
pub mod logging;
mod names;
mod program;
mod purge;
mod remote;
mod report;
pub mod restart;
pub mod settings;
mod signals;
mod spans;
pub mod terminal;
mod worker;

use std::process::ExitCode;

pub use self::args::{Command, GlobalArgs};
pub use self::exit::{Exit, Failure};
pub use self::names::host as hostname;
pub use self::program::{Adjust, Program, Start};
use crate::app::AppBuilder;

/// The whole `main` of a program that has tasks and nothing else to say.
pub fn main(tasks: impl Fn(&mut AppBuilder) + 'static) -> ExitCode {
    Program::new(tasks).main()
}
