//! The command line as types.
//!
//! # Celery
//! The global options are Celery's and may stand before or after the command. `--app` is taken and not needed: the tasks are part
//! of the program.

mod beat;
mod client;
mod dlq;
mod remote;
mod worker;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::exit::Failure;
pub use client::{CallArgs, EventsArgs, ListCommand, PurgeArgs, ResultArgs};
pub use dlq::{ActArgs, DlqCommand, Which};
pub use remote::{AskedArgs, RemoteArgs};

pub use beat::BeatArgs;
pub use worker::WorkerArgs;

/// The command line of a program that has no commands of its own.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, disable_help_subcommand = true, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: GlobalArgs,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command understands.
#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArgs {
    /// Accepted for Celery's sake; the tasks are part of this program
    #[arg(short = 'A', long, global = true, value_name = "APP", help_heading = "Global options")]
    pub app: Option<String>,
    /// The broker's URL [setting: broker_url]
    #[arg(short = 'b', long, global = true, value_name = "URL", help_heading = "Global options")]
    pub broker: Option<String>,
    /// The result backend's URL [setting: result_backend]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub result_backend: Option<String>,
    /// The configuration file [default: celery_config.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "CELERIAC_CONFIG", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Change to this directory first
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub workdir: Option<PathBuf>,
    /// No colours (also NO_COLOR)
    #[arg(short = 'C', long, global = true, help_heading = "Global options")]
    pub no_color: bool,
    /// Say less: no progress, only warnings
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub quiet: bool,
    /// Say more; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// One JSON document on standard output
    #[arg(short = 'j', long, global = true, help_heading = "Global options")]
    pub json: bool,
}

/// The commands that every program has.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run tasks from the queues
    Worker(Box<WorkerArgs>),
    /// Ask workers what they do and know
    Inspect(RemoteArgs),
    /// Tell workers to do something
    Control(RemoteArgs),
    /// Show which workers are online
    Status(AskedArgs),
    /// Call a task by its name, and print its id
    Call(Box<CallArgs>),
    /// Print the result of a task
    Result(ResultArgs),
    /// Throw away what waits in queues
    Purge(PurgeArgs),
    /// Look after messages that were given up (dead letters)
    Dlq {
        /// How
        #[command(subcommand)]
        command: DlqCommand,
    },
    /// Print the events of tasks and workers as they come
    Events(EventsArgs),
    /// Look into the broker
    List {
        /// At what
        #[command(subcommand)]
        command: ListCommand,
    },
    /// Send periodic tasks when they are due; several may run, one sends
    Beat(Box<BeatArgs>),
    /// Print versions, for bug reports
    Report,
}

/// The settings written at the end of a command line.
fn overrides(written: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let setting = |written: &String| {
        let (name, value) = written.split_once('=').ok_or_else(|| {
            Failure::usage(format!("unexpected argument {written:?}")).fix("settings are written worker.prefetch_multiplier=1")
        })?;
        Ok((name.into(), value.into()))
    };
    written.iter().map(setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        for line in ["celeriac -A proj -b redis://r worker", "celeriac worker -A proj --broker redis://r"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!((cli.global.app.as_deref(), cli.global.broker.as_deref()), (Some("proj"), Some("redis://r")), "{line}");
        }
    }
}
