//! The command line as types.
//!
//! # Celery
//! The global options are Celery's and may stand before or after the command. `--app` is taken and not needed: the tasks are part
//! of this program.

mod process;
mod worker;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use process::{AnalysisMode, Format, OcrMode, ProcessArgs};
pub(crate) use worker::WorkerArgs;

/// Takes apart large documents over Celery queues.
#[derive(Debug, Parser)]
#[command(name = "celeriac", version, about, max_term_width = 110, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Args, Debug, Default)]
pub(crate) struct GlobalArgs {
    /// Accepted for Celery's sake; the tasks are part of this program
    #[arg(short = 'A', long, global = true, value_name = "APP", help_heading = "Global options")]
    pub(crate) app: Option<String>,
    /// The broker's URL [setting: broker_url]
    #[arg(short = 'b', long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) broker: Option<String>,
    /// The result backend's URL [setting: result_backend]
    #[arg(long, global = true, value_name = "URL", help_heading = "Global options")]
    pub(crate) result_backend: Option<String>,
    /// The configuration file [default: celery_config.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "CELERIAC_CONFIG", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Change to this directory first
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) workdir: Option<PathBuf>,
    /// No colours (also NO_COLOR)
    #[arg(short = 'C', long, global = true, help_heading = "Global options")]
    pub(crate) no_color: bool,
    /// Say less: no progress, only warnings
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(crate) quiet: bool,
    /// Say more; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// One JSON document on standard output
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run tasks from the queues
    Worker(Box<WorkerArgs>),
    /// Take apart documents: here, or over the queues with --submit
    Process(Box<ProcessArgs>),
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
    /// Print versions, for bug reports
    Report,
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
