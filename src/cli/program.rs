//! A program: its tasks, and what the command line has to know of it.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory, FromArgMatches};

use super::args::{Cli, Command, GlobalArgs, ListCommand};
use super::exit::{Exit, Failure};
use super::remote::{self, Side};
use super::settings::{self, Surroundings};
use super::{beat, bindings, call, dlq, events, purge, report, worker};
use crate::app::{App, AppBuilder};
use crate::config::{Env, Loaded, Table};
use crate::pool::{CHILD_ARGUMENT, ChildPoolOptions, Functions, child_main};

/// What a worker is about to be started with; the program adds its tasks to it.
#[derive(Debug)]
pub struct Start<'a> {
    /// The app, with its settings and no tasks yet.
    pub app: AppBuilder,
    /// How the children of isolated functions will be started.
    pub children: ChildPoolOptions,
    /// All settings, with the program's own tables.
    pub loaded: &'a Loaded,
    /// The environment.
    pub env: &'a Env,
}

/// Settles among loaded settings what follows from the program's own, and says in their notes what has no effect.
pub type Adjust = fn(&mut Loaded, &Env) -> Result<(), Failure>;

type Prepare = dyn Fn(&mut Start<'_>) -> Result<(), Failure>;

/// A program built on the runtime.
pub struct Program {
    prepare: Arc<Prepare>,
    /// What children of this program run; none: it has no children.
    functions: Option<fn() -> Functions>,
    tables: &'static [Table],
    /// What else follows from the settings.
    adjust: Option<Adjust>,
    /// What a worker serves when nobody says.
    queues: Vec<String>,
    version: &'static str,
    /// The crate the tasks are in: its log lines are as detailed as ours.
    crate_name: &'static str,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("queues", &self.queues).finish_non_exhaustive()
    }
}

impl Program {
    /// A program with these tasks.
    pub fn new<F: Fn(&mut AppBuilder) + 'static>(tasks: F) -> Self {
        let program = Self::preparing(move |start| {
            tasks(&mut start.app);
            Ok(())
        });
        Self { crate_name: crate_of::<F>(), ..program }
    }

    /// A program whose tasks need the settings or the environment, or that can fail to start.
    pub fn preparing<F: Fn(&mut Start<'_>) -> Result<(), Failure> + 'static>(prepare: F) -> Self {
        Self {
            prepare: Arc::new(prepare),
            functions: None,
            tables: &[],
            adjust: None,
            queues: Vec::new(),
            version: "",
            crate_name: crate_of::<F>(),
        }
    }

    /// The functions that run isolated, in child processes of this program.
    #[must_use]
    pub fn functions(mut self, functions: fn() -> Functions) -> Self {
        self.functions = Some(functions);
        self
    }

    /// Tables of settings besides the runtime's.
    #[must_use]
    pub fn tables(mut self, tables: &'static [Table]) -> Self {
        self.tables = tables;
        self
    }

    /// What follows from the program's own settings for the runtime's.
    #[must_use]
    pub fn adjusted(mut self, adjust: Adjust) -> Self {
        self.adjust = Some(adjust);
        self
    }

    /// The queues that a worker serves when neither `-Q` nor a setting names any.
    #[must_use]
    pub fn queues<I: IntoIterator<Item: Into<String>>>(mut self, queues: I) -> Self {
        self.queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// What `--version` says behind the program's name: `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// The whole `main`.
    pub fn main(&self) -> ExitCode {
        if let Some(ended) = self.child() {
            return ended;
        }
        // Wrong usage ends here, with code 2; help and version with 0.
        let cli = self.parse();
        self.run(&cli.command, &cli.global).unwrap_or_else(Failure::report).into()
    }

    fn parse(&self) -> Cli {
        let file = std::env::args_os().next().unwrap_or_default();
        let name = std::path::Path::new(&file).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut command = Cli::command().display_name(name.clone()).bin_name(name);
        if !self.version.is_empty() {
            command = command.version(self.version);
        }
        Cli::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// Serves isolated calls, if this process was started for that: to be asked before anything else is done.
    pub fn child(&self) -> Option<ExitCode> {
        let first = std::env::args_os().nth(1);
        let functions = self.functions.filter(|_| first.is_some_and(|argument| argument == CHILD_ARGUMENT))?;
        Some(child_main(functions()))
    }

    /// Runs one command to its end.
    pub fn run(&self, command: &Command, global: &GlobalArgs) -> Result<Exit, Failure> {
        match command {
            Command::Worker(args) => worker::run(self, args, global),
            Command::Inspect(args) => remote::run(Side::Inspect, self, args, global),
            Command::Control(args) => remote::run(Side::Control, self, args, global),
            Command::Status(args) => remote::status(self, args, global),
            Command::Call(args) => call::call(self, args, global),
            Command::Result(args) => call::result(self, args, global),
            Command::Purge(args) => purge::run(self, args, global),
            Command::Dlq { command } => dlq::run(self, command, global),
            Command::Events(args) => events::run(self, args, global),
            Command::List { command: ListCommand::Bindings } => bindings::run(self, global),
            Command::Beat(args) => beat::run(self, args, global),
            Command::Report => report::run(self, global),
        }
    }

    /// Loads the settings, the program's own with them; `flags` are those of the command, by the settings' names.
    pub(super) fn load(&self, around: &Surroundings, global: &GlobalArgs, flags: Vec<(String, String)>) -> Result<Loaded, Failure> {
        let mut loaded = settings::load(around, global, flags, self.tables)?;
        if let Some(adjust) = self.adjust {
            adjust(&mut loaded, &around.env)?;
        }
        Ok(loaded)
    }

    /// The app with its tasks, and how its children are started if it has any.
    pub(super) fn start(
        &self,
        loaded: &Loaded,
        env: &Env,
        concurrency: usize,
    ) -> Result<(AppBuilder, Option<ChildPoolOptions>), Failure> {
        let mut app = App::builder(loaded.settings.clone());
        app.written(loaded.written());
        let mut children = ChildPoolOptions::this_program(concurrency);
        children.max_tasks_per_child = loaded.settings.worker_max_tasks_per_child;
        children.max_memory_per_child = loaded.settings.worker_max_memory_per_child;
        let mut start = Start { app, children, loaded, env };
        (self.prepare)(&mut start)?;
        Ok((start.app, self.functions.is_some().then_some(start.children)))
    }

    /// Its tables of settings.
    pub(super) fn own_tables(&self) -> &'static [Table] {
        self.tables
    }

    pub(super) fn default_queues(&self) -> &[String] {
        &self.queues
    }

    /// The crates whose log lines are ours.
    pub(super) fn crates(&self) -> [&'static str; 2] {
        ["celeriac", self.crate_name]
    }
}

/// The crate that a closure or function is written in.
fn crate_of<F>() -> &'static str {
    std::any::type_name::<F>().split("::").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_knows_the_crate_of_the_tasks() {
        assert_eq!(Program::new(|_: &mut AppBuilder| {}).crates(), ["celeriac", "celeriac"]);
        fn tasks(_: &mut AppBuilder) {}
        assert_eq!(Program::new(tasks).crate_name, "celeriac");
    }
}
