//! The command line as types: the runtime's commands, and those for documents.

mod dev;
mod jobs;
mod process;
mod serve;

use std::path::PathBuf;

use celeriac::cli::GlobalArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use dev::DevArgs;
pub(crate) use jobs::{
    DeleteArgs, ExportArgs, HealthcheckArgs, ImportArgs, JobsCommand, ListArgs, MonitorCommand, PagesArgs, PruneArgs, ResultArgs,
    RetryArgs, StatsArgs, SubmitArgs, WhichArgs,
};
pub(crate) use process::{AnalysisMode, OcrMode, ProcessArgs};
pub(crate) use serve::ServeArgs;

/// Takes apart large documents over Celery queues.
#[derive(Debug, Parser)]
#[command(name = "celeriac", version, about, max_term_width = 110, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Runtime(celeriac::cli::Command),
    /// Take apart documents: here, or over the queues with --submit
    Process(Box<ProcessArgs>),
    /// Serve the HTTP API
    #[command(alias = "api")]
    Serve(ServeArgs),
    /// Run everything here, to try it: the API, a worker and upkeep, on a local Redis or in memory
    Dev(DevArgs),
    /// Look after jobs
    Jobs {
        #[command(subcommand)]
        command: JobsCommand,
    },
    /// Look after jobs, in the words of an earlier program
    Monitor {
        #[command(subcommand)]
        command: MonitorCommand,
    },
    /// Show queues, jobs, workers, pages and Redis at a glance
    Stats(StatsArgs),
    /// Say by the exit code whether the service or the worker on this machine is well: 0 or 1
    Healthcheck(HealthcheckArgs),
    /// Look at Redis, PDFium, OCR, speech and the store, and say what is missing
    Doctor(DoctorArgs),
    /// Write, check or show the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a JSON Schema
    Schema {
        /// Of what
        #[arg(value_enum)]
        of: SchemaOf,
    },
    /// Print a script that completes commands in a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// `doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Also say how to fix what is well
    #[arg(long)]
    pub(crate) fix_hints: bool,
}

/// `config`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Write a configuration file with this deployment's settings
    Init {
        /// Where to
        #[arg(default_value = "celery_config.toml")]
        file: PathBuf,
        /// Replace a file that is there
        #[arg(short, long)]
        force: bool,
    },
    /// Say what is wrong with the configuration; 0: nothing, 2: a name, 78: a value
    Check,
    /// Print every setting that is not at its default
    Show {
        /// Where each value comes from
        #[arg(long)]
        origin: bool,
        /// Only the routes of tasks to queues
        #[arg(long)]
        routes: bool,
        /// Also what is at its default
        #[arg(long)]
        all: bool,
        /// Only settings whose name contains this
        name: Option<String>,
    },
}

/// What `schema` can print.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SchemaOf {
    /// The result of a document
    Result,
    /// A job, as `jobs show --json` and the HTTP API tell it
    Job,
    /// The configuration file
    Config,
    /// An event of a job, as `jobs watch --json` and the HTTP API tell it
    Event,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
