//! What the commands that ask and send have in common: an app by the settings, and time to use it.
//!
//! # Celery
//! `bin/celery.py`'s context.

use std::future::Future;
use std::path::Path;

use tokio::runtime::Runtime;

use super::args::GlobalArgs;
use super::exit::{Exit, Failure};
use super::logging::{self, LogOptions};
use super::program::Program;
use super::settings::Surroundings;
use super::terminal;
use crate::app::App;
use crate::config::Loaded;

/// A sender of commands and tasks.
#[derive(Debug)]
pub(super) struct Client<'a> {
    program: &'a Program,
    pub(super) around: Surroundings,
    pub(super) loaded: Loaded,
    pub(super) app: App,
    runtime: Runtime,
}

impl<'a> Client<'a> {
    /// An app with the settings and without tasks: what is sent is run by others. Nothing is connected yet.
    pub(super) fn open(program: &'a Program, global: &GlobalArgs, flags: Vec<(String, String)>) -> Result<Self, Failure> {
        let around = Surroundings::read(global)?;
        let loaded = program.load(&around, global, flags)?;
        log(program, &around, &loaded, global)?;
        let app = App::builder(loaded.settings.clone()).connect()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Failure, "cannot start").why(error))?;
        Ok(Self { program, around, loaded, app, runtime })
    }

    /// Does something to its end.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        self.runtime.block_on(work)
    }

    /// Whether the program has added a remote control command of this name. A program that cannot start has none.
    pub(super) fn has_command(&self, name: &str) -> bool {
        self.program.start(&self.loaded, &self.around.env, 1).is_ok_and(|(app, _)| app.has_command(name))
    }
}

/// A person watches answers, not a log: only what is wrong is said, unless more is asked for.
fn log(program: &Program, around: &Surroundings, loaded: &Loaded, global: &GlobalArgs) -> Result<(), Failure> {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (false, 0) => "warning",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    // That a server cannot be reached is the command's own answer.
    let directives = ["celeriac::connection=error"].into_iter().chain(around.env.get("RUST_LOG").map(String::as_str));
    logging::install(&LogOptions {
        level,
        format: &loaded.settings.celeriac.log_format,
        file: None::<&Path>,
        color: terminal::colors(&around.env, global.no_color, terminal::stderr_is_terminal()),
        directives: Some(&directives.collect::<Vec<_>>().join(",")),
        crates: &program.crates(),
        stderr: logging::plain_stderr(),
    })
}
