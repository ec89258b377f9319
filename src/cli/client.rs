//! What the commands that ask and send have in common: an app by the settings, and time to use it.
//!
//! # Celery
//! `bin/celery.py`'s context.

use std::future::Future;

use tokio::runtime::Runtime;

use super::args::GlobalArgs;
use super::exit::{Exit, Failure};
use super::logging;
use super::program::Program;
use super::settings::Surroundings;
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
        logging::for_answers(&loaded, &around, global, &program.crates())?;
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
